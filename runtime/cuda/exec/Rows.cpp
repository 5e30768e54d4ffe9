// Normalisations, softmax and reductions on a device.
#include "Rows.h"
#include "runtime/cpu/ops/Dispatch.h"
#include <algorithm>

namespace uoe::rt::cuda {
void launchRows(Call &call, const RowCall &work) {
  if (work.rows > 0)
    call.launch("rows", {static_cast<unsigned>((work.rows + 7) / 8)}, 256, work);
}

namespace {

/// gamma or beta, if it is a row's.
bool rowWeight(Call &call, size_t i, const RowCall &work, DType type) {
  return !call.has(i) || (call.type(i) == type && elementCount(call.shape(i)) == work.n);
}

template <bool rootMeanSquare> bool norm(Call &call) {
  const Shape x = call.shape(0);
  int64_t axis = call.node.integer("axis", -1);
  axis += axis < 0 ? int64_t(x.size()) : 0;
  if (!isDeviceFloat(call.type(0)) || axis < 0 || axis >= int64_t(x.size()) || call.wants(1) ||
      call.wants(2))
    return false;
  RowCall work;
  work.op = rootMeanSquare ? RowOp::RmsNorm : RowOp::LayerNorm;
  work.rows = elementCount(Shape(x.begin(), x.begin() + axis));
  work.n = elementCount(Shape(x.begin() + axis, x.end()));
  work.type = call.type(0);
  work.gammaType = call.has(1) ? call.type(1) : work.type;
  work.outType = rootMeanSquare ? work.gammaType : work.type;
  work.epsilon = call.node.real("epsilon", 1e-5f);
  if (!isDeviceFloat(work.gammaType) || !rowWeight(call, 1, work, work.gammaType) ||
      (!rootMeanSquare && !rowWeight(call, 2, work, work.gammaType)))
    return false;
  const Tensor in = call.in(0), gamma = call.has(1) ? call.in(1) : Tensor(),
               beta = !rootMeanSquare && call.has(2) ? call.in(2) : Tensor();
  work.x = in.raw();
  work.gamma = gamma.raw();
  work.beta = beta.raw();
  work.y = call.out(0, work.outType, x).raw();
  launchRows(call, work);
  return true;
}

// Inputs: input, skip, gamma, [beta,] bias. Results: the norm, and fourth what was normalised.
template <bool rootMeanSquare> bool skipNorm(Call &call) {
  const Shape x = call.shape(0);
  const size_t biasInput = rootMeanSquare ? 3 : 4;
  if (!isDeviceFloat(call.type(0)) || x.empty() || !call.has(1) || !call.has(2) || call.wants(1) ||
      call.wants(2))
    return false;
  RowCall work;
  work.op = rootMeanSquare ? RowOp::RmsNorm : RowOp::LayerNorm;
  work.n = x.back();
  work.rows = work.n > 0 ? elementCount(x) / work.n : 0;
  work.type = work.outType = work.gammaType = call.type(0);
  work.epsilon = call.node.real("epsilon", 1e-5f);
  const Shape skip = call.shape(1);
  work.skipRows = work.n > 0 ? elementCount(skip) / work.n : 0;
  // The skip has x's shape, or repeats over the batch.
  if (call.type(1) != work.type || skip.empty() || skip.back() != work.n ||
      (work.rows > 0 && (work.skipRows < 1 || work.rows % work.skipRows != 0)) ||
      (skip != x && !(x.size() == 3 && work.skipRows == x[1])))
    return false;
  for (size_t i = 2; i <= biasInput; ++i)
    if (!rowWeight(call, i, work, work.type))
      return false;
  auto weight = [&](size_t i) { return call.has(i) ? call.in(i) : Tensor(); };
  const Tensor in = call.in(0), skipped = call.in(1), gamma = call.in(2),
               beta = rootMeanSquare ? Tensor() : weight(3), bias = weight(biasInput);
  work.x = in.raw();
  work.skip = skipped.raw();
  work.gamma = gamma.raw();
  work.beta = beta.raw();
  work.bias = bias.raw();
  work.y = call.out(0, work.type, x).raw();
  if (call.wants(3))
    work.sum = call.out(3, work.type, x).raw();
  launchRows(call, work);
  return true;
}

template <RowOp op> bool softmax(Call &call) {
  const Shape x = call.shape(0);
  const bool old = call.node.version < 13; // then it joins all behind the axis
  int64_t axis = call.node.integer("axis", old ? 1 : -1);
  axis += axis < 0 ? int64_t(x.size()) : 0;
  if (!isDeviceFloat(call.type(0)) || axis < 0 || axis >= int64_t(x.size()) ||
      (old && axis + 1 != int64_t(x.size())))
    return false;
  RowCall work;
  work.op = op;
  work.type = work.outType = call.type(0);
  work.n = x[size_t(axis)];
  work.inner = elementCount(Shape(x.begin() + axis + 1, x.end()));
  work.rows = elementCount(Shape(x.begin(), x.begin() + axis)) * work.inner;
  const Tensor in = call.in(0);
  work.x = in.raw();
  work.y = call.out(0, work.type, x).raw();
  launchRows(call, work);
  return true;
}

template <RowOp op> bool reduce(Call &call) {
  const Shape x = call.shape(0);
  const bool real = isDeviceFloat(call.type(0));
  const bool integer = (call.type(0) == DType::I64 || call.type(0) == DType::I32) &&
                       (op == RowOp::Sum || op == RowOp::Max || op == RowOp::Min);
  if (!real && !integer)
    return false;
  std::vector<int64_t> axes = call.node.integers("axes");
  if (call.has(1))
    axes = toInts(call.host(1), "axes");
  std::vector<bool> reduced(x.size(), axes.empty());
  if (axes.empty() && call.node.integer("noop_with_empty_axes", 0))
    return false;
  for (int64_t axis : axes) {
    axis += axis < 0 ? int64_t(x.size()) : 0;
    if (axis < 0 || axis >= int64_t(x.size()))
      return false;
    reduced[size_t(axis)] = true;
  }
  const bool keep = call.node.integer("keepdims", 1) != 0;
  RowCall work;
  work.op = op;
  work.type = work.outType = call.type(0);
  work.n = 1;
  int64_t outer = 1;
  int phase = 0; // before, in and behind the reduced axes, which must be neighbours
  Shape result;
  for (size_t d = 0; d < x.size(); ++d) {
    if (!reduced[d])
      result.push_back(x[d]);
    else if (keep)
      result.push_back(1);
    if (x[d] == 1)
      continue;
    if (reduced[d]) {
      if (phase == 2)
        return false;
      phase = 1;
      work.n *= x[d];
    } else {
      phase = phase == 0 ? 0 : 2;
      (phase == 0 ? outer : work.inner) *= x[d];
    }
  }
  if (work.n == 0)
    return false;
  work.rows = outer * work.inner;
  const Tensor in = call.in(0);
  work.x = in.raw();
  work.y = call.out(0, work.type, result).raw();
  if (real)
    launchRows(call, work);
  else
    call.each("integer_rows", work.rows, work);
  return true;
}

bool cumSum(Call &call) {
  const DType type = call.type(0);
  const bool real = isDeviceFloat(type);
  if ((!real && type != DType::I64 && type != DType::I32) || !call.has(1) || call.shape(0).empty())
    return false;
  const Shape x = call.shape(0);
  const int64_t axis = axisIn(toInt(call.host(1), "the axis"), int64_t(x.size()));
  CumulativeCall work;
  work.type = type;
  work.outer = elementCount(Shape(x.begin(), x.begin() + axis));
  work.n = x[size_t(axis)];
  work.inner = elementCount(Shape(x.begin() + axis + 1, x.end()));
  work.exclusive = call.node.integer("exclusive", 0) != 0;
  work.reverse = call.node.integer("reverse", 0) != 0;
  const Tensor in = call.in(0);
  work.x = in.raw();
  work.y = call.out(0, type, x).raw();
  if (work.n > 0)
    call.each(real ? "cumulative_real" : "cumulative_integer", work.outer * work.inner, work);
  return true;
}

// Along the last axis, sorted; k is known to the host.
bool topK(Call &call) {
  const Shape x = call.shape(0);
  const int64_t axis = call.node.integer("axis", -1);
  if (!isDeviceFloat(call.type(0)) || x.empty() || !call.has(1) ||
      (axis != -1 && axis != int64_t(x.size()) - 1) || x.back() > (int64_t(1) << 31))
    return false;
  TopKCall work;
  work.k = toInt(call.host(1), "k");
  work.n = x.back();
  // Many of a row are a sort's.
  if (work.k < 0 || work.k > work.n || work.k > 64)
    return false;
  work.rows = elementCount(Shape(x.begin(), x.end() - 1));
  work.type = call.type(0);
  work.largest = call.node.integer("largest", 1) != 0;
  Shape dims = x;
  dims.back() = work.k;
  const Tensor in = call.in(0);
  work.x = in.raw();
  work.values = call.out(0, work.type, dims).raw();
  work.indices = call.out(1, DType::I64, dims).data<int64_t>();
  if (work.rows > 0)
    call.launch("top_k", {static_cast<unsigned>((work.rows + 7) / 8)}, 256, work);
  return true;
}

} // namespace

void addRows(DeviceKernels &table) {
  auto add = [&](const char *op, DeviceKernel kernel) { table[{"", op}] = kernel; };
  add("LayerNormalization", norm<false>);
  add("RMSNormalization", norm<true>);
  for (const char *domain : {"", "com.microsoft"}) {
    table[{domain, "SimplifiedLayerNormalization"}] = norm<true>;
    table[{domain, "SkipLayerNormalization"}] = skipNorm<false>;
    table[{domain, "SkipSimplifiedLayerNormalization"}] = skipNorm<true>;
  }
  add("Softmax", softmax<RowOp::Softmax>);
  add("LogSoftmax", softmax<RowOp::LogSoftmax>);
  add("TopK", topK);
  add("CumSum", cumSum);
  add("ReduceSum", reduce<RowOp::Sum>);
  add("ReduceMean", reduce<RowOp::Mean>);
  add("ReduceMax", reduce<RowOp::Max>);
  add("ReduceMin", reduce<RowOp::Min>);
  add("ReduceSumSquare", reduce<RowOp::SumSquare>);
  add("ReduceL2", reduce<RowOp::L2>);
}

} // namespace uoe::rt::cuda
