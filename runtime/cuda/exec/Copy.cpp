// Operators that move elements, on a device.
#include "runtime/cuda/ops/Copy.h"
#include "Call.h"
#include "runtime/cpu/ops/Broadcast.h"
#include "runtime/cpu/ops/Dispatch.h"
#include "runtime/cpu/ops/StridedCopy.h"
#include <algorithm>

namespace uoe::rt::cuda {
namespace {

/// Elements of 1, 2, 4 or 8 bytes.
bool movable(DType type) {
  const int bits = bitsOf(type);
  return bits == 8 || bits == 16 || bits == 32 || bits == 64;
}

/// to + toOffset = from + fromOffset over `dims`, in elements; loops that can be one are joined.
/// False for more loops than a kernel takes.
bool plan(CopyCall &work, DType type, const Shape &dims, const Shape &from, const Shape &to) {
  work.bytes = bitsOf(type) / 8;
  work.loops.count = elementCount(dims);
  int rank = 0;
  StridedLoops<2> &loops = work.loops;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1)
      continue;
    if (rank > 0 && loops.strides[0][rank - 1] == from[d] * dims[d] &&
        loops.strides[1][rank - 1] == to[d] * dims[d]) {
      loops.dims[rank - 1] *= dims[d];
      loops.strides[0][rank - 1] = from[d];
      loops.strides[1][rank - 1] = to[d];
      continue;
    }
    if (rank == kMostDims)
      return false;
    loops.dims[rank] = dims[d];
    loops.strides[0][rank] = from[d];
    loops.strides[1][rank] = to[d];
    ++rank;
  }
  if (rank == 0)
    loops.dims[0] = 1;
  loops.rank = std::max(rank, 1);
  return true;
}

const void *offsetBy(const Tensor &tensor, int64_t elements) {
  return static_cast<const char *>(tensor.raw()) + elements * (bitsOf(tensor.dtype()) / 8);
}

/// The one result, of shape `dims`: input 0 from element `offset` on, written in order by `loops`,
/// which read it by the strides `from`.
bool copyInput(Call &call, const Shape &dims, const Shape &loops, const Shape &from,
               int64_t offset = 0) {
  CopyCall work;
  if (!plan(work, call.type(0), loops, from, stridesOf(loops)))
    return false;
  const Tensor in = call.in(0);
  work.from = offsetBy(in, offset);
  work.to = call.out(0, in.dtype(), dims).raw();
  call.each("copy", work.loops.count, work);
  return true;
}

bool transpose(Call &call) {
  const Shape x = call.shape(0);
  Shape order(x.size()), dims, from;
  for (size_t d = 0; d < x.size(); ++d)
    order[d] = int64_t(x.size() - 1 - d);
  order = call.node.integers("perm", order);
  if (!movable(call.type(0)) || order.size() != x.size())
    return false;
  const Shape strides = stridesOf(x);
  for (int64_t axis : order) {
    axis = axisIn(axis, int64_t(x.size()));
    dims.push_back(x[size_t(axis)]);
    from.push_back(strides[size_t(axis)]);
  }
  return copyInput(call, dims, dims, from);
}

bool expand(Call &call) {
  if (!movable(call.type(0)) || !call.has(1))
    return false;
  const Shape x = call.shape(0), own = stridesOf(x);
  const Shape dims = broadcastShapes(x, toInts(call.host(1), "the new shape"));
  Shape from(dims.size(), 0);
  for (size_t i = 0; i < x.size(); ++i)
    if (x[x.size() - 1 - i] != 1)
      from[dims.size() - 1 - i] = own[x.size() - 1 - i];
  return copyInput(call, dims, dims, from);
}

// With a constant around, or elements taken off where a pad is negative.
bool pad(Call &call) {
  const Shape x = call.shape(0);
  const DType type = call.type(0);
  if (!movable(type) || !call.has(1) || call.node.version < 11 ||
      call.node.string("mode", "constant") != "constant" ||
      (call.has(2) && (call.type(2) != type || elementCount(call.shape(2)) != 1)))
    return false;
  std::vector<int64_t> axes;
  if (call.has(3))
    axes = toInts(call.host(3), "axes");
  else
    for (size_t d = 0; d < x.size(); ++d)
      axes.push_back(int64_t(d));
  const std::vector<int64_t> pads = toInts(call.host(1), "pads");
  check(pads.size() == 2 * axes.size(), "pads: ", pads.size(), " for ", axes.size(), " axes");
  // What is copied lies from `at` on in x, and from `to` on in y.
  Shape dims = x, copied = x, at(x.size(), 0), to(x.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = size_t(axisIn(axes[i], int64_t(x.size())));
    const int64_t before = pads[i], after = pads[i + axes.size()];
    dims[d] = x[d] + before + after;
    check(dims[d] >= 0, "pads: a dimension of ", dims[d]);
    at[d] = std::min(x[d], std::max<int64_t>(0, -before));
    to[d] = std::max<int64_t>(0, before);
    copied[d] = std::max<int64_t>(0, std::min(x[d] - std::max<int64_t>(0, -after), x[d]) - at[d]);
  }
  const Shape own = stridesOf(x), strides = stridesOf(dims);
  CopyCall inner;
  CopyCall fill;
  if (!plan(inner, type, copied, own, strides) ||
      !plan(fill, type, dims, Shape(dims.size(), 0), strides))
    return false;
  int64_t first = 0, target = 0;
  for (size_t d = 0; d < x.size(); ++d) {
    first += at[d] * own[d];
    target += to[d] * strides[d];
  }
  Tensor value;
  if (call.has(2)) {
    value = call.in(2);
  } else {
    if (!call.state.has_value()) {
      Tensor zero(type, {});
      std::fill_n(static_cast<char *>(zero.raw()), zero.bytes(), '\0');
      call.state = call.upload(zero);
    }
    value = std::any_cast<Tensor>(call.state);
  }
  const Tensor in = call.in(0);
  Tensor y = call.out(0, type, dims);
  fill.from = value.raw();
  fill.to = y.raw();
  call.each("copy", fill.loops.count, fill);
  inner.from = offsetBy(in, first);
  inner.to = const_cast<void *>(offsetBy(y, target));
  call.each("copy", inner.loops.count, inner);
  return true;
}

bool tile(Call &call) {
  if (!movable(call.type(0)) || !call.has(1))
    return false;
  const Shape x = call.shape(0), own = stridesOf(x);
  const std::vector<int64_t> repeats = toInts(call.host(1), "repeats");
  check(repeats.size() == x.size(), "repeats: ", repeats.size(), " for ", x.size(), " dimensions");
  // Each dimension is a loop over its copies around one over its elements.
  Shape loops, from, dims;
  for (size_t d = 0; d < x.size(); ++d) {
    check(repeats[d] >= 0, "repeats: ", repeats[d]);
    loops.insert(loops.end(), {repeats[d], x[d]});
    from.insert(from.end(), {0, own[d]});
    dims.push_back(repeats[d] * x[d]);
  }
  return copyInput(call, dims, loops, from);
}

bool triangle(Call &call) {
  const Shape x = call.shape(0);
  if (!movable(call.type(0)) || x.size() < 2)
    return false;
  TriangleCall work;
  work.upper = call.node.integer("upper", 1) != 0;
  work.diagonal = call.has(1) ? toInt(call.host(1), "the diagonal") : 0;
  work.count = elementCount(x);
  work.rows = x[x.size() - 2];
  work.columns = x.back();
  work.bytes = bitsOf(call.type(0)) / 8;
  const Tensor in = call.in(0);
  work.from = in.raw();
  work.to = call.out(0, in.dtype(), x).raw();
  call.each("triangle", work.count, work);
  return true;
}

bool constantOfShape(Call &call) {
  const Tensor *value = call.node.tensor("value");
  const Shape dims = toInts(call.host(0), "the shape");
  const DType type = value ? value->dtype() : DType::F32;
  if (!movable(type))
    return false;
  if (!call.state.has_value()) {
    Tensor one = value ? value->reshaped({}) : Tensor(DType::F32, {});
    if (!value)
      *one.data<float>() = 0;
    call.state = call.upload(one);
  }
  const Tensor one = std::any_cast<Tensor>(call.state);
  CopyCall work;
  if (!plan(work, type, dims, Shape(dims.size(), 0), stridesOf(dims)))
    return false;
  work.from = one.raw();
  work.to = call.out(0, type, dims).raw();
  call.each("copy", work.loops.count, work);
  return true;
}

// As ONNX says: from the end where negative, then clamped to where a walk can begin and end.
bool slice(Call &call) {
  const Shape x = call.shape(0);
  if (call.count() < 3 || !movable(call.type(0)))
    return false;
  const Shape starts = toInts(call.host(1), "starts"), ends = toInts(call.host(2), "ends");
  Shape axes, steps(starts.size(), 1);
  for (size_t i = 0; i < starts.size(); ++i)
    axes.push_back(int64_t(i));
  if (call.has(3))
    axes = toInts(call.host(3), "axes");
  if (call.has(4))
    steps = toInts(call.host(4), "steps");
  if (starts.size() != ends.size() || axes.size() != starts.size() || steps.size() != starts.size())
    return false;
  Shape dims = x, from = stridesOf(x);
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto axis = static_cast<size_t>(axisIn(axes[i], int64_t(x.size())));
    const int64_t dim = x[axis], step = steps[i];
    if (step == 0 || step > (int64_t(1) << 31) || step < -(int64_t(1) << 31))
      return false;
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    auto place = [&](int64_t at) { return std::min(std::max(at < 0 ? at + dim : at, low), high); };
    const int64_t start = place(starts[i]), end = place(ends[i]);
    const int64_t count =
        step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    dims[axis] = std::max<int64_t>(0, count);
    if (dims[axis] > 0)
      offset += start * from[axis];
    from[axis] *= step;
  }
  if (dims == x && offset == 0 &&
      std::all_of(steps.begin(), steps.end(), [](int64_t s) { return s == 1; })) {
    call.set(0, call.in(0));
    return true;
  }
  return copyInput(call, dims, dims, from, offset);
}

bool concat(Call &call) {
  if (!movable(call.type(0)) || call.shape(0).empty())
    return false;
  Shape dims = call.shape(0);
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 0), int64_t(dims.size())));
  dims[axis] = 0;
  for (size_t i = 0; i < call.count(); ++i) {
    if (!call.has(i) || call.type(i) != call.type(0) || call.shape(i).size() != dims.size())
      return false;
    for (size_t d = 0; d < dims.size(); ++d)
      if (d != axis && call.shape(i)[d] != dims[d])
        return false; // the CPU says what is wrong
    dims[axis] += call.shape(i)[axis];
  }
  const Shape to = stridesOf(dims);
  const Tensor out = call.out(0, call.type(0), dims);
  int64_t offset = 0;
  for (size_t i = 0; i < call.count(); ++i) {
    const Tensor in = call.in(i);
    CopyCall work;
    // Joined loops are at most three: in front of the axis, the axis, behind it.
    const int64_t outer = productOf(in.shape(), 0, axis),
                  inner = productOf(in.shape(), axis, dims.size());
    if (!plan(work, in.dtype(), {outer, inner}, {inner, 1},
              {productOf(dims, axis, dims.size()), 1}))
      return false;
    work.from = in.raw();
    work.to = const_cast<void *>(offsetBy(out, offset));
    call.each("copy", work.loops.count, work);
    offset += in.shape()[axis] * to[axis];
  }
  return true;
}

bool split(Call &call) {
  const Shape x = call.shape(0);
  if (!movable(call.type(0)) || x.empty())
    return false;
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 0), int64_t(x.size())));
  const auto parts = static_cast<int64_t>(call.outputs.size());
  Shape lengths;
  if (call.has(1))
    lengths = toInts(call.host(1), "the lengths");
  else if (call.node.has("split"))
    lengths = call.node.integers("split");
  else
    for (int64_t i = 0, each = (x[axis] + parts - 1) / parts; i < parts; ++i)
      lengths.push_back(std::max<int64_t>(0, std::min(each, x[axis] - i * each)));
  if (int64_t(lengths.size()) != parts || call.node.integer("num_outputs", parts) != parts ||
      (call.node.version < 18 && !call.has(1) && !call.node.has("split") && x[axis] % parts != 0))
    return false;
  int64_t sum = 0;
  for (int64_t length : lengths)
    sum += length < 0 ? x[axis] + 1 : length;
  if (sum != x[axis])
    return false;
  const Tensor in = call.in(0);
  int64_t offset = 0;
  const int64_t step = productOf(x, axis + 1, x.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (call.wants(i)) {
      Shape dims = x;
      dims[axis] = lengths[i];
      CopyCall work;
      plan(work, in.dtype(), {productOf(x, 0, axis), lengths[i] * step}, {x[axis] * step, 1},
           {lengths[i] * step, 1});
      work.from = offsetBy(in, offset * step);
      work.to = call.out(i, in.dtype(), dims).raw();
      call.each("copy", work.loops.count, work);
    }
    offset += lengths[i];
  }
  return true;
}

bool isIndex(DType type) {
  return type == DType::I64 || type == DType::I32;
}

bool runGather(Call &call, GatherCall &work, const Shape &dims) {
  const Tensor data = call.in(0), indices = call.in(1);
  work.from = data.raw();
  work.indices = indices.raw();
  work.wide = indices.dtype() == DType::I64;
  work.bytes = bitsOf(data.dtype()) / 8;
  work.flag = call.flag;
  work.mark = call.mark;
  work.to = call.out(0, data.dtype(), dims).raw();
  call.each("gather", elementCount(dims), work);
  return true;
}

bool gather(Call &call) {
  if (!movable(call.type(0)) || !isIndex(call.type(1)) || call.shape(0).empty())
    return false;
  const Shape x = call.shape(0), at = call.shape(1);
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 0), int64_t(x.size())));
  GatherCall work;
  work.outer = productOf(x, 0, axis);
  work.inner = productOf(x, axis + 1, x.size());
  work.n = elementCount(at);
  work.stride = productOf(x, axis, x.size());
  work.dims[0] = x[axis];
  work.strides[0] = work.inner;
  Shape dims(x.begin(), x.begin() + int64_t(axis));
  dims.insert(dims.end(), at.begin(), at.end());
  dims.insert(dims.end(), x.begin() + int64_t(axis) + 1, x.end());
  // Nothing can be read: the CPU says so.
  return (x[axis] > 0 || elementCount(dims) == 0) && runGather(call, work, dims);
}

bool gatherND(Call &call) {
  const Shape x = call.shape(0), at = call.shape(1);
  if (!movable(call.type(0)) || !isIndex(call.type(1)) || at.empty())
    return false;
  const int64_t batch = call.node.integer("batch_dims", 0), depth = at.back();
  if (depth > kMostDims || batch < 0 || batch >= int64_t(at.size()) ||
      batch + depth > int64_t(x.size()))
    return false;
  for (int64_t d = 0; d < batch; ++d)
    if (x[size_t(d)] != at[size_t(d)])
      return false;
  GatherCall work;
  work.depth = static_cast<int32_t>(depth);
  work.outer = productOf(x, 0, size_t(batch));
  work.stride = productOf(x, size_t(batch), x.size());
  work.n = productOf(at, size_t(batch), at.size() - 1);
  work.inner = productOf(x, size_t(batch + depth), x.size());
  work.sameIndices = false;
  const Shape strides = stridesOf(x);
  for (int64_t d = 0; d < depth; ++d) {
    work.dims[d] = x[size_t(batch + d)];
    work.strides[d] = strides[size_t(batch + d)];
  }
  Shape dims(at.begin(), at.end() - 1);
  dims.insert(dims.end(), x.begin() + batch + depth, x.end());
  return (elementCount(x) > 0 || elementCount(dims) == 0) && runGather(call, work, dims);
}

bool gatherElements(Call &call) {
  const Shape x = call.shape(0), at = call.shape(1);
  if (!movable(call.type(0)) || !isIndex(call.type(1)) || x.size() != at.size() || x.empty() ||
      x.size() > size_t(kMostDims))
    return false;
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 0), int64_t(x.size())));
  GatherElementsCall work;
  const Shape strides = stridesOf(x);
  work.loops.rank = static_cast<int32_t>(x.size());
  work.loops.count = elementCount(at);
  for (size_t d = 0; d < x.size(); ++d) {
    if (d != axis && at[d] > x[d])
      return false;
    work.loops.dims[d] = at[d];
    work.loops.strides[0][d] = d == axis ? 0 : strides[d];
  }
  work.dim = x[axis];
  work.stride = strides[axis];
  if (work.dim == 0 && work.loops.count > 0)
    return false;
  const Tensor data = call.in(0), indices = call.in(1);
  work.from = data.raw();
  work.indices = indices.raw();
  work.wide = indices.dtype() == DType::I64;
  work.bytes = bitsOf(data.dtype()) / 8;
  work.flag = call.flag;
  work.mark = call.mark;
  work.to = call.out(0, data.dtype(), at).raw();
  call.each("gather_elements", work.loops.count, work);
  return true;
}

} // namespace

void addCopies(DeviceKernels &table) {
  auto add = [&](const char *op, DeviceKernel kernel) { table[{"", op}] = kernel; };
  add("Transpose", transpose);
  add("Expand", expand);
  add("Pad", pad);
  add("Tile", tile);
  add("Trilu", triangle);
  add("ConstantOfShape", constantOfShape);
  add("Slice", slice);
  add("Concat", concat);
  add("Split", split);
  add("Gather", gather);
  add("GatherElements", gatherElements);
  add("GatherND", gatherND);
}

} // namespace uoe::rt::cuda
