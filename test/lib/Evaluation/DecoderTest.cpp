#include "lib/Evaluation/Decoder.h"
#include "FakeSession.h"
#include "lib/Evaluation/DecodeTiming.h"
#include "lib/Evaluation/Embedding.h"
#include "lib/Evaluation/Perplexity.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace uoe;
using rt::DType;

constexpr int64_t vocabulary = 20;

/// A decoder whose cache holds the ids that it has seen, and which predicts id + 1 after each: its
/// logit is `sharp`, all others are 0.
static void addCounter(FakeSession &session, float sharp) {
  session.input("input_ids", DType::I64, {"batch", "seq"});
  session.input("attention_mask", DType::I64, {"batch", "total"});
  session.input("position_ids", DType::I64, {"batch", "seq"});
  session.input("past_key_values.0.key", DType::F32, {"batch", "1", "past", "1"});
  session.output("logits", DType::F32, {"batch", "seq", "20"});
  session.output("present.0.key", DType::F32, {"batch", "1", "total", "1"});
  session.gather(0, vocabulary);
  session.model = [sharp](const std::vector<rt::Value> &in) {
    std::vector<int64_t> ids = integersOf(in[0].tensor);
    int64_t past = in[3].tensor.dim(2), count = static_cast<int64_t>(ids.size());
    EXPECT_EQ(in[1].tensor.shape(), (rt::Shape{1, past + count}));
    EXPECT_EQ(integersOf(in[2].tensor).front(), past);
    rt::Tensor logits(DType::F32, {1, count, vocabulary}), key(DType::F32, {1, 1, past + count, 1});
    std::fill_n(logits.data<float>(), logits.size(), 0.0f);
    std::copy_n(in[3].tensor.data<float>(), past, key.data<float>());
    for (int64_t i = 0; i < count; ++i) {
      logits.data<float>()[i * vocabulary + (ids[i] + 1) % vocabulary] = sharp;
      key.data<float>()[past + i] = static_cast<float>(ids[i]);
    }
    return std::vector<rt::Value>{rt::Value(logits), rt::Value(key)};
  };
}

TEST(Decoder, HandsTheCacheOn) {
  FakeSession session;
  addCounter(session, 3);
  auto model = session.model;
  std::vector<float> seen;
  session.model = [&](const std::vector<rt::Value> &in) {
    auto out = model(in);
    const rt::Tensor &key = out[1].tensor;
    seen.assign(key.data<float>(), key.data<float>() + key.size());
    return out;
  };
  Decoder decoder(session);
  ASSERT_TRUE(decoder.cached());
  EXPECT_EQ(decoder.vocabulary(), vocabulary);
  decoder.run({4, 5, 6});
  decoder.run({7});
  decoder.run({8, 9});
  EXPECT_EQ(seen, (std::vector<float>{4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(decoder.past(), 6);
  decoder.reset();
  decoder.run({1});
  EXPECT_EQ(seen, (std::vector<float>{1}));
}

TEST(Decoder, TimesPrefillAndSteps) {
  FakeSession session;
  addCounter(session, 3);
  Decoder decoder(session);
  DecodeTiming timing = timeDecoding(decoder, 5, 7, 0);
  EXPECT_EQ(timing.steps.size(), 7u);
  EXPECT_EQ(decoder.past(), 12);
}

TEST(Decoder, TimesAGivenText) {
  FakeSession session;
  addCounter(session, 3);
  auto model = session.model;
  std::vector<int64_t> seen;
  session.model = [&](const std::vector<rt::Value> &in) {
    std::vector<int64_t> ids = integersOf(in[0].tensor);
    seen.insert(seen.end(), ids.begin(), ids.end());
    return model(in);
  };
  Decoder decoder(session);
  timeDecoding(decoder, 2, 2, 0, {5, 9, 7});
  EXPECT_EQ(seen, (std::vector<int64_t>{5, 9, 7, 5}));
}

TEST(Decoder, RefusesWhatIsNone) {
  FakeSession session;
  session.input("pixel_values", DType::F32, {"batch", "3"});
  session.output("logits", DType::F32, {"batch", "10"});
  EXPECT_THROW(Decoder{session}, rt::Error);
  FakeSession encoder;
  encoder.input("input_ids", DType::I64, {"batch", "seq"});
  encoder.output("last_hidden_state", DType::F32, {"batch", "seq", "8"});
  EXPECT_THROW(Decoder{encoder}, rt::Error);
}

TEST(Perplexity, OfAKnownDistribution) {
  FakeSession session, flat;
  addCounter(session, 3);
  addCounter(flat, 0);
  Decoder decoder(session), reference(flat);
  TokenFile tokens;
  tokens.stream = true;
  tokens.sentences.push_back({1, 2, 3, 4, 5, 9, 10, 11, 12});
  PerplexityOptions options;
  options.window = 4;
  Perplexity result = perplexity(decoder, &reference, tokens, options);
  // Windows {1 2 3 4} and {5 9 10 11}; the last token is in neither. Five of six follow the rule.
  double log = std::log(std::exp(3.0) + vocabulary - 1), uniform = std::log(double(vocabulary));
  EXPECT_EQ(result.windows, 2);
  EXPECT_EQ(result.predictions, 6);
  EXPECT_NEAR(result.loss, log - 3 * 5 / 6.0, 1e-6);
  EXPECT_NEAR(result.referenceLoss, uniform, 1e-6);
  EXPECT_NEAR(result.divergence, log - 3.0 / vocabulary - uniform, 1e-6);
  options.chunk = 3;
  EXPECT_DOUBLE_EQ(perplexity(decoder, nullptr, tokens, options).loss, result.loss);
  options.windows = 1;
  EXPECT_NEAR(perplexity(decoder, nullptr, tokens, options).loss, log - 3, 1e-6);
  options.window = 10;
  EXPECT_THROW(perplexity(decoder, nullptr, tokens, options), rt::Error);
}

TEST(Perplexity, SentencesAreWindows) {
  FakeSession session;
  addCounter(session, 3);
  Decoder decoder(session);
  TokenFile tokens;
  tokens.sentences = {{1, 2, 3}, {7}, {}, {8, 9}};
  Perplexity result = perplexity(decoder, nullptr, tokens, {});
  EXPECT_EQ(result.windows, 2);
  EXPECT_EQ(result.predictions, 3);
}

/// Hidden states [id, scale]; padding has a state that must not enter the mean.
static void addEncoder(FakeSession &session, float scale) {
  session.input("input_ids", DType::I64, {"batch", "seq"});
  session.input("attention_mask", DType::I64, {"batch", "seq"});
  session.output("last_hidden_state", DType::F32, {"batch", "seq", "2"});
  session.model = [scale](const std::vector<rt::Value> &in) {
    std::vector<int64_t> ids = integersOf(in[0].tensor), mask = integersOf(in[1].tensor);
    rt::Tensor states(DType::F32, {in[0].tensor.dim(0), in[0].tensor.dim(1), 2});
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(mask[i], ids[i] != 0);
      states.data<float>()[2 * i] = mask[i] ? static_cast<float>(ids[i]) : 1e6f;
      states.data<float>()[2 * i + 1] = scale;
    }
    return std::vector<rt::Value>{rt::Value(states)};
  };
}

TEST(Embedding, MeanOverTokensAlone) {
  FakeSession one, other;
  addEncoder(one, 1);
  addEncoder(other, 2);
  TokenFile tokens;
  tokens.sentences = {{3, 5}, {4}, {}, {2, 2, 2}};
  int64_t width = 0;
  std::vector<float> pooled = embed(one, {{3, 5}, {4}}, width);
  EXPECT_EQ(width, 2);
  EXPECT_EQ(pooled, (std::vector<float>{4, 1, 4, 1}));
  EmbeddingAgreement same = compareEmbeddings(one, one, tokens, {});
  EXPECT_NEAR(same.mean, 1, 1e-12);
  EXPECT_EQ(same.sentences, 3);
  EXPECT_EQ(same.tokens, 6);
  EmbeddingOptions options;
  options.batch = 2;
  EmbeddingAgreement found = compareEmbeddings(one, other, tokens, options);
  auto cosine = [](double x) { return (x * x + 2) / std::sqrt((x * x + 1) * (x * x + 4)); };
  EXPECT_NEAR(found.mean, (2 * cosine(4) + cosine(2)) / 3, 1e-9);
  EXPECT_NEAR(found.min, cosine(2), 1e-9);
}
