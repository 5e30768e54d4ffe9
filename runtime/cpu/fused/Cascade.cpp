// uoe.Cascade: experts of single channels and neurons under exact thresholds. Inputs: x, mean [d],
// W_g [d, F], offset_g [F], c [d], W_u [d, F]?, offset_u [F]?, d [d]?, r [F]?, W_d [F, n], w [F].
// Offsets include the mean's part: g = act((x − mean)·W_g + offset_g).
#include "runtime/cpu/fast/Cascade.h"
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"

namespace uoe::rt {
namespace {

using Packed = std::shared_ptr<const fast::PackedCascade>;

struct Matrix {
  const float *data = nullptr;
  int64_t rows = 0, columns = 0;
  bool transposed = false;
};

std::any prepareCascade(const Node &node, std::vector<bool> &consumed) {
  check(node.constants.size() == 11, "expected 11 inputs, found ", node.constants.size());
  int64_t transposed = node.integer("transposed", 0);
  auto constant = [&](size_t i, bool optional) -> const Tensor * {
    const Tensor *t = node.constants[i];
    check(t || optional, "input ", i, " must be a constant");
    if (t) {
      expectType(*t, DType::F32, "weight");
      consumed[i] = true;
    }
    return t;
  };
  auto matrix = [&](size_t i, bool optional) {
    Matrix m;
    if (const Tensor *t = constant(i, optional)) {
      check(t->rank() == 2, "weight: expected a matrix, found shape ", toString(t->shape()));
      m.transposed = (transposed >> i) & 1;
      m.data = t->data<float>();
      m.rows = t->dim(m.transposed ? 1 : 0);
      m.columns = t->dim(m.transposed ? 0 : 1);
    }
    return m;
  };
  Matrix first = matrix(2, false), up = matrix(5, true), down = matrix(9, false);
  check(!up.data || (up.rows == first.rows && up.columns == first.columns),
        "the matrices of gate and up do not fit");
  check(down.rows == first.columns, "the down matrix does not fit ", first.columns, " neurons");
  auto vector = [&](size_t i, int64_t n, bool optional) -> const float * {
    const Tensor *t = constant(i, optional);
    check(!t || t->size() == n, "input ", i, ": expected ", n, " elements, found shape ",
          t ? toString(t->shape()) : "");
    return t ? t->data<float>() : nullptr;
  };
  fast::CascadeSource source;
  source.in = first.rows;
  source.hidden = first.columns;
  source.out = down.columns;
  source.first = first.data;
  source.firstTransposed = first.transposed;
  source.up = up.data;
  source.upTransposed = up.transposed;
  source.down = down.data;
  source.downTransposed = down.transposed;
  source.mean = vector(1, source.in, false);
  source.gateScale = vector(4, source.in, false);
  source.upScale = vector(7, source.in, true);
  source.activeScale = vector(8, source.hidden, true);
  source.downScale = vector(10, source.hidden, false);
  source.gateThreshold = node.real("gate_threshold", 0);
  source.activeThreshold = node.real("active_threshold", 0);
  source.upThreshold = node.real("up_threshold", 0);
  source.downThreshold = node.real("down_threshold", 0);
  // The packed form adds the mean's part itself.
  auto withoutMean = [&](const float *offset, const Matrix &w) {
    std::vector<float> bias(static_cast<size_t>(source.hidden));
    for (int64_t j = 0; j < source.hidden; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < source.in; ++i)
        sum += static_cast<double>(source.mean[i]) *
               w.data[w.transposed ? j * source.in + i : i * source.hidden + j];
      bias[j] = static_cast<float>(offset[j] - sum);
    }
    return bias;
  };
  std::vector<float> firstBias = withoutMean(vector(3, source.hidden, false), first), upBias;
  source.firstBias = firstBias.data();
  if (up.data) {
    const float *offset = vector(6, source.hidden, true);
    check(offset, "input 6 must be a constant");
    upBias = withoutMean(offset, up);
    source.upBias = upBias.data();
  }
  return Packed(std::make_shared<const fast::PackedCascade>(
      source, activationOf(node), fast::PackedCascade::exactTypes(source)));
}

void runCascade(KernelCall &call) {
  auto *state = std::any_cast<Packed>(&call.state);
  check(state && *state, "the weights must be constants");
  const fast::PackedCascade &block = **state;
  const Tensor &x = call.in(0);
  int64_t rows = rowsOf(x, block.in, "input 0");
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  fast::cascade(block, x.data<float>(), block.in, rows, y.data<float>(), block.out);
}

} // namespace

void registerFusedCascade(KernelTable &table) {
  table.add("uoe", "Cascade", runCascade, prepareCascade);
}

} // namespace uoe::rt
