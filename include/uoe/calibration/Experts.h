// The routed recipe: an always-on core, experts of a few neurons, a linear router with one
// threshold, and a down-projection refitted to what is left when experts are skipped.
#pragma once
#include "Ffn.h"
#include "Plan.h"

namespace uoe::calibration {

struct ExpertOptions {
  int64_t expertSize = 16;  // neurons per expert; the last one may be smaller
  double budget = 0.75;     // executed share of the dense multiply-adds, router counted
  double coreShare = 0.4;   // core neurons / neurons that are active on average
  int64_t lowRank = 0;      // rank of an additional linear term in x, counted in the cost; 0: none
  bool refit = true;        // ridge refit of the down-projection; else the dense one is kept
  bool skipVectors = true;  // one vector per skipped expert is added to the output
  double routerRidge = 0.5; // relative to the mean diagonal of the inputs' covariance
  /// Candidates for the refit's ridge, relative to the mean diagonal of the features' Gram matrix;
  /// the one with the least error on held-out tokens is taken.
  std::vector<double> refitRidge = {0.1, 0.3, 1.0};
  int64_t distillSteps = 0; // of training the router on the block's loss before the refit
  double heldOut = 0.2; // share of the tokens kept out of every fit, for the error and the ridge
  int64_t splitTokens = 4096;              // tokens, evenly spaced, on which neurons are grouped
  int64_t splitRounds = 12;                // rounds of balanced k-means
  int64_t cacheBytes = int64_t{256} << 20; // inner values that may be kept between passes
  int64_t batch = 1024;                    // tokens in flight: bounds the memory
};

/// ŷ = Σ_{core} h_j W_d[j,:] + Σ_{e: s_e ≥ threshold} Σ_{j∈e} h_j W_d[j,:] + Σ_{e: s_e < threshold}
/// skip_e
///     + x linearIn linearOut + outputBias,  with s = x router + routerBias.
struct ExpertPlan {
  std::vector<int64_t>
      permutation;  // [F]: new position -> neuron of the dense block; the core comes first
  int64_t core = 0; // neurons that are always on
  std::vector<int64_t> expertSizes; // [E], consecutive after the core; sums to F − core
  Matrix router;                    // [d, E]
  std::vector<float> routerBias;    // [E]
  float threshold = 0;
  Matrix down;                   // [F, n] in the new order
  std::vector<float> outputBias; // [n], replaces the dense b_d
  Matrix skip;                   // [E, n], empty without skip vectors
  Matrix linearIn, linearOut;    // [d, r], [r, n], empty without the linear term

  // What calibration measured. Costs are shares of the dense block's multiply-adds; errors are
  // relative.
  double cost = 1;        // realised on held-out tokens: core, active experts, router, linear term
  double routerCost = 0;  // of which the router
  double activeShare = 1; // of which neurons (core included), as a share of F
  double error = 0;       // on held-out tokens
  double errorMasked = 0; // the same before the refit: dense W_d under the mask
  double errorRouter = 0, errorDistilled = 0; // with the closed-form router, with the trained one
  double energy = 0; // Σ w ‖y‖² a held-out token: error · energy is absolute
  double ridge = 0;  // the one taken from refitRidge

  int64_t experts() const { return static_cast<int64_t>(expertSizes.size()); }
};

/// Calibrates the recipe for one block. A budget that cannot be met (router and core alone cost
/// more) gives an error naming the least possible cost; a budget of 1 or more gives a plan with
/// every neuron in the core.
Status calibrateExperts(const FfnWeights &weights, const CalibrationData &data,
                        const ExpertOptions &options, ExpertPlan &plan);

/// Sets the threshold alone, again for `budget`, on other tokens (such as the converted model's own
/// trajectory).
Status setThreshold(const FfnWeights &weights, const Tokens &inputs, double budget,
                    ExpertPlan &plan);

/// How the error grows as the budget falls, for spreadBudget(): the plan's experts and router under
/// other thresholds, on at most 1024 evenly spaced tokens, with the share of the error that the
/// refit removed at the plan's own budget. Errors are absolute (Σ w ‖y − ŷ‖² a token); budgets that
/// the plan cannot reach are left out.
Status expertCurve(const FfnWeights &weights, const CalibrationData &data, const ExpertPlan &plan,
                   const std::vector<double> &budgets, LayerCurve &curve);

/// The reference meaning of a plan: y [tokens, n]; `cost`, if given, is the realised share on these
/// tokens.
Status runExperts(const FfnWeights &weights, const ExpertPlan &plan, MatrixView x, Matrix &y,
                  double *cost = nullptr);

} // namespace uoe::calibration
