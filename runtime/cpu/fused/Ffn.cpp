// uoe.Ffn and uoe.Experts: feed-forward blocks, dense and routed, with constant weights.
#include "runtime/cpu/fast/Router.h"
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"
#include <cmath>

namespace uoe::rt {
namespace {

using Packed = std::shared_ptr<const fast::PackedFfn>;

// Inputs up, gate?, down, bias_up?, bias_gate?, bias_down? begin at `first`; all are constants.
struct Source {
  fast::FfnSource ffn;
  explicit Source(const Node &node, size_t first, std::vector<bool> &consumed) {
    int64_t transposed = node.integer("transposed", 0);
    auto constant = [&](size_t i) -> const Tensor * {
      const Tensor *t = first + i < node.constants.size() ? node.constants[first + i] : nullptr;
      if (t) {
        expectType(*t, DType::F32, "weight");
        consumed[first + i] = true;
      }
      return t;
    };
    auto matrix = [&](size_t i, bool &isTransposed) {
      const Tensor *t = constant(i);
      check(!t || t->rank() == 2, "weight: expected a matrix, found shape ",
            t ? toString(t->shape()) : "");
      isTransposed = (transposed >> (first + i)) & 1;
      return t;
    };
    const Tensor *up = matrix(0, ffn.upTransposed), *gate = matrix(1, ffn.gateTransposed),
                 *down = matrix(2, ffn.downTransposed);
    check(up && down, "the weights must be constants");
    ffn.in = up->dim(ffn.upTransposed ? 1 : 0);
    ffn.hidden = up->dim(ffn.upTransposed ? 0 : 1);
    ffn.out = down->dim(ffn.downTransposed ? 0 : 1);
    check(down->dim(ffn.downTransposed ? 1 : 0) == ffn.hidden, "the down matrix ",
          toString(down->shape()), " does not fit ", ffn.hidden, " neurons");
    check(!gate || (gate->dim(ffn.gateTransposed ? 1 : 0) == ffn.in &&
                    gate->dim(ffn.gateTransposed ? 0 : 1) == ffn.hidden),
          "the gate matrix does not fit ", ffn.in, " inputs and ", ffn.hidden, " neurons");
    ffn.up = up->data<float>();
    ffn.gate = gate ? gate->data<float>() : nullptr;
    ffn.down = down->data<float>();
    auto bias = [&](size_t i, int64_t n) -> const float * {
      const Tensor *t = constant(i);
      check(!t || t->size() == n, "bias: expected ", n, " elements, found shape ",
            t ? toString(t->shape()) : "");
      return t ? t->data<float>() : nullptr;
    };
    ffn.upBias = bias(3, ffn.hidden);
    ffn.gateBias = bias(4, ffn.hidden);
    ffn.downBias = bias(5, ffn.out);
  }
};

std::any prepareFfn(const Node &node, std::vector<bool> &consumed) {
  Source source(node, 1, consumed);
  return Packed(std::make_shared<const fast::PackedFfn>(source.ffn, activationOf(node)));
}

const fast::PackedFfn &packed(KernelCall &call) {
  auto *state = std::any_cast<Packed>(&call.state);
  check(state && *state, "the weights must be constants");
  return **state;
}

void runFfn(KernelCall &call) {
  const fast::PackedFfn &block = packed(call);
  const Tensor &x = call.in(0);
  int64_t rows = rowsOf(x, block.in, "input 0");
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  fast::ffn(block, x.data<float>(), block.in, rows, y.data<float>(), block.out);
}

// Inputs: x, scores, up, gate?, down, bias_up?, bias_gate?, bias_down?, skip?.
std::any prepareExperts(const Node &node, std::vector<bool> &consumed) {
  std::vector<int64_t> sizes = node.integers("sizes"), starts{0};
  for (int64_t size : sizes)
    starts.push_back(starts.back() + size);
  Source source(node, 2, consumed);
  check(starts.back() == source.ffn.hidden, "the experts have ", starts.back(),
        " neurons, the weights ", source.ffn.hidden);
  auto block = std::make_shared<fast::PackedFfn>(source.ffn, activationOf(node), starts);
  if (const Tensor *skip = node.constants.size() > 8 ? node.constants[8] : nullptr) {
    expectType(*skip, DType::F32, "skip");
    check(skip->size() == static_cast<int64_t>(sizes.size()) * source.ffn.out,
          "skip: expected one row per expert, found shape ", toString(skip->shape()));
    block->setSkipVectors(skip->data<float>());
    consumed[8] = true;
  }
  return Packed(block);
}

// Gives a token without experts its best one.
fast::Choice fillEmpty(const fast::Choice &choice, const float *scores, int64_t experts) {
  fast::Choice filled;
  for (int64_t t = 0; t < choice.tokens(); ++t) {
    int64_t begin = choice.offsets[t], end = choice.offsets[t + 1];
    if (begin == end) {
      const float *s = scores + t * experts;
      filled.ids.push_back(static_cast<int32_t>(std::max_element(s, s + experts) - s));
    }
    filled.ids.insert(filled.ids.end(), choice.ids.begin() + begin, choice.ids.begin() + end);
    filled.offsets.push_back(static_cast<int64_t>(filled.ids.size()));
  }
  return filled;
}

void runExperts(KernelCall &call) {
  const fast::PackedFfn &block = packed(call);
  const Tensor &x = call.in(0), &scoreTensor = call.in(1);
  int64_t rows = rowsOf(x, block.in, "input 0");
  check(rowsOf(scoreTensor, block.experts, "scores") == rows, "scores: expected ", rows,
        " rows, found shape ", toString(scoreTensor.shape()));
  const float *scores = scoreTensor.data<float>();
  fast::Choice choice;
  switch (call.node.integer("rule", 0)) {
  case 0:
    choice = fast::chooseAbove(scores, rows, block.experts, {-INFINITY});
    break;
  case 1:
    choice = fast::chooseAbove(scores, rows, block.experts, {call.node.real("tau", 0)});
    break;
  default:
    choice = fast::chooseTop(scores, rows, block.experts, call.node.integer("k", 1));
  }
  if (call.node.integer("empty", 0) == 1)
    choice = fillEmpty(choice, scores, block.experts);
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  fast::experts(block, x.data<float>(), block.in, rows, choice.routing(), y.data<float>(),
                block.out);
}

} // namespace

void registerFusedFfn(KernelTable &table) {
  table.add("uoe", "Ffn", runFfn, prepareFfn);
  table.add("uoe", "Experts", runExperts, prepareExperts);
}

} // namespace uoe::rt
