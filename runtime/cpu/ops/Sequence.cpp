// Operators on sequences and optional values.
#include "Numeric.h"
#include "Register.h"
#include <cstring>

namespace uoe::rt {
namespace {

const std::vector<Tensor> &sequenceIn(const KernelCall &call, size_t i) {
  check(i < call.count() && call.inputs[i]->kind == Value::Kind::Sequence, call.node.op, ": input ",
        i, " must be a sequence");
  return call.inputs[i]->sequence;
}

void setSequence(KernelCall &call, std::vector<Tensor> tensors) {
  call.outputs[0].kind = Value::Kind::Sequence;
  call.outputs[0].sequence = std::move(tensors);
}

int64_t positionIn(const KernelCall &call, size_t i, int64_t length, bool insertion) {
  int64_t position = toInt(call.in(i), "position"), last = insertion ? length : length - 1;
  check(position >= -length && position <= last, call.node.op, ": position must be in [", -length,
        ", ", last, "], found ", position);
  return position < 0 ? position + length : position;
}

void runConstruct(KernelCall &call) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < call.count(); ++i)
    tensors.push_back(call.in(i));
  setSequence(call, std::move(tensors));
}

void runEmpty(KernelCall &call) {
  setSequence(call, {});
}

void runAt(KernelCall &call) {
  const auto &tensors = sequenceIn(call, 0);
  call.set(0, tensors[positionIn(call, 1, static_cast<int64_t>(tensors.size()), false)]);
}

void runInsert(KernelCall &call) {
  std::vector<Tensor> tensors = sequenceIn(call, 0);
  int64_t length = static_cast<int64_t>(tensors.size());
  int64_t at = call.has(2) ? positionIn(call, 2, length, true) : length;
  tensors.insert(tensors.begin() + at, call.in(1));
  setSequence(call, std::move(tensors));
}

void runErase(KernelCall &call) {
  std::vector<Tensor> tensors = sequenceIn(call, 0);
  int64_t length = static_cast<int64_t>(tensors.size());
  check(length > 0, "SequenceErase: the sequence is empty");
  tensors.erase(tensors.begin() + (call.has(1) ? positionIn(call, 1, length, false) : length - 1));
  setSequence(call, std::move(tensors));
}

void runLength(KernelCall &call) {
  int64_t length = static_cast<int64_t>(sequenceIn(call, 0).size());
  *call.out(0, DType::I64, {}).data<int64_t>() = length;
}

/// Elements [begin, end) of an axis.
Tensor part(const Tensor &tensor, int64_t axis, int64_t begin, int64_t end, bool keep) {
  Shape shape = tensor.shape();
  shape[axis] = end - begin;
  Tensor result(tensor.dtype(), shape);
  int64_t inner = extent(tensor.shape(), axis + 1, tensor.rank()) *
                  static_cast<int64_t>(bytesOf(tensor.dtype(), 1));
  int64_t outer = extent(tensor.shape(), 0, axis), length = tensor.shape()[axis];
  for (int64_t o = 0; o < outer && inner * (end - begin) > 0; ++o)
    std::memcpy(static_cast<char *>(result.raw()) + o * (end - begin) * inner,
                static_cast<const char *>(tensor.raw()) + (o * length + begin) * inner,
                (end - begin) * inner);
  if (!keep)
    shape.erase(shape.begin() + axis);
  return keep ? result : result.reshaped(shape);
}

void runSplit(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &tensor = call.in(0);
  check(tensor.rank() > 0, "SplitToSequence: a scalar cannot be split");
  int64_t axis = resolveAxis(node, node.integer("axis", 0), tensor.rank());
  int64_t length = tensor.shape()[axis];
  std::vector<int64_t> sizes;
  bool keep = true;
  if (!call.has(1)) {
    keep = node.integer("keepdims", 1);
    sizes.assign(length, 1);
  } else if (call.in(1).rank() == 0) {
    int64_t size = toInt(call.in(1), "split");
    check(size > 0, "SplitToSequence: split must be positive, found ", size);
    for (int64_t at = 0; at < length; at += size)
      sizes.push_back(std::min(size, length - at));
  } else {
    sizes = toInts(call.in(1), "split");
  }
  int64_t total = 0;
  for (int64_t size : sizes) {
    check(size >= 0, "SplitToSequence: sizes must not be negative, found ", size);
    total += size;
  }
  check(total == length, "SplitToSequence: the sizes must add up to ", length, ", found ", total);
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (int64_t size : sizes) {
    parts.push_back(part(tensor, axis, at, at + size, keep));
    at += size;
  }
  setSequence(call, std::move(parts));
}

void runConcat(KernelCall &call) {
  const Node &node = call.node;
  const auto &tensors = sequenceIn(call, 0);
  check(!tensors.empty(), "ConcatFromSequence: the sequence is empty");
  bool fresh = node.integer("new_axis", 0);
  int64_t rank = tensors[0].rank();
  int64_t axis = resolveAxis(node, node.integer("axis", 0), rank + fresh);
  check(fresh || rank > 0, "ConcatFromSequence: scalars need new_axis");
  Shape shape = tensors[0].shape();
  if (fresh)
    shape.insert(shape.begin() + axis, 1);
  int64_t total = 0;
  for (const Tensor &tensor : tensors) {
    Shape other = tensor.shape();
    if (fresh)
      other.insert(other.begin() + axis, 1);
    check(tensor.dtype() == tensors[0].dtype() && other.size() == shape.size(),
          "ConcatFromSequence: tensors of one type and rank expected, found shapes ",
          toString(tensors[0].shape()), " and ", toString(tensor.shape()));
    total += other[axis];
    other[axis] = shape[axis];
    check(other == shape, "ConcatFromSequence: shapes ", toString(tensors[0].shape()), " and ",
          toString(tensor.shape()), " differ beside axis ", axis);
  }
  Shape full = shape;
  full[axis] = total;
  Tensor result(tensors[0].dtype(), full);
  int64_t inner = extent(full, axis + 1, static_cast<int64_t>(full.size())) *
                  static_cast<int64_t>(bytesOf(result.dtype(), 1));
  int64_t outer = extent(full, 0, axis), at = 0;
  for (const Tensor &tensor : tensors) {
    int64_t length = fresh ? 1 : tensor.shape()[axis];
    for (int64_t o = 0; o < outer && length * inner > 0; ++o)
      std::memcpy(static_cast<char *>(result.raw()) + (o * total + at) * inner,
                  static_cast<const char *>(tensor.raw()) + o * length * inner, length * inner);
    at += length;
  }
  call.set(0, result);
}

void runOptional(KernelCall &call) {
  if (call.count() > 0)
    call.outputs[0] = *call.inputs[0];
}

void runHasElement(KernelCall &call) {
  bool has = call.has(0);
  *call.out(0, DType::Bool, {}).data<bool>() = has;
}

void runGetElement(KernelCall &call) {
  check(call.has(0), "OptionalGetElement: the optional value is empty");
  call.outputs[0] = *call.inputs[0];
}

} // namespace

void registerSequence(KernelTable &table) {
  table.add("", "SequenceConstruct", runConstruct);
  table.add("", "SequenceEmpty", runEmpty);
  table.add("", "SequenceAt", runAt);
  table.add("", "SequenceInsert", runInsert);
  table.add("", "SequenceErase", runErase);
  table.add("", "SequenceLength", runLength);
  table.add("", "SplitToSequence", runSplit);
  table.add("", "ConcatFromSequence", runConcat);
  table.add("", "Optional", runOptional);
  table.add("", "OptionalHasElement", runHasElement);
  table.add("", "OptionalGetElement", runGetElement);
}

} // namespace uoe::rt
