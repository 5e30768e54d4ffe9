// The cascade of exact thresholds: experts of single input channels and single neurons, chosen by
// the magnitudes themselves, so that no router is needed.
#pragma once
#include "Ffn.h"
#include "Plan.h"

namespace uoe::calibration {

/// What is kept or dropped at each of the four stages; a plain block has only the first and the
/// last.
struct CascadeRates {
  double gateDropped = 0; // p_g: share of x's channels left out of W_g (W_1)
  double gateKept = 1;    // a: share of neurons whose gate lets W_u run
  double upDropped = 0;   // p_u: share of x's channels left out of W_u
  double downKept = 1;    // d_n: share of neurons that reach W_d
};

/// Share of the dense multiply-adds: gated ((1 − p_g) F d + a (1 − p_u) F d + d_n F n) / (F (2d +
/// n)), plain likewise.
double cascadeCost(const FfnWeights &weights, const CascadeRates &rates);

/// Which sides of W_u are masked. Both saves most multiply-adds; one side alone is what code that
/// walks W_u in contiguous pieces can turn into time.
enum class UpMask { Both, Neurons, Channels };

struct CascadeOptions {
  double budget = 0.75;
  UpMask upMask = UpMask::Both; // for gated blocks; rates that are given are not changed
  bool search = true; // look for the rates with the least error; else interpolate measured ones
  int64_t searchTokens = 384; // evenly spaced tokens on which candidate rates are compared
  int64_t tokens = 4096;      // evenly spaced tokens for norms, means and quantiles
  bool outputBias = true;     // add the mean of what was dropped to the bias
  double heldOut = 0.2;       // share of the tokens kept for the error
};

/// With z = x − mean:
///   g = act((z ⊙ [|z| c > t_g]) W_g + gateOffset)      gateOffset = mean W_g + b_g
///   A = [|g| r > t_a]                                    (gated only)
///   u = (z ⊙ [|z| d > t_u]) W_u + upOffset  where A     upOffset = mean W_u + b_u
///   h = g ⊙ u ⊙ A,   ŷ = (h ⊙ [|h| w > t_d]) W_d + outputBias
struct CascadePlan {
  std::vector<float> mean;       // [d]
  std::vector<float> gateNorm;   // c [d]: ‖W_g[i,:]‖
  std::vector<float> upNorm;     // d [d]: ‖W_u[i,:]‖, empty in a plain block
  std::vector<float> gateScale;  // r [F]: w_j √E[u_j²], empty in a plain block
  std::vector<float> downNorm;   // w [F]: ‖W_d[j,:]‖
  std::vector<float> gateOffset; // [F]
  std::vector<float> upOffset;   // [F], empty in a plain block
  std::vector<float> outputBias; // [n], replaces the dense b_d
  float gateThreshold = 0, activeThreshold = 0, upThreshold = 0,
        downThreshold = 0; // t_g, t_a, t_u, t_d
  CascadeRates rates;      // asked for

  CascadeRates realised; // on held-out tokens
  double cost = 1;       // of `realised`
  double error = 0;      // relative, on held-out tokens
  double energy = 0;     // Σ w ‖y‖² a held-out token: error · energy is absolute
};

/// Rates for a budget without looking at data: piecewise linear between nothing dropped and the
/// rates that the search finds on average at 25% and 50% saved (a SwiGLU decoder, d 576 F 1536; a
/// GELU encoder, d 384 F 1536), extrapolated below, so that the budget is met exactly for this
/// block's shape.
CascadeRates interpolateRates(const FfnWeights &weights, double budget,
                              UpMask upMask = UpMask::Both);

Status calibrateCascade(const FfnWeights &weights, const CalibrationData &data,
                        const CascadeOptions &options, CascadePlan &plan);
/// The same with given rates: no search, the budget is not looked at.
Status calibrateCascade(const FfnWeights &weights, const CalibrationData &data,
                        const CascadeOptions &options, const CascadeRates &rates,
                        CascadePlan &plan);

/// How the error grows as the budget falls, for spreadBudget(): interpolated rates on
/// options.searchTokens tokens. Errors are absolute (Σ w ‖y − ŷ‖² a token).
Status cascadeCurve(const FfnWeights &weights, const CalibrationData &data,
                    const CascadeOptions &options, const std::vector<double> &budgets,
                    LayerCurve &curve);

/// The reference meaning of a plan; `cost`, if given, is the realised share on these tokens.
Status runCascade(const FfnWeights &weights, const CascadePlan &plan, MatrixView x, Matrix &y,
                  double *cost = nullptr);

} // namespace uoe::calibration
