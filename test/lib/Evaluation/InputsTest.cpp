#include "lib/Evaluation/Inputs.h"
#include "FakeSession.h"
#include "lib/Evaluation/Ports.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace uoe;
using rt::DType;

/// The interface that optimum gives a decoder.
static void addDecoder(FakeSession &session, const std::string &total) {
  session.input("input_ids", DType::I64, {"batch_size", "sequence_length"});
  session.input("attention_mask", DType::I64, {"batch_size", total});
  session.input("position_ids", DType::I64, {"batch_size", "sequence_length"});
  session.input("past_key_values.0.key", DType::F32,
                {"batch_size", "2", "past_sequence_length", "8"});
  session.gather(0, 99);
}

static std::string messageOf(const Session &session, const InputOptions &options) {
  try {
    bindInputs(session, options);
  } catch (const rt::Error &error) {
    return error.what();
  }
  return "";
}

TEST(Inputs, DefaultsOfADecoder) {
  FakeSession session;
  addDecoder(session, "past_sequence_length + sequence_length");
  BoundInputs bound = bindInputs(session, {});
  EXPECT_EQ(bound.values[0].tensor.shape(), (rt::Shape{1, 8}));
  EXPECT_EQ(bound.values[1].tensor.shape(), (rt::Shape{1, 8}));
  EXPECT_EQ(bound.values[3].tensor.shape(), (rt::Shape{1, 2, 0, 8}));
  EXPECT_EQ(integersOf(bound.values[1].tensor), std::vector<int64_t>(8, 1));
  EXPECT_EQ(integersOf(bound.values[2].tensor), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(bound.assumed.size(), 3u); // the total is implied
  EXPECT_EQ(bound.generated.size(), 4u);
}

TEST(Inputs, KeysOfAnEncoderAreNoPast) {
  // Whisper's decoder with a cache: nothing else says how long the encoder's keys are.
  FakeSession session;
  session.input("input_ids", DType::I64, {"batch_size", "decoder_sequence_length"});
  session.input("past_key_values.0.decoder.key", DType::F32,
                {"batch_size", "2", "past_decoder_sequence_length", "8"});
  session.input("past_key_values.0.encoder.key", DType::F32,
                {"batch_size", "2", "encoder_sequence_length", "8"});
  session.gather(0, 99);
  BoundInputs bound = bindInputs(session, {});
  EXPECT_EQ(bound.values[1].tensor.shape(), (rt::Shape{1, 2, 0, 8}));
  EXPECT_EQ(bound.values[2].tensor.shape(), (rt::Shape{1, 2, 8, 8}));
}

TEST(Inputs, TotalLengthFollows) {
  // As a sum, by its name, and under an opaque name.
  for (const char *total :
       {"past_sequence_length + sequence_length", "total_sequence_length", "s53"}) {
    FakeSession session;
    addDecoder(session, total);
    InputOptions options;
    options.dims = {{"past_sequence_length", 5}, {"sequence_length", 3}, {"batch_size", 2}};
    BoundInputs bound = bindInputs(session, options);
    EXPECT_EQ(bound.values[1].tensor.shape(), (rt::Shape{2, 8})) << total;
    EXPECT_EQ(integersOf(bound.values[2].tensor), (std::vector<int64_t>{5, 6, 7, 5, 6, 7}));
  }
}

TEST(Inputs, ImageSizeFollowsFromPatchesAndPositions) {
  FakeSession session;
  session.input("pixel_values", DType::F32, {"batch", "channels", "height", "width"});
  int patches = session.convolve(session.compiled.inputSlots[0], {32, 3, 8, 8}, 8, 0);
  session.withConstant("Add", patches, {1, 17, 32}); // 4 x 4 patches and a class token
  EXPECT_EQ(bindInputs(session, {}).values[0].tensor.shape(), (rt::Shape{1, 3, 32, 32}));
  InputOptions given;
  given.dims = {{"channels", 1}};
  EXPECT_EQ(bindInputs(session, given).values[0].tensor.shape(), (rt::Shape{1, 1, 32, 32}));
}

TEST(Inputs, SpectrumLengthFollowsFromConvolutionsAndPositions) {
  FakeSession session;
  session.input("input_features", DType::F32, {"batch", "feature_size", "frames"});
  int first = session.convolve(session.compiled.inputSlots[0], {16, 80, 3}, 1, 1);
  int second = session.convolve(first, {16, 16, 3}, 2, 1);
  session.withConstant("Add", second, {1500, 16});
  EXPECT_EQ(bindInputs(session, {}).values[0].tensor.shape(), (rt::Shape{1, 80, 3000}));
}

TEST(Inputs, ConvolutionsWithoutPositionsTellTheChannelsOnly) {
  FakeSession session;
  session.input("pixel_values", DType::F32, {"batch", "channels", "height", "width"});
  session.convolve(session.compiled.inputSlots[0], {32, 1, 8, 8}, 8, 0);
  EXPECT_EQ(bindInputs(session, {}).values[0].tensor.shape(), (rt::Shape{1, 1, 224, 224}));
}

TEST(Inputs, MaskWithoutCacheSharesTheSequence) {
  FakeSession session;
  session.input("input_ids", DType::I64, {"batch", "seq"});
  session.input("attention_mask", DType::I64, {"batch", "seq"});
  InputOptions options;
  options.dims = {{"seq", 5}};
  EXPECT_EQ(bindInputs(session, options).values[1].tensor.shape(), (rt::Shape{1, 5}));
}

TEST(Inputs, GivenTensorsBindDimensions) {
  FakeSession session;
  addDecoder(session, "past_sequence_length + sequence_length");
  InputOptions options;
  options.given["input_ids"] =
      rt::Value(integerTensor(DType::I64, {2, 4}, std::vector<int64_t>(8, 7)));
  BoundInputs bound = bindInputs(session, options);
  EXPECT_EQ(bound.values[2].tensor.shape(), (rt::Shape{2, 4}));
  EXPECT_EQ(bound.generated.size(), 3u);
  options.dims["batch_size"] = 3;
  EXPECT_NE(messageOf(session, options).find("'batch_size' is 2 in input 'input_ids'"),
            std::string::npos);
}

TEST(Inputs, IdsStayInTheVocabulary) {
  FakeSession session;
  addDecoder(session, "t");
  InputOptions options;
  options.sequence = 4000;
  BoundInputs bound = bindInputs(session, options);
  std::vector<int64_t> ids = integersOf(bound.values[0].tensor);
  EXPECT_GE(*std::min_element(ids.begin(), ids.end()), 0);
  EXPECT_EQ(*std::max_element(ids.begin(), ids.end()), 98);
  EXPECT_EQ(vocabularyOf(session.program(), session.program().inputSlots[0]), 99);
  EXPECT_EQ(vocabularyOf(session.program(), session.program().inputSlots[1]), -1);
}

TEST(Inputs, ATextGivesIdsAndBeginsAgain) {
  FakeSession session;
  addDecoder(session, "t");
  InputOptions options;
  options.sequence = 5;
  options.tokens = {7, 8, 9};
  EXPECT_EQ(integersOf(bindInputs(session, options).values[0].tensor),
            (std::vector<int64_t>{7, 8, 9, 7, 8}));
}

TEST(Inputs, SeedAndNameDecide) {
  FakeSession session;
  session.input("x", DType::F32, {"n", "64"});
  session.input("y", DType::F32, {"n", "64"});
  auto content = [&](uint64_t seed, size_t index) {
    InputOptions options;
    options.seed = seed;
    rt::Tensor tensor = bindInputs(session, options).values[index].tensor;
    return std::vector<float>(tensor.data<float>(), tensor.data<float>() + tensor.size());
  };
  EXPECT_EQ(content(1, 0), content(1, 0));
  EXPECT_NE(content(1, 0), content(2, 0));
  EXPECT_NE(content(1, 0), content(1, 1));
}

TEST(Inputs, NormalNumbers) {
  std::mt19937_64 random(5);
  rt::Tensor tensor = normalTensor(DType::F32, {100000}, random);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    sum += tensor.data<float>()[i];
    squares += std::pow(tensor.data<float>()[i], 2);
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.02);
  EXPECT_NEAR(squares / 1e5, 1, 0.02);
}

TEST(Inputs, WrongNamesListTheKnown) {
  FakeSession session;
  addDecoder(session, "t");
  InputOptions options;
  options.given["ids"] = rt::Value(rt::makeInts({1}));
  std::string message = messageOf(session, options);
  EXPECT_NE(message.find("no input 'ids'"), std::string::npos);
  EXPECT_NE(message.find("'input_ids'"), std::string::npos);
  options.given.clear();
  options.dims = {{"width", 3}};
  message = messageOf(session, options);
  EXPECT_NE(message.find("no symbolic dimension 'width'"), std::string::npos);
  EXPECT_NE(message.find("'sequence_length'"), std::string::npos);
}

TEST(Inputs, WavesAreLongEnoughForTheirConvolutions) {
  FakeSession session;
  session.input("input_values", DType::F32, {"batch", "sequence_length"});
  int first = session.convolve(session.compiled.inputSlots[0], {16, 1, 10}, 5, 0);
  session.convolve(first, {16, 16, 3}, 2, 0);
  BoundInputs bound = bindInputs(session, {});
  EXPECT_EQ(bound.values[0].tensor.shape(), (rt::Shape{1, 90})); // 17 of the first, 8 of the second
}

TEST(Inputs, UnknownHeadSizeMustBeGiven) {
  FakeSession session;
  session.input("input_ids", DType::I64, {"batch", "seq"});
  session.input("past_key_values.0.key", DType::F32, {"batch", "2", "past", "kv_cache_dim"});
  EXPECT_NE(messageOf(session, {}).find("--dim kv_cache_dim="), std::string::npos);
  InputOptions options;
  options.dims["kv_cache_dim"] = 16;
  EXPECT_EQ(bindInputs(session, options).values[1].tensor.shape(), (rt::Shape{1, 2, 0, 16}));
}
