#include "runtime/cpu/fast/Neurons.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"
#include "runtime/cpu/fast/Router.h"
#include <cstring>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace fast = uoe::rt::fast;

namespace {

class NeuronsTest : public EveryIsa {};
UOE_EVERY_ISA(NeuronsTest);

struct Weights {
  std::vector<float> gate, up, down, gateBias, upBias, downBias;
  FfnSource source;

  Weights(int64_t in, int64_t hidden, int64_t out, int variant)
      : gate(randoms(in * hidden, 11, 0.5f)), up(randoms(in * hidden, 12, 0.5f)),
        down(randoms(hidden * out, 13, 0.5f)), gateBias(randoms(hidden, 14)),
        upBias(randoms(hidden, 15)), downBias(randoms(out, 16)) {
    source.in = in;
    source.hidden = hidden;
    source.out = out;
    source.up = up.data();
    source.down = down.data();
    source.gateTransposed = source.upTransposed = source.downTransposed = variant & 4;
    if (variant & 1)
      source.gate = gate.data();
    if (variant & 2) {
      source.gateBias = variant & 1 ? gateBias.data() : nullptr;
      source.upBias = upBias.data();
      source.downBias = downBias.data();
    }
    if ((variant & 3) == 3)
      source.cut = {0.7f, variant & 4 ? 1.0f : 0.0f};
  }
};

TEST_P(NeuronsTest, Routed) {
  std::vector<std::vector<int64_t>> partitions{{0, 1, 4, 4, 11, 40, 41, 55}, {0, 55}, {0}};
  for (int64_t j = 1; j <= 55; ++j)
    partitions.back().push_back(j); // single neurons
  for (const auto &starts : partitions)
    for (int64_t tokens : {0, 1, 2, 7, 20, 130, 300})
      for (float share : {0.0f, 0.2f, 0.9f})
        for (int variant = 0; variant < 8; ++variant) {
          const int64_t in = 33, hidden = 55, out = 70, n = int64_t(starts.size()) - 1;
          SCOPED_TRACE(testing::Message() << n << " experts, " << tokens << " tokens, share "
                                          << share << ", variant " << variant);
          const bool weighted = tokens % 2;
          Weights w(in, hidden, out, variant);
          Activation act = variant & 1 ? Activation::Silu : Activation::Gelu;
          PackedNeurons block(w.source, act, starts);
          auto x = randoms(tokens * in, 1), mask = randoms(tokens * n, 5);
          for (int64_t i = 0; i < tokens * n; ++i) {
            float &m = mask[size_t(i)];
            bool on = i / n % 7 == 3 ? false : i / n % 7 == 5 ? true : std::fabs(m) < share;
            m = on ? (weighted ? 0.5f + std::fabs(m) : 1.0f) : 0.0f;
          }
          Choice choice = chooseMasked(mask.data(), tokens, n, weighted);
          std::vector<float> units(size_t(tokens * hidden));
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t e = 0; e < n; ++e)
              for (int64_t j = starts[size_t(e)]; j < starts[size_t(e) + 1]; ++j)
                units[size_t(t * hidden + j)] = mask[size_t(t * n + e)];
          std::vector<float> y(size_t(tokens * out)), expected(y.size());
          reference::ffn(w.source, act, x.data(), in, tokens, units.data(), expected.data(), out);
          auto run = [&](NeuronProducts products) {
            fast::experts(block, x.data(), in, tokens, choice.routing(), y.data(), out, {},
                          products);
            ASSERT_NO_FATAL_FAILURE(expectClose(y, expected, 4e-6f));
          };
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Pairs));
          std::vector<float> pairs = y;
          std::fill(y.begin(), y.end(), -1.0f);
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Dense));
          ASSERT_TRUE(y.empty() || !std::memcmp(y.data(), pairs.data(), y.size() * sizeof(float)));
          std::fill(y.begin(), y.end(), -1.0f);
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Panels));
          ASSERT_TRUE(y.empty() || !std::memcmp(y.data(), pairs.data(), y.size() * sizeof(float)));

          auto skip = randoms(n * out, 8);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t e = 0; e < n; ++e)
              for (int64_t i = 0; mask[size_t(t * n + e)] == 0 && i < out; ++i)
                expected[size_t(t * out + i)] += skip[size_t(e * out + i)];
          block.setSkipVectors(skip.data());
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Dense));
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Pairs));
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Panels));
          ASSERT_NO_FATAL_FAILURE(run(NeuronProducts::Faster));

          auto residual = randoms(tokens * out, 9);
          for (size_t i = 0; i < expected.size(); ++i)
            expected[i] += 0.5f * residual[i];
          fast::experts(block, x.data(), in, tokens, choice.routing(), y.data(), out,
                        {residual.data(), out, 0.5f});
          ASSERT_NO_FATAL_FAILURE(expectClose(y, expected, 4e-6f));
        }
}

// Rows that are cut along k, several panels and several stripes.
TEST_P(NeuronsTest, LongRowsInPanels) {
  for (int64_t tokens : {0, 1, 7, 64, 1024})
    for (float share : {0.0f, 0.25f, 0.6f, 1.0f})
      for (int variant : {0, 3}) {
        const int64_t in = 395, hidden = 130, out = 410;
        if (tokens == 1024 && (share == 0.6f || variant == 0))
          continue; // the reference is slow
        SCOPED_TRACE(testing::Message()
                     << tokens << " tokens, share " << share << ", variant " << variant);
        Weights w(in, hidden, out, variant);
        const Activation act = variant & 1 ? Activation::Silu : Activation::Gelu;
        std::vector<int64_t> starts;
        for (int64_t j = 0; j <= hidden; ++j)
          starts.push_back(j);
        PackedNeurons block(w.source, act, starts);
        auto x = randoms(tokens * in, 1), mask = randoms(tokens * hidden, 5);
        for (float &m : mask)
          m = std::fabs(m) < share ? 0.5f + std::fabs(m) : 0.0f;
        Choice choice = chooseMasked(mask.data(), tokens, hidden, true);
        std::vector<float> y(size_t(tokens * out)), pairs = y, expected = y;
        reference::ffn(w.source, act, x.data(), in, tokens, mask.data(), expected.data(), out);
        auto run = [&](NeuronProducts products, std::vector<float> &to) {
          fast::experts(block, x.data(), in, tokens, choice.routing(), to.data(), out, {},
                        products);
        };
        run(NeuronProducts::Pairs, pairs);
        ASSERT_NO_FATAL_FAILURE(expectClose(pairs, expected, 4e-6f));
        for (NeuronProducts products : {NeuronProducts::Panels, NeuronProducts::Faster}) {
          std::fill(y.begin(), y.end(), -1.0f);
          run(products, y);
          ASSERT_EQ(y, pairs);
        }
      }
}

TEST_P(NeuronsTest, DescendingExpertsInPanels) {
  const int64_t tokens = 40, n = 20;
  Weights w(24, n, 16, 1);
  std::vector<int64_t> starts;
  for (int64_t j = 0; j <= n; ++j)
    starts.push_back(j);
  PackedNeurons block(w.source, Activation::Silu, starts);
  std::vector<int64_t> offsets;
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    offsets.push_back(int64_t(ids.size()));
    for (int64_t e = n - 1 - t % 3; e >= 0; e -= 3)
      ids.push_back(int32_t(e));
  }
  offsets.push_back(int64_t(ids.size()));
  auto x = randoms(tokens * 24, 1);
  std::vector<float> units(size_t(tokens * n)), y(size_t(tokens * 16)), expected = y;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = offsets[size_t(t)]; i < offsets[size_t(t) + 1]; ++i)
      units[size_t(t * n + ids[size_t(i)])] = 1;
  reference::ffn(w.source, Activation::Silu, x.data(), 24, tokens, units.data(), expected.data(),
                 16);
  fast::experts(block, x.data(), 24, tokens, {offsets.data(), ids.data(), nullptr}, y.data(), 16,
                {}, NeuronProducts::Panels);
  expectClose(y, expected, 4e-6f);
}

TEST_P(NeuronsTest, FewTokensEqualTheSameTokensOfABatch) {
  const int64_t tokens = 300, in = 40, hidden = 96, out = 72;
  Weights w(in, hidden, out, 3);
  std::vector<int64_t> starts;
  for (int64_t j = 0; j <= hidden; j += 2)
    starts.push_back(j);
  PackedNeurons block(w.source, Activation::Silu, starts);
  auto x = randoms(tokens * in, 1), scores = randoms(tokens * 48, 2);
  Choice choice = chooseTop(scores.data(), tokens, 48, 9);
  std::vector<float> batch(size_t(tokens * out)), row(static_cast<size_t>(out));
  fast::experts(block, x.data(), in, tokens, choice.routing(), batch.data(), out);
  for (int64_t t = 0; t < tokens; t += 13) {
    Choice own = chooseTop(scores.data() + t * 48, 1, 48, 9);
    fast::experts(block, x.data() + t * in, in, 1, own.routing(), row.data(), out);
    ASSERT_EQ(0, std::memcmp(row.data(), batch.data() + t * out, row.size() * sizeof(float))) << t;
  }
}

TEST(NeuronsChoice, SmallExpertsGoByNeuron) {
  EXPECT_TRUE(preferNeurons(std::vector<int64_t>(100, 1)));
  EXPECT_TRUE(preferNeurons(std::vector<int64_t>(100, 8)));
  EXPECT_FALSE(preferNeurons(std::vector<int64_t>(100, 12)));
  EXPECT_FALSE(preferNeurons(std::vector<int64_t>(100, 16)));
  EXPECT_FALSE(preferNeurons({1000, 1}));
  Weights w(4, 8, 4, 0);
  EXPECT_THROW(PackedNeurons(w.source, Activation::Relu, {0, 4}), uoe::rt::Error);
  EXPECT_THROW(PackedNeurons(w.source, Activation::Relu, {0, 5, 4, 8}), uoe::rt::Error);
  PackedNeurons block(w.source, Activation::Relu, {0, 4, 8});
  const int64_t offsets[] = {0, 1};
  const int32_t id = 2;
  float x[4] = {}, y[4];
  EXPECT_THROW(fast::experts(block, x, 4, 1, {offsets, &id, nullptr}, y, 4), uoe::rt::Error);
}

} // namespace
