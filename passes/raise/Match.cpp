#include "passes/raise/Match.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

bool Constants::isConstant(Value value) {
  // Graphs are deep: an explicit stack, children before their node.
  SmallVector<Value> stack{value};
  while (!stack.empty()) {
    Value v = stack.back();
    if (constant.count(v)) {
      stack.pop_back();
      continue;
    }
    Operation *op = v.getDefiningOp();
    if (!op || op->getNumRegions() > 0) {
      constant[v] = false;
    } else if (isa<onnx::WeightOp, onnx::NoneOp>(op)) {
      constant[v] = true;
    } else if (auto node = dyn_cast<NodeOp>(op)) {
      StringRef type = node.getOpType();
      bool all = !type.starts_with("Random") && type != "Bernoulli" && type != "Multinomial";
      bool ready = true;
      for (Value operand : node.getInputs()) {
        auto known = constant.find(operand);
        if (known == constant.end()) {
          stack.push_back(operand);
          ready = false;
        } else {
          all &= known->second;
        }
      }
      if (!ready)
        continue;
      constant[v] = all;
    } else {
      constant[v] = false;
    }
    stack.pop_back();
  }
  return constant[value];
}

std::optional<double> Constants::scalar(Value value) {
  auto [it, fresh] = scalars.try_emplace(value, std::nullopt);
  if (!fresh)
    return it->second;
  std::optional<double> result;
  if (isConstant(value))
    result = evaluate(value, Assignment());
  scalars[value] = result;
  return result;
}

std::optional<SmallVector<int64_t>> Constants::integers(Value value) {
  auto dense =
      dyn_cast_or_null<DenseIntElementsAttr>(value ? onnx::constantOf(value) : TypedAttr());
  if (!dense || dense.getNumElements() > 64)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (const APInt &element : dense.getValues<APInt>())
    result.push_back(element.getSExtValue());
  return result;
}

std::string raise::describe(Operation *op) {
  if (!op)
    return "the graph";
  if (auto node = dyn_cast<NodeOp>(op)) {
    std::string kind = (node.getDomain().empty() || node.getDomain() == "ai.onnx"
                            ? node.getOpType().str()
                            : (node.getDomain() + "." + node.getOpType()).str());
    StringRef name = node.nodeName();
    for (unsigned i = 0; name.empty() && i < node.getNumResults(); ++i)
      name = node.resultName(i);
    return name.empty() ? kind : kind + " '" + name.str() + "'";
  }
  return op->getName().getStringRef().str();
}

int64_t raise::rankOf(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type ? type.getRank() : -1;
}

int64_t raise::sizeOf(Value value, int64_t axis) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  if (!type)
    return ShapedType::kDynamic;
  if (axis < 0)
    axis += type.getRank();
  return axis >= 0 && axis < type.getRank() ? type.getDimSize(axis) : ShapedType::kDynamic;
}

Type raise::elementOf(Value value) {
  auto type = value ? dyn_cast<TensorType>(value.getType()) : TensorType();
  return type ? type.getElementType() : Type();
}

bool raise::isFloat(Value value) {
  return isa_and_nonnull<FloatType>(elementOf(value));
}

bool raise::mayAgree(Value a, Value b, int64_t dims) {
  for (int64_t axis = 0; axis < dims; ++axis) {
    int64_t m = sizeOf(a, axis), n = sizeOf(b, axis);
    if (m != n && !ShapedType::isDynamic(m) && !ShapedType::isDynamic(n))
      return false;
    // Names of two sizes that are one are canonical after shape inference; names of derived sizes
    // may differ.
    StringRef p = onnx::dimName(a.getType(), axis), q = onnx::dimName(b.getType(), axis);
    if (!p.empty() && !q.empty() && p != q && dims > 1)
      for (int64_t other = 0; other < dims; ++other)
        if (other != axis &&
            (onnx::dimName(b.getType(), other) == p || onnx::dimName(a.getType(), other) == q))
          return false;
  }
  return true;
}

bool raise::keepsLastDimension(NodeOp node) {
  if (!(node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze")) ||
      node.getNumResults() != 1)
    return false;
  int64_t before = sizeOf(node.input(0), -1), after = sizeOf(node.getResult(0), -1);
  return !ShapedType::isDynamic(before) && before == after && rankOf(node.getResult(0)) > 0;
}

Value raise::throughOnce(Value value, bool regroup, Nodes *trail) {
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || !node.input(0))
    return {};
  auto step = [&](Value next) {
    if (trail)
      trail->insert(node);
    return next;
  };
  if (node.is("Identity"))
    return step(node.input(0));
  if (node.is("Dropout") && node.getResult(0) == value) {
    // In training mode only if a third input says so.
    return node.input(2) ? Value() : step(node.input(0));
  }
  if (node.is("Cast") && isFloat(node.input(0)) && isFloat(value))
    return step(node.input(0));
  if (node.is("DequantizeLinear") || node.isContrib("DequantizeLinear")) {
    auto quantise = node.input(0).getDefiningOp<NodeOp>();
    if (!quantise || !(quantise.is("QuantizeLinear") || quantise.isContrib("QuantizeLinear")))
      return {};
    if (trail)
      trail->insert(quantise);
    return step(quantise.input(0));
  }
  if (regroup && keepsLastDimension(node))
    return step(node.input(0));
  return {};
}

Value raise::through(Value value, bool regroup, Nodes *trail) {
  while (Value next = throughOnce(value, regroup, trail))
    value = next;
  return value;
}

onnx::NodeOp raise::onlyUser(Value value) {
  return value.hasOneUse() ? dyn_cast<NodeOp>(*value.getUsers().begin()) : NodeOp();
}

Value raise::regrouped(Value value, Nodes *trail) {
  while (auto node = value.getDefiningOp<NodeOp>()) {
    if (Value next = throughOnce(value, true, trail)) {
      value = next;
      continue;
    }
    if (!(node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze") || node.is("Flatten") ||
          node.is("Expand") || node.is("Tile")))
      return value;
    if (trail)
      trail->insert(node);
    value = node.input(0);
  }
  return value;
}

//===----------------------------------------------------------------------===//
// Making nodes
//===----------------------------------------------------------------------===//

Location raise::blockLoc(Operation *op) {
  return FusedLoc::get({op->getLoc()}, StringAttr::get(op->getContext(), "block"),
                       op->getContext());
}

Value raise::makeNode(OpBuilder &builder, Location loc, StringRef op, ValueRange operands,
                      Type result, ArrayRef<NamedAttribute> attrs, StringRef domain) {
  // Names of nodes are unique in a model: these have none.
  if (isa<NameLoc>(loc))
    loc = FusedLoc::get({loc}, builder.getStringAttr("block"), builder.getContext());
  auto node = NodeOp::create(builder, loc, TypeRange(result), op, operands, attrs, domain);
  node->setDiscardableAttr(kMade, builder.getUnitAttr());
  return node.getResult(0);
}

Value raise::makeIntegers(OpBuilder &builder, Location loc, ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())}, builder.getI64Type());
  return makeNode(builder, loc, "Constant", {}, type,
                  builder.getNamedAttr("value", DenseElementsAttr::get(type, values)));
}

Value raise::makeScalar(OpBuilder &builder, Location loc, Type element, double value) {
  auto type = RankedTensorType::get({}, element);
  Attribute one;
  if (auto real = dyn_cast<FloatType>(element))
    one = FloatAttr::get(real, value);
  else
    one = IntegerAttr::get(
        element, APInt(element.getIntOrFloatBitWidth(), static_cast<int64_t>(value), true));
  return makeNode(builder, loc, "Constant", {}, type,
                  builder.getNamedAttr("value", DenseElementsAttr::get(type, one)));
}

// The type with dimensions `shape` of `value`'s element type; a name follows its dimension where
// `from` says which it was.
static RankedTensorType reshaped(Value value, ArrayRef<int64_t> shape,
                                 ArrayRef<int64_t> from = {}) {
  auto type = cast<RankedTensorType>(value.getType());
  Attribute encoding;
  if (isa_and_nonnull<onnx::DimsAttr>(type.getEncoding()) && !from.empty()) {
    SmallVector<StringAttr> names;
    for (int64_t axis : from)
      names.push_back(
          StringAttr::get(type.getContext(), axis < 0 ? "" : onnx::dimName(type, axis)));
    encoding = onnx::DimsAttr::get(type.getContext(), names);
  }
  return RankedTensorType::get(shape, type.getElementType(), encoding);
}

Value raise::makeTranspose(OpBuilder &builder, Location loc, Value value, ArrayRef<int64_t> perm) {
  SmallVector<int64_t> shape;
  for (int64_t axis : perm)
    shape.push_back(sizeOf(value, axis));
  return makeNode(builder, loc, "Transpose", value, reshaped(value, shape, perm),
                  builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr(perm)));
}

Value raise::makeReshape(OpBuilder &builder, Location loc, Value value, ArrayRef<int64_t> shape) {
  // 0 copies the size of the same axis; a dynamic one is -1.
  SmallVector<int64_t> target, type, from;
  for (auto [axis, size] : llvm::enumerate(shape)) {
    bool copied = size == 0;
    target.push_back(ShapedType::isDynamic(size) ? -1 : size);
    type.push_back(copied ? sizeOf(value, axis) : (size == -1 ? ShapedType::kDynamic : size));
    from.push_back(copied ? static_cast<int64_t>(axis) : -1);
  }
  return makeNode(builder, loc, "Reshape", {value, makeIntegers(builder, loc, target)},
                  reshaped(value, type, from));
}

Value raise::makeUnsqueeze(OpBuilder &builder, Location loc, Value value, int64_t axis) {
  SmallVector<int64_t> shape, from;
  for (int64_t i = 0, rank = rankOf(value); i <= rank; ++i) {
    int64_t source = i < axis ? i : i - 1;
    shape.push_back(i == axis ? 1 : sizeOf(value, source));
    from.push_back(i == axis ? -1 : source);
  }
  return makeNode(builder, loc, "Unsqueeze", {value, makeIntegers(builder, loc, {axis})},
                  reshaped(value, shape, from));
}

Value raise::makeSlice(OpBuilder &builder, Location loc, Value value, int64_t axis, int64_t start,
                       int64_t size, int64_t step) {
  SmallVector<int64_t> shape, from;
  for (int64_t i = 0, rank = rankOf(value); i < rank; ++i) {
    shape.push_back(i == axis ? size : sizeOf(value, i));
    from.push_back(i == axis ? -1 : i);
  }
  if (sizeOf(value, axis) == size)
    return value;
  SmallVector<Value> operands{value, makeIntegers(builder, loc, {start}),
                              makeIntegers(builder, loc, {start + (size - 1) * step + 1}),
                              makeIntegers(builder, loc, {axis})};
  if (step != 1)
    operands.push_back(makeIntegers(builder, loc, {step}));
  return makeNode(builder, loc, "Slice", operands, reshaped(value, shape, from));
}

Value raise::makeCast(OpBuilder &builder, Location loc, Value value, Type element) {
  if (elementOf(value) == element)
    return value;
  // TensorProto.DataType
  int64_t to = element.isF16()    ? 10
               : element.isBF16() ? 16
               : element.isF64()  ? 11
               : element.isF32()  ? 1
                                  : 0;
  if (!to)
    to = element.isInteger(1) ? 9 : element.isInteger(32) ? 6 : 7;
  auto type = cast<RankedTensorType>(value.getType());
  return makeNode(builder, loc, "Cast", value,
                  RankedTensorType::get(type.getShape(), element, type.getEncoding()),
                  builder.getNamedAttr("to", builder.getI64IntegerAttr(to)));
}

Value raise::makeScaled(OpBuilder &builder, Location loc, Value value, double factor) {
  if (factor == 1.0)
    return value;
  return makeNode(builder, loc, "Mul", {value, makeScalar(builder, loc, elementOf(value), factor)},
                  value.getType());
}

Value raise::makeBinary(OpBuilder &builder, Location loc, StringRef op, Value a, Value b) {
  int64_t rank = std::max(rankOf(a), rankOf(b));
  if (rankOf(a) < 0 || rankOf(b) < 0)
    return makeNode(builder, loc, op, {a, b}, UnrankedTensorType::get(elementOf(a)));
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  for (int64_t i = -rank; i < 0; ++i) {
    bool inA = -i <= rankOf(a), inB = -i <= rankOf(b);
    int64_t m = inA ? sizeOf(a, i) : 1, n = inB ? sizeOf(b, i) : 1;
    // 1 gives way; between a known size and an unknown one the known one (not 1) stands.
    bool fromA = m != 1 && (!ShapedType::isDynamic(m) || n == 1 || ShapedType::isDynamic(n));
    shape.push_back(fromA ? m : n);
    Value source = fromA ? a : b;
    names.push_back(StringAttr::get(
        builder.getContext(),
        (fromA ? inA : inB) ? onnx::dimName(source.getType(), rankOf(source) + i) : StringRef()));
  }
  return makeNode(
      builder, loc, op, {a, b},
      RankedTensorType::get(shape, elementOf(a), onnx::DimsAttr::get(builder.getContext(), names)));
}

//===----------------------------------------------------------------------===//
// Outlining
//===----------------------------------------------------------------------===//

// True if all that is computed from `op` is used by `nodes` alone. Adds what was visited to `side`.
static bool feedsOnly(Operation *op, const Nodes &nodes, Block *block, Nodes &side) {
  if (side.contains(op))
    return true;
  if (op->getBlock() != block || op->getNumRegions() > 0 || !isa<NodeOp>(op) || op->use_empty() ||
      side.size() > 64)
    return false;
  side.insert(op);
  for (Operation *user : op->getUsers())
    if (!nodes.contains(user) && !feedsOnly(user, nodes, block, side))
      return false;
  return true;
}

Nodes raise::movable(const Nodes &matched, ValueRange roots) {
  Block *block = roots.front().getDefiningOp()->getBlock();
  Nodes nodes;
  for (Operation *op : matched)
    if (op->getBlock() == block)
      nodes.insert(op);
  for (bool changed = true; changed;) {
    changed = false;
    SmallVector<Operation *> leave;
    Nodes come;
    for (Operation *op : nodes) {
      bool stays = false;
      for (Value result : op->getResults()) {
        if (llvm::is_contained(roots, result))
          continue;
        for (Operation *user : result.getUsers()) {
          if (nodes.contains(user) || come.contains(user))
            continue;
          Nodes side;
          if (feedsOnly(user, nodes, block, side))
            come.insert(side.begin(), side.end());
          else
            stays = true;
        }
      }
      if (stays)
        leave.push_back(op);
    }
    for (Operation *op : leave)
      nodes.remove(op);
    // What fed a node that left is seen again in the next round.
    if (leave.empty())
      for (Operation *op : come)
        changed |= nodes.insert(op);
    changed |= !leave.empty();
  }
  return nodes;
}

void raise::outline(const Nodes &nodes, ValueRange roots, Region &region, ValueRange results) {
  Block *body = new Block;
  region.push_back(body);
  SmallVector<Operation *> order(nodes.begin(), nodes.end());
  llvm::sort(order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (auto [root, result] : llvm::zip(roots, results))
    root.replaceUsesWithIf(result, [&](OpOperand &use) { return !nodes.contains(use.getOwner()); });
  for (Operation *op : order)
    op->moveBefore(body, body->end());
  OpBuilder builder = OpBuilder::atBlockEnd(body);
  YieldOp::create(builder, region.getLoc(), roots);
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

static bool isFeedForward(Operation *op) {
  return isa<FfnOp, MoeOp>(op);
}

// The mixture whose shared expert the block is: a feed-forward block that every token has, reading
// what the mixture reads. Null for others.
static Operation *mixtureOf(Operation *op, ArrayRef<Operation *> ops) {
  auto ffn = dyn_cast<FfnOp>(op);
  if (!ffn)
    return nullptr;
  Value input = regrouped(ffn.getInput());
  for (Operation *other : ops) {
    bool reads = false;
    if (isa<MoeOp>(other))
      other->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          reads |= isFloat(operand) && regrouped(operand) == input;
      });
    if (reads)
      return other;
  }
  return nullptr;
}

void raise::numberLayers(Operation *function) {
  // Each graph (and subgraph) counts for itself.
  llvm::MapVector<Block *, SmallVector<Operation *>> blocks;
  function->walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (isa<AttentionOp>(op) || isFeedForward(op)) {
      blocks[op->getBlock()].push_back(op);
      return WalkResult::skip();
    }
    return WalkResult::advance();
  });
  Builder builder(function->getContext());
  for (auto &[block, ops] : blocks) {
    int64_t attentions = llvm::count_if(ops, [](Operation *op) { return isa<AttentionOp>(op); });
    // A shared expert belongs to its mixture's layer and does not count as a block of its own.
    llvm::SmallMapVector<Operation *, Operation *, 8> shared;
    for (Operation *op : ops)
      if (Operation *moe = mixtureOf(op, ops))
        shared.insert({op, moe});
    int64_t ffns = static_cast<int64_t>(ops.size() - shared.size()) - attentions;
    // Several of one kind to each of the other (cross-attention; stacked or half-step feed-forward
    // blocks) share its layer; otherwise a feed-forward block ends a layer.
    int64_t perLayerA = ffns == 0 || (attentions && ffns % attentions == 0) ? 1
                        : attentions % ffns == 0                            ? attentions / ffns
                                                                            : 0;
    int64_t perLayerF = attentions && ffns % attentions == 0 ? ffns / attentions : 1;
    int64_t a = 0, f = 0;
    llvm::StringMap<int64_t> used;
    auto label = [&](Operation *op, int64_t layer, StringRef kind) {
      std::string name = ("layer." + Twine(layer) + "." + kind).str();
      if (int64_t n = used[name]++)
        name += "." + std::to_string(n);
      op->setDiscardableAttr("layer", builder.getI64IntegerAttr(layer));
      op->setDiscardableAttr("name", builder.getStringAttr(name));
    };
    for (Operation *op : ops) {
      if (shared.contains(op))
        continue;
      bool attention = isa<AttentionOp>(op);
      int64_t layer =
          attention ? (perLayerA ? a / perLayerA : f) : f / std::max<int64_t>(perLayerF, 1);
      ++(attention ? a : f);
      label(op, layer, attention ? "attention" : isa<MoeOp>(op) ? "moe" : "ffn");
    }
    for (auto [op, moe] : shared)
      label(op, moe->getAttrOfType<IntegerAttr>("layer").getInt(), "shared");
  }
}
