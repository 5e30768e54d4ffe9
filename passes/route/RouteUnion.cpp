// route-union: experts that pick their tokens (Union of Experts, arXiv 2503.02495, section on
// patch-wise data selection).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/Route.h"

namespace uoe {
#define GEN_PASS_DEF_ROUTEUNIONPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;

namespace {

struct RouteUnionPass : uoe::impl::RouteUnionPassBase<RouteUnionPass> {
  using RouteUnionPassBase::RouteUnionPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto choice = [&](StringRef option, StringRef value, ArrayRef<StringRef> allowed) {
      return checkChoice(module, "route-union", option, value, allowed);
    };
    if (failed(choice("capacity", capacity, {"share", "takers", "least"})) ||
        failed(choice("normalize", normalize, {"experts", "batch"})) ||
        failed(choice("padding", padding, {"masked", "token"})) ||
        failed(choice("router", router, {"seeded", "zero"})))
      return signalPassFailure();
    if (k < 0 || !(share > 0 && share <= 1)) {
      module.emitError("route-union: ")
          << (k < 0 ? "k is at least 0, found " + std::to_string(k)
                    : "share lies above 0 and is at most 1, found " + std::to_string(share));
      return signalPassFailure();
    }
    SmallVector<ExpertsOp> blocks;
    module.walk([&](ExpertsOp experts) {
      if (!experts.getRouting() && !experts->getParentOfType<ExpertsOp>())
        blocks.push_back(experts);
    });
    for (ExpertsOp experts : blocks) {
      AttentionOp attention;
      experts.getBody().walk([&](AttentionOp op) { attention = op; });
      std::string name = blockName(experts, attention ? "attention" : "ffn");
      if (std::string why = obstacle(experts, attention); !why.empty())
        leaveDense(experts, name, why);
      else if (failed(route(experts, attention, name)))
        return signalPassFailure();
    }
  }

  // Why experts stay as they are; "" if nothing keeps them from being routed.
  std::string obstacle(ExpertsOp experts, AttentionOp attention) {
    if (experts.numExperts() < 2)
      return "it is one expert";
    if (experts.getCombine() != Combine::sum || experts.getShared().empty())
      return "it is a step before another one's sum";
    if (k > experts.numExperts())
      return "it has " + std::to_string(experts.numExperts()) + " experts, of which k is " +
             std::to_string(k);
    if (!tokens(experts))
      return "none of its inputs is float32 tokens [batch, sequence, d]";
    if (!attention)
      return "";
    // What is gathered is cut along the sequence.
    if (!attention.getQuery() || !attention.getSpelling().empty())
      return "its attention is a fused operator";
    if (attention.getBias())
      return "its attention has a mask";
    for (Value value : experts.getShared()) {
      auto type = cast<RankedTensorType>(value.getType());
      if (type.getRank() != 3 || !type.isDynamicDim(1))
        return "it reads something else than tokens and tables [batch, sequence, ...]";
    }
    for (Value value : experts.getSliced())
      if (!isWeight(value))
        return "it has a cache";
    return "";
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

  // The tokens that the experts read: the first shared operand that a matrix multiplies.
  static Value tokens(ExpertsOp experts) {
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

  LogicalResult route(ExpertsOp experts, AttentionOp attention, const std::string &name) {
    OpBuilder builder(experts);
    Location loc = experts.getLoc();
    int64_t n = experts.numExperts();
    Value x = tokens(experts);
    SmallVector<int64_t> shape(cast<RankedTensorType>(x.getType()).getShape());
    FailureOr<Value> weights =
        newRouter(builder, getOperation(), name, shape.back(), n, router, seed);
    if (failed(weights))
      return failure();
    shape.back() = n;
    auto score = ScoreOp::create(builder, loc, RankedTensorType::get(shape, builder.getF32Type()),
                                 ScoreKind::linear, x, ValueRange{*weights});
    auto select = SelectOp::create(builder, loc, RoutingType::get(&getContext(), n),
                                   Rule::token_topk, score.getScores());
    select.setK(all ? n : k > 0 ? static_cast<int64_t>(k) : std::max<int64_t>(1, n / 2));
    select.setScoring(Scoring::softmax);
    select.setNormalize(normalize == "batch" ? NormalizeAxis::batch : NormalizeAxis::experts);
    if (capacity != "takers")
      select.setCapacityShareAttr(builder.getF32FloatAttr(static_cast<float>(share)));
    select.setCapacityTakers(capacity != "share");
    select.setPadding(padding == "token" ? Padding::token : Padding::masked);
    experts.getRoutingMutable().assign(select.getRouting());
    experts->setAttr("uoe.recipe", builder.getStringAttr("union"));
    if (attention)
      gather(experts, attention);
    ++routed;
    return success();
  }

  // The experts' own tokens, and which of their places are filled.
  void gather(ExpertsOp experts, AttentionOp attention) {
    experts.setGathered(true);
    if (padding == "token")
      return;
    Block &body = experts.getBody().front();
    Location loc = experts.getLoc();
    constexpr int64_t any = ShapedType::kDynamic;
    Type flag = IntegerType::get(&getContext(), 1);
    Value valid = body.addArgument(RankedTensorType::get({any, any}, flag), loc);
    OpBuilder inner = OpBuilder::atBlockBegin(&body);
    auto axes = DenseElementsAttr::get(RankedTensorType::get({2}, inner.getI64Type()),
                                       ArrayRef<int64_t>{1, 2});
    auto constant = NodeOp::create(inner, loc, TypeRange{axes.getType()}, "Constant", ValueRange{},
                                   {inner.getNamedAttr("value", axes)});
    auto mask = NodeOp::create(inner, loc, TypeRange{RankedTensorType::get({any, 1, 1, any}, flag)},
                               "Unsqueeze", {valid, constant.getResult(0)});
    attention.getBiasMutable().assign(mask.getResult(0));
    attention.setBooleanZero(true);
  }
};

} // namespace
