// What each operator does to a partition of its result: the rules by which Slicer follows nodes.
#include "passes/decompose/Decompose.h"
#include "passes/decompose/Slicer.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static int64_t positive(int64_t axis, int64_t rank) {
  return axis < 0 ? axis + rank : axis;
}

static bool isStandard(NodeOp node) {
  return node.getDomain().empty() || node.getDomain() == "ai.onnx";
}

// Element by element, of one operand.
bool uoe::isUnaryElementwise(NodeOp node) {
  static const llvm::StringSet<> standard = {
      "Abs",   "Cast",      "Ceil",           "Celu", "Clip",      "Elu",         "Erf",
      "Exp",   "Floor",     "Gelu",           "Log",  "HardSwish", "HardSigmoid", "Identity",
      "IsNaN", "LeakyRelu", "Mish",           "Neg",  "Not",       "Reciprocal",  "Relu",
      "Round", "Selu",      "Sigmoid",        "Sign", "Softplus",  "Softsign",    "Sqrt",
      "Swish", "Tanh",      "ThresholdedRelu"};
  static const llvm::StringSet<> contrib = {"Gelu", "QuickGelu"};
  return isStandard(node)
             ? standard.contains(node.getOpType())
             : node.getDomain() == "com.microsoft" && contrib.contains(node.getOpType());
}

// Element by element, of operands that broadcast.
static bool isBroadcast(NodeOp node) {
  static const llvm::StringSet<> standard = {
      "Add",  "And",         "Div", "Equal", "Greater", "GreaterOrEqual",
      "Less", "LessOrEqual", "Max", "Min",   "Mul",     "Or",
      "Pow",  "Sub",         "Sum", "Where", "Xor",     "PRelu"};
  if (isStandard(node))
    return standard.contains(node.getOpType());
  return node.isContrib("BiasGelu") || node.isContrib("FastGelu");
}

Value Slicer::stopAt(NodeOp node, const Twine &why) {
  return stop(Twine(describe(node)) + " (" + node.getOpType() + ") " + why);
}

// The first operand restricted by `in`, the others whole.
Value Slicer::follow(NodeOp node, Value value, AxisSlice in, AxisSlice out) {
  SmallVector<Value> operands{slice(node.input(0), in)};
  for (Value other : llvm::drop_begin(node.getInputs())) {
    if (!operands.back())
      return {};
    operands.push_back(whole(other));
  }
  if (!operands.back())
    return {};
  return copy(node, operands, out)->getResult(cast<OpResult>(value).getResultNumber());
}

Value Slicer::sliceNode(NodeOp node, Value value, AxisSlice where) {
  int64_t rank = rankOf(value);
  bool standard = isStandard(node);
  StringRef op = node.getOpType();
  if ((standard && (op == "MatMul" || op == "Gemm" || op == "MatMulInteger")) ||
      node.isContrib("MatMulNBits"))
    return sliceProduct(node, value, where);
  if (isBroadcast(node)) {
    SmallVector<Value> operands;
    for (Value operand : node.getInputs()) {
      operands.push_back(isa<NoneType>(operand.getType()) ? whole(operand)
                                                          : sliceBroadcast(operand, where, rank));
      if (!operands.back())
        return {};
    }
    return copy(node, operands, where)->getResult(0);
  }
  if (standard && op == "Einsum")
    return sliceEinsum(node, where);
  if (isUnaryElementwise(node))
    return follow(node, value, where, where);
  if (standard && (op == "QuantizeLinear" || op == "DequantizeLinear")) {
    // One scale for all, or one for each index of an axis.
    if (node.integer("block_size", 0) != 0)
      return stopAt(node, "has scales for blocks of elements");
    SmallVector<Value> operands{slice(node.input(0), where)};
    bool perIndex = positive(node.integer("axis", 1), rank) == where.axis;
    for (Value scale : llvm::drop_begin(node.getInputs())) {
      if (!operands.back())
        return {};
      AxisSlice along = where;
      along.axis = 0;
      bool several = rankOf(scale) == 1 && sizeOf(scale, 0) != 1;
      operands.push_back(several && perIndex ? slice(scale, along) : whole(scale));
    }
    return operands.back() ? copy(node, operands, where)->getResult(0) : Value();
  }
  if (standard && op == "DynamicQuantizeLinear")
    return mix(node, value, where);
  if (standard && (op == "Reshape" || op == "Unsqueeze" || op == "Squeeze" || op == "Flatten"))
    return sliceRegrouping(node, value, where);
  if (op == "RotaryEmbedding") {
    if (rank != 4 || (where.axis != 1 && groups > 1))
      return stopAt(node, "rotates something else than [batch, heads, length, channels]");
    return follow(node, value, where, where);
  }
  if (standard && op == "Pad") {
    // Before and after each axis; none along the groups.
    auto pads = facts.integers(node.input(1));
    auto axes = node.input(3) ? facts.integers(node.input(3)) : std::nullopt;
    int64_t count = pads ? static_cast<int64_t>(pads->size() / 2) : 0;
    bool apart = pads && (!node.input(3) || axes);
    for (int64_t i = 0; apart && i < count; ++i)
      if ((axes ? positive((*axes)[i], rank) : i) == where.axis)
        apart = (*pads)[i] == 0 && (*pads)[i + count] == 0;
    if (!apart)
      return stopAt(node, "pads what the experts split, or by sizes that are not known");
    return follow(node, value, where, where);
  }
  if (standard && op.starts_with("Reduce")) {
    auto axes = node.input(1) ? facts.integers(node.input(1)) : std::nullopt;
    if (!axes || node.integer("keepdims", 1) == 0 ||
        llvm::any_of(*axes, [&](int64_t axis) { return positive(axis, rank) == where.axis; }))
      return stopAt(node, "mixes what the experts would compute apart");
    return follow(node, value, where, where);
  }
  if (standard && llvm::is_contained({"RMSNormalization", "LayerNormalization",
                                      "SimplifiedLayerNormalization", "LpNormalization", "Softmax"},
                                     op)) {
    int64_t axis = positive(node.integer("axis", -1), rank);
    if (groups > 1 && // one group mixes with nothing
        (op == "Softmax" || op == "LpNormalization" ? axis == where.axis : axis <= where.axis))
      return op == "Softmax" || axis != where.axis || where.axis != rank - 1
                 ? stopAt(node, "mixes what the experts would compute apart")
                 : mix(node, value, where);
    return follow(node, value, where, where);
  }
  return slicePart(node, value, where);
}

// Operands that have the groups' axis, by its letter, are sliced along it; the others are whole.
Value Slicer::sliceEinsum(NodeOp node, AxisSlice where) {
  std::string equation = node.string("equation", "").str();
  llvm::erase(equation, ' ');
  auto [left, right] = StringRef(equation).split("->");
  SmallVector<StringRef> axes;
  left.split(axes, ',');
  if (axes.size() != node.getInputs().size() || equation.find('.') != std::string::npos ||
      static_cast<int64_t>(right.size()) <= where.axis)
    return stopAt(node, "has axes that are not known");
  SmallVector<Value> operands;
  for (auto [operand, letters] : llvm::zip(node.getInputs(), axes)) {
    AxisSlice in = where;
    size_t at = letters.find(right[where.axis]);
    if (letters.count(right[where.axis]) > 1)
      return stopAt(node, "mixes what the experts would compute apart");
    in.axis = static_cast<int64_t>(at);
    operands.push_back(at == StringRef::npos ? whole(operand) : slice(operand, in));
    if (!operands.back())
      return {};
  }
  return copy(node, operands, where)->getResult(0);
}

Value Slicer::sliceProduct(NodeOp node, Value value, AxisSlice where) {
  int64_t rank = rankOf(value);
  Value x = node.input(0), w = node.input(1);
  if (node.isContrib("MatMulNBits")) {
    auto linear = matchLinearCore(value, facts);
    if (!linear || !linear->biases.empty() || where.axis != rank - 1)
      return stopAt(node, "is no product with a constant matrix");
    AxisSlice columns = where;
    columns.axis = 1;
    Value input = whole(linear->input);
    Value part = input ? cut(matrixOf(*linear), columns) : Value();
    return part ? makeNode(inner, loc, "MatMul", {input, part}, restricted(value, where)) : Value();
  }
  if (!facts.isConstant(w)) {
    // Products of activations, one for each index of the leading axes.
    if (!node.is("MatMul") || rankOf(x) < 2 || rankOf(w) < 2)
      return stopAt(node, "multiplies by a matrix that is not constant");
    bool columns = where.axis == rank - 1, rows = where.axis == rank - 2;
    Value a = columns ? whole(x) : sliceBroadcast(x, where, rank);
    Value b = !a ? Value() : rows ? whole(w) : sliceBroadcast(w, where, rank);
    return b ? copy(node, {a, b}, where)->getResult(0) : Value();
  }
  if (rankOf(w) != 2 || where.axis != rank - 1 || node.integer("transA", 0) != 0)
    return stopAt(node, "does not have what the experts split among its columns");
  AxisSlice columns = where;
  columns.axis = node.integer("transB", 0) ? 0 : 1;
  SmallVector<Value> operands{whole(x)};
  operands.push_back(operands.back() ? slice(w, columns) : Value());
  for (unsigned i = 2; i < node.getInputs().size() && operands.back(); ++i) {
    Value other = node.getInputs()[i];
    // Gemm's bias, the matrix's zero points: along the columns. The activations' zero point: one.
    bool along = node.is("Gemm") || i == 3;
    operands.push_back(isa<NoneType>(other.getType()) || !along
                           ? whole(other)
                           : sliceBroadcast(other, where, rank));
  }
  return operands.back() ? copy(node, operands, where)->getResult(0) : Value();
}

// Axis `axis` of what an Unsqueeze or Squeeze gives, in what it takes; none where it is made there
// or the axes are not known.
std::optional<int64_t> Slicer::axisBehind(NodeOp node, int64_t axis) {
  bool made = node.is("Unsqueeze");
  if (!made && !node.is("Squeeze"))
    return std::nullopt;
  std::optional<SmallVector<int64_t>> axes;
  if (auto attribute = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("axes")))
    axes = llvm::to_vector(attribute.asArrayRef());
  else if (node.input(1))
    axes = facts.integers(node.input(1));
  int64_t rank = rankOf(made ? node.getResult(0) : node.input(0));
  if (!axes || rank < 0)
    return std::nullopt;
  SmallVector<bool> listed(rank, false);
  for (int64_t i : *axes)
    if (i >= -rank && i < rank)
      listed[positive(i, rank)] = true;
  if (made)
    return listed[axis] ? std::nullopt
                        : std::optional(llvm::count(ArrayRef(listed).take_front(axis), false));
  for (int64_t i = 0; i < rank; ++i)
    if (!listed[i] && axis-- == 0)
      return i;
  return std::nullopt;
}

// The axes of size 1 by which `from` differs from `to`, where nothing else sets them apart.
static std::optional<SmallVector<int64_t>> dropped(RankedTensorType from, RankedTensorType to) {
  SmallVector<int64_t> axes;
  int64_t j = 0, unnamed = 0;
  for (int64_t i = 0; i < from.getRank(); ++i) {
    if (j < to.getRank() && from.getDimSize(i) == to.getDimSize(j)) {
      // Sizes that are not known agree by name, or, if it is one pair, since the others do.
      StringRef name = onnx::dimName(from, i);
      if (from.isDynamicDim(i) && (name.empty() || name != onnx::dimName(to, j)))
        ++unnamed;
      ++j;
    } else if (from.getDimSize(i) == 1) {
      axes.push_back(i);
    } else {
      return std::nullopt;
    }
  }
  return j == to.getRank() && unnamed <= 1 && !axes.empty() ? std::optional(axes) : std::nullopt;
}

Value Slicer::sliceRegrouping(NodeOp node, Value value, AxisSlice where) {
  auto fine = dyn_cast<RankedTensorType>(node.input(0).getType());
  auto coarse = dyn_cast<RankedTensorType>(value.getType());
  if (node.is("Reshape") && fine && coarse)
    if (auto axes = dropped(fine, coarse)) {
      AxisSlice in = where;
      for (int64_t axis : *axes)
        in.axis += axis <= in.axis;
      Value x = slice(node.input(0), in);
      return x ? makeNode(inner, loc, "Squeeze", {x, makeIntegers(inner, loc, *axes)},
                          restricted(value, where))
               : Value();
    }
  if (auto axis = axisBehind(node, where.axis)) {
    AxisSlice in = where;
    in.axis = *axis;
    return follow(node, value, in, where);
  }
  int64_t common = 0;
  if (auto in = across(node, where, false, common)) {
    Value x = slice(node.input(0), *in);
    return x ? regroup(node, x, where, common) : Value();
  }
  int64_t from = 0;
  auto in = flattened(node, where, false, from);
  if (!in) {
    // A single group that all heads share may have no axis of its own before: its channels do.
    int64_t last = rankOf(node.input(0)) - 1;
    while (last >= 0 && ShapedType::isDynamic(sizeOf(node.input(0), last)))
      --last;
    if (groups == 1 && where.offset == 0 && where.before == 1 && where.each == 1 && last >= 0)
      return follow(node, value, {last, 0, 1, sizeOf(node.input(0), last)}, where);
    return stopAt(node, "does not keep apart what the experts split");
  }
  Value x = slice(node.input(0), *in);
  if (!x)
    return {};
  return makeNode(inner, loc, "Flatten", {x}, restricted(value, where),
                  {inner.getNamedAttr("axis", inner.getI64IntegerAttr(from))});
}

// A single group is all of `value`, along whichever axis of known size: `where` as along `axis`.
bool Slicer::turn(AxisSlice &where, Value value, int64_t axis) {
  int64_t size = sizeOf(value, axis);
  if (groups != 1 || ShapedType::isDynamic(size) || where.offset != 0 ||
      where.before * where.each != sizeOf(value, where.axis))
    return false;
  where = {axis, 0, 1, size};
  return true;
}

std::optional<AxisSlice> Slicer::behindOrder(NodeOp gather, AxisSlice where) {
  Value x = gather.input(0);
  auto indices = facts.integers(gather.input(1));
  int64_t size = where.before * groups * where.each, each = where.before * where.each;
  if (!gather.is("Gather") || rankOf(gather.input(1)) != 1 || !indices || where.offset != 0 ||
      (where.before != 1) == (where.each != 1) ||
      positive(gather.integer("axis", 0), rankOf(x)) != where.axis ||
      sizeOf(x, where.axis) != size || static_cast<int64_t>(indices->size()) != size)
    return std::nullopt;
  bool together = where.before == 1; // in what the Gather gives
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t i = 0; i < each; ++i) {
      int64_t near = group * each + i, far = i * groups + group;
      if ((*indices)[together ? near : far] != (together ? far : near))
        return std::nullopt;
    }
  return AxisSlice{where.axis, 0, where.each, where.before};
}

// The same in the body: the axis, brought to the end, is taken apart, turned and merged.
Value Slicer::sliceReordered(NodeOp node, AxisSlice in, AxisSlice where) {
  Value x = slice(node.input(0), in);
  if (!x)
    return {};
  int64_t rank = rankOf(x), each = where.before * where.each, last = rank - 1;
  bool together = where.before == 1;
  SmallVector<int64_t> there, back, apart(last, 0), turn, merged(rank, 0);
  for (int64_t axis = 0; axis < rank; ++axis)
    if (axis != where.axis)
      there.push_back(axis);
  there.push_back(where.axis);
  for (int64_t axis = 0; axis < rank; ++axis)
    back.push_back(axis < where.axis ? axis : axis == where.axis ? last : axis - 1);
  for (int64_t size : together ? std::array{each, int64_t(-1)} : std::array{int64_t(-1), each})
    apart.push_back(size);
  turn = llvm::to_vector(llvm::seq<int64_t>(0, rank + 1));
  std::swap(turn[rank], turn[last]);
  merged[last] = -1;
  x = makeTranspose(inner, loc, x, there);
  x = makeTranspose(inner, loc, makeReshape(inner, loc, x, apart), turn);
  x = makeTranspose(inner, loc, makeReshape(inner, loc, x, merged), back);
  x.setType(restricted(node.getResult(0), where));
  return x;
}

// What a Gather or GatherND picks by a run of indices along the groups' axis is a part of it.
Value Slicer::slicePicked(NodeOp node, AxisSlice where) {
  int64_t full = sizeOf(node.input(0), where.axis);
  auto indices = facts.integers(node.input(1));
  bool run = indices && !indices->empty() && !ShapedType::isDynamic(full);
  for (size_t i = 0; run && i < indices->size(); ++i)
    run =
        positive((*indices)[i], full) == positive(indices->front(), full) + static_cast<int64_t>(i);
  if (!run)
    return stopAt(node, "picks among what the experts split");
  where.offset += positive(indices->front(), full);
  return slice(node.input(0), where);
}

// Transpositions, concatenations and parts of values.
Value Slicer::slicePart(NodeOp node, Value value, AxisSlice where) {
  int64_t rank = rankOf(value);
  bool standard = isStandard(node);
  StringRef op = node.getOpType();
  if (standard && op == "Transpose") {
    auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
    AxisSlice in = where;
    in.axis = perm ? perm[where.axis] : rank - 1 - where.axis;
    return follow(node, value, in, where);
  }
  if (standard && op == "Expand") {
    // The same for all groups: computed once, for all of them. Otherwise the axis keeps its size.
    Value x = node.input(0);
    AxisSlice in = where;
    in.axis -= rank - rankOf(x);
    if (rankOf(x) < 0 || (in.axis >= 0 && ShapedType::isDynamic(sizeOf(x, in.axis))))
      return stopAt(node, "takes an operand whose size is not known");
    if (in.axis < 0 || (sizeOf(x, in.axis) == 1 && sizeOf(value, where.axis) != 1))
      return cut(value, where);
    auto shape = facts.integers(node.input(1));
    int64_t sizes = sizeOf(node.input(1), 0), at = sizes - (rank - where.axis);
    if (!shape && (ShapedType::isDynamic(sizes) || at < 0))
      return stopAt(node, "repeats to sizes that are not known");
    Value restrictedX = slice(x, in), to;
    if (shape) {
      (*shape)[at] = 1;
      to = makeIntegers(inner, loc, *shape);
    } else if (to = whole(node.input(1)); to) {
      SmallVector<Value> parts{makeIntegers(inner, loc, {1})};
      if (at > 0)
        parts.insert(parts.begin(), makeSlice(inner, loc, to, 0, 0, at));
      if (at + 1 < sizes)
        parts.push_back(makeSlice(inner, loc, to, 0, at + 1, sizes - at - 1));
      to = makeNode(inner, loc, "Concat", parts, to.getType(),
                    {inner.getNamedAttr("axis", inner.getI64IntegerAttr(0))});
    }
    return restrictedX && to
               ? makeNode(inner, loc, "Expand", {restrictedX, to}, restricted(value, where))
               : Value();
  }
  if (standard && op == "Concat") {
    if (positive(node.integer("axis", 0), rank) == where.axis)
      return stopAt(node, "puts together what the experts split");
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
      return stopAt(node, "has axes that are not known");
    if (axesOf->size() == 1 && positive((*axesOf)[0], rank) != where.axis)
      turn(where, value, positive((*axesOf)[0], rank));
    auto mine =
        llvm::find_if(*axesOf, [&](int64_t axis) { return positive(axis, rank) == where.axis; });
    if (mine == axesOf->end())
      return follow(node, value, where, where);
    int64_t full = sizeOf(node.input(0), where.axis);
    if (axesOf->size() != 1 || !starts || !ends || (steps && (*steps)[0] != 1) ||
        ShapedType::isDynamic(full))
      return stopAt(node, "cuts across what the experts split");
    AxisSlice in = where;
    in.offset += std::clamp<int64_t>(positive((*starts)[0], full), 0, full);
    return slice(node.input(0), in);
  }
  if (standard && op == "Split") {
    int64_t axis = positive(node.integer("axis", 0), rank);
    if (axis != where.axis && !turn(where, value, axis))
      return follow(node, value, where, where);
    AxisSlice in = where;
    for (Value result : node.getResults()) {
      if (result == value)
        return slice(node.input(0), in);
      if (ShapedType::isDynamic(sizeOf(result, where.axis)))
        break;
      in.offset += sizeOf(result, where.axis);
    }
    return stopAt(node, "has parts of unknown size");
  }
  if (standard && op == "Gather") {
    int64_t axis = positive(node.integer("axis", 0), rankOf(node.input(0))),
            indexRank = rankOf(node.input(1));
    AxisSlice in = where;
    if (auto ordered = behindOrder(node, where))
      return sliceReordered(node, *ordered, where);
    if (indexRank == 1 && (where.axis == axis || turn(where, value, axis)))
      return slicePicked(node, where);
    if (indexRank < 0 || (where.axis >= axis && where.axis < axis + indexRank))
      return stopAt(node, "picks among what the experts split");
    if (where.axis >= axis)
      in.axis += 1 - indexRank;
    return follow(node, value, in, where);
  }
  if (standard && op == "GatherND") {
    // The leading axes are those of the indices; those of an element follow.
    int64_t lead = rankOf(node.input(1)) - 1, picked = sizeOf(node.input(1), lead);
    if (lead == 1 && picked == 1 && node.integer("batch_dims", 0) == 0 &&
        (where.axis == 0 || turn(where, value, 0)))
      return slicePicked(node, where);
    if (lead < 0 || ShapedType::isDynamic(picked) || where.axis < lead)
      return stopAt(node, "picks among what the experts split");
    AxisSlice in = where;
    in.axis += node.integer("batch_dims", 0) + picked - lead;
    return follow(node, value, in, where);
  }
  return stopAt(node, "is not known to treat alike what the experts split");
}

//===----------------------------------------------------------------------===//
// Nodes that need all groups
//===----------------------------------------------------------------------===//

// Element by element but for a statistic of all of operand 0: the node stays whole. What it reads
// is made by experts of its own, side by side; what it gives is cut.
Value Slicer::mix(NodeOp node, Value value, AxisSlice where) {
  if (rankOf(node.input(0)) != rankOf(value))
    return stopAt(node, "mixes what the experts would compute apart");
  if (!mixed.count(node)) {
    NodeOp copied = copyOnStages(node, where);
    if (!copied)
      return {};
    mixed[node] = copied;
  }
  return cut(mixed[node].getResult(cast<OpResult>(value).getResultNumber()), where);
}

NodeOp Slicer::copyOnStages(NodeOp node, AxisSlice where) {
  Value x = node.input(0);
  auto type = dyn_cast<RankedTensorType>(x.getType());
  if (!type || where.axis != type.getRank() - 1 || where.before != 1 || where.offset != 0 ||
      type.getDimSize(where.axis) != groups * where.each)
    return stopAt(node, "mixes what the experts would compute apart"), NodeOp();
  OpBuilder at(node);
  Slicer stage(at, loc, groups, partition, facts);
  stage.aliases = aliases;
  stage.resolve = resolve;
  Value part = stage.slice(x, where);
  if (!part) {
    stage.undo();
    return stop(Twine(describe(node)) + " (" + node.getOpType() +
                ") mixes what the experts would compute apart, and before it " + stage.reason),
           NodeOp();
  }
  ExpertsOp experts = stage.finish(
      part, RankedTensorType::get(type.getShape(), type.getElementType(), type.getEncoding()),
      Combine::concat);
  llvm::append_range(stageExperts, stage.stageExperts);
  stageExperts.push_back(experts);
  for (auto &entry : stage.mixed)
    mixed[entry.first] = entry.second;
  llvm::append_range(madeOutside, stage.madeOutside);
  stage.madeOutside.clear();
  Value input = inOldOrder(at, experts.getOutput(), where.each);
  auto copied = cast<NodeOp>(at.clone(*node));
  copied->setOperand(0, input);
  copied->removeAttr("fields"); // the names stay with the dense one
  madeOutside.push_back(copied);
  return copied;
}

// Experts in another order than the groups leave their results in that order.
Value Slicer::inOldOrder(OpBuilder &builder, Value value, int64_t each) {
  if (!partition.isPermuted())
    return value;
  SmallVector<int64_t> channels(groups * each);
  for (auto [place, group] : llvm::enumerate(partition.order))
    for (int64_t i = 0; i < each; ++i)
      channels[group * each + i] = static_cast<int64_t>(place) * each + i;
  Value ordered = uoe::reorder(builder, loc, value, channels, rankOf(value) - 1);
  made(ordered.getDefiningOp<NodeOp>().input(1));
  return made(ordered);
}

void Slicer::replaceMixed() {
  for (auto &[node, copied] : mixed) {
    node->replaceAllUsesWith(copied->getResults());
    eraseUnused(node);
  }
  mixed.clear();
}
