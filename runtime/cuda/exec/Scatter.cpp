// ScatterElements and ScatterND on a device.
#include "runtime/cuda/ops/Scatter.h"
#include "Call.h"
#include "runtime/cpu/ops/Dispatch.h"
#include "runtime/cpu/ops/StridedCopy.h"

namespace uoe::rt::cuda {
namespace {

/// What both have: data, indices and updates of types that a kernel knows, and a reduction.
template <typename Work> bool begin(Call &call, Work &work) {
  const DType type = call.type(0), index = call.type(1);
  const std::string reduction = call.node.string("reduction", "none");
  const char *const names[] = {"none", "add", "mul", "min", "max"};
  int found = -1;
  for (int i = 0; i < 5; ++i)
    found = reduction == names[i] ? i : found;
  if (found < 0 || call.count() < 3 || call.type(2) != type ||
      (index != DType::I64 && index != DType::I32) || call.shape(0).empty() ||
      call.shape(0).size() > size_t(kMostDims))
    return false;
  work.op = static_cast<Scatter>(found);
  const int bits = bitsOf(type);
  const bool number = isDeviceFloat(type) || isDeviceInteger(type);
  if (work.op == Scatter::Set ? bits % 8 != 0 || bits > 64 : !number)
    return false;
  work.type = type;
  work.bytes = bits / 8;
  work.wide = index == DType::I64;
  work.flag = call.flag;
  work.mark = call.mark;
  return true;
}

/// The result begins as a copy of the data.
template <typename Work> void launch(Call &call, Work &work, const char *kernel, int64_t threads) {
  const Tensor data = call.in(0), indices = call.in(1), updates = call.in(2);
  Tensor y = call.out(0, data.dtype(), data.shape());
  call.copy(data, y.raw());
  work.indices = indices.raw();
  work.updates = updates.raw();
  work.to = y.raw();
  call.each(kernel, threads, work);
}

bool scatterElements(Call &call) {
  ScatterCall work;
  const Shape x = call.shape(0), at = call.shape(1);
  if (!begin(call, work) || at.size() != x.size() || call.shape(2) != at)
    return false;
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 0), int64_t(x.size())));
  const Shape from = stridesOf(at), to = stridesOf(x);
  int rank = 0;
  work.lines.count = 1;
  for (size_t d = 0; d < x.size(); ++d) {
    if (d == axis)
      continue;
    if (at[d] > x[d])
      return false; // the CPU says what is wrong
    work.lines.dims[rank] = at[d];
    work.lines.strides[0][rank] = from[d];
    work.lines.strides[1][rank++] = to[d];
    work.lines.count *= at[d];
  }
  if (rank == 0)
    work.lines.dims[0] = 1;
  work.lines.rank = std::max(rank, 1);
  work.n = at[axis];
  work.step = from[axis];
  work.dim = x[axis];
  work.stride = to[axis];
  launch(call, work, "scatter", work.n > 0 ? work.lines.count : 0);
  return true;
}

bool scatterND(Call &call) {
  ScatterTuplesCall work;
  const Shape x = call.shape(0), at = call.shape(1);
  if (!begin(call, work) || at.empty() || at.back() < 0 || at.back() > int64_t(x.size()))
    return false;
  work.depth = static_cast<int32_t>(at.back());
  Shape expected(at.begin(), at.end() - 1);
  work.n = elementCount(expected);
  expected.insert(expected.end(), x.begin() + work.depth, x.end());
  if (call.shape(2) != expected)
    return false;
  work.block = productOf(x, size_t(work.depth), x.size());
  const Shape strides = stridesOf(x);
  for (int d = 0; d < work.depth; ++d) {
    work.dims[d] = x[size_t(d)];
    work.strides[d] = strides[size_t(d)];
  }
  launch(call, work, "scatter_tuples", work.n * work.block > 0 ? work.threads() : 0);
  return true;
}

} // namespace

void addScatters(DeviceKernels &table) {
  table[{"", "Scatter"}] = scatterElements;
  table[{"", "ScatterElements"}] = scatterElements;
  table[{"", "ScatterND"}] = scatterND;
}

} // namespace uoe::rt::cuda
