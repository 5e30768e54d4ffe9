// route-union: experts that pick their tokens (Union of Experts, arXiv 2503.02495, section on
// patch-wise data selection).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/GatherTokens.h"
#include "passes/route/Route.h"

namespace uoe {
#define GEN_PASS_DEF_ROUTEUNIONPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

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
        failed(choice("positions", positions, {"token", "compacted"})) ||
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
    if (!tokensOf(experts))
      return "none of its inputs is float32 tokens [batch, sequence, d]";
    return attention ? whyNotGathered(experts, attention, positions == "compacted") : "";
  }

  LogicalResult route(ExpertsOp experts, AttentionOp attention, const std::string &name) {
    OpBuilder builder(experts);
    Location loc = experts.getLoc();
    int64_t n = experts.numExperts();
    Value x = tokensOf(experts);
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
      gatherTokens(experts, attention, {positions == "compacted", padding == "masked"}, masks);
    ++routed;
    return success();
  }

  GatheredMasks masks;
};

} // namespace
