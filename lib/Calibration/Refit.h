// Ridge refit of a down-projection to what is left when experts are skipped.
#pragma once
#include "Hidden.h"

namespace uoe::calibration {

/// Normal equations of y on features [h ⊙ mask | skipped | x | 1], accumulated batch by batch, for
/// the tokens of the fit and for the ones held out.
class RefitStatistics {
public:
  RefitStatistics(int64_t features, int64_t outputs);
  /// Features [tokens, features], the last one 1; residual [tokens, outputs]: what the dense
  /// weights leave unexplained. Both already multiplied by √token weight.
  void add(const Matrix &features, const Matrix &residual, bool heldOut);
  /// Replaces the features by features · map, map [features, other].
  void project(const Matrix &map);
  /// Δ [features, outputs], ridge relative to the mean diagonal of the covariance of the first
  /// `scaleOver` features; the last feature, the constant, is not penalised. Solves for the tokens
  /// of the fit.
  Matrix solve(double ridge, int64_t scaleOver) const;
  /// Σ ‖residual − features Δ‖² on held-out tokens (on the fit's if there are none).
  double heldOutError(const Matrix &delta) const;
  /// Moves what was held out to the tokens of the fit, for a last solution after all choices are
  /// made.
  void useHeldOut();
  double heldOutEnergy() const; // the same for Δ = 0
  int64_t features() const { return n; }
  /// Σ x xᵀ of features [begin, end) on the tokens of the fit.
  std::vector<double> gram(int64_t begin, int64_t end) const;

private:
  struct Sums {
    std::vector<double> gram, cross;
    double energy = 0;
    int64_t count = 0;
  };
  int64_t n, m;
  Sums fit, held;
  const Sums &judge() const { return held.count ? held : fit; }
};

} // namespace uoe::calibration
