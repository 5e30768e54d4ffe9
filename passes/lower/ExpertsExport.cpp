#include "passes/lower/ExpertsExport.h"

using namespace mlir;
using namespace uoe;

std::optional<RoutedFfn> uoe::matchRoutedFfn(ExpertsOp op, std::string &why) {
  auto fail = [&](const Twine &reason) {
    why = reason.str();
    return std::nullopt;
  };
  if (!op.getRouting())
    return fail("it has no routing");
  auto select = op.getRouting().getDefiningOp<SelectOp>();
  if (!select)
    return fail("its routing is no uoe.select");
  if (op.getGathered() || op.getRouting().getType().getTokens() != 1)
    return fail("its experts gather tokens, or serve patches or samples");
  if (classify(op) != ExpertBody::Ffn)
    return fail("its experts are not feed-forward blocks");
  auto body = cast<FfnOp>(op.getBody().front().front());
  unsigned shared = op.getShared().size();
  auto outer = [&](Value inner) -> Value {
    if (!inner)
      return {};
    unsigned i = cast<BlockArgument>(inner).getArgNumber();
    return i < shared ? op.getShared()[i] : op.getSliced()[i - shared];
  };
  RoutedFfn ffn{op,
                select,
                body,
                outer(body.getInput()),
                outer(body.getUp()),
                outer(body.getGate()),
                outer(body.getDown()),
                outer(body.getBiasUp()),
                outer(body.getBiasGate()),
                ShapedType::kDynamic,
                ShapedType::kDynamic};
  auto up = cast<RankedTensorType>(ffn.up.getType()),
       down = cast<RankedTensorType>(ffn.down.getType());
  ffn.inputs = up.getDimSize(0);
  ffn.outputs = down.getDimSize(1);
  if (ShapedType::isDynamic(ffn.inputs) || ShapedType::isDynamic(ffn.outputs))
    return fail("the shapes of its weights are not known");
  if (!isa<RankedTensorType>(ffn.x.getType()))
    return fail("the rank of its input is not known");
  return ffn;
}

Value uoe::routingTensor(OpBuilder &builder, RoutedFfn &ffn, bool chosen) {
  Location loc = ffn.op.getLoc();
  NodeBuilder nodes(builder, loc, onnx::opsetOf(ffn.op));
  Value scores = ffn.select.getScores(), routing = ffn.op.getRouting();
  if (chosen && !ffn.unit()) {
    auto unit = cast<SelectOp>(builder.clone(*ffn.select));
    unit.setWeight(WeightRule::unit);
    unit.setScaling(Scaling::none);
    unit.setFactor(APFloat(1.0f));
    routing = unit.getRouting();
  }
  // Experts that hand a 1 each side by side: their sum of weights is the routing itself.
  auto type = cast<RankedTensorType>(scores.getType());
  auto one = DenseElementsAttr::get(RankedTensorType::get({1}, type.getElementType()),
                                    Attribute(builder.getFloatAttr(type.getElementType(), 1.0)));
  Value shape = nodes.node("Shape", {scores}, {}, builder.getI64Type());
  Value ones = nodes.node("ConstantOfShape", {shape}, {builder.getNamedAttr("value", one)},
                          type.getElementType());
  ones.setType(onnx::dropDims(type));
  int64_t slots = ffn.op.getRouting().getType().getExperts();
  SmallVector<int64_t> sizes(slots, 1), axes{type.getRank() - 1};
  auto experts =
      ExpertsOp::create(builder, loc, onnx::dropDims(type), ValueRange{}, ValueRange{ones}, routing,
                        Value(), axes, sizes, Combine::concat);
  Block *body = new Block;
  experts.getBody().push_back(body);
  SmallVector<int64_t> part(type.getShape());
  part.back() = 1;
  Value argument = body->addArgument(RankedTensorType::get(part, type.getElementType()), loc);
  OpBuilder inner = OpBuilder::atBlockEnd(body);
  YieldOp::create(inner, loc, argument);
  std::optional<ArrayRef<int64_t>> map = ffn.op.getSlots();
  if (!map)
    return experts.getOutput();
  SmallVector<Attribute> flags;
  for (int64_t slot : *map)
    for (int64_t e = 0; e < ffn.experts(); ++e)
      flags.push_back(builder.getFloatAttr(type.getElementType(), slot == e ? 1.0 : 0.0));
  auto mapType = RankedTensorType::get({slots, ffn.experts()}, type.getElementType());
  return nodes.matmul(experts.getOutput(), nodes.constant(DenseElementsAttr::get(mapType, flags)));
}

Value uoe::skippedRows(NodeBuilder &nodes, RoutedFfn &ffn, Value chosen) {
  Value skip = ffn.op.getSkip();
  return skip ? nodes.matmul(nodes.node("Sub", {nodes.scalar(1, skip), chosen}), skip) : Value();
}

void uoe::replaceExperts(RoutedFfn &ffn, Value value) {
  if (value.getDefiningOp<onnx::NodeOp>() && value.use_empty())
    value.setType(ffn.op.getOutput().getType());
  ffn.op.getOutput().replaceAllUsesWith(value);
  ffn.op.erase();
}
