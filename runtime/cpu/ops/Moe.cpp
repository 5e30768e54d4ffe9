// com.microsoft.MoE: a mixture of feed-forward experts, each token through its k best.
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
        fast::pack(weights.data<float>() + e * out * in, in, out, true)));
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

void runMoe(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<float>(call, 0), logits = inputAs<float>(call, 1);
  check(x.rank() == 2 || x.rank() == 3, node.op, ": input must have 2 or 3 dimensions, found ",
        toString(x.shape()));
  int64_t hidden = x.dim(-1), tokens = extent(x.shape(), 0, x.rank() - 1);
  const Tensor &fc1 = call.in(2), &fc2 = call.in(4);
  check(fc1.rank() == 3 && fc2.rank() == 3, node.op,
        ": the experts' weights must have 3 dimensions, found ", toString(fc1.shape()), " and ",
        toString(fc2.shape()));
  int64_t experts = fc1.dim(0), width = fc2.dim(2);
  Options o;
  o.activation = node.string("activation_type", "relu");
  o.alpha = node.real("activation_alpha", 1.0f);
  o.beta = node.real("activation_beta", 0.0f);
  o.limit = node.real("swiglu_limit", std::numeric_limits<float>::infinity());
  o.fusion = node.integer("swiglu_fusion", 0);
  bool gated = o.activation == "swiglu";
  check(!gated || o.fusion == 1 || o.fusion == 2, node.op,
        ": swiglu needs swiglu_fusion 1 (interleaved) or 2 (concatenated), found ", o.fusion);
  vec::Activation kind = gated ? vec::Activation::Identity : kindOf(node, o.activation);
  int64_t fused = (gated ? 2 : 1) * width;
  expectExperts(node, fc1, {experts, fused, hidden}, "fc1's weights");
  expectExperts(node, fc2, {experts, hidden, width}, "fc2's weights");
  check(logits.rank() == 2 && logits.dim(0) == tokens && logits.dim(1) == experts, node.op,
        ": router_probs must have shape [", tokens, ", ", experts, "], found ",
        toString(logits.shape()));
  Tensor bias1, bias2, bias3;
  if (call.has(3))
    expectExperts(node, bias1 = inputAs<float>(call, 3), {experts, fused}, "fc1's bias");
  if (call.has(5))
    expectExperts(node, bias2 = inputAs<float>(call, 5), {experts, hidden}, "fc2's bias");
  if (call.has(6))
    expectExperts(node, call.in(6), {experts, width, hidden}, "fc3's weights");
  if (call.has(7))
    expectExperts(node, bias3 = inputAs<float>(call, 7), {experts, width}, "fc3's bias");
  check(!gated || !call.has(6), node.op, ": swiglu has its linear part in fc1 and takes no fc3");
  int64_t k = node.integer("k", 1);
  check(k >= 1 && k <= experts, node.op, ": k must be in [1, ", experts, "], found ", k);

  const auto &constants = node.constants;
  bool constant =
      constants.size() > 4 && constants[2] && constants[4] && (!call.has(6) || constants[6]);
  auto *state = std::any_cast<ExpertWeights>(&call.state);
  ExpertWeights weights;
  if (constant && state && state->source == fc1.raw()) {
    weights = *state;
  } else {
    weights.source = fc1.raw();
    weights.fc1 = packExperts(inputAs<float>(call, 2));
    weights.fc2 = packExperts(inputAs<float>(call, 4));
    if (call.has(6))
      weights.fc3 = packExperts(inputAs<float>(call, 6));
    if (constant)
      call.state = weights;
  }

  std::vector<int64_t> chosen;
  std::vector<float> weight;
  route(logits.data<float>(), tokens, experts, k, node.integer("normalize_routing_weights", 0),
        chosen, weight);
  // Tokens of each expert in ascending order, so that the sums are the same whatever the threads.
  std::vector<int64_t> first(experts + 1, 0), slots(tokens * k), rowOf(tokens * k);
  for (int64_t e : chosen)
    ++first[e + 1];
  for (int64_t e = 0; e < experts; ++e)
    first[e + 1] += first[e];
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (int64_t s = 0; s < tokens * k; ++s) {
    rowOf[s] = next[chosen[s]]++;
    slots[rowOf[s]] = s;
  }
  Tensor outputs(DType::F32, {tokens * k, hidden});
  ThreadPool::global().parallelFor(experts, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float *> rows;
    std::vector<float> wide, inner;
    for (int64_t e = begin; e < end; ++e) {
      int64_t count = first[e + 1] - first[e];
      if (count == 0)
        continue;
      rows.clear();
      for (int64_t i = first[e]; i < first[e + 1]; ++i)
        rows.push_back(x.data<float>() + slots[i] / k * hidden);
      wide.resize(count * fused);
      fast::Epilogue epilogue;
      epilogue.bias = call.has(3) ? bias1.data<float>() + e * fused : nullptr;
      fast::gemmRows(rows.data(), count, *weights.fc1[e], wide.data(), fused, epilogue);
      const float *activated = wide.data();
      if (gated) {
        inner.resize(count * width);
        swiglu(o, wide.data(), inner.data(), count, width);
        activated = inner.data();
      } else {
        vec::activate(kind, 1.0f, wide.data(), static_cast<const float *>(nullptr), wide.data(),
                      count * width);
      }
      if (!weights.fc3.empty()) {
        inner.resize(count * width);
        epilogue.bias = call.has(7) ? bias3.data<float>() + e * width : nullptr;
        fast::gemmRows(rows.data(), count, *weights.fc3[e], inner.data(), width, epilogue);
        for (int64_t i = 0; i < count * width; ++i)
          wide[i] *= inner[i];
      }
      epilogue.bias = call.has(5) ? bias2.data<float>() + e * hidden : nullptr;
      fast::gemm(activated, width, count, *weights.fc2[e],
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
  setReal(call, 0, result, call.in(0).dtype());
}

} // namespace

void registerMoe(KernelTable &table) {
  table.add("com.microsoft", "MoE", runMoe);
}

} // namespace uoe::rt
