// plan-budget: one budget for each block, so that the whole meets the user's, spread by how much
// each block loses. The decision is the attribute uoe.budget of the block, which routing passes
// obey and a user may edit.
#include "include/uoe/calibration/Cascade.h"
#include "include/uoe/calibration/Experts.h"
#include "include/uoe/calibration/Plan.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/Route.h"

namespace uoe {
#define GEN_PASS_DEF_PLANBUDGETPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct PlanBudgetPass : uoe::impl::PlanBudgetPassBase<PlanBudgetPass> {
  using PlanBudgetPassBase::PlanBudgetPassBase;

  void runOnOperation() override {
    std::vector<FfnOp> blocks;
    std::vector<calibration::LayerCurve> curves;
    VisitOptions visit{"plan-budget", profile, budget, false, "sensitivity"};
    auto measureBlock = [&](VisitedBlock &block) -> LogicalResult {
      blocks.push_back(block.op);
      curves.emplace_back();
      measure(block, curves.back());
      return success();
    };
    if (failed(visitBlocks(getOperation(), visit, measureBlock)))
      return signalPassFailure();
    if (blocks.empty())
      return;
    std::vector<double> costs;
    if (calibration::Status status = calibration::spreadBudget(curves, budget, costs);
        !status.ok()) {
      getOperation().emitError("plan-budget: ") << status.message;
      return signalPassFailure();
    }
    Builder builder(&getContext());
    for (auto [ffn, cost] : llvm::zip(blocks, costs))
      ffn->setAttr("uoe.budget", builder.getF64FloatAttr(std::min(1.0, cost)));
  }

  // Points around the budget, on fewer tokens than routing uses: the order of the layers is what
  // matters.
  void measure(VisitedBlock &block, calibration::LayerCurve &curve) {
    curve.weight = block.denseWork();
    calibration::CalibrationData inputs = block.data();
    const calibration::FfnWeights &ffn = block.weights.ffn;
    double importance = 1;
    if (auto attr = block.op->getAttrOfType<FloatAttr>("uoe.importance"))
      importance = attr.getValueAsDouble();
    for (double step : {-0.12, 0.0, 0.12}) {
      double share = budget + step;
      if (share >= 0.98 || share <= 0.05)
        continue;
      calibration::Status status;
      double cost = 1, loss = 0;
      if (recipe == "experts") {
        calibration::ExpertOptions options;
        options.expertSize = expertSize;
        options.budget = share;
        options.splitTokens = 2048;
        options.splitRounds = 4;
        options.refit = false;
        calibration::ExpertPlan plan;
        status = calibration::calibrateExperts(ffn, inputs, options, plan);
        cost = plan.cost;
        loss = plan.error;
      } else {
        calibration::CascadeOptions options;
        options.budget = share;
        options.search = false;
        options.tokens = 1024;
        calibration::CascadePlan plan;
        status = calibration::calibrateCascade(ffn, inputs, options, plan);
        cost = plan.cost;
        loss = plan.error;
      }
      if (!status.ok())
        continue; // a share that this block cannot reach is no point of its curve
      curve.points.push_back({cost, loss * importance});
    }
  }
};

} // namespace
