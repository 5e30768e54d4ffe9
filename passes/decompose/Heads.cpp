#include "passes/decompose/Heads.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

HeadSlicer::HeadSlicer(OpBuilder &builder, Location loc, int64_t groups, ArrayRef<int64_t> sizes,
                       Facts &facts)
    : outer(builder), inner(builder.getContext()), loc(loc), groups(groups),
      even(llvm::all_equal(sizes)), size(sizes.front()), facts(facts), body(new Block) {
  inner.setInsertionPointToEnd(body);
}

HeadSlicer::~HeadSlicer() {
  delete body;
}

Block *HeadSlicer::takeBody() {
  return std::exchange(body, nullptr);
}

void HeadSlicer::undo() {
  for (Operation *op : llvm::reverse(outside))
    op->erase();
  outside.clear();
}

Value HeadSlicer::stop(const Twine &text) {
  if (reason.empty())
    reason = text.str();
  return {};
}

Value HeadSlicer::made(Value value) {
  outside.push_back(value.getDefiningOp());
  return value;
}

RankedTensorType HeadSlicer::restricted(Value value, HeadSlice where) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[where.axis] = even ? where.before * size * where.each : ShapedType::kDynamic;
  return RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
}

Value HeadSlicer::whole(Value value) {
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

Value HeadSlicer::addSliced(Value value, int64_t axis) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = even ? size : ShapedType::kDynamic;
  sliced.push_back(value);
  axes.push_back(axis);
  return body->addArgument(RankedTensorType::get(shape, type.getElementType(), type.getEncoding()),
                           loc);
}

// A view [.., before, groups, each, ..] whose axis of groups the experts cut.
Value HeadSlicer::cut(Value value, HeadSlice where) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return stop("the rank of an operand is not known");
  int64_t extent = where.before * groups * where.each;
  if (where.offset != 0 ||
      (type.getDimSize(where.axis) != extent && !type.isDynamicDim(where.axis)))
    value = made(makeSlice(outer, loc, value, where.axis, where.offset, extent));
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
          return stop("an operand that is not constant has several heads per group before axes of "
                      "unknown size");
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

Value HeadSlicer::sliceBroadcast(Value value, HeadSlice where, int64_t rank) {
  int64_t own = rankOf(value);
  if (own < 0)
    return stop("the rank of an operand is not known");
  where.axis -= rank - own;
  if (where.axis < 0 || sizeOf(value, where.axis) == 1)
    return whole(value);
  if (ShapedType::isDynamic(sizeOf(value, where.axis)))
    return stop("the size of an operand along the heads is not known");
  return slice(value, where);
}

Operation *HeadSlicer::copy(NodeOp node, ValueRange operands, HeadSlice where) {
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

std::optional<HeadSlice> HeadSlicer::across(NodeOp reshape, HeadSlice where, bool forward,
                                            int64_t &common) {
  auto in = dyn_cast<RankedTensorType>(reshape.input(0).getType());
  auto out = dyn_cast<RankedTensorType>(reshape.getResult(0).getType());
  if (!in || !out)
    return std::nullopt;
  auto from = forward ? in : out, to = forward ? out : in;
  if (where.offset != 0 || from.getDimSize(where.axis) != where.before * groups * where.each)
    return std::nullopt;
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
      HeadSlice found{axis, 0, before / lead, after / tail};
      if (found.before * groups * found.each == to.getDimSize(axis))
        return found;
    }
  }
  return std::nullopt;
}

Value HeadSlicer::regroup(NodeOp node, Value value, HeadSlice to, int64_t common) {
  auto type = cast<RankedTensorType>(node.getResult(0).getType());
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t i = 0; i < common; ++i)
    shape[i] = 0;
  shape[to.axis] = -1;
  return makeNode(inner, loc, "Reshape", {value, makeIntegers(inner, loc, shape)},
                  restricted(node.getResult(0), to));
}

Value HeadSlicer::slice(Value value, HeadSlice where) {
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
  if (!node || facts.isConstant(value))
    result = cut(value, where);
  else
    result = sliceNode(node, value, where);
  if (result)
    slices[key] = result;
  return result;
}

Value HeadSlicer::sliceNode(NodeOp node, Value value, HeadSlice where) {
  int64_t rank = rankOf(value);
  auto at = [&](const Twine &why) {
    return stop(Twine(describe(node)) + " (" + node.getOpType() + ") " + why);
  };
  bool standard = node.getDomain().empty() || node.getDomain() == "ai.onnx";
  StringRef op = node.getOpType();
  // The first operand restricted by `in`, the others whole.
  auto follow = [&](HeadSlice in) -> Value {
    SmallVector<Value> operands{slice(node.input(0), in)};
    for (Value other : ArrayRef<Value>(llvm::to_vector(node.getInputs())).drop_front())
      operands.push_back(operands.back() ? whole(other) : Value());
    if (!operands.back())
      return {};
    return copy(node, operands, where)->getResult(cast<OpResult>(value).getResultNumber());
  };
  auto positive = [](int64_t axis, int64_t of) { return axis < 0 ? axis + of : axis; };

  if (standard && (op == "MatMul" || op == "Gemm")) {
    Value x = node.input(0), w = node.input(1),
          bias = node.getInputs().size() > 2 ? node.input(2) : Value();
    if (bias && isa<NoneType>(bias.getType()))
      bias = {};
    if (!facts.isConstant(w))
      return at("multiplies by a matrix that is not constant");
    if (rankOf(w) != 2 || where.axis != rank - 1 || node.integer("transA", 0) != 0)
      return at("does not have heads among its columns");
    HeadSlice columns = where;
    columns.axis = node.integer("transB", 0) ? 0 : 1;
    SmallVector<Value> operands{whole(x)};
    operands.push_back(operands.back() ? slice(w, columns) : Value());
    if (bias && operands.back())
      operands.push_back(sliceBroadcast(bias, where, rank));
    if (!operands.back())
      return {};
    return copy(node, operands, where)->getResult(0);
  }
  if (node.isContrib("MatMulNBits")) {
    if (node.integer("accuracy_level", 0) == 4)
      return at("quantises its activations");
    auto linear = matchLinearCore(value, facts);
    if (!linear || !linear->biases.empty() || where.axis != rank - 1)
      return at("is no product with a constant matrix");
    Operation *last = &*std::prev(outer.getInsertionPoint());
    Value w = linear->weight(outer);
    for (Operation *made = last->getNextNode(); made != &*outer.getInsertionPoint();
         made = made->getNextNode())
      outside.push_back(made);
    HeadSlice columns = where;
    columns.axis = 1;
    Value x = whole(linear->input), part = x ? cut(w, columns) : Value();
    return part ? makeNode(inner, loc, "MatMul", {x, part}, restricted(value, where)) : Value();
  }
  if (standard &&
      (op == "Add" || op == "Sub" || op == "Mul" || op == "Div" || op == "Where" || op == "Pow")) {
    SmallVector<Value> operands;
    for (Value operand : node.getInputs()) {
      operands.push_back(sliceBroadcast(operand, where, rank));
      if (!operands.back())
        return {};
    }
    return copy(node, operands, where)->getResult(0);
  }
  if (standard && llvm::is_contained(
                      {"Identity", "Cast", "Neg", "Sigmoid", "Tanh", "Sqrt", "Clip", "Relu"}, op))
    return follow(where);
  if (standard && op == "Transpose") {
    auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
    HeadSlice in = where;
    in.axis = perm ? perm[where.axis] : rank - 1 - where.axis;
    return follow(in);
  }
  if (standard && (op == "Reshape" || op == "Unsqueeze" || op == "Squeeze" || op == "Flatten")) {
    int64_t common = 0;
    auto in = across(node, where, false, common);
    if (!in)
      return at("does not keep heads apart");
    Value x = slice(node.input(0), *in);
    return x ? regroup(node, x, where, common) : Value();
  }
  if (op == "RotaryEmbedding") {
    if (rank != 4 || where.axis != 1)
      return at("rotates something else than [batch, heads, length, channels]");
    return follow(where);
  }
  if (standard && llvm::is_contained({"RMSNormalization", "LayerNormalization",
                                      "SimplifiedLayerNormalization", "LpNormalization", "Softmax"},
                                     op)) {
    if (positive(node.integer("axis", -1), rank) <= where.axis)
      return at("mixes heads");
    return follow(where);
  }
  if (standard && op == "Concat") {
    if (positive(node.integer("axis", 0), rank) == where.axis)
      return at("puts heads together");
    SmallVector<Value> operands;
    for (Value operand : node.getInputs()) {
      operands.push_back(slice(operand, where));
      if (!operands.back())
        return {};
    }
    return copy(node, operands, where)->getResult(0);
  }
  if (standard && op == "Slice") {
    auto starts = facts.integers(node.input(1)), ends = facts.integers(node.input(2));
    auto axesOf = node.getInputs().size() > 3 ? facts.integers(node.input(3)) : std::nullopt;
    auto steps = node.getInputs().size() > 4 ? facts.integers(node.input(4)) : std::nullopt;
    if (!axesOf)
      return at("has axes that are not known");
    auto mine =
        llvm::find_if(*axesOf, [&](int64_t axis) { return positive(axis, rank) == where.axis; });
    if (mine == axesOf->end())
      return follow(where);
    int64_t full = sizeOf(node.input(0), where.axis);
    if (axesOf->size() != 1 || !starts || !ends || (steps && (*steps)[0] != 1) ||
        ShapedType::isDynamic(full))
      return at("cuts across heads");
    HeadSlice in = where;
    in.offset += std::clamp<int64_t>(positive((*starts)[0], full), 0, full);
    return slice(node.input(0), in);
  }
  if (standard && op == "Split") {
    if (positive(node.integer("axis", 0), rank) != where.axis)
      return follow(where);
    HeadSlice in = where;
    for (Value result : node.getResults()) {
      if (result == value)
        return slice(node.input(0), in);
      if (ShapedType::isDynamic(sizeOf(result, where.axis)))
        break;
      in.offset += sizeOf(result, where.axis);
    }
    return at("has parts of unknown size");
  }
  if (standard && op == "Gather") {
    int64_t axis = positive(node.integer("axis", 0), rankOf(node.input(0))),
            indexRank = rankOf(node.input(1));
    if (indexRank < 0 || (where.axis >= axis && where.axis < axis + indexRank))
      return at("picks heads");
    HeadSlice in = where;
    if (where.axis >= axis)
      in.axis += 1 - indexRank;
    return follow(in);
  }
  return at("is not known to treat heads alike");
}
