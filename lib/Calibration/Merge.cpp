#include "uoe/calibration/Merge.h"
#include "Hidden.h"
#include "Refit.h"
#include <algorithm>
#include <cmath>

namespace uoe::calibration {
namespace {

/// Directions that differ by no more than this are equal up to the rounding of a rescaled
/// single-precision row.
constexpr double kRounding = 1e-6;
constexpr int64_t kStrip = 512, kMergeTokens = 4096;

/// One neuron's rows, each with its bias as the last element: [F, d + 1].
Matrix neuronRows(MatrixView w, const float *bias) {
  Matrix rows(w.cols, w.rows + 1);
  for (int64_t j = 0; j < w.cols; ++j) {
    for (int64_t i = 0; i < w.rows; ++i)
      rows(j, i) = w(i, j);
    rows(j, w.rows) = bias ? bias[j] : 0.0f;
  }
  return rows;
}

/// How a row may be a multiple of another for the neurons to be multiples of each other.
enum class Multiple { One, Positive, Any };

struct Rows {
  Matrix rows, unit; // unit: divided by the norm
  std::vector<float> norm;
  Multiple allowed = Multiple::One;

  Rows(Matrix all, Multiple allowed)
      : rows(std::move(all)), unit(rows), norm(rowNorms(rows)), allowed(allowed) {
    for (int64_t j = 0; j < unit.rows; ++j)
      for (int64_t i = 0; i < unit.cols; ++i)
        unit(j, i) *= norm[j] > 0 ? 1 / norm[j] : 0.0f;
  }

  bool maybe(float cosine, double tolerance) const {
    double c = allowed == Multiple::Any ? std::abs(cosine) : cosine;
    return c >= 1 - tolerance * tolerance / 2 - 1e-4;
  }

  /// Row i ≈ scale · row j: the distance of their directions, or of the rows relative to their size
  /// where no rescaling is allowed.
  double distance(int64_t i, int64_t j, double &scale) const {
    scale = 1;
    if (norm[i] == 0 || norm[j] == 0)
      return norm[i] == norm[j] ? 0 : 2;
    double product = 0;
    for (int64_t k = 0; k < rows.cols; ++k)
      product += static_cast<double>(rows(i, k)) * rows(j, k);
    if (allowed != Multiple::One)
      scale = (allowed == Multiple::Any && product < 0 ? -1.0 : 1.0) * norm[i] / norm[j];
    double sum = 0;
    for (int64_t k = 0; k < rows.cols; ++k) {
      double difference = rows(i, k) - scale * rows(j, k);
      sum += difference * difference;
    }
    return std::sqrt(sum) / norm[i];
  }
};

/// Ridge of what near duplicates left unexplained on the neurons that remain, if that helps on
/// held-out tokens; then the error that is left.
void refit(const FfnWeights &weights, const Matrix &h, bool near, MergePlan &plan) {
  int64_t n = weights.outputs(), count = static_cast<int64_t>(plan.kept.size());
  Matrix kept(h.rows, count);
  for (int64_t t = 0; t < h.rows; ++t)
    for (int64_t k = 0; k < count; ++k)
      kept(t, k) = h(t, plan.kept[k]);
  Matrix dense = multiply(h, weights.down), residual = multiply(kept, plan.down);
  for (int64_t k = 0; k < dense.rows * n; ++k)
    residual.values[k] = dense.values[k] - residual.values[k];
  HeldOut heldOut(h.rows, 0.2);
  auto part = [&](const Matrix &all, bool held, bool constant) {
    Matrix rows(0, all.cols + constant);
    for (int64_t t = 0; t < all.rows; ++t)
      if (heldOut(t) == held) {
        rows.values.insert(rows.values.end(), all.row(t), all.row(t) + all.cols);
        if (constant)
          rows.values.push_back(1);
        ++rows.rows;
      }
    return rows;
  };
  RefitStatistics statistics(count + 1, n);
  if (near)
    for (bool held : {false, true})
      statistics.add(part(kept, held, true), part(residual, held, false), held);
  Matrix judged = part(dense, true, false);
  if (judged.rows == 0)
    judged = dense;
  double energy = std::max(squaredNorm(judged.values.data(), judged.rows * n), 1e-30);
  Matrix left = part(residual, true, false);
  if (left.rows == 0)
    left = residual;
  double error = squaredNorm(left.values.data(), left.rows * n), ridge = 0;
  if (near)
    for (double candidate : {0.01, 0.1, 1.0})
      if (double e = statistics.heldOutError(statistics.solve(candidate, count)); e < error) {
        error = e;
        ridge = candidate;
      }
  if (ridge > 0) {
    statistics.useHeldOut();
    Matrix delta = statistics.solve(ridge, count);
    for (int64_t k = 0; k < count * n; ++k)
      plan.down.values[k] += delta.values[k];
    plan.outputBias.assign(delta.row(count), delta.row(count) + n);
  }
  plan.error = error / energy;
}

} // namespace

Status mergeNeurons(const FfnWeights &weights, const CalibrationData *data,
                    const MergeOptions &options, MergePlan &plan) {
  const Tokens *inputs = data ? data->inputs : nullptr;
  if (Status s = check(weights, inputs); !s.ok())
    return s;
  if (!(options.tolerance >= 0) || options.tolerance > 1)
    return {"tolerance: expected 0 to 1, found " + std::to_string(options.tolerance)};
  if (options.tolerance > 0 && !inputs)
    return {"merging near duplicates: expected calibration tokens, found none"};
  plan = {};
  bool relu = weights.activation == Activation::Relu,
       linear = weights.activation == Activation::Identity;
  Rows gate(neuronRows(weights.gate, weights.gateBias), linear ? Multiple::Any
                                                        : relu ? Multiple::Positive
                                                               : Multiple::One);
  Rows up(weights.gated() ? neuronRows(weights.up, weights.upBias) : Matrix(weights.neurons(), 0),
          Multiple::Any);
  std::vector<float> downNorm = rowNorms(weights.down);
  Matrix x, h;
  if (inputs) {
    x = gatherTokens(*inputs, spacedTokens(inputs->count(), kMergeTokens));
    h = hidden(weights, x).h;
  }
  double tolerance = std::max(options.tolerance, kRounding);
  bool zeroAtZero = apply(weights.activation, 0.0f) == 0.0f;

  int64_t f = weights.neurons();
  std::vector<int64_t> place(static_cast<size_t>(f), -1); // position among the kept, or -1
  Matrix gateCosine, upCosine;
  for (int64_t i = 0; i < f; ++i) {
    bool silent = downNorm[i] == 0 || (zeroAtZero && gate.norm[i] == 0) ||
                  (weights.gated() && up.norm[i] == 0);
    if (silent) {
      plan.merged.push_back({i, -1, 0, true});
      continue;
    }
    int64_t strip = i % kStrip;
    if (strip == 0 || gateCosine.empty()) { // cosines of a strip of neurons to all before its end
      int64_t begin = i - strip, rows = std::min(kStrip, f - begin);
      auto cosines = [&](const Rows &r) {
        MatrixView all = r.unit;
        return multiply({all.data + begin * all.cols, rows, all.cols},
                        MatrixView(all.data, begin + rows, all.cols).transposed());
      };
      gateCosine = cosines(gate);
      if (weights.gated())
        upCosine = cosines(up);
    }
    MergedNeuron match{i, -1, 0, false};
    double nearest = 2;
    for (int64_t j : plan.kept) {
      if (!gate.maybe(gateCosine(strip, j), tolerance) ||
          (weights.gated() && !up.maybe(upCosine(strip, j), tolerance)))
        continue;
      double gateScale, upScale = 1, away = gate.distance(i, j, gateScale);
      if (weights.gated())
        away = std::max(away, up.distance(i, j, upScale));
      if (away > tolerance || away >= nearest)
        continue;
      nearest = away;
      match = {i, j, static_cast<float>(gateScale * upScale), away <= kRounding};
    }
    if (match.into < 0) {
      place[i] = static_cast<int64_t>(plan.kept.size());
      plan.kept.push_back(i);
      continue;
    }
    if (!match.exact) { // the multiple that fits best on the tokens
      double product = 0, square = 1e-30;
      for (int64_t t = 0; t < h.rows; ++t) {
        product += static_cast<double>(h(t, i)) * h(t, match.into);
        square += static_cast<double>(h(t, match.into)) * h(t, match.into);
      }
      match.scale = static_cast<float>(product / square);
    }
    plan.merged.push_back(match);
  }

  int64_t n = weights.outputs();
  plan.down = Matrix(static_cast<int64_t>(plan.kept.size()), n);
  for (size_t k = 0; k < plan.kept.size(); ++k)
    for (int64_t j = 0; j < n; ++j)
      plan.down(static_cast<int64_t>(k), j) = weights.down(plan.kept[k], j);
  for (const MergedNeuron &m : plan.merged)
    if (m.into >= 0)
      for (int64_t j = 0; j < n; ++j)
        plan.down(place[m.into], j) += m.scale * weights.down(m.from, j);
  bool near = std::any_of(plan.merged.begin(), plan.merged.end(),
                          [](const MergedNeuron &m) { return !m.exact; });
  if (inputs)
    refit(weights, h, near, plan);
  return {};
}

} // namespace uoe::calibration
