// plan-budget: one budget for each block, so that the whole meets the user's, spread by how much
// each block loses. The decision is the attribute uoe.budget of the block, which routing passes
// obey and a user may edit.
#include "include/uoe/calibration/Cascade.h"
#include "include/uoe/calibration/Experts.h"
#include "include/uoe/calibration/Plan.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/Route.h"
#include <cmath>

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
    VisitOptions visit{"plan-budget", profile, budget, false, "sensitivity", true};
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
    if (calibration::Status status = spread(curves, costs); !status.ok()) {
      getOperation().emitError("plan-budget: ") << status.message;
      return signalPassFailure();
    }
    Builder builder(&getContext());
    for (auto [ffn, cost] : llvm::zip(blocks, costs))
      ffn->setAttr("uoe.budget", builder.getF64FloatAttr(std::min(1.0, cost)));
  }

  // A block that would save little is left dense, the one that would save least first, and the
  // others save that as well.
  calibration::Status spread(std::vector<calibration::LayerCurve> curves,
                             std::vector<double> &costs) {
    calibration::Status status = calibration::spreadBudget(curves, budget, costs);
    while (status.ok()) {
      auto most = costs.end();
      for (auto cost = costs.begin(); cost != costs.end(); ++cost)
        if (*cost > denseAbove && *cost < 1 && (most == costs.end() || *cost > *most))
          most = cost;
      if (most == costs.end())
        break;
      curves[static_cast<size_t>(most - costs.begin())].points.clear();
      std::vector<double> fewer;
      // The others may not be able to save that much.
      if (!calibration::spreadBudget(curves, budget, fewer).ok())
        break;
      costs = std::move(fewer);
    }
    return status;
  }

  // Shares around the budget, on fewer tokens than routing uses: what matters is how the error
  // grows.
  void measure(VisitedBlock &block, calibration::LayerCurve &curve) {
    curve.weight = block.denseWork();
    std::vector<Point> points;
    for (double step : {-0.12, 0.0, 0.12}) {
      double share = budget + step;
      if (share >= 0.98 || share <= 0.05)
        continue;
      // A share that this block cannot reach is no point of its curve.
      if (std::optional<Point> point = measureAt(block, share))
        points.push_back(*point);
    }
    if (points.empty())
      return;
    ErrorCurve errors(points);
    auto factor = [&](StringRef name) {
      auto attr = block.op->getAttrOfType<FloatAttr>(name);
      return attr ? attr.getValueAsDouble() : 1.0;
    };
    double scale = factor("uoe.importance");
    // The measured loss is that at the budget: it fixes the curve's height.
    if (block.op->hasAttr("uoe.sensitivity"))
      if (double error = errors.at(budget); error > 0)
        scale *= factor("uoe.sensitivity") / error;
    double least = points.front().cost;
    for (const Point &point : points)
      least = std::min(least, point.cost);
    for (double cost = least; cost < 0.99; cost += 0.01)
      curve.points.push_back({cost, scale * errors.at(cost)});
  }

  using Point = calibration::LayerCurve::Point;

  std::optional<Point> measureAt(VisitedBlock &block, double share) {
    calibration::CalibrationData inputs = block.data();
    const calibration::FfnWeights &ffn = block.weights.ffn;
    if (recipe == "experts") {
      calibration::ExpertOptions options;
      options.expertSize = expertSize;
      options.budget = share;
      options.splitTokens = 2048;
      options.splitRounds = 4;
      options.refit = false;
      calibration::ExpertPlan plan;
      if (!calibration::calibrateExperts(ffn, inputs, options, plan).ok())
        return std::nullopt;
      return Point{plan.cost, plan.error};
    }
    calibration::CascadeOptions options;
    options.budget = share;
    options.search = false;
    options.tokens = 1024;
    calibration::CascadePlan plan;
    if (!calibration::calibrateCascade(ffn, inputs, options, plan).ok())
      return std::nullopt;
    return Point{plan.cost, plan.error};
  }

  // Between measured points and beyond them, the error is a power of the share that is saved: it
  // grows faster than that share, from nothing.
  class ErrorCurve {
  public:
    explicit ErrorCurve(ArrayRef<Point> points) {
      for (const Point &point : points)
        if (point.cost < 1 && point.error > 0)
          logs.push_back({std::log(1 - point.cost), std::log(point.error)});
      llvm::sort(logs);
      logs.erase(std::unique(logs.begin(), logs.end(),
                             [](auto &a, auto &b) { return a.first == b.first; }),
                 logs.end());
    }

    double at(double cost) const {
      if (logs.empty() || cost >= 1)
        return 0;
      double x = std::log(1 - cost);
      size_t i = 0;
      while (i + 2 < logs.size() && x > logs[i + 1].first)
        ++i;
      double slope = 2;
      if (logs.size() > 1)
        slope = (logs[i + 1].second - logs[i].second) / (logs[i + 1].first - logs[i].first);
      return std::exp(logs[i].second + std::max(1.0, slope) * (x - logs[i].first));
    }

  private:
    SmallVector<std::pair<double, double>> logs; // of the saved share, of the error
  };
};

} // namespace
