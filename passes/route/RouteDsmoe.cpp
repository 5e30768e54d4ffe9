// route-dsmoe: a pretrained feed-forward block as DSMoE starts from it (arXiv 2502.12455).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/Route.h"
#include <cmath>

namespace uoe {
#define GEN_PASS_DEF_ROUTEDSMOEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct RouteDsmoePass : uoe::impl::RouteDsmoePassBase<RouteDsmoePass> {
  using RouteDsmoePassBase::RouteDsmoePassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto choice = [&](StringRef option, StringRef value, ArrayRef<StringRef> allowed) {
      return checkChoice(module, "route-dsmoe", option, value, allowed);
    };
    if (failed(choice("weight", weight, {"gate", "unit"})) ||
        failed(choice("router", router, {"seeded", "zero"})))
      return signalPassFailure();
    if (experts < 1 || !(tau < 1)) {
      module.emitError("route-dsmoe: ")
          << (experts < 1
                  ? "experts is at least 1, found " + std::to_string(experts)
                  : "tau is below 1, which no sigmoid exceeds, found " + std::to_string(tau));
      return signalPassFailure();
    }
    for (FfnOp ffn : denseBlocks(module)) {
      std::string name = blockName(ffn, "ffn");
      if (std::string why = obstacle(ffn); !why.empty())
        leaveDense(ffn, name, why);
      else if (failed(route(ffn, name)))
        return signalPassFailure();
    }
  }

  // Why a block stays dense; "" if nothing keeps it from being routed.
  std::string obstacle(FfnOp ffn) {
    auto x = dyn_cast<RankedTensorType>(ffn.getInput().getType());
    auto up = dyn_cast<RankedTensorType>(ffn.getUp().getType());
    if (!x || !isa<RankedTensorType>(ffn.getOutput().getType()))
      return "its rank is not known";
    if (!x.getElementType().isF32())
      return "its activations are no float32";
    if (!up || !up.hasStaticShape())
      return "its number of neurons is not known";
    if (up.getDimSize(1) < experts)
      return "it has " + std::to_string(up.getDimSize(1)) + " neurons for " +
             std::to_string(experts) + " experts";
    return quantisesActivations(ffn.getSpelling()) ? "it quantises its activations" : "";
  }

  LogicalResult route(FfnOp ffn, const std::string &name) {
    OpBuilder builder(ffn);
    Location loc = ffn.getLoc();
    auto up = cast<RankedTensorType>(ffn.getUp().getType());
    FailureOr<Value> weights =
        newRouter(builder, getOperation(), name, up.getDimSize(0), experts, router, seed);
    if (failed(weights))
      return failure();
    auto x = cast<RankedTensorType>(ffn.getInput().getType());
    SmallVector<int64_t> shape(x.getShape());
    shape.back() = experts;
    auto score = ScoreOp::create(builder, loc, RankedTensorType::get(shape, x.getElementType()),
                                 ScoreKind::linear, ffn.getInput(), ValueRange{*weights});
    auto select = SelectOp::create(builder, loc, RoutingType::get(&getContext(), experts),
                                   Rule::threshold, score.getScores());
    select.setTauAttr(builder.getF32FloatAttr(static_cast<float>(tau)));
    select.setScoring(Scoring::sigmoid);
    select.setWeight(weight == "gate" ? WeightRule::gate : WeightRule::unit);
    if (scale)
      select.setScaling(Scaling::n_over_active);
    FailureOr<ExpertsOp> split = splitFfn(builder, ffn, {}, evenSizes(up.getDimSize(1), experts),
                                          select.getRouting(), {}, {});
    if (failed(split))
      return failure();
    copyName(ffn, *split);
    (*split)->setAttr("uoe.recipe", builder.getStringAttr("dsmoe"));
    ffn.getResult().replaceAllUsesWith(
        addBias(builder, loc, split->getOutput(), ffn.getBiasDown()));
    ffn.erase();
    ++routed;
    return success();
  }
};

} // namespace
