// Operators that keep packed weights: a constant weight must give what a passed one gives, at the
// first run and at later ones with other activations.
#include "runtime/core/Kernel.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::rt;

namespace {

class ConstantWeights : public ::testing::Test {
protected:
  std::mt19937 random{7};

  Tensor reals(Shape shape) {
    Tensor tensor(DType::F32, std::move(shape));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < tensor.size(); ++i)
      tensor.data<float>()[i] = normal(random);
    return tensor;
  }

  Tensor bytes(DType type, Shape shape) {
    Tensor tensor(type, std::move(shape));
    for (int64_t i = 0; i < tensor.size(); ++i)
      tensor.data<uint8_t>()[i] = static_cast<uint8_t>(random());
    return tensor;
  }

  static std::vector<Value> run(Node &node, std::vector<Value> &inputs, std::any &state) {
    std::vector<Value *> pointers;
    for (Value &input : inputs)
      pointers.push_back(&input);
    std::vector<Value> outputs(node.outputs);
    KernelCall call{node,  pointers, outputs, std::vector<bool>(inputs.size(), false),
                    state, nullptr};
    KernelTable::builtin().find(node.domain, node.op)(call);
    return outputs;
  }

  /// Runs twice with fresh activations (input 0), with the weights constant and not.
  template <typename Activation>
  void compare(Node node, std::vector<Value> inputs, Activation &&activation, double tolerance) {
    Node constant = node;
    constant.constants.assign(inputs.size(), nullptr);
    for (size_t i = 1; i < inputs.size(); ++i)
      if (inputs[i])
        constant.constants[i] = &inputs[i].tensor;
    std::any kept;
    for (int round = 0; round < 2; ++round) {
      inputs[0] = Value(activation(round));
      std::any fresh;
      Tensor expected = run(node, inputs, fresh)[0].tensor;
      Tensor actual = run(constant, inputs, kept)[0].tensor;
      ASSERT_EQ(expected.shape(), actual.shape());
      ASSERT_EQ(expected.dtype(), actual.dtype());
      double largest = 0;
      for (int64_t i = 0; i < expected.size(); ++i)
        largest = std::max(largest, std::fabs(at(expected, i)));
      for (int64_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(at(expected, i), at(actual, i), tolerance * largest) << "element " << i;
    }
  }

  static double at(const Tensor &tensor, int64_t i) {
    return tensor.dtype() == DType::I32 ? tensor.data<int32_t>()[i] : tensor.data<float>()[i];
  }

  static Node node(const char *domain, const char *op) {
    Node result;
    result.domain = domain;
    result.op = op;
    result.version = 17;
    return result;
  }
};

TEST_F(ConstantWeights, MatMul) {
  compare(
      node("", "MatMul"), {Value(), Value(reals({40, 50}))},
      [&](int round) {
        return reals({2, 3 + round, 40});
      },
      1e-6);
}

TEST_F(ConstantWeights, GemmTransposedWithBias) {
  Node gemm = node("", "Gemm");
  gemm.attributes["transB"] = int64_t(1);
  gemm.attributes["alpha"] = 0.5f;
  compare(
      gemm, {Value(), Value(reals({50, 40})), Value(reals({50}))},
      [&](int round) {
        return reals({3 + round, 40});
      },
      1e-6);
}

TEST_F(ConstantWeights, MatMulInteger) {
  compare(
      node("", "MatMulInteger"),
      {Value(), Value(bytes(DType::I8, {40, 50})), Value(bytes(DType::U8, {})),
       Value(bytes(DType::I8, {50}))},
      [&](int round) {
        return bytes(DType::U8, {3 + round, 40});
      },
      0);
}

TEST_F(ConstantWeights, MatMulNBits) {
  for (int64_t bits : {4, 8})
    for (int64_t rows : {1, 7}) {
      Node product = node("com.microsoft", "MatMulNBits");
      product.attributes = {
          {"K", int64_t(96)}, {"N", int64_t(50)}, {"bits", bits}, {"block_size", int64_t(32)}};
      std::vector<Value> inputs = {Value(), Value(bytes(DType::U8, {50, 3, 4 * bits})),
                                   Value(reals({150})),
                                   Value(bytes(DType::U8, {50 * ((3 * bits + 7) / 8)}))};
      compare(
          product, inputs,
          [&](int round) {
            return reals({rows + round, 96});
          },
          1e-5);
      inputs[3] = Value(); // the middle of the range
      compare(
          product, inputs,
          [&](int round) {
            return reals({rows + round, 96});
          },
          1e-5);
      inputs[3] = Value(reals({150}));
      compare(
          product, inputs,
          [&](int round) {
            return reals({rows + round, 96});
          },
          1e-5);
    }
}

TEST_F(ConstantWeights, Attention) {
  Node attention = node("com.microsoft", "Attention");
  attention.attributes["num_heads"] = int64_t(2);
  compare(
      attention, {Value(), Value(reals({24, 48})), Value(reals({48}))},
      [&](int round) {
        return reals({2, 3 + round, 24});
      },
      1e-5);
}

TEST_F(ConstantWeights, MixtureOfExperts) {
  Node mixture = node("com.microsoft", "MoE");
  mixture.attributes = {{"k", int64_t(2)}, {"activation_type", std::string("silu")}};
  // The router's logits stay as they are, so both rounds have the same tokens' number.
  compare(
      mixture,
      {Value(), Value(reals({5, 4})), Value(reals({4, 12, 16})), Value(),
       Value(reals({4, 16, 12}))},
      [&](int) {
        return reals({5, 16});
      },
      1e-5);
}

} // namespace
