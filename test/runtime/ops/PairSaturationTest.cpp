// Products of uint8 by int8 with the attribute `saturating`: each sum of two neighbouring products
// is clamped to 16 bits, against the definition written out.
#include "runtime/core/Kernel.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::rt;

namespace {

Tensor bytes(DType type, Shape shape, std::mt19937 &random) {
  Tensor tensor(type, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<uint8_t>()[i] = static_cast<uint8_t>(random());
  return tensor;
}

Tensor run(const char *op, const std::vector<Tensor> &tensors,
           std::map<std::string, Attribute> attributes) {
  Node node;
  node.op = op;
  node.version = 17;
  node.attributes = std::move(attributes);
  std::vector<Value> inputs;
  for (const Tensor &tensor : tensors)
    inputs.emplace_back(tensor);
  std::vector<Value *> pointers;
  for (Value &input : inputs)
    pointers.push_back(&input);
  std::vector<Value> outputs(1);
  std::any state;
  KernelCall call{node, pointers, outputs, std::vector<bool>(inputs.size(), false), state, nullptr};
  KernelTable::builtin().find("", op)(call);
  return outputs[0].tensor;
}

int32_t clampedPair(int32_t a, int32_t b) {
  return std::max(-32768, std::min(32767, a + b));
}

TEST(PairSaturation, MatMulIntegerIsTheClampedSumLessTheZeroPoints) {
  std::mt19937 random(3);
  for (const auto &sizes :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {3, 7, 5}, {2, 64, 33}, {4, 0, 3}}) {
    const int64_t rows = sizes[0], depth = sizes[1], columns = sizes[2];
    Tensor a = bytes(DType::U8, {rows, depth}, random),
           b = bytes(DType::I8, {depth, columns}, random);
    Tensor zeroA = bytes(DType::U8, {}, random), zeroB = bytes(DType::I8, {columns}, random);
    Tensor actual = run("MatMulInteger", {a, b, zeroA, zeroB}, {{"saturating", int64_t(1)}});
    int32_t za = *zeroA.data<uint8_t>();
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        int32_t zb = zeroB.data<int8_t>()[j], expected = 0;
        auto left = [&](int64_t k) { return int32_t(a.data<uint8_t>()[i * depth + k]); };
        auto right = [&](int64_t k) { return int32_t(b.data<int8_t>()[k * columns + j]); };
        for (int64_t k = 0; k < depth; k += 2)
          expected +=
              clampedPair(left(k) * right(k), k + 1 < depth ? left(k + 1) * right(k + 1) : 0);
        for (int64_t k = 0; k < depth; ++k)
          expected += za * zb - za * right(k) - zb * left(k);
        ASSERT_EQ(actual.data<int32_t>()[i * columns + j], expected) << i << ", " << j;
      }
  }
}

TEST(PairSaturation, WithoutTheAttributeNothingIsClamped) {
  Tensor a(DType::U8, {1, 2}), b(DType::I8, {2, 1});
  std::fill_n(a.data<uint8_t>(), 2, uint8_t(255));
  std::fill_n(b.data<int8_t>(), 2, int8_t(127));
  EXPECT_EQ(*run("MatMulInteger", {a, b}, {}).data<int32_t>(), 2 * 255 * 127);
  EXPECT_EQ(*run("MatMulInteger", {a, b}, {{"saturating", int64_t(1)}}).data<int32_t>(), 32767);
  // int8 by int8 never is.
  Tensor c(DType::I8, {1, 2});
  std::fill_n(c.data<int8_t>(), 2, int8_t(-128));
  EXPECT_EQ(*run("MatMulInteger", {c, b}, {{"saturating", int64_t(1)}}).data<int32_t>(),
            2 * -128 * 127);
}

// Pairs of a convolution are neighbours where channels are innermost.
TEST(PairSaturation, ConvIntegerPairsChannels) {
  std::mt19937 random(5);
  const int64_t channels = 3, filters = 2, size = 4, kernel = 2, out = 3;
  Tensor x = bytes(DType::U8, {1, channels, size, size}, random);
  Tensor w = bytes(DType::I8, {filters, channels, kernel, kernel}, random);
  Tensor actual = run("ConvInteger", {x, w}, {{"saturating", int64_t(1)}});
  ASSERT_EQ(actual.shape(), (Shape{1, filters, out, out}));
  for (int64_t f = 0; f < filters; ++f)
    for (int64_t oy = 0; oy < out; ++oy)
      for (int64_t ox = 0; ox < out; ++ox) {
        std::vector<int32_t> products;
        for (int64_t ky = 0; ky < kernel; ++ky)
          for (int64_t kx = 0; kx < kernel; ++kx)
            for (int64_t c = 0; c < channels; ++c)
              products.push_back(
                  int32_t(x.data<uint8_t>()[(c * size + oy + ky) * size + ox + kx]) *
                  w.data<int8_t>()[((f * channels + c) * kernel + ky) * kernel + kx]);
        int32_t expected = 0;
        for (size_t i = 0; i < products.size(); i += 2)
          expected += clampedPair(products[i], i + 1 < products.size() ? products[i + 1] : 0);
        ASSERT_EQ(actual.data<int32_t>()[(f * out + oy) * out + ox], expected);
      }
}

} // namespace
