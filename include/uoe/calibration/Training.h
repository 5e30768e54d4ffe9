// Training-time forms of the routed systems that are of use to inference tooling: gradients, losses
// and load statistics, written out by hand. Everything is in plain matrices; nothing is learned
// here but routers (distillRouter).
#pragma once
#include "Experts.h"
#include "Ffn.h"

namespace uoe::calibration {

//===--- DSMoE's gate (arXiv 2502.12455) ------------------------------------------------------===//

/// y = c Σ_i o_i G(σ(h Y_i)) with G(s) = s if s > tau, else 0, and o_i = FFN_i(h); c is n over the
/// number of active experts where `rescale`, else 1. A token without active experts gets 0.
struct GatedExperts {
  std::vector<FfnWeights> experts; // n, of equal inputs and outputs
  MatrixView router;               // Y [d, n]
  float tau = 0.5f;
  bool rescale = true;
};

struct GatedForward {
  Matrix gates;  // σ(h Y), [tokens, n]
  Matrix active; // 1 where the gate is above tau
  Matrix y;      // [tokens, outputs]
};
Status forwardGated(const GatedExperts &layer, MatrixView h, GatedForward &result);

struct FfnGradients {
  Matrix gate, up, down;                         // up is empty in a plain block
  std::vector<float> gateBias, upBias, downBias; // empty where the block has none
};

struct GatedGradients {
  Matrix router; // dL/dY, [d, n]
  std::vector<FfnGradients> experts;
};
/// Gradients for dL/dy [tokens, outputs] plus `sparsity` · Σ_t Σ_i G(σ(h_t Y_i)), the loss that
/// keeps experts off. Straight-through: S(s) = sg(G(s)) + s − sg(s) has slope 1 everywhere, so that
///   dY_i = Σ_t h_tᵀ (c ⟨dL/dy_t, o_i(h_t)⟩ + sparsity) σ'(h_t Y_i)   for every i, active or not,
/// with c as a constant; weights of an expert get gradients from the tokens for which it is active.
Status backwardGated(const GatedExperts &layer, MatrixView h, const GatedForward &forward,
                     MatrixView outputGradient, double sparsity, GatedGradients &gradients);

/// Mean over the tokens of Σ_i G(σ(h Y_i)): DSMoE's loss of one layer but for the factor 1/N.
double sparsityLoss(const GatedForward &forward);

/// Gradients of one block for x [tokens, d] and dL/dy [tokens, n].
FfnGradients backwardFfn(const FfnWeights &weights, MatrixView x, MatrixView outputGradient);

/// The derivative of an activation (0 at ReLU's kink); a central difference of a custom one.
double derivative(const Activation &activation, double value);

//===--- Load and balance ---------------------------------------------------------------------===//

/// How evenly experts are used; batches, and recurrences of one layer, add up.
struct LoadStatistics {
  int64_t tokens = 0;
  std::vector<double> probability; // Σ_t p_t: softmax of the logits
  std::vector<double> chosen;      // how many tokens chose each expert

  /// logits and weights (0: not chosen) [tokens, n].
  Status add(MatrixView logits, MatrixView weights);
  std::vector<double> meanProbability() const; // p̄
  /// Σ_e p̄_e log p̄_e: −log n when all are used alike, 0 when one is used alone (MoEUT's loss).
  double entropy() const;
  /// Largest share of the choices over 1/n: 1 is even.
  double imbalance() const;
};

/// Σ_e p̄_e log p̄_e over all rows of all `logits` (the recurrences of one layer), and its gradient
/// with respect to each.
double balanceEntropy(const std::vector<MatrixView> &logits, std::vector<Matrix> *gradients);

/// X-MoE's balance loss (arXiv 2204.09179): n Σ_e f_e p̄_e with f_e the share of tokens that chose e
/// and p = softmax(scores / tau0); tau0 is its own temperature, fixed (0.3 with a softmax gate,
/// 0.07 with a sigmoid), not the learned one of the gate. The shares f are constants to the
/// gradient.
double balanceLoss(MatrixView scores, MatrixView weights, double tau0, Matrix *gradient);

//===--- Router distillation ------------------------------------------------------------------===//

struct DistillOptions {
  int64_t steps = 200;
  int64_t batch = 512;        // tokens of a step
  double learningRate = 0.02; // of Adam, relative to the router's root mean square; cosine to 5%
  double beta1 = 0.9, beta2 = 0.98;
};

struct DistillResult {
  double before = 0, after = 0; // relative error of the block's output on held-out tokens
};

/// Trains the router of a plan alone, on ‖y − ŷ‖² of its own block: ŷ under the hard mask, the
/// slope of a sigmoid around the threshold for the mask's (straight-through), the threshold set
/// anew on each batch so that as many neurons run as before. The plan's other parts stay.
/// Afterwards the threshold is set for `options.budget`. Kept only if the error on held-out tokens
/// falls.
Status distillRouter(const FfnWeights &weights, const CalibrationData &data,
                     const ExpertOptions &options, const DistillOptions &distill, ExpertPlan &plan,
                     DistillResult &result);

} // namespace uoe::calibration
