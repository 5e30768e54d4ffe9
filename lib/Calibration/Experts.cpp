// Calibration of the routed recipe: core, split, router, threshold, refit.
#include "uoe/calibration/Experts.h"
#include "ExpertPlan.h"
#include "Refit.h"
#include "Solve.h"
#include "Split.h"
#include "uoe/calibration/Training.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace uoe::calibration {
namespace {

class Calibrator {
public:
  Calibrator(const FfnWeights &weights, const CalibrationData &data, const ExpertOptions &options,
             ExpertPlan &plan)
      : weights(weights), data(data), options(options), plan(plan),
        heldOut(data.inputs->count(), options.heldOut), downNorms(rowNorms(weights.down)) {}

  Status run() {
    if (Status s = chooseSizes(); !s.ok())
      return s;
    split();
    if (plan.experts() > 0) {
      fitRouter();
      if (Status s = setOwnThreshold(); !s.ok())
        return s;
      if (Status s = distill(); !s.ok())
        return s;
    }
    refit();
    return {};
  }

private:
  /// How many neurons are in the core and how many experts there are, so that the budget can be
  /// met.
  Status chooseSizes() {
    double f = static_cast<double>(weights.neurons()), d = static_cast<double>(weights.inputs()),
           n = static_cast<double>(weights.outputs()), each = perNeuron(weights);
    plan.linearIn = Matrix(weights.inputs(), options.lowRank);
    int64_t experts = (weights.neurons() + options.expertSize - 1) / options.expertSize;
    double active = f;
    for (int round = 0; round < 16; ++round) {
      double e = static_cast<double>(experts), skip = options.skipVectors ? n : 0;
      // budget = active + router + linear term + skip vectors of the share of experts that is off
      double off = std::clamp((f - active) / (f * (1 - options.coreShare) + 1), 0.0, 1.0);
      active = (options.budget * f * each - e * d - off * e * skip -
                static_cast<double>(options.lowRank) * (d + n)) /
               each;
      double rest = f - std::clamp(options.coreShare * active, 0.0, f);
      experts = std::max<int64_t>(std::llround(rest / static_cast<double>(options.expertSize)), 1);
    }
    if (options.budget >= 1)
      experts = 0;
    // The core takes what does not divide, so that all experts have one size where they can.
    plan.core = std::max<int64_t>(weights.neurons() - experts * options.expertSize, 0);
    plan.expertSizes.clear();
    for (int64_t left = weights.neurons() - plan.core; left > 0; left -= plan.expertSizes.back())
      plan.expertSizes.push_back(std::min(left, options.expertSize));
    return {};
  }

  /// Contributions c_j = |h_j| ‖W_d[j,:]‖ of all neurons on the tokens of the split.
  Matrix sampleContributions() {
    std::vector<int64_t> tokens;
    for (int64_t t : spacedTokens(data.inputs->count(), options.splitTokens))
      if (!heldOut(t))
        tokens.push_back(t);
    Matrix c = hidden(weights, gatherTokens(*data.inputs, tokens)).h;
    for (int64_t t = 0; t < c.rows; ++t)
      for (int64_t j = 0; j < c.cols; ++j)
        c(t, j) = std::abs(c(t, j)) * downNorms[j];
    return c;
  }

  void split() {
    int64_t f = weights.neurons();
    plan.permutation.resize(static_cast<size_t>(f));
    std::iota(plan.permutation.begin(), plan.permutation.end(), 0);
    if (plan.experts() == 0)
      return;
    Matrix c = sampleContributions();
    std::vector<float> mean(static_cast<size_t>(f));
    for (int64_t t = 0; t < c.rows; ++t)
      for (int64_t j = 0; j < f; ++j)
        mean[j] += c(t, j) / static_cast<float>(c.rows);
    std::stable_sort(plan.permutation.begin(), plan.permutation.end(),
                     [&](int64_t a, int64_t b) { return mean[a] > mean[b]; });
    std::sort(plan.permutation.begin(), plan.permutation.begin() + plan.core);
    std::vector<int64_t> rest(plan.permutation.begin() + plan.core, plan.permutation.end());
    std::sort(rest.begin(), rest.end());
    Matrix own(c.rows, static_cast<int64_t>(rest.size()));
    std::vector<float> weight;
    for (size_t i = 0; i < rest.size(); ++i) {
      weight.push_back(mean[rest[i]]);
      for (int64_t t = 0; t < c.rows; ++t)
        own(t, static_cast<int64_t>(i)) = c(t, rest[i]);
    }
    auto groups = groupItems(correlation(own), weight, options.expertSize, options.splitRounds);
    // Full groups first: only the last one may be short.
    std::stable_sort(groups.begin(), groups.end(),
                     [](auto &a, auto &b) { return a.size() > b.size(); });
    auto place = plan.permutation.begin() + plan.core;
    for (auto &group : groups)
      for (int64_t i : group)
        *place++ = rest[i];
  }

  /// Some tokens of one batch, either all of the fit or all held out.
  struct Part {
    std::vector<int64_t> tokens; // their numbers in the calibration data
    Matrix x, h;
  };

  /// Calls body for all tokens of the fit (or those held out), part by part. Inner values are kept
  /// for the next call as far as options.cacheBytes allow.
  void forParts(bool held, const std::function<void(const Part &part)> &body) {
    forBatches(*data.inputs, options.batch, [&](int64_t begin, const Matrix &x) {
      Part part;
      for (int64_t t = 0; t < x.rows; ++t)
        if (heldOut(begin + t) == held)
          part.tokens.push_back(begin + t);
      if (part.tokens.empty())
        return;
      part.x = Matrix(static_cast<int64_t>(part.tokens.size()), x.cols);
      for (int64_t i = 0; i < part.x.rows; ++i)
        std::copy(x.row(part.tokens[i] - begin), x.row(part.tokens[i] - begin) + x.cols,
                  part.x.row(i));
      auto found = cache.find(begin);
      if (!held && found != cache.end()) {
        part.h = std::move(found->second);
        body(part);
        found->second = std::move(part.h);
        return;
      }
      part.h = hidden(weights, part.x).h;
      body(part);
      auto bytes = static_cast<int64_t>(part.h.values.size() * sizeof(float));
      if (!held && cached + bytes <= options.cacheBytes) {
        cached += bytes;
        cache.emplace(begin, std::move(part.h));
      }
    });
  }

  /// Ridge from x to the size of each expert's contribution, √Σ_{j∈e} c_j², as a linear router.
  void fitRouter() {
    int64_t d = weights.inputs(), experts = plan.experts();
    RefitStatistics statistics(d + 1, experts);
    forParts(false, [&](const Part &part) {
      Matrix features(part.x.rows, d + 1), target(part.x.rows, experts);
      parallelRows(part.x.rows, [&](int64_t i) {
        std::copy(part.x.row(i), part.x.row(i) + d, features.row(i));
        features(i, d) = 1;
        int64_t p = plan.core;
        for (int64_t e = 0; e < experts; ++e) {
          float sum = 0;
          for (int64_t q = 0; q < plan.expertSizes[e]; ++q, ++p) {
            float c = part.h(i, plan.permutation[p]) * downNorms[plan.permutation[p]];
            sum += c * c;
          }
          target(i, e) = std::sqrt(sum);
        }
      });
      statistics.add(features, target, false);
    });
    Matrix delta = statistics.solve(options.routerRidge, d);
    plan.router = Matrix(d, experts);
    std::copy(delta.values.begin(), delta.values.begin() + d * experts, plan.router.values.begin());
    plan.routerBias.assign(delta.row(d), delta.row(d) + experts);
  }

  Status setOwnThreshold() {
    plan.skip = options.skipVectors ? Matrix(plan.experts(), weights.outputs()) : Matrix();
    // Held-out tokens where there are enough of them: the router knows the others.
    std::vector<int64_t> tokens;
    for (int64_t t = 0; t < data.inputs->count(); ++t)
      if (heldOut(t))
        tokens.push_back(t);
    if (static_cast<int64_t>(tokens.size()) < 256)
      tokens = spacedTokens(data.inputs->count(), kScoredTokens);
    if (static_cast<int64_t>(tokens.size()) > kScoredTokens)
      tokens.resize(kScoredTokens);
    return chooseThreshold(weights, scores(plan, gatherTokens(*data.inputs, tokens)),
                           options.budget, plan);
  }

  /// Trains the router on the dense down matrix, before that is refitted to the choice.
  Status distill() {
    if (options.distillSteps < 1)
      return {};
    plan.down = Matrix(weights.neurons(), weights.outputs());
    for (int64_t p = 0; p < plan.down.rows; ++p)
      for (int64_t j = 0; j < plan.down.cols; ++j)
        plan.down(p, j) = weights.down(plan.permutation[p], j);
    if (weights.downBias)
      plan.outputBias.assign(weights.downBias, weights.downBias + weights.outputs());
    DistillOptions distillation;
    distillation.steps = options.distillSteps;
    DistillResult result;
    Matrix linear = std::exchange(plan.linearIn, Matrix()); // found by the refit
    Status status = distillRouter(weights, data, options, distillation, plan, result);
    plan.linearIn = std::move(linear);
    return status;
  }

  /// What the masked block leaves unexplained, [tokens, n]; `target`, if given, receives the output
  /// that is wanted.
  Matrix unexplained(const Part &part, const Masked &masked, Matrix *target) {
    int64_t n = weights.outputs();
    Matrix wanted;
    if (data.targets) {
      wanted = Matrix(part.x.rows, n);
      for (int64_t i = 0; i < part.x.rows; ++i)
        data.targets->read(part.tokens[i], 1, wanted.row(i));
    } else if (target) {
      wanted = multiply(part.h, weights.down);
      addBias(wanted, weights.downBias);
    }
    Matrix rest(part.x.rows, weights.neurons()); // minus what is kept, or what is lost
    parallelRows(part.x.rows, [&](int64_t i) {
      for (int64_t p = 0; p < rest.cols; ++p)
        rest(i, p) = (data.targets ? 0.0f : part.h(i, plan.permutation[p])) - masked.kept(i, p);
    });
    Matrix residual = multiply(rest, plan.down);
    if (data.targets)
      for (int64_t i = 0; i < residual.rows; ++i)
        for (int64_t j = 0; j < n; ++j)
          residual(i, j) += wanted(i, j) - (weights.downBias ? weights.downBias[j] : 0.0f);
    if (target)
      *target = std::move(wanted);
    return residual;
  }

  /// Least squares of what the mask leaves unexplained on [kept h | skipped | x | 1].
  void refit() {
    int64_t f = weights.neurons(), n = weights.outputs(), d = weights.inputs();
    int64_t hs = options.refit ? f : 0, es = options.skipVectors ? plan.experts() : 0,
            xs = options.lowRank > 0 ? d : 0, features = hs + es + xs + 1;
    plan.down = Matrix(f, n);
    for (int64_t p = 0; p < f; ++p)
      for (int64_t j = 0; j < n; ++j)
        plan.down(p, j) = weights.down(plan.permutation[p], j);
    RefitStatistics statistics(features, n);
    double energy = 0, cost = 0, active = 0;
    int64_t judged = 0;
    for (bool held : {true, false}) {
      bool judge = held || judged == 0; // on the fit's tokens only if none are held out
      forParts(held, [&](const Part &part) {
        Masked masked = maskHidden(weights, plan, part.x, part.h);
        Matrix target, residual = unexplained(part, masked, judge ? &target : nullptr);
        Matrix phi(part.x.rows, features);
        parallelRows(part.x.rows, [&](int64_t i) {
          float scale = data.tokenWeights ? std::sqrt(data.tokenWeights[part.tokens[i]]) : 1.0f;
          float *out = phi.row(i);
          for (int64_t j = 0; j < hs; ++j)
            *out++ = scale * masked.kept(i, j);
          for (int64_t j = 0; j < es; ++j)
            *out++ = scale * masked.skipped(i, j);
          for (int64_t j = 0; j < xs; ++j)
            *out++ = scale * part.x(i, j);
          *out = scale;
          for (int64_t j = 0; j < n; ++j)
            residual(i, j) *= scale;
          if (judge)
            for (int64_t j = 0; j < n; ++j)
              target(i, j) *= scale;
        });
        statistics.add(phi, residual, held);
        if (judge) {
          energy += squaredNorm(target.values.data(), target.rows * n);
          cost += masked.multiplyAdds;
          active += masked.activeNeurons;
          judged += part.x.rows;
        }
      });
    }
    cache.clear();
    double tokens = static_cast<double>(std::max<int64_t>(judged, 1));
    energy = std::max(energy, 1e-30);
    plan.energy = energy / tokens;
    plan.cost = cost / tokens / static_cast<double>(weights.multiplyAdds());
    plan.activeShare = active / tokens / static_cast<double>(f);
    plan.routerCost =
        static_cast<double>(plan.experts() * d) / static_cast<double>(weights.multiplyAdds());
    plan.errorMasked = statistics.heldOutEnergy() / energy;

    if (xs > 0) { // replace x by x linearIn
      Matrix delta = statistics.solve(options.refitRidge.empty() ? 0.1 : options.refitRidge[0],
                                      std::max<int64_t>(hs, 1));
      Matrix linear(d, n), unused;
      std::copy(delta.row(hs + es), delta.row(hs + es) + d * n, linear.values.begin());
      lowRank(linear, statistics.gram(hs + es, hs + es + d), options.lowRank, plan.linearIn,
              unused);
      int64_t rank = plan.linearIn.cols;
      Matrix map(features, hs + es + rank + 1);
      for (int64_t i = 0; i < hs + es; ++i)
        map(i, i) = 1;
      for (int64_t i = 0; i < d; ++i)
        for (int64_t r = 0; r < rank; ++r)
          map(hs + es + i, hs + es + r) = plan.linearIn(i, r);
      map(features - 1, map.cols - 1) = 1;
      statistics.project(map);
    }

    int64_t rank = xs ? plan.linearIn.cols : 0;
    plan.error = plan.errorMasked;
    std::vector<double> ridges = options.refitRidge;
    if (ridges.empty())
      ridges = {0.1};
    int64_t scaleOver = hs ? hs : es;
    bool gains = false;
    for (double ridge : ridges) {
      double error = statistics.heldOutError(statistics.solve(ridge, scaleOver)) / energy;
      if (error < plan.error) {
        plan.error = error;
        plan.ridge = ridge;
        gains = true;
      }
    }
    Matrix best(statistics.features(), n);
    if (gains) {
      statistics.useHeldOut();
      best = statistics.solve(plan.ridge, scaleOver);
    }
    for (int64_t p = 0; p < hs; ++p)
      for (int64_t j = 0; j < n; ++j)
        plan.down(p, j) += best(p, j);
    plan.skip = Matrix(es, n);
    if (es)
      std::copy(best.row(hs), best.row(hs) + es * n, plan.skip.values.begin());
    plan.linearOut = Matrix(rank, n);
    if (rank)
      std::copy(best.row(hs + es), best.row(hs + es) + rank * n, plan.linearOut.values.begin());
    plan.outputBias.assign(best.row(hs + es + rank), best.row(hs + es + rank) + n);
    if (weights.downBias)
      for (int64_t j = 0; j < n; ++j)
        plan.outputBias[j] += weights.downBias[j];
  }

  const FfnWeights &weights;
  const CalibrationData &data;
  const ExpertOptions &options;
  ExpertPlan &plan;
  HeldOut heldOut;
  std::vector<float> downNorms;
  std::map<int64_t, Matrix> cache; // inner values of the fit's tokens, by the batch's first token
  int64_t cached = 0;              // bytes
};

} // namespace

Status calibrateExperts(const FfnWeights &weights, const CalibrationData &data,
                        const ExpertOptions &options, ExpertPlan &plan) {
  if (!data.inputs)
    return {"calibration inputs: expected tokens, found none"};
  if (Status s = check(weights, data.inputs); !s.ok())
    return s;
  if (options.expertSize < 1)
    return {"expert size: expected at least 1, found " + std::to_string(options.expertSize)};
  if (data.targets &&
      (data.targets->width() != weights.outputs() || data.targets->count() != data.inputs->count()))
    return {"calibration targets: expected " + std::to_string(data.inputs->count()) +
            " tokens of " + std::to_string(weights.outputs()) + ", found " +
            std::to_string(data.targets->count()) + " of " + std::to_string(data.targets->width())};
  plan = {};
  ExpertOptions plain = options;
  plain.distillSteps = 0;
  Status status = Calibrator(weights, data, plain, plan).run();
  if (!status.ok() || options.distillSteps < 1 || plan.experts() == 0)
    return status;
  // A gain under the mask may be a loss after the refit: both are refitted, the better one stays.
  ExpertPlan trained;
  if (Status s = Calibrator(weights, data, options, trained).run(); !s.ok())
    return s;
  plan.errorRouter = trained.errorRouter = plan.error;
  plan.errorDistilled = trained.errorDistilled = trained.error;
  if (trained.error < plan.error)
    plan = std::move(trained);
  return {};
}

} // namespace uoe::calibration
