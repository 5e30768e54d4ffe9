// Shapes as values, and operators that only see the same elements under another shape.
#include "Dispatch.h"
#include "Register.h"
#include <algorithm>

namespace uoe::rt {
namespace {

void shape(KernelCall &call) {
  const Shape &dims = call.in(0).shape();
  auto rank = static_cast<int64_t>(dims.size());
  auto bound = [&](const char *key, int64_t otherwise) {
    int64_t value = call.node.integer(key, otherwise);
    return std::min(std::max(value < 0 ? value + rank : value, int64_t(0)), rank);
  };
  int64_t start = bound("start", 0), end = bound("end", rank);
  int64_t count = std::max<int64_t>(0, end - start);
  Tensor &result = call.out(0, DType::I64, {count});
  std::copy_n(dims.begin() + start, count, result.data<int64_t>());
}

void size(KernelCall &call) {
  *call.out(0, DType::I64, {}).data<int64_t>() = call.in(0).size();
}

/// Sequences and absent optionals pass as they are.
void identity(KernelCall &call) {
  check(call.count() == 1, "expected one input, found ", call.count());
  call.outputs[0] = *call.inputs[0];
}

void reshape(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> wanted =
      call.count() > 1 ? toInts(call.in(1), "the new shape") : call.node.integers("shape");
  bool allowZero = call.node.integer("allowzero", 0) != 0;
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && !allowZero) {
      check(i < x.shape().size(), "the new shape ", toString(wanted), " copies dimension ", i,
            ", which ", toString(x.shape()), " lacks");
      wanted[i] = x.shape()[i];
    }
    if (wanted[i] == -1) {
      check(unknown < 0, "the new shape ", toString(wanted), " has more than one -1");
      unknown = static_cast<int64_t>(i);
      continue;
    }
    check(wanted[i] >= 0, "the new shape ", toString(wanted), " has a negative dimension");
    check(!__builtin_mul_overflow(known, wanted[i], &known), "the new shape ", toString(wanted),
          " is too large");
  }
  if (unknown >= 0) {
    check(known > 0 ? x.size() % known == 0 : x.size() == 0, "cannot reshape ", toString(x.shape()),
          " to ", toString(wanted));
    wanted[unknown] = known > 0 ? x.size() / known : 0;
  }
  call.set(0, x.reshaped(std::move(wanted)));
}

/// The axes of Squeeze and Unsqueeze: an attribute before opset 13, an input from there on.
bool axesOf(const KernelCall &call, std::vector<int64_t> &axes) {
  if (call.has(1)) {
    axes = toInts(call.in(1), "the axes");
    return true;
  }
  axes = call.node.integers("axes");
  return call.node.has("axes");
}

void squeeze(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> axes;
  std::vector<bool> dropped(x.shape().size());
  if (axesOf(call, axes)) {
    for (int64_t axis : axes) {
      axis = axisIn(axis, x.rank());
      check(x.dim(axis) == 1, "axis ", axis, " of ", toString(x.shape()),
            " cannot be squeezed: it is not 1");
      dropped[axis] = true;
    }
  } else {
    for (size_t i = 0; i < dropped.size(); ++i)
      dropped[i] = x.shape()[i] == 1;
  }
  Shape dims;
  for (size_t i = 0; i < dropped.size(); ++i)
    if (!dropped[i])
      dims.push_back(x.shape()[i]);
  call.set(0, x.reshaped(std::move(dims)));
}

void unsqueeze(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> axes;
  check(axesOf(call, axes), "the axes are required");
  int64_t rank = x.rank() + static_cast<int64_t>(axes.size());
  std::vector<bool> added(static_cast<size_t>(rank));
  for (int64_t axis : axes) {
    axis = axisIn(axis, rank);
    check(!added[axis], "axis ", axis, " is given twice");
    added[axis] = true;
  }
  Shape dims;
  size_t next = 0;
  for (bool isNew : added)
    dims.push_back(isNew ? 1 : x.shape()[next++]);
  call.set(0, x.reshaped(std::move(dims)));
}

void flatten(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t axis = call.node.integer("axis", 1), rank = x.rank();
  check(axis >= -rank && axis <= rank, "axis ", axis, " is outside [", -rank, ", ", rank,
        "] for rank ", rank);
  if (axis < 0)
    axis += rank;
  auto middle = static_cast<size_t>(axis);
  call.set(0, x.reshaped({productOf(x.shape(), 0, middle),
                          productOf(x.shape(), middle, x.shape().size())}));
}

} // namespace

void registerShape(KernelTable &table) {
  table.add("", "Shape", shape);
  table.add("", "Size", size);
  table.add("", "Identity", identity);
  table.add("", "Reshape", reshape);
  table.add("", "Squeeze", squeeze);
  table.add("", "Unsqueeze", unsqueeze);
  table.add("", "Flatten", flatten);
}

} // namespace uoe::rt
