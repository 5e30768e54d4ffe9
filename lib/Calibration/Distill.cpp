// Training of a plan's router on the block's own loss.
#include "ExpertPlan.h"
#include "uoe/calibration/Training.h"
#include <algorithm>
#include <cmath>

namespace uoe::calibration {

namespace {

/// A few parameters under Adam.
class Adam {
public:
  Adam(const DistillOptions &options, size_t size) : options(options), first(size), second(size) {}
  void step(std::vector<float> &values, const std::vector<double> &gradient, double rate) {
    ++count;
    double a = 1 - std::pow(options.beta1, count), b = 1 - std::pow(options.beta2, count);
    for (size_t i = 0; i < values.size(); ++i) {
      first[i] += (1 - options.beta1) * (gradient[i] - first[i]);
      second[i] += (1 - options.beta2) * (gradient[i] * gradient[i] - second[i]);
      values[i] -= static_cast<float>(rate * (first[i] / a) / (std::sqrt(second[i] / b) + 1e-12));
    }
  }

private:
  const DistillOptions &options;
  std::vector<double> first, second;
  double count = 0;
};

double rootMeanSquare(const std::vector<float> &values) {
  return std::sqrt(squaredNorm(values.data(), static_cast<int64_t>(values.size())) /
                   static_cast<double>(std::max<size_t>(values.size(), 1)));
}

struct Distiller {
  const FfnWeights &weights;
  const CalibrationData &data;
  ExpertPlan &plan;

  Matrix targets(const std::vector<int64_t> &tokens, const Matrix &h) const {
    if (data.targets)
      return gatherTokens(*data.targets, tokens);
    Matrix y = multiply(h, weights.down);
    addBias(y, weights.downBias);
    return y;
  }

  /// ŷ − y for some tokens.
  Matrix residual(const std::vector<int64_t> &tokens, const Matrix &x, const Matrix &h,
                  double *energy) const {
    Masked masked = maskHidden(weights, plan, x, h);
    Matrix r = multiply(masked.kept, plan.down), y = targets(tokens, h);
    if (!plan.skip.empty())
      gemm(masked.skipped, plan.skip, r.values.data(), r.cols, true);
    if (!plan.linearIn.empty())
      gemm(multiply(x, plan.linearIn), plan.linearOut, r.values.data(), r.cols, true);
    if (!plan.outputBias.empty())
      addBias(r, plan.outputBias.data());
    for (size_t i = 0; i < r.values.size(); ++i)
      r.values[i] -= y.values[i];
    if (energy)
      *energy = squaredNorm(y.values.data(), static_cast<int64_t>(y.values.size()));
    return r;
  }

  double error(const std::vector<int64_t> &tokens) const {
    double wrong = 0, all = 0;
    for (size_t begin = 0; begin < tokens.size(); begin += 1024) {
      std::vector<int64_t> part(tokens.begin() + static_cast<int64_t>(begin),
                                tokens.begin() +
                                    static_cast<int64_t>(std::min(begin + 1024, tokens.size())));
      Matrix x = gatherTokens(*data.inputs, part);
      double energy = 0;
      Matrix r = residual(part, x, hidden(weights, x).h, &energy);
      wrong += squaredNorm(r.values.data(), static_cast<int64_t>(r.values.size()));
      all += energy;
    }
    return wrong / std::max(all, 1e-30);
  }

  /// Sets the threshold so that this share of the (token, expert) pairs is on, and gives the
  /// scores' spread.
  float spread(const Matrix &s, double share) const {
    std::vector<float> values = s.values;
    auto on = static_cast<int64_t>(std::llround(share * static_cast<double>(values.size())));
    on = std::clamp<int64_t>(on, 1, static_cast<int64_t>(values.size()));
    std::nth_element(values.begin(), values.begin() + (on - 1), values.end(), std::greater<>());
    plan.threshold = values[static_cast<size_t>(on - 1)];
    double mean = 0, square = 0;
    for (float v : s.values) {
      mean += v;
      square += static_cast<double>(v) * v;
    }
    mean /= static_cast<double>(s.values.size());
    return static_cast<float>(
        std::sqrt(std::max(square / static_cast<double>(s.values.size()) - mean * mean, 1e-20)));
  }

  void step(const std::vector<int64_t> &tokens, double share, double rate, Adam &router,
            Adam &bias) {
    Matrix x = gatherTokens(*data.inputs, tokens), h = hidden(weights, x).h, s = scores(plan, x);
    float width = spread(s, share);
    double energy = 0;
    Matrix r = residual(tokens, x, h, &energy);
    // The loss's slope with respect to expert e's mask: 2 r·(o_e − skip_e), o_e = h_e W_d[e].
    Matrix perNeuron = multiply(r, MatrixView(plan.down).transposed()), perSkip;
    if (!plan.skip.empty())
      perSkip = multiply(r, MatrixView(plan.skip).transposed());
    Matrix ds(x.rows, plan.experts());
    parallelRows(x.rows, [&](int64_t t) {
      int64_t p = plan.core;
      for (int64_t e = 0; e < plan.experts(); ++e) {
        double slope = perSkip.empty() ? 0.0 : -static_cast<double>(perSkip(t, e));
        for (int64_t q = 0; q < plan.expertSizes[e]; ++q, ++p)
          slope += static_cast<double>(perNeuron(t, p)) * h(t, plan.permutation[p]);
        double gate = 1 / (1 + std::exp(-(s(t, e) - plan.threshold) / width));
        ds(t, e) =
            static_cast<float>(2 * slope * gate * (1 - gate) / width / std::max(energy, 1e-30));
      }
    });
    Matrix dw = multiply(MatrixView(x).transposed(), ds);
    std::vector<double> db(static_cast<size_t>(plan.experts()));
    for (int64_t t = 0; t < ds.rows; ++t)
      for (int64_t e = 0; e < ds.cols; ++e)
        db[e] += ds(t, e);
    router.step(plan.router.values, {dw.values.begin(), dw.values.end()},
                rate * rootMeanSquare(plan.router.values));
    bias.step(plan.routerBias, db, rate * width);
  }
};

} // namespace

Status distillRouter(const FfnWeights &weights, const CalibrationData &data,
                     const ExpertOptions &options, const DistillOptions &distill, ExpertPlan &plan,
                     DistillResult &result) {
  if (!data.inputs)
    return {"calibration inputs: expected tokens, found none"};
  if (Status s = check(weights, data.inputs); !s.ok())
    return s;
  result = {};
  if (plan.experts() == 0 || distill.steps < 1)
    return {};
  HeldOut heldOut(data.inputs->count(), options.heldOut);
  std::vector<int64_t> fit, held;
  for (int64_t t = 0; t < data.inputs->count(); ++t)
    (heldOut(t) ? held : fit).push_back(t);
  if (held.empty())
    held = fit;
  ExpertPlan trained = plan;
  Distiller run{weights, data, trained};
  result.before = run.error(held);

  // The share of pairs that is on under the plan's own threshold.
  std::vector<int64_t> some;
  for (int64_t i : spacedTokens(static_cast<int64_t>(fit.size()), 4096))
    some.push_back(fit[i]);
  Matrix s = scores(plan, gatherTokens(*data.inputs, some));
  double on = 0;
  for (float v : s.values)
    on += v >= plan.threshold;
  double share = on / static_cast<double>(std::max<size_t>(s.values.size(), 1));

  Adam router(distill, trained.router.values.size()), bias(distill, trained.routerBias.size());
  auto batch = std::min<int64_t>(distill.batch, static_cast<int64_t>(fit.size()));
  // Every token once before any twice: a permutation by a step that is prime to the count.
  auto count = static_cast<uint64_t>(fit.size());
  uint64_t stride = 2654435761u % count, at = 0;
  auto coprime = [&](uint64_t a) {
    uint64_t b = count;
    while (b)
      a = std::exchange(b, a % b);
    return a == 1;
  };
  while (!coprime(stride))
    ++stride;
  for (int64_t i = 0; i < distill.steps; ++i) {
    std::vector<int64_t> tokens;
    for (int64_t j = 0; j < batch; ++j, at = (at + stride) % count)
      tokens.push_back(fit[at]);
    double progress = static_cast<double>(i) / static_cast<double>(distill.steps);
    double rate = distill.learningRate * (0.05 + 0.95 * 0.5 * (1 + std::cos(M_PI * progress)));
    run.step(tokens, share, rate, router, bias);
  }
  if (Status status = setThreshold(weights, *data.inputs, options.budget, trained); !status.ok())
    return status;
  result.after = run.error(held);
  if (result.after < result.before)
    plan = std::move(trained);
  return {};
}

} // namespace uoe::calibration
