// uoe.Linear: act(x·W + b) with a constant W. Inputs: x [.., k], W [k, n], b [n]?, residual [..,
// n]?.
// uoe.Cosine: cosines of x·P, or x without P, with the columns of E, 0 where one of the two is
// zero. Inputs: x [.., d], P [d, e]?, E [e, n], both constant.
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"
#include <cmath>
#include <numeric>

namespace uoe::rt {
namespace {

using Packed = std::shared_ptr<const fast::PackedMatrix>;

std::any prepareLinear(const Node &node, std::vector<bool> &consumed) {
  return packInput(node, 1, consumed);
}

void runLinear(KernelCall &call) {
  auto *weight = std::any_cast<Packed>(&call.state);
  check(weight && *weight, "the weight must be a constant");
  const fast::PackedMatrix &w = **weight;
  const Tensor &x = call.in(0);
  int64_t rows = rowsOf(x, w.k(), "input 0");
  fast::Epilogue epilogue;
  epilogue.bias = vectorInput(call, 2, w.n(), "bias");
  Shape shape = withLast(x, w.n());
  if (const Tensor *residual = call.maybe(3)) {
    expectType(*residual, DType::F32, "residual");
    check(residual->shape() == shape, "residual: expected shape ", toString(shape), ", found ",
          toString(residual->shape()));
    epilogue.residual = residual->data<float>();
    epilogue.ldr = w.n();
  }
  Tensor &y =
      call.has(3) ? call.outInPlace(0, 3, DType::F32, shape) : call.out(0, DType::F32, shape);
  fast::gemm(x.data<float>(), w.k(), rows, w, y.data<float>(), w.n(), epilogue);
}

struct Cosine {
  Packed project;             // or null
  fast::PackedMatrix experts; // columns of length 1, or zero
};
using SharedCosine = std::shared_ptr<const Cosine>;

// 1 over the length of n elements `step` apart, 0 for zeros.
float inverseLength(const float *x, int64_t n, int64_t step) {
  double sums[8] = {}; // independent of each other, so that they are added in vectors
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int64_t j = 0; j < 8; ++j)
      sums[j] += double(x[(i + j) * step]) * double(x[(i + j) * step]);
  for (; i < n; ++i)
    sums[0] += double(x[i * step]) * double(x[i * step]);
  const double sum = std::accumulate(sums, sums + 8, 0.0);
  return sum == 0 ? 0.0f : static_cast<float>(1 / std::sqrt(sum));
}

std::any prepareCosine(const Node &node, std::vector<bool> &consumed) {
  const Tensor *experts = node.constant(2);
  check(experts, "the weights must be constants");
  expectType(*experts, DType::F32, "weight");
  check(experts->rank() == 2, "weight: expected a matrix, found shape ",
        toString(experts->shape()));
  auto cosine = std::make_shared<Cosine>();
  cosine->project = packInput(node, 1, consumed);
  const int64_t k = experts->dim(0), n = experts->dim(1);
  check(!cosine->project || cosine->project->n() == k, "the projection gives ",
        cosine->project ? cosine->project->n() : 0, " dimensions, the experts have ", k);
  const float *from = experts->data<float>();
  std::vector<float> unit(from, from + k * n);
  for (int64_t j = 0; j < n; ++j) {
    const float scale = inverseLength(from + j, k, n);
    for (int64_t i = 0; i < k; ++i)
      unit[size_t(i * n + j)] *= scale;
  }
  cosine->experts = fast::pack(unit.data(), k, n);
  consumed[2] = true;
  return SharedCosine(cosine);
}

void runCosine(KernelCall &call) {
  auto *state = std::any_cast<SharedCosine>(&call.state);
  check(state && *state, "the weights must be constants");
  const Cosine &cosine = **state;
  const int64_t e = cosine.experts.k(), n = cosine.experts.n();
  const Tensor &x = call.in(0);
  const int64_t rows = rowsOf(x, cosine.project ? cosine.project->k() : e, "input 0");
  const float *z = x.data<float>();
  std::vector<float> projected;
  if (cosine.project) {
    projected.resize(static_cast<size_t>(rows * e));
    fast::gemm(z, cosine.project->k(), rows, *cosine.project, projected.data(), e);
    z = projected.data();
  }
  float *y = call.out(0, DType::F32, withLast(x, n)).data<float>();
  fast::gemm(z, e, rows, cosine.experts, y, n);
  ThreadPool::global().parallelFor(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float scale = inverseLength(z + r * e, e, 1);
      for (int64_t j = 0; j < n; ++j)
        y[r * n + j] *= scale;
    }
  });
}

// Shows its input to Executor::observe.
void runProbe(KernelCall &call) {
  call.set(0, call.in(0));
}

} // namespace

void registerLinear(KernelTable &table) {
  table.add("uoe", "Linear", runLinear, prepareLinear);
  table.add("uoe", "Cosine", runCosine, prepareCosine);
  table.add("uoe", "Probe", runProbe);
}

} // namespace uoe::rt
