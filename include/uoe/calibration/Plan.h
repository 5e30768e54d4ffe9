// Spreading one budget over layers.
#pragma once
#include "Matrix.h"

namespace uoe::calibration {

/// A layer's measured choices: cost as a share of its dense multiply-adds, error in any unit that
/// may be added up over layers. Order does not matter; the dense form (cost 1, error 0) is implied.
struct LayerCurve {
  double weight = 1; // the layer's dense multiply-adds, in any unit common to all
  struct Point {
    double cost, error;
  };
  std::vector<Point> points;
};

/// One budget for each layer such that Σ weight·cost ≤ budget·Σ weight, by steepest descent along
/// the lower convex hull of each curve: always the step with the least error per multiply-add
/// saved; ties go to the first layer. The last step is cut so that the budget is met exactly. An
/// unreachable budget gives an error that names the least possible cost.
Status spreadBudget(const std::vector<LayerCurve> &layers, double budget,
                    std::vector<double> &costs);

} // namespace uoe::calibration
