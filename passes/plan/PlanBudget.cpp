// plan-budget: one budget for each block, so that the whole meets the user's, spread by how much
// each block loses. The decision is the attribute uoe.budget of the block, which routing passes
// obey and a user may edit.
#include "include/uoe/calibration/Cascade.h"
#include "include/uoe/calibration/Experts.h"
#include "include/uoe/calibration/Plan.h"
#include "lib/Conversion/Calibrate.h"
#include "lib/Report/Progress.h"
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
    std::string error;
    std::shared_ptr<Profile> data = Profile::open(profile, error);
    if (!data) {
      getOperation().emitError("plan-budget: ") << error;
      return signalPassFailure();
    }
    std::vector<FfnOp> blocks;
    for (FfnOp ffn : routableBlocks(getOperation()))
      if (data->tokens(inputProbe(blockName(ffn, "ffn"))))
        blocks.push_back(ffn);
    if (blocks.empty())
      return;
    report::Progress progress("sensitivity", static_cast<int64_t>(blocks.size()));
    std::vector<calibration::LayerCurve> curves;
    for (FfnOp ffn : blocks) {
      calibration::LayerCurve curve;
      if (failed(measure(ffn, *data, curve)))
        return signalPassFailure();
      curves.push_back(std::move(curve));
      progress.step();
    }
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
  LogicalResult measure(FfnOp ffn, const Profile &data, calibration::LayerCurve &curve) {
    std::string name = blockName(ffn, "ffn");
    WeightReader reader;
    FailureOr<BlockWeights> weights = loadWeights(ffn, reader);
    if (failed(weights))
      return failure();
    curve.weight = static_cast<double>(weights->ffn.multiplyAdds());
    calibration::CalibrationData inputs;
    inputs.inputs = data.tokens(inputProbe(name));
    double importance = 1;
    if (auto attr = ffn->getAttrOfType<FloatAttr>("uoe.importance"))
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
        status = calibration::calibrateExperts(weights->ffn, inputs, options, plan);
        cost = plan.cost;
        loss = plan.error;
      } else {
        calibration::CascadeOptions options;
        options.budget = share;
        options.search = false;
        options.tokens = 1024;
        calibration::CascadePlan plan;
        status = calibration::calibrateCascade(weights->ffn, inputs, options, plan);
        cost = plan.cost;
        loss = plan.error;
      }
      if (!status.ok())
        continue; // a share that this block cannot reach is no point of its curve
      curve.points.push_back({cost, loss * importance});
    }
    return success();
  }
};

} // namespace
