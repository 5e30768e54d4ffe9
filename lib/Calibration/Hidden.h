// The dense block's inner values for a batch of tokens, and which tokens take part in a fit.
#pragma once
#include "Gemm.h"
#include "uoe/calibration/Ffn.h"
#include <functional>

namespace uoe::calibration {

struct Hidden {
  Matrix h;  // [tokens, F]: act(x W_g + b_g) ⊙ (x W_u + b_u)
  Matrix up; // [tokens, F]: x W_u + b_u, only if asked for
};

/// Inner values for x [tokens, d].
Hidden hidden(const FfnWeights &weights, MatrixView x, bool wantUp = false);

/// rows [tokens, n] += bias.
void addBias(Matrix &rows, const float *bias);
void applyActivation(const Activation &activation, float *values, int64_t count);

/// ‖W_d[j,:]‖ for each neuron j.
std::vector<float> rowNorms(MatrixView m);

/// Σ of squares in double precision.
double squaredNorm(const float *values, int64_t count);

/// A threshold t that leaves at least `below` of the values at or below it, 0 < below, and the
/// rest, which are > t, above. A score that comes again, as that of a text's first token does, must
/// not fall on either side by the rounding of whoever computes it: t is the middle of the first gap
/// that is wider than 1e-4 of the score, or of the widest among the next 0.1% of the values (3% of
/// a few). Reorders the values.
float cutAbove(std::vector<float> &values, int64_t below);

/// Which tokens are kept out of fits: every k-th run of consecutive tokens, as neighbours resemble
/// each other.
class HeldOut {
public:
  HeldOut(int64_t tokens, double share);
  bool operator()(int64_t token) const { return period > 1 && token / run % period == period - 1; }

private:
  int64_t run = 1, period = 0;
};

/// `wanted` evenly spaced tokens of `count`, ascending; all of them if there are no more.
std::vector<int64_t> spacedTokens(int64_t count, int64_t wanted);
/// The rows of those tokens, [tokens.size(), width].
Matrix gatherTokens(const Tokens &source, const std::vector<int64_t> &tokens);

/// Calls body(begin, x) for consecutive batches x [≤ batch, d] that cover all tokens.
void forBatches(const Tokens &source, int64_t batch,
                const std::function<void(int64_t begin, const Matrix &x)> &body);

/// body(i) for i in [0, count) on all threads; each i must write to places of its own.
void parallelRows(int64_t count, const std::function<void(int64_t i)> &body);

} // namespace uoe::calibration
