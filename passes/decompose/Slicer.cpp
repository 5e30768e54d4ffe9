#include "passes/decompose/Slicer.h"
#include "passes/decompose/Decompose.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

Slicer::Slicer(OpBuilder &builder, Location loc, int64_t groups, const Partition &partition,
               Constants &facts)
    : outer(builder), inner(builder.getContext()), loc(loc), groups(groups), partition(partition),
      even(llvm::all_equal(partition.sizes)), size(partition.sizes.front()), facts(facts),
      body(new Block) {
  inner.setInsertionPointToEnd(body);
}

Slicer::~Slicer() {
  delete body;
}

void Slicer::undo() {
  for (Operation *op : llvm::reverse(madeOutside))
    op->erase();
  madeOutside.clear();
}

ExpertsOp Slicer::finish(Value result, RankedTensorType type, Combine combine) {
  YieldOp::create(inner, loc, result);
  auto experts = ExpertsOp::create(outer, loc, type, shared, sliced, Value(), Value(), axes,
                                   partition.sizes, combine);
  experts.getBody().push_back(std::exchange(body, nullptr));
  madeOutside.push_back(experts);
  return experts;
}

Value Slicer::stop(const Twine &text) {
  if (reason.empty())
    reason = text.str();
  return {};
}

Value Slicer::made(Value value) {
  madeOutside.push_back(value.getDefiningOp());
  return value;
}

Value Slicer::matrixOf(const Linear &linear) {
  Block::iterator at = outer.getInsertionPoint();
  Operation *before = at == outer.getBlock()->begin() ? nullptr : &*std::prev(at);
  Value matrix = linear.weight(outer);
  for (Operation *op = before ? before->getNextNode() : &outer.getBlock()->front(); op != &*at;
       op = op->getNextNode())
    madeOutside.push_back(op);
  return matrix;
}

RankedTensorType Slicer::restricted(Value value, AxisSlice where) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[where.axis] = even ? where.before * size * where.each : ShapedType::kDynamic;
  return RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
}

Value Slicer::whole(Value value) {
  if (Value by = aliases.lookup(value))
    value = by;
  if (auto node = value.getDefiningOp<NodeOp>())
    if (auto known = mixed.find(node); known != mixed.end())
      value = known->second.getResult(cast<OpResult>(value).getResultNumber());
  Value &inside = wholes[value];
  if (inside)
    return inside;
  if (auto none = value.getDefiningOp<onnx::NoneOp>())
    return inside = inner.clone(*none)->getResult(0);
  if (!isa<RankedTensorType>(value.getType()))
    return stop("a value of no known rank is needed by every head");
  inside = body->insertArgument(shared.size(), value.getType(), loc);
  shared.push_back(value);
  return inside;
}

Value Slicer::addSliced(Value value, int64_t axis) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = even ? size : ShapedType::kDynamic;
  if (partition.isPermuted()) {
    auto node = uoe::reorder(outer, loc, value, partition.order, axis);
    made(node.getDefiningOp<NodeOp>().input(1));
    value = made(node);
  }
  sliced.push_back(value);
  axes.push_back(axis);
  return body->addArgument(RankedTensorType::get(shape, type.getElementType(), type.getEncoding()),
                           loc);
}

// A view [.., before, groups, each, ..] whose axis of groups the experts cut.
Value Slicer::cut(Value value, AxisSlice where) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return stop("the rank of an operand is not known");
  int64_t extent = where.before * groups * where.each;
  if (where.offset != 0 ||
      (type.getDimSize(where.axis) != extent && !type.isDynamicDim(where.axis)))
    value = made(makeSlice(outer, loc, value, where.axis, std::exchange(where.offset, 0), extent));
  if (where.before == 1 && where.each == 1)
    return addSliced(value, where.axis);
  SmallVector<int64_t> shape, spelled, back;
  for (auto [i, dim] : llvm::enumerate(type.getShape())) {
    int64_t axis = static_cast<int64_t>(i);
    if (axis == where.axis) {
      if (where.before > 1)
        shape.push_back(where.before);
      shape.push_back(groups);
      shape.push_back(where.each);
      spelled = shape;
      for (int64_t k = 0; k < axis; ++k)
        spelled[k] = 0;
      back.push_back(-1);
    } else {
      shape.push_back(dim);
      back.push_back(axis < where.axis ? 0 : dim);
      if (axis > where.axis) {
        if (ShapedType::isDynamic(dim))
          return cutLast(value, where);
        spelled.push_back(dim);
      }
    }
  }
  auto viewType = RankedTensorType::get(shape, type.getElementType());
  auto node =
      makeNode(outer, loc, "Reshape", {value, made(makeIntegers(outer, loc, spelled))}, viewType);
  Value part = addSliced(made(node), where.axis + (where.before > 1));
  return makeNode(inner, loc, "Reshape", {part, makeIntegers(inner, loc, back)},
                  restricted(value, where));
}

// With the axis last, a Reshape can copy the sizes that are not known.
Value Slicer::cutLast(Value value, AxisSlice where) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t rank = type.getRank();
  SmallVector<int64_t> order, back(rank), shape;
  for (int64_t i = 0; i < rank; ++i)
    if (i != where.axis)
      order.push_back(i);
  order.push_back(where.axis);
  for (auto [place, axis] : llvm::enumerate(order)) {
    back[axis] = static_cast<int64_t>(place);
    shape.push_back(type.getDimSize(axis));
  }
  auto permuted = [](OpBuilder &builder, Location at, Value x, ArrayRef<int64_t> perm,
                     RankedTensorType result) {
    return makeNode(builder, at, "Transpose", {x}, result,
                    {builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr(perm))});
  };
  Value turned =
      made(permuted(outer, loc, value, order, RankedTensorType::get(shape, type.getElementType())));
  where.axis = rank - 1;
  Value part = cut(turned, where);
  where.axis = order.back();
  return part ? permuted(inner, loc, part, back, restricted(value, where)) : Value();
}

Value Slicer::sliceBroadcast(Value value, AxisSlice where, int64_t rank) {
  int64_t own = rankOf(value);
  if (own < 0)
    return stop("the rank of an operand is not known");
  where.axis -= rank - own;
  if (where.axis < 0)
    return whole(value);
  // One element there stands for all of the axis, unless that is one group with one element.
  bool single = where.before * groups * where.each == 1 && !facts.isConstant(value);
  if (sizeOf(value, where.axis) == 1 && !single)
    return whole(value);
  if (ShapedType::isDynamic(sizeOf(value, where.axis)))
    return stop("the size of an operand along the heads is not known");
  return slice(value, where);
}

Operation *Slicer::copy(NodeOp node, ValueRange operands, AxisSlice where) {
  IRMapping map;
  for (auto [from, to] : llvm::zip(node.getInputs(), operands))
    map.map(from, to);
  Operation *copied = inner.clone(*node, map);
  copied->setOperands(operands);
  copied->setLoc(loc);
  copied->removeAttr("fields"); // names are those of the whole
  copied->removeAttr(kMade);
  for (Value result : copied->getResults())
    if (rankOf(result) > where.axis)
      result.setType(restricted(result, where));
  return copied;
}

std::optional<AxisSlice> Slicer::across(NodeOp reshape, AxisSlice where, bool forward,
                                        int64_t &common) {
  auto in = dyn_cast<RankedTensorType>(reshape.input(0).getType());
  auto out = dyn_cast<RankedTensorType>(reshape.getResult(0).getType());
  if (!in || !out)
    return std::nullopt;
  auto from = forward ? in : out, to = forward ? out : in;
  if (from.isDynamicDim(where.axis))
    return std::nullopt;
  // Groups may be a part of the axis, beside others of another kind.
  bool part =
      where.offset != 0 || from.getDimSize(where.axis) != where.before * groups * where.each;
  std::optional<SmallVector<int64_t>> shape;
  if (reshape.is("Reshape") && reshape.integer("allowzero", 0) == 0)
    shape = facts.integers(reshape.input(1));
  // The leading dimensions that stay; a product tells one that nothing else does.
  auto same = [&](int64_t i) {
    if (!in.isDynamicDim(i) || !out.isDynamicDim(i))
      return in.getDimSize(i) == out.getDimSize(i);
    if (!onnx::dimName(in, i).empty() && onnx::dimName(in, i) == onnx::dimName(out, i))
      return true;
    return shape && (*shape)[i] == 0;
  };
  auto product = [](RankedTensorType type, int64_t begin, int64_t end) {
    int64_t total = 1;
    for (int64_t i = begin; i < end; ++i)
      total = type.isDynamicDim(i) || total < 0 ? -1 : total * type.getDimSize(i);
    return total;
  };
  // Groups whose axis stays where it is, while dimensions behind it are regrouped: what those hold
  // need not be known.
  for (common = 0; common < std::min(in.getRank(), out.getRank()) && same(common);)
    ++common;
  if (common > where.axis &&
      llvm::count(out.getShape().drop_front(common), ShapedType::kDynamic) <= 1)
    return where;
  for (common = std::min(where.axis, to.getRank() - 1); common >= 0; --common) {
    int64_t total = product(in, common, in.getRank()), unknown = 0;
    if (total < 0 || total != product(out, common, out.getRank()))
      continue;
    for (int64_t i = 0; i < common; ++i)
      unknown += !same(i);
    if (unknown > 1)
      continue;
    int64_t before = product(from, common, where.axis) * where.before;
    int64_t after = where.each * product(from, where.axis + 1, from.getRank());
    for (int64_t axis = common; axis < to.getRank(); ++axis) {
      int64_t lead = product(to, common, axis), tail = product(to, axis + 1, to.getRank());
      if (lead <= 0 || tail <= 0 || before % lead != 0 || after % tail != 0)
        continue;
      if (part) {
        // Then the axis takes in or gives off only what varies faster.
        int64_t behind = after / where.each;
        if (before != where.before || lead != 1 || where.offset * behind % tail != 0 ||
            to.getDimSize(axis) * tail != from.getDimSize(where.axis) * behind)
          continue;
        return AxisSlice{axis, where.offset * behind / tail, where.before, after / tail};
      }
      AxisSlice found{axis, 0, before / lead, after / tail};
      if (found.before * groups * found.each == to.getDimSize(axis))
        return found;
    }
  }
  return std::nullopt;
}

std::optional<AxisSlice> Slicer::flattened(NodeOp reshape, AxisSlice where, bool forward,
                                           int64_t &from) {
  auto in = dyn_cast<RankedTensorType>(reshape.input(0).getType());
  auto out = dyn_cast<RankedTensorType>(reshape.getResult(0).getType());
  if (!in || !out || out.getRank() != 2 || out.isDynamicDim(1) || where.offset != 0 ||
      (!forward && where.axis != 1))
    return std::nullopt;
  int64_t width = 1;
  for (from = in.getRank(); from > 0 && !in.isDynamicDim(from - 1) && width < out.getDimSize(1);)
    width *= in.getDimSize(--from);
  if (width != out.getDimSize(1) || from == 0)
    return std::nullopt;
  int64_t lead = 1;
  if (forward) {
    if (where.axis < from)
      return std::nullopt;
    int64_t tail = 1;
    for (int64_t i = from; i < where.axis; ++i)
      lead *= in.getDimSize(i);
    for (int64_t i = where.axis + 1; i < in.getRank(); ++i)
      tail *= in.getDimSize(i);
    return AxisSlice{1, 0, lead * where.before, where.each * tail};
  }
  for (int64_t axis = from; axis < in.getRank(); ++axis) {
    int64_t tail = width / (lead * in.getDimSize(axis));
    if (where.before % lead == 0 && where.each % tail == 0) {
      AxisSlice found{axis, 0, where.before / lead, where.each / tail};
      if (found.before * groups * found.each == in.getDimSize(axis))
        return found;
    }
    lead *= in.getDimSize(axis);
  }
  return std::nullopt;
}

Value Slicer::regroup(NodeOp node, Value value, AxisSlice to, int64_t common) {
  auto type = cast<RankedTensorType>(node.getResult(0).getType());
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t i = 0; i < common; ++i)
    shape[i] = 0;
  if (to.axis >= common)
    shape[to.axis] = -1;
  std::replace(shape.begin(), shape.end(), ShapedType::kDynamic, int64_t(-1));
  return makeNode(inner, loc, "Reshape", {value, makeIntegers(inner, loc, shape)},
                  restricted(node.getResult(0), to));
}

Value Slicer::slice(Value value, AxisSlice where) {
  if (Value by = aliases.lookup(value))
    value = by;
  auto key = std::make_pair(value.getAsOpaquePointer(), where.key());
  if (auto known = slices.find(key); known != slices.end())
    return known->second;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || --budget < 0)
    return stop(type ? "the way to the weights is too long" : "a value has no known rank");
  if (where.axis >= type.getRank())
    return stop("a value has no axis of heads");
  Value result;
  auto node = value.getDefiningOp<NodeOp>();
  if (value.getDefiningOp<AttentionOp>() && resolve)
    result = resolve(*this, value, where);
  else if (!node || facts.isConstant(value))
    result = cut(value, where);
  else
    result = sliceNode(node, value, where);
  if (result)
    slices[key] = result;
  return result;
}
