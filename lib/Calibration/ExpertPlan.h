// Inner parts of the routed recipe, shared by its calibration and its reference execution.
#pragma once
#include "Hidden.h"
#include "uoe/calibration/Experts.h"

namespace uoe::calibration {

/// Tokens whose scores set a threshold: enough for a quantile, few enough to sort.
constexpr int64_t kScoredTokens = 16384;
constexpr int64_t kCurveTokens = 1024; // tokens on which an error curve is measured

double perNeuron(const FfnWeights &weights);                         // multiply-adds of one neuron
double fixedCost(const FfnWeights &weights, const ExpertPlan &plan); // core, router, linear term
double skippedCost(const FfnWeights &weights, const ExpertPlan &plan); // one skip vector, or 0

/// s = x router + routerBias, [tokens, E].
Matrix scores(const ExpertPlan &plan, MatrixView x);

/// The lowest threshold whose mean cost on these scores meets the budget.
Status chooseThreshold(const FfnWeights &weights, const Matrix &scores, double budget,
                       ExpertPlan &plan);

struct Masked {
  Matrix kept;    // [tokens, F], the plan's order, 0 where the expert is skipped
  Matrix skipped; // [tokens, E], 1 where it is
  double multiplyAdds = 0, activeNeurons = 0; // summed over the tokens
};
/// h [tokens, F] are the dense block's inner values for x, in its own order.
Masked maskHidden(const FfnWeights &weights, const ExpertPlan &plan, MatrixView x, const Matrix &h);

} // namespace uoe::calibration
