// com.microsoft.MoE and QMoE: mixtures of feed-forward experts, each token through its k best.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"
#include "runtime/cpu/fast/Gemm.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// The experts' matrices, packed at the first run if they never change.
struct ExpertWeights {
  std::vector<std::shared_ptr<const fast::PackedMatrix>> fc1, fc2, fc3;
  const void *source = nullptr;
};

struct Options {
  std::string activation;
  float alpha, beta, limit;
  int64_t fusion;
};

/// (experts, out, in): the matrix of each expert, to be multiplied from the right as its transpose.
std::vector<std::shared_ptr<const fast::PackedMatrix>> packExperts(const Tensor &weights) {
  std::vector<std::shared_ptr<const fast::PackedMatrix>> packed;
  int64_t out = weights.dim(1), in = weights.dim(2);
  for (int64_t e = 0; e < weights.dim(0); ++e)
    packed.push_back(std::make_shared<fast::PackedMatrix>(
        fast::packExact(weights.data<float>() + e * out * in, in, out, true)));
  return packed;
}

void expectExperts(const Node &node, const Tensor &tensor, const Shape &shape, const char *what) {
  check(tensor.shape() == shape, node.op, ": ", what, " must have shape ", toString(shape),
        ", found ", toString(tensor.shape()));
}

/// Gate and linear part to `width` hidden values per row.
void swiglu(const Options &o, const float *from, float *to, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i) {
      const float *row = from + r * 2 * width;
      float gate = o.fusion == 2 ? row[i] : row[2 * i];
      float linear = o.fusion == 2 ? row[width + i] : row[2 * i + 1];
      gate = std::min(gate, o.limit);
      linear = std::max(std::min(linear, o.limit), -o.limit);
      to[r * width + i] = gate / (1.0f + std::exp(-o.alpha * gate)) * (linear + o.beta);
    }
}

vec::Activation kindOf(const Node &node, const std::string &name) {
  if (name == "relu")
    return vec::Activation::Relu;
  if (name == "gelu")
    return vec::Activation::GeluTanh; // as ONNX Runtime computes it here
  if (name == "silu")
    return vec::Activation::Silu;
  if (name == "identity")
    return vec::Activation::Identity;
  fail(node.op, ": activation_type must be relu, gelu, silu, swiglu or identity, found '", name,
       "'");
}

/// The k largest probabilities of each row, the lower index first among equals.
void route(const float *logits, int64_t tokens, int64_t experts, int64_t k, bool normalise,
           std::vector<int64_t> &chosen, std::vector<float> &weight) {
  chosen.resize(tokens * k);
  weight.resize(tokens * k);
  ThreadPool::global().parallelFor(tokens, 64, [&](int64_t begin, int64_t end) {
    std::vector<float> probabilities(experts);
    std::vector<int64_t> order(experts);
    for (int64_t t = begin; t < end; ++t) {
      const float *row = logits + t * experts;
      float total = vec::expShifted(row, vec::largest(row, experts), probabilities.data(), experts);
      vec::scale(probabilities.data(), 1.0f / total, experts);
      for (int64_t e = 0; e < experts; ++e)
        order[e] = e;
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
        return row[a] != row[b] ? row[a] > row[b] : a < b;
      });
      float sum = 0;
      for (int64_t j = 0; j < k; ++j)
        sum += probabilities[order[j]];
      for (int64_t j = 0; j < k; ++j) {
        chosen[t * k + j] = order[j];
        weight[t * k + j] = probabilities[order[j]] / (normalise ? sum : 1.0f);
      }
    }
  });
}

/// Everything about the experts but the tokens.
struct Mixture {
  int64_t experts = 0, hidden = 0, width = 0, fused = 0, k = 1;
  bool gated = false;
  Options options;
  vec::Activation kind = vec::Activation::Identity;
  Tensor bias1, bias2, bias3; // None where absent
  ExpertWeights weights;
};

/// The attributes that both operators have; `width` is the experts' inner size.
Mixture mixtureOf(const Node &node, int64_t experts, int64_t hidden, int64_t width) {
  Mixture m;
  m.experts = experts;
  m.hidden = hidden;
  m.width = width;
  Options &o = m.options;
  o.activation = node.string("activation_type", "relu");
  o.alpha = node.real("activation_alpha", 1.0f);
  o.beta = node.real("activation_beta", 0.0f);
  o.limit = node.real("swiglu_limit", std::numeric_limits<float>::infinity());
  o.fusion = node.integer("swiglu_fusion", 0);
  m.gated = o.activation == "swiglu";
  check(!m.gated || o.fusion == 1 || o.fusion == 2, node.op,
        ": swiglu needs swiglu_fusion 1 (interleaved) or 2 (concatenated), found ", o.fusion);
  if (!m.gated)
    m.kind = kindOf(node, o.activation);
  m.fused = (m.gated ? 2 : 1) * width;
  m.k = node.integer("k", 1);
  check(m.k >= 1 && m.k <= experts, node.op, ": k must be in [1, ", experts, "], found ", m.k);
  return m;
}

void readBiases(KernelCall &call, Mixture &m, size_t first, size_t second, size_t third) {
  const Node &node = call.node;
  if (call.has(first))
    expectExperts(node, m.bias1 = inputAs<float>(call, first), {m.experts, m.fused}, "fc1's bias");
  if (call.has(second))
    expectExperts(node, m.bias2 = inputAs<float>(call, second), {m.experts, m.hidden},
                  "fc2's bias");
  if (call.has(third))
    expectExperts(node, m.bias3 = inputAs<float>(call, third), {m.experts, m.width}, "fc3's bias");
}

const float *biasAt(const Tensor &bias, int64_t expert, int64_t length) {
  return bias.dtype() == DType::None ? nullptr : bias.data<float>() + expert * length;
}

/// result[t] = Σ_j weight[t, j] · expert chosen[t, j] of x[t].
Tensor mix(const Mixture &m, const Tensor &x, const std::vector<int64_t> &chosen,
           const std::vector<float> &weight) {
  int64_t k = m.k, hidden = m.hidden, tokens = static_cast<int64_t>(chosen.size()) / k;
  // Tokens of each expert in ascending order, so that the sums are the same whatever the threads.
  std::vector<int64_t> first(m.experts + 1, 0), slots(tokens * k), rowOf(tokens * k);
  for (int64_t e : chosen)
    ++first[e + 1];
  for (int64_t e = 0; e < m.experts; ++e)
    first[e + 1] += first[e];
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (int64_t s = 0; s < tokens * k; ++s) {
    rowOf[s] = next[chosen[s]]++;
    slots[rowOf[s]] = s;
  }
  Tensor outputs(DType::F32, {tokens * k, hidden});
  ThreadPool::global().parallelFor(m.experts, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float *> rows;
    std::vector<float> wide, inner;
    for (int64_t e = begin; e < end; ++e) {
      int64_t count = first[e + 1] - first[e];
      if (count == 0)
        continue;
      rows.clear();
      for (int64_t i = first[e]; i < first[e + 1]; ++i)
        rows.push_back(x.data<float>() + slots[i] / k * hidden);
      wide.resize(count * m.fused);
      fast::Epilogue epilogue;
      epilogue.bias = biasAt(m.bias1, e, m.fused);
      fast::gemmRows(rows.data(), count, *m.weights.fc1[e], wide.data(), m.fused, epilogue);
      const float *activated = wide.data();
      if (m.gated) {
        inner.resize(count * m.width);
        swiglu(m.options, wide.data(), inner.data(), count, m.width);
        activated = inner.data();
      } else {
        vec::activate(m.kind, 1.0f, wide.data(), static_cast<const float *>(nullptr), wide.data(),
                      count * m.width);
      }
      if (!m.weights.fc3.empty()) {
        inner.resize(count * m.width);
        epilogue.bias = biasAt(m.bias3, e, m.width);
        fast::gemmRows(rows.data(), count, *m.weights.fc3[e], inner.data(), m.width, epilogue);
        for (int64_t i = 0; i < count * m.width; ++i)
          wide[i] *= inner[i];
      }
      epilogue.bias = biasAt(m.bias2, e, hidden);
      fast::gemm(activated, m.width, count, *m.weights.fc2[e],
                 outputs.data<float>() + first[e] * hidden, hidden, epilogue);
    }
  });
  Tensor result(DType::F32, x.shape());
  ThreadPool::global().parallelFor(tokens, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float *to = result.data<float>() + t * hidden;
      std::fill(to, to + hidden, 0.0f);
      for (int64_t j = 0; j < k; ++j)
        vec::axpy(weight[t * k + j], outputs.data<float>() + rowOf[t * k + j] * hidden, to, hidden);
    }
  });
  return result;
}

/// The tokens of input 0 (tokens, hidden) or (batch, rows, hidden), and their count.
Tensor tokensOf(KernelCall &call, int64_t &tokens) {
  Tensor x = inputAs<float>(call, 0);
  check(x.rank() == 2 || x.rank() == 3, call.node.op, ": input must have 2 or 3 dimensions, found ",
        toString(x.shape()));
  tokens = extent(x.shape(), 0, x.rank() - 1);
  return x;
}

Tensor routerInput(KernelCall &call, size_t i, int64_t tokens, int64_t experts) {
  Tensor logits = inputAs<float>(call, i);
  check(logits.shape() == Shape{tokens, experts}, call.node.op, ": input ", i, " must have shape [",
        tokens, ", ", experts, "], found ", toString(logits.shape()));
  return logits;
}

bool allConstant(const KernelCall &call, std::initializer_list<size_t> inputs) {
  const auto &constants = call.node.constants;
  for (size_t i : inputs)
    if (call.has(i) && (i >= constants.size() || !constants[i]))
      return false;
  return true;
}

/// Input: tokens, router logits, fc1 weights, bias, fc2 weights, bias, fc3 weights, bias.
void runMoe(KernelCall &call) {
  const Node &node = call.node;
  int64_t tokens;
  Tensor x = tokensOf(call, tokens);
  const Tensor &fc1 = call.in(2), &fc2 = call.in(4);
  check(fc1.rank() == 3 && fc2.rank() == 3, node.op,
        ": the experts' weights must have 3 dimensions, found ", toString(fc1.shape()), " and ",
        toString(fc2.shape()));
  Mixture m = mixtureOf(node, fc1.dim(0), x.dim(-1), fc2.dim(2));
  expectExperts(node, fc1, {m.experts, m.fused, m.hidden}, "fc1's weights");
  expectExperts(node, fc2, {m.experts, m.hidden, m.width}, "fc2's weights");
  check(!m.gated || !call.has(6), node.op, ": swiglu has its linear part in fc1 and takes no fc3");
  if (call.has(6))
    expectExperts(node, call.in(6), {m.experts, m.width, m.hidden}, "fc3's weights");
  readBiases(call, m, 3, 5, 7);
  Tensor logits = routerInput(call, 1, tokens, m.experts);
  auto *state = std::any_cast<ExpertWeights>(&call.state);
  bool constant = allConstant(call, {2, 4, 6});
  if (constant && state && state->source == fc1.raw()) {
    m.weights = *state;
  } else {
    m.weights.source = fc1.raw();
    m.weights.fc1 = packExperts(inputAs<float>(call, 2));
    m.weights.fc2 = packExperts(inputAs<float>(call, 4));
    if (call.has(6))
      m.weights.fc3 = packExperts(inputAs<float>(call, 6));
    if (constant)
      call.state = m.weights;
  }
  std::vector<int64_t> chosen;
  std::vector<float> weight;
  route(logits.data<float>(), tokens, m.experts, m.k, node.integer("normalize_routing_weights", 0),
        chosen, weight);
  setReal(call, 0, mix(m, x, chosen, weight), call.in(0).dtype());
}

/// Packed unsigned integers (experts, rows, columns · bits / 8), a scale and a zero point per row
/// or per block of columns, as float.
Tensor dequantised(KernelCall &call, size_t weightIndex, size_t scaleIndex, size_t zeroIndex,
                   int64_t bits, int64_t experts, int64_t rows, int64_t columns) {
  const Node &node = call.node;
  const Tensor &packed = call.in(weightIndex);
  expectType(packed, DType::U8, "the experts' weights");
  check(bits == 2 || bits == 4 || bits == 8, node.op,
        ": expert weights must have 2, 4 or 8 bits, found ", bits);
  int64_t perByte = 8 / bits, block = node.integer("block_size", 0);
  check(columns % perByte == 0, node.op, ": rows of ", columns, " elements of ", bits,
        " bits do not end at a byte");
  expectExperts(node, packed, {experts, rows, columns / perByte}, "the experts' packed weights");
  if (block <= 0)
    block = columns;
  check(columns % block == 0, node.op, ": block_size must divide ", columns, ", found ", block);
  int64_t blocks = columns / block;
  Tensor scales = inputAs<float>(call, scaleIndex);
  check(scales.size() == experts * rows * blocks, node.op, ": there must be ",
        experts * rows * blocks, " scales, found shape ", toString(scales.shape()));
  const uint8_t *zeros = nullptr;
  // Per row: zero points of all rows share bytes. Per block: those of a row do.
  int64_t zeroStride = blocks == 1 ? (rows * bits + 7) / 8 : (blocks * bits + 7) / 8;
  if (const Tensor *zero = call.maybe(zeroIndex)) {
    expectType(*zero, DType::U8, "the experts' zero points");
    bool perRow = zero->rank() == 2;
    int64_t expected =
        perRow ? experts * ((rows * bits + 7) / 8) : experts * rows * ((blocks * bits + 7) / 8);
    check(zero->size() == expected && (!perRow || blocks == 1), node.op,
          ": the zero points must have ", expected, " bytes, found shape ",
          toString(zero->shape()));
    zeroStride = perRow ? (rows * bits + 7) / 8 : (blocks * bits + 7) / 8;
    zeros = zero->data<uint8_t>();
  }
  bool zerosPerRow = zeros && call.in(zeroIndex).rank() == 2;
  int mask = (1 << bits) - 1;
  Tensor result(DType::F32, {experts, rows, columns});
  ThreadPool::global().parallelFor(
      experts * rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns)),
      [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const uint8_t *from = packed.data<uint8_t>() + r * (columns / perByte);
          float *to = result.data<float>() + r * columns;
          for (int64_t b = 0; b < blocks; ++b) {
            float scale = scales.data<float>()[r * blocks + b];
            float zero = static_cast<float>(1 << (bits - 1));
            if (zeros) {
              int64_t index = zerosPerRow ? r % rows : b, line = zerosPerRow ? r / rows : r;
              int64_t bit = index * bits;
              zero = static_cast<float>((zeros[line * zeroStride + bit / 8] >> (bit % 8)) & mask);
            }
            for (int64_t i = b * block; i < (b + 1) * block; ++i)
              to[i] =
                  (static_cast<float>((from[i / perByte] >> (i % perByte * bits)) & mask) - zero) *
                  scale;
          }
        }
      });
  return result;
}

/// Inputs: tokens, router logits, then weights, scales and bias of fc1, fc2 and fc3, their zero
/// points (11 to 13), and weights for the mixture (14) where they are not those of the choice.
void runQMoe(KernelCall &call) {
  const Node &node = call.node;
  check(node.string("quant_type", "int") == "int", node.op, ": quant_type must be int, found '",
        node.string("quant_type", "int"), "'");
  int64_t tokens;
  Tensor x = tokensOf(call, tokens);
  const Tensor &fc1 = call.in(2), &fc2 = call.in(5);
  int64_t bits = node.integer("expert_weight_bits", 4);
  int64_t bits1 = node.integer("fc1_expert_weight_bits", bits),
          bits2 = node.integer("fc2_expert_weight_bits", bits),
          bits3 = node.integer("fc3_expert_weight_bits", bits);
  check(fc1.rank() == 3 && fc2.rank() == 3 && bits2 > 0 && 8 % bits2 == 0, node.op,
        ": the experts' weights must have 3 dimensions, found ", toString(fc1.shape()), " and ",
        toString(fc2.shape()));
  Mixture m = mixtureOf(node, fc1.dim(0), x.dim(-1), fc2.dim(2) * (8 / bits2));
  check(!m.gated || !call.has(8), node.op, ": swiglu has its linear part in fc1 and takes no fc3");
  readBiases(call, m, 4, 7, 10);
  Tensor logits = routerInput(call, 1, tokens, m.experts), own;
  if (call.has(14))
    own = routerInput(call, 14, tokens, m.experts);
  auto *state = std::any_cast<ExpertWeights>(&call.state);
  bool constant = allConstant(call, {2, 3, 5, 6, 8, 9, 11, 12, 13});
  if (constant && state && state->source == fc1.raw()) {
    m.weights = *state;
  } else {
    m.weights.source = fc1.raw();
    m.weights.fc1 = packExperts(dequantised(call, 2, 3, 11, bits1, m.experts, m.fused, m.hidden));
    m.weights.fc2 = packExperts(dequantised(call, 5, 6, 12, bits2, m.experts, m.hidden, m.width));
    if (call.has(8))
      m.weights.fc3 = packExperts(dequantised(call, 8, 9, 13, bits3, m.experts, m.width, m.hidden));
    if (constant)
      call.state = m.weights;
  }
  std::vector<int64_t> chosen;
  std::vector<float> weight;
  // A softmax over the chosen alone is the whole softmax, normalised.
  route(logits.data<float>(), tokens, m.experts, m.k, true, chosen, weight);
  if (call.has(14)) {
    bool normalise = node.integer("normalize_routing_weights", 0);
    for (int64_t t = 0; t < tokens; ++t) {
      float sum = 0;
      for (int64_t j = 0; j < m.k; ++j)
        sum += weight[t * m.k + j] = own.data<float>()[t * m.experts + chosen[t * m.k + j]];
      for (int64_t j = 0; normalise && sum != 0 && j < m.k; ++j)
        weight[t * m.k + j] /= sum;
    }
  }
  setReal(call, 0, mix(m, x, chosen, weight), call.in(0).dtype());
}

} // namespace

void registerMoe(KernelTable &table) {
  table.add("com.microsoft", "MoE", runMoe);
  table.add("com.microsoft", "QMoE", runQMoe);
}

} // namespace uoe::rt
