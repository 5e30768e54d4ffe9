#include "passes/route/GatherTokens.h"
#include "lib/Onnx/Operators/Inference.h"
#include "passes/decompose/Slicer.h"
#include "passes/raise/Match.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;

Value uoe::tokensOf(ExpertsOp experts) {
  Block &body = experts.getBody().front();
  for (auto [value, argument] : llvm::zip(experts.getShared(), body.getArguments())) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || type.getRank() != 3 || !type.getElementType().isF32() || type.isDynamicDim(2))
      continue;
    for (Operation *user : argument.getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (isa<FfnOp>(user) || (node && (node.is("MatMul") || node.is("Gemm"))))
        return value;
    }
  }
  return {};
}

namespace {

// The mask of an attention, as it can be gathered with the tokens.
struct Mask {
  BlockArgument argument; // null: there is none
  int64_t rank = 0;
  bool keys = false; // the same for all queries
  std::string why;   // that it can't be gathered

  Mask(ExpertsOp experts, AttentionOp attention) {
    if (!attention.getBias())
      return;
    argument = dyn_cast<BlockArgument>(attention.getBias());
    if (!argument || !argument.hasOneUse()) {
      why = "its mask is computed by its experts";
      return;
    }
    Type type = argument.getType();
    rank = cast<RankedTensorType>(type).getRank();
    Type x = tokensOf(experts).getType();
    auto size = [&](int64_t axis) { return cast<RankedTensorType>(type).getDimSize(axis); };
    // Alike, and not by chance.
    auto isDim = [&](int64_t axis, int64_t of) {
      int64_t own = size(axis), other = cast<RankedTensorType>(x).getDimSize(of);
      if (own != other || !ShapedType::isDynamic(own))
        return own == other;
      return !onnx::dimName(type, axis).empty() &&
             onnx::dimName(type, axis) == onnx::dimName(x, of);
    };
    if (rank < 2 || rank > 4 || !isDim(rank - 1, 1))
      why = "its mask is not known to have an entry for each token";
    else if (rank > 2 && size(rank - 3) != 1)
      why = "its mask differs between heads";
    else if (rank == 4 && size(0) != 1 && !isDim(0, 0))
      why = "its mask is not known to have an entry for each sample";
    keys = rank >= 2 && size(rank - 2) == 1;
    if (why.empty() && !keys && !isDim(rank - 2, 1))
      why = "its mask is not known to have an entry for each pair of tokens";
  }
};

} // namespace

// Cosines or sines of positions.
static bool isTable(BlockArgument argument) {
  return !argument.use_empty() && llvm::all_of(argument.getUses(), [](OpOperand &use) {
    auto node = dyn_cast<NodeOp>(use.getOwner());
    return node && node.is("RotaryEmbedding") && use.getOperandNumber() > 0;
  });
}

// A number, or sizes and indices, of the model's, which every expert may have for itself.
static bool isOwn(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.hasStaticShape() && type.getRank() <= 1 &&
         (type.getNumElements() == 1 || type.getElementType().isInteger()) &&
         onnx::constantOf(value);
}

// What a value is a view of, in its block.
static Value source(Value value) {
  while (auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp())
    value = node.getInputs().empty() ? Value() : node.getInputs()[0];
  return value;
}

// What makes rows of all samples of the heads [batch, sequence, heads, size], right before the
// output projection (GPT-2).
static NodeOp flattening(ExpertsOp experts) {
  auto product = experts.getBody().front().getTerminator()->getOperand(0).getDefiningOp<NodeOp>();
  if (!product || !product.is("MatMul"))
    return {};
  auto flatten = product.getInputs()[0].getDefiningOp<NodeOp>();
  if (!flatten || !flatten.is("Flatten") || flatten.integer("axis", 1) != 2 ||
      !flatten->hasOneUse())
    return {};
  auto type = dyn_cast<RankedTensorType>(flatten.getInputs()[0].getType());
  return type && type.getRank() == 4 ? flatten : NodeOp();
}

// The experts' result [batch * sequence, d] becomes [batch, sequence, d], and rows behind them.
static void unflatten(ExpertsOp experts) {
  NodeOp flatten = flattening(experts);
  if (!flatten || experts.getOutput().getType().getRank() != 2)
    return;
  auto rows = [](Value like, ArrayRef<int64_t> shape) {
    return RankedTensorType::get(shape, cast<RankedTensorType>(like.getType()).getElementType());
  };
  constexpr int64_t any = ShapedType::kDynamic;
  OpBuilder inner(flatten);
  Location loc = experts.getLoc();
  Value flat = flatten.getResult(0);
  Value kept = raise::makeNode(
      inner, loc, "Reshape", {flatten.getInputs()[0], raise::makeIntegers(inner, loc, {0, 0, -1})},
      rows(flat, {any, any, cast<RankedTensorType>(flat.getType()).getDimSize(1)}));
  flat.replaceAllUsesWith(kept);
  flatten.erase();
  Value product = experts.getBody().front().getTerminator()->getOperand(0);
  Value output = experts.getOutput();
  auto old = cast<RankedTensorType>(output.getType());
  RankedTensorType type = rows(output, {any, any, old.getDimSize(1)});
  product.setType(type);
  output.setType(type);
  OpBuilder outer(experts);
  outer.setInsertionPointAfter(experts);
  Value again = raise::makeNode(outer, loc, "Flatten", {output}, old,
                                {outer.getNamedAttr("axis", outer.getI64IntegerAttr(2))});
  output.replaceAllUsesExcept(again, again.getDefiningOp());
}

// The same of a node's result, if its first operand's is `axis`; -1 where tokens and samples have
// become one axis.
static std::optional<int64_t> nextAxis(NodeOp node, int64_t axis,
                                       function_ref<int64_t(Value)> axisOf) {
  if (!node || node->getNumResults() != 1)
    return std::nullopt;
  auto integers = [&](unsigned operand) {
    return onnx::integersOf(onnx::constantOf(node.input(operand))).value_or(SmallVector<int64_t>());
  };
  auto rankOf = [](Value value) { return cast<RankedTensorType>(value.getType()).getRank(); };
  auto others = ValueRange(node.getInputs()).drop_front();
  bool alone = llvm::none_of(others, [&](Value v) { return axisOf(v) >= 0; });
  if (node.is("Add") || node.is("Mul") || node.is("Sub") || node.is("Div")) {
    // Of one rank, or without tokens and in the last dimension alone.
    for (Value other : node.getInputs())
      if (axisOf(other) != axis && (axisOf(other) >= 0 || rankOf(other) > 1))
        return std::nullopt;
    return axis < 0 ? std::nullopt : std::optional(axis);
  }
  if (axis < 0)
    return std::nullopt;
  if (node.is("RotaryEmbedding"))
    return axis == 2 ? std::optional(axis) : std::nullopt;
  if (!alone)
    return std::nullopt;
  if (isUnaryElementwise(node) || (node.is("MatMul") && axis + 1 < rankOf(node.getInputs()[0])))
    return axis;
  SmallVector<int64_t> shape = integers(1);
  if (node.is("Reshape") && axis == 1 && shape.size() > 2 && shape[0] == 0 && shape[1] == 0 &&
      node.integer("allowzero", 0) == 0)
    return axis;
  if (node.is("Flatten") && axis == 1 && node.integer("axis", 1) == 2)
    return -1;
  if (auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      perm && node.is("Transpose"))
    return std::distance(perm.asArrayRef().begin(), llvm::find(perm.asArrayRef(), axis));
  return std::nullopt;
}

// The axis of tokens, of each value of the experts' body that has one; nothing if a node is not
// known to leave it alone.
using Axes = DenseMap<Value, int64_t>;
static std::optional<Axes> tokenAxes(ExpertsOp experts) {
  Axes axes;
  Block &body = experts.getBody().front();
  for (BlockArgument argument : body.getArguments().take_front(experts.getShared().size()))
    if (cast<RankedTensorType>(argument.getType()).getRank() == 3)
      axes[argument] = 1;
  auto axisOf = [&](Value value) {
    auto found = axes.find(value);
    return found == axes.end() ? -1 : found->second;
  };
  for (Operation &op : body.without_terminator()) {
    if (llvm::none_of(op.getOperands(), [&](Value v) { return axisOf(v) >= 0; }))
      continue;
    int64_t axis = axisOf(op.getOperand(0));
    if (isa<AttentionOp>(op)) {
      if (axis != 2 || axisOf(op.getOperand(1)) != 2 || axisOf(op.getOperand(2)) != 2)
        return std::nullopt;
    } else if (std::optional<int64_t> next = nextAxis(dyn_cast<NodeOp>(op), axis, axisOf)) {
      axis = *next;
    } else {
      return std::nullopt;
    }
    if (axis >= 0)
      axes[op.getResult(0)] = axis;
  }
  return axes;
}

// A weight, or a view of one.
static bool isWeight(Value value) {
  while (auto node = value.getDefiningOp<NodeOp>()) {
    if (node.getInputs().empty())
      return true;
    value = node.getInputs()[0];
  }
  return value.getDefiningOp<onnx::WeightOp>() != nullptr;
}

std::string uoe::whyNotGathered(ExpertsOp experts, AttentionOp attention, bool compacted) {
  if (!attention.getQuery() || !attention.getSpelling().empty())
    return "its attention is a fused operator";
  if (experts.getOutput().getType().getRank() != 3 && !flattening(experts))
    return "its result is not [batch, sequence, d]";
  if (attention.getWindow() > 0 && !compacted)
    return "its window is one of true positions, and is counted among an expert's tokens only "
           "with positions=compacted";
  for (auto [value, argument] :
       llvm::zip(experts.getSliced(),
                 experts.getBody().front().getArguments().drop_front(experts.getShared().size())))
    if (!isWeight(value)) {
      if (argument == source(attention.getBias()))
        return "its mask differs between heads";
      return source(value).getDefiningOp<ExpertsOp>() ? "it takes what another step gives"
                                                      : "it has a cache";
    }
  if (std::string why = Mask(experts, attention).why; !why.empty())
    return why;
  for (auto [value, argument] :
       llvm::zip(experts.getShared(), experts.getBody().front().getArguments())) {
    auto type = cast<RankedTensorType>(value.getType());
    if (argument == attention.getBias() || isOwn(value))
      continue;
    if (type.getRank() == 3 && !type.isDynamicDim(1) && !tokenAxes(experts))
      return "its number of tokens is fixed, and experts compute with it";
    if (type.getRank() != 3)
      return "it reads something else than tokens, a mask, and tables [batch, sequence, ...]";
    if (compacted && !isTable(argument) && value != tokensOf(experts))
      return "it reads something besides tokens, a mask and rotary tables, and which position "
             "that belongs to is not known";
  }
  return "";
}

// Constants are no tokens to gather.
static void takeOwn(ExpertsOp experts) {
  Block &body = experts.getBody().front();
  OpBuilder inner = OpBuilder::atBlockBegin(&body);
  for (int64_t i = experts.getShared().size() - 1; i >= 0; --i) {
    Value value = experts.getShared()[i];
    if (!isOwn(value))
      continue;
    body.getArgument(i).replaceAllUsesWith(inner.clone(*value.getDefiningOp())->getResult(0));
    body.eraseArgument(i);
    experts.getSharedMutable().erase(i);
  }
}

// What two masks allow; `filled` is of flags.
static Value both(OpBuilder &builder, Location loc, Value filled, Value mask) {
  auto type = cast<RankedTensorType>(mask.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = ShapedType::kDynamic;
  auto result = RankedTensorType::get(shape, type.getElementType());
  if (type.getElementType().isInteger(1))
    return raise::makeNode(builder, loc, "And", {filled, mask}, result);
  Value hidden = raise::makeScalar(builder, loc, type.getElementType(), -INFINITY);
  return raise::makeNode(builder, loc, "Where", {filled, mask, hidden}, result);
}

// The attention's mask as it is gathered with the tokens, [batch, 1, queries or 1, keys]; null if
// there is none.
static Value
gatherMask(ExpertsOp experts, const Mask &mask, GatheredMasks &masks,
           function_ref<Value(Value, ArrayRef<int64_t>, ArrayRef<int64_t>)> unsqueeze) {
  if (!mask.argument)
    return {};
  constexpr int64_t any = ShapedType::kDynamic;
  const int64_t i = mask.argument.getArgNumber();
  Value whole = experts.getShared()[i], &bare = masks[whole];
  auto type = cast<RankedTensorType>(whole.getType());
  SmallVector<int64_t> shape, gathered;
  shape.push_back(mask.rank == 4 ? type.getDimSize(0) : 1);
  gathered.push_back(shape[0]);
  for (int64_t axis = mask.keys ? mask.rank - 1 : mask.rank - 2; axis < mask.rank; ++axis) {
    shape.push_back(type.getDimSize(axis));
    gathered.push_back(any);
  }
  if (!bare) {
    // Once for all layers: without the axes of heads and, if it has none, of queries.
    OpBuilder outer(experts);
    outer.setInsertionPointAfterValue(whole);
    SmallVector<int64_t> gone;
    for (int64_t axis = mask.rank == 4 ? 1 : 0; axis < mask.rank - (mask.keys ? 1 : 2); ++axis)
      gone.push_back(axis);
    if (mask.rank < 4 && !gone.empty())
      gone.pop_back(); // one stands for the batch
    bare = whole;
    auto at = [&](StringRef op, ArrayRef<int64_t> axes) {
      bare = raise::makeNode(outer, whole.getLoc(), op,
                             {bare, raise::makeIntegers(outer, whole.getLoc(), axes)},
                             RankedTensorType::get(shape, type.getElementType()));
    };
    if (!gone.empty())
      at("Squeeze", gone);
    else if (mask.rank == 2 && !mask.keys)
      at("Unsqueeze", {0});
  }
  experts.getSharedMutable()[i].set(bare);
  BlockArgument argument = mask.argument;
  argument.setType(RankedTensorType::get(gathered, type.getElementType()));
  if (mask.keys)
    return unsqueeze(argument, {1, 2}, {gathered[0], 1, 1, any});
  SmallVector<int64_t> pairs{i};
  experts.setPairs(pairs);
  return unsqueeze(argument, {1}, {gathered[0], 1, any, any});
}

// The experts' own tokens, their mask, and which of their places are filled.
void uoe::gatherTokens(ExpertsOp experts, AttentionOp attention, const GatherOptions &options,
                       GatheredMasks &masks) {
  experts.setGathered(true);
  Block &body = experts.getBody().front();
  Location loc = experts.getLoc();
  constexpr int64_t any = ShapedType::kDynamic;
  unflatten(experts);
  const Mask own(experts, attention);
  // Names of dimensions are those of all tokens, and an expert has some of them.
  auto drop = [](Value value) { value.setType(onnx::dropDims(value.getType())); };
  llvm::for_each(body.getArguments(), drop);
  for (Operation &op : body)
    llvm::for_each(op.getResults(), drop);
  // So is a fixed number of them.
  if (std::optional<Axes> axes = tokenAxes(experts))
    for (auto [value, axis] : *axes) {
      auto type = cast<RankedTensorType>(value.getType());
      SmallVector<int64_t> shape(type.getShape());
      shape[axis] = any;
      Value(value).setType(RankedTensorType::get(shape, type.getElementType()));
    }
  takeOwn(experts);
  if (options.compacted) {
    SmallVector<int64_t> tables;
    for (BlockArgument argument : body.getArguments().take_front(experts.getShared().size()))
      if (isTable(argument))
        tables.push_back(argument.getArgNumber());
    if (!tables.empty())
      experts.setCompacted(tables);
  }
  OpBuilder inner = OpBuilder::atBlockBegin(&body);
  auto unsqueeze = [&](Value value, ArrayRef<int64_t> axes, ArrayRef<int64_t> shape) {
    auto type =
        RankedTensorType::get(shape, cast<RankedTensorType>(value.getType()).getElementType());
    return raise::makeNode(inner, loc, "Unsqueeze", {value, raise::makeIntegers(inner, loc, axes)},
                           type);
  };
  Value mask = gatherMask(experts, own, masks, unsqueeze);
  if (options.hidesBlanks) {
    Type flag = inner.getI1Type();
    Value valid = body.addArgument(RankedTensorType::get({any, any}, flag), loc);
    Value filled = unsqueeze(valid, {1, 2}, {any, 1, 1, any});
    mask = mask ? both(inner, loc, filled, mask) : filled;
    if (cast<RankedTensorType>(mask.getType()).getElementType() == flag)
      attention.setBooleanZero(true);
  }
  if (mask)
    attention.getBiasMutable().assign(mask);
}
