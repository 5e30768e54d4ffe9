#include "uoe/calibration/Mixture.h"
#include "Hidden.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace uoe::calibration {

namespace {

constexpr int64_t kBatch = 1024; // tokens in flight

void gatesOf(const Selection &selection, const float *scores, int64_t n, float *gates) {
  float largest = scores[0];
  for (int64_t e = 0; e < n; ++e)
    largest = std::max(largest, scores[e]);
  double sum = 0;
  for (int64_t e = 0; e < n; ++e) {
    float s = scores[e] / selection.temperature;
    switch (selection.scoring) {
    case Selection::Scoring::Raw:
      gates[e] = s;
      break;
    case Selection::Scoring::Sigmoid:
      gates[e] = 1.0f / (1.0f + std::exp(-s));
      break;
    case Selection::Scoring::Softmax:
      gates[e] = std::exp(s - largest / selection.temperature);
      sum += gates[e];
      break;
    }
  }
  if (selection.scoring == Selection::Scoring::Softmax)
    for (int64_t e = 0; e < n; ++e)
      gates[e] = static_cast<float>(gates[e] / sum);
}

/// Sets what ranks the slots that no chosen group holds to -inf; groups are chosen by `biased`
/// gates, which may be what ranks.
void keepGroups(const Selection &selection, const std::vector<float> &biased,
                std::vector<float> &ranked) {
  const int64_t groups = 1 + *std::max_element(selection.groups.begin(), selection.groups.end());
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  std::vector<float> first(static_cast<size_t>(groups), lowest), second(first);
  for (size_t e = 0; e < biased.size(); ++e) {
    float &best = first[selection.groups[e]], &next = second[selection.groups[e]];
    next = std::max(next, std::min(best, biased[e]));
    best = std::max(best, biased[e]);
  }
  // A group of one expert has no second.
  for (int64_t g = 0; selection.groupTop2 && g < groups; ++g)
    first[g] += second[g] == lowest ? 0 : second[g];
  std::vector<int64_t> order(static_cast<size_t>(groups));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(
      order.begin(), order.begin() + selection.groupK, order.end(),
      [&](int64_t a, int64_t b) { return first[a] > first[b] || (first[a] == first[b] && a < b); });
  std::vector<bool> kept(static_cast<size_t>(groups));
  for (int64_t i = 0; i < selection.groupK; ++i)
    kept[order[i]] = true;
  for (size_t e = 0; e < ranked.size(); ++e)
    if (!kept[selection.groups[e]])
      ranked[e] = lowest;
}

/// The weights of slots [tokens, slots] added up per expert [tokens, experts].
Matrix perExpert(const Mixture &mixture, const Matrix &weights) {
  Matrix sums(weights.rows, mixture.count());
  for (int64_t t = 0; t < weights.rows; ++t)
    for (int64_t s = 0; s < weights.cols; ++s)
      if (int64_t e = mixture.expertOf(s); e >= 0)
        sums(t, e) += weights(t, s);
  return sums;
}

Matrix rowsOf(MatrixView m, const std::vector<int64_t> &rows) {
  Matrix r(static_cast<int64_t>(rows.size()), m.cols);
  for (int64_t i = 0; i < r.rows; ++i)
    for (int64_t j = 0; j < m.cols; ++j)
      r(i, j) = m(rows[i], j);
  return r;
}

Matrix columnsOf(const Matrix &m, const std::vector<int64_t> &columns) {
  Matrix r(m.rows, static_cast<int64_t>(columns.size()));
  for (int64_t i = 0; i < m.rows; ++i)
    for (int64_t j = 0; j < r.cols; ++j)
      r(i, j) = m(i, columns[j]);
  return r;
}

/// Calls body(x, scores) batch by batch for the tokens that are held out, or for the others.
/// Without tokens on the side that is asked for, for all.
void forTokens(const MixtureData &data, bool held,
               const std::function<void(const Matrix &x, const Matrix &scores)> &body) {
  HeldOut heldOut(data.inputs->count(), data.heldOut);
  bool any = false;
  for (int64_t t = 0; t < data.inputs->count() && !any; ++t)
    any = heldOut(t) == held;
  forBatches(*data.inputs, kBatch, [&](int64_t begin, const Matrix &x) {
    Matrix scores(x.rows, data.scores->width());
    data.scores->read(begin, x.rows, scores.values.data());
    std::vector<int64_t> rows;
    for (int64_t t = 0; t < x.rows; ++t)
      if (!any || heldOut(begin + t) == held)
        rows.push_back(t);
    if (!rows.empty())
      body(rowsOf(x, rows), rowsOf(scores, rows));
  });
}

Matrix outputOf(const FfnWeights &expert, MatrixView x) {
  Matrix y = multiply(hidden(expert, x).h, expert.down);
  addBias(y, expert.downBias);
  return y;
}

Matrix mixed(const Mixture &mixture, MatrixView x, const Matrix &weights) {
  Matrix sums = perExpert(mixture, weights), y(x.rows, mixture.experts.front().outputs());
  for (int64_t e = 0; e < mixture.count(); ++e) {
    std::vector<int64_t> rows;
    for (int64_t t = 0; t < x.rows; ++t)
      if (sums(t, e) != 0)
        rows.push_back(t);
    if (rows.empty())
      continue;
    Matrix part = outputOf(mixture.experts[e], rowsOf(x, rows));
    for (int64_t i = 0; i < part.rows; ++i)
      for (int64_t j = 0; j < part.cols; ++j)
        y(rows[i], j) += sums(rows[i], e) * part(i, j);
  }
  return y;
}

Status checkKeep(const Mixture &mixture, const MixtureData &data, int64_t keep) {
  if (!data.inputs || !data.scores)
    return {"calibration data: expected inputs and scores, found none"};
  if (Status s = check(mixture, data); !s.ok())
    return s;
  if (keep < 1 || keep > mixture.count())
    return {"experts to keep: expected 1 to " + std::to_string(mixture.count()) + ", found " +
            std::to_string(keep)};
  return {};
}

} // namespace

Status selectExperts(const Selection &selection, MatrixView scores, Matrix &weights) {
  int64_t n = scores.cols;
  if (selection.rule == Selection::Rule::TopK && (selection.k < 1 || selection.k > n))
    return {"experts per token: expected 1 to " + std::to_string(n) + ", found " +
            std::to_string(selection.k)};
  if (!(selection.temperature > 0))
    return {"temperature: expected more than 0, found " + std::to_string(selection.temperature)};
  const auto slots = static_cast<size_t>(n);
  if (!selection.bias.empty() && selection.bias.size() != slots)
    return {"selection bias: expected one for each of " + std::to_string(n) + " slots, found " +
            std::to_string(selection.bias.size())};
  if (!selection.groups.empty()) {
    int64_t groups = 0;
    for (int64_t group : selection.groups)
      groups = group < 0 ? std::numeric_limits<int64_t>::max() : std::max(groups, group + 1);
    if (selection.groups.size() != slots || groups > n || selection.groupK < 1 ||
        selection.groupK > groups || selection.rule != Selection::Rule::TopK)
      return {"groups of experts: expected one for each of " + std::to_string(n) +
              " slots, some of them chosen, and the k best of these, found " +
              std::to_string(selection.groups.size()) + " and " + std::to_string(selection.groupK) +
              " chosen"};
  }
  weights = Matrix(scores.rows, n);
  std::vector<float> row(static_cast<size_t>(n)), gates(row);
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t t = 0; t < scores.rows && n > 0; ++t) {
    for (int64_t e = 0; e < n; ++e)
      row[e] = scores(t, e);
    gatesOf(selection, row.data(), n, gates.data());
    // What ranks: the scores, since gates may saturate, or the biased gates.
    if (!selection.bias.empty())
      for (int64_t e = 0; e < n; ++e)
        row[e] = gates[e] + selection.bias[e];
    if (!selection.groups.empty())
      keepGroups(selection, selection.bias.empty() ? gates : row, row);
    std::iota(order.begin(), order.end(), 0);
    int64_t chosen = n;
    if (selection.rule == Selection::Rule::TopK) {
      chosen = selection.k;
      std::partial_sort(
          order.begin(), order.begin() + chosen, order.end(),
          [&](int64_t a, int64_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    } else if (selection.rule == Selection::Rule::Threshold) {
      chosen = std::partition(order.begin(), order.end(),
                              [&](int64_t e) {
                                return (selection.bias.empty() ? gates[e] : row[e]) >
                                       selection.threshold;
                              }) -
               order.begin();
    }
    double sum = 0;
    for (int64_t i = 0; i < chosen; ++i)
      sum += gates[order[i]];
    for (int64_t i = 0; i < chosen; ++i) {
      double gate = gates[order[i]];
      if (selection.normalized)
        gate = sum != 0 ? gate / sum : 0;
      weights(t, order[i]) = static_cast<float>((selection.unit ? 1.0 : gate) * selection.factor);
    }
  }
  return {};
}

Status check(const Mixture &mixture, const MixtureData &data) {
  if (mixture.experts.empty())
    return {"experts: expected at least one, found none"};
  const FfnWeights &first = mixture.experts.front();
  for (const FfnWeights &expert : mixture.experts) {
    if (Status s = check(expert); !s.ok())
      return s;
    if (expert.inputs() != first.inputs() || expert.outputs() != first.outputs())
      return {"experts: expected equal widths, found " + std::to_string(first.inputs()) + " to " +
              std::to_string(first.outputs()) + " and " + std::to_string(expert.inputs()) + " to " +
              std::to_string(expert.outputs())};
  }
  for (int64_t expert : mixture.slots)
    if (expert < -1 || expert >= mixture.count())
      return {"slots: expected -1 to " + std::to_string(mixture.count() - 1) + ", found " +
              std::to_string(expert)};
  if (data.inputs && data.inputs->width() != first.inputs())
    return {"calibration inputs: expected a width of " + std::to_string(first.inputs()) +
            ", found " + std::to_string(data.inputs->width())};
  if (data.scores && data.scores->width() != mixture.slotCount())
    return {"calibration scores: expected a width of " + std::to_string(mixture.slotCount()) +
            ", found " + std::to_string(data.scores->width())};
  if (data.inputs && data.scores && data.inputs->count() != data.scores->count())
    return {"calibration data: expected as many scores as inputs, found " +
            std::to_string(data.scores->count()) + " and " + std::to_string(data.inputs->count())};
  Matrix none;
  return selectExperts(mixture.selection, MatrixView(nullptr, 0, mixture.slotCount()), none);
}

Status runMixture(const Mixture &mixture, MatrixView x, MatrixView scores, Matrix &y) {
  MatrixTokens inputs(x), logits(scores);
  if (Status s = check(mixture, {&inputs, &logits}); !s.ok())
    return s;
  Matrix weights;
  if (Status s = selectExperts(mixture.selection, scores, weights); !s.ok())
    return s;
  y = mixed(mixture, x, weights);
  return {};
}

Status measureUse(const Mixture &mixture, const MixtureData &data, bool meanOutputs,
                  ExpertUse &use) {
  if (Status s = checkKeep(mixture, data, 1); !s.ok())
    return s;
  int64_t experts = mixture.count(), n = mixture.experts.front().outputs(), seen = 0;
  use.tokens.assign(experts, 0);
  use.weight.assign(experts, 0);
  use.saliency.assign(experts, 0);
  std::vector<double> sums(meanOutputs ? experts * n : 0);
  forTokens(data, false, [&](const Matrix &x, const Matrix &scores) {
    Matrix weights;
    if (Status s = selectExperts(mixture.selection, scores, weights); !s.ok())
      return; // checked before
    Matrix weight = perExpert(mixture, weights);
    seen += x.rows;
    for (int64_t e = 0; e < experts; ++e) {
      std::vector<int64_t> rows;
      for (int64_t t = 0; t < x.rows; ++t)
        if (meanOutputs || weight(t, e) != 0)
          rows.push_back(t);
      Matrix y = outputOf(mixture.experts[e], rowsOf(x, rows));
      for (int64_t i = 0; i < y.rows; ++i) {
        for (int64_t j = 0; meanOutputs && j < n; ++j)
          sums[e * n + j] += y(i, j);
        double w = weight(rows[i], e);
        if (w == 0)
          continue;
        use.tokens[e] += 1;
        use.weight[e] += w;
        use.saliency[e] += std::abs(w) * std::sqrt(squaredNorm(y.row(i), n));
      }
    }
  });
  for (int64_t e = 0; e < experts; ++e)
    if (use.tokens[e] > 0)
      use.saliency[e] /= use.tokens[e];
  use.meanOutput = meanOutputs ? Matrix(experts, n) : Matrix();
  for (size_t i = 0; i < sums.size(); ++i)
    use.meanOutput.values[i] =
        static_cast<float>(sums[i] / static_cast<double>(std::max<int64_t>(seen, 1)));
  return {};
}

Status mixtureError(const Mixture &mixture, const Mixture &changed,
                    const std::vector<int64_t> &keptSlots, const MixtureData &data, double &error) {
  double wrong = 0, energy = 0;
  Status status;
  forTokens(data, true, [&](const Matrix &x, const Matrix &scores) {
    Matrix before, after;
    if (status.ok())
      status = runMixture(mixture, x, scores, before);
    if (status.ok())
      status =
          runMixture(changed, x, keptSlots.empty() ? scores : columnsOf(scores, keptSlots), after);
    if (!status.ok())
      return;
    energy += squaredNorm(before.values.data(), static_cast<int64_t>(before.values.size()));
    for (size_t i = 0; i < before.values.size(); ++i)
      after.values[i] -= before.values[i];
    wrong += squaredNorm(after.values.data(), static_cast<int64_t>(after.values.size()));
  });
  error = wrong == 0 ? 0 : wrong / std::max(energy, 1e-30);
  return status;
}

std::vector<int64_t> clusterRows(MatrixView points, int64_t clusters) {
  int64_t n = points.rows;
  std::vector<double> distance(static_cast<size_t>(n * n)); // of clusters, by their first members
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = a + 1; b < n; ++b) {
      double sum = 0;
      for (int64_t j = 0; j < points.cols; ++j) {
        double d = static_cast<double>(points(a, j)) - points(b, j);
        sum += d * d;
      }
      distance[a * n + b] = distance[b * n + a] = std::sqrt(sum);
    }
  std::vector<int64_t> first(static_cast<size_t>(n)), size(static_cast<size_t>(n), 1), live(first);
  std::iota(first.begin(), first.end(), 0);
  std::iota(live.begin(), live.end(), 0);
  while (static_cast<int64_t>(live.size()) > std::max<int64_t>(clusters, 1)) {
    int64_t a = live[0], b = live[1];
    for (size_t i = 0; i < live.size(); ++i)
      for (size_t j = i + 1; j < live.size(); ++j)
        if (distance[live[i] * n + live[j]] < distance[a * n + b]) {
          a = live[i];
          b = live[j];
        }
    // The mean over all pairs of members is the mean of the two old means, by their sizes.
    double wa = static_cast<double>(size[a]), wb = static_cast<double>(size[b]);
    for (int64_t c : live)
      distance[a * n + c] = distance[c * n + a] =
          (wa * distance[a * n + c] + wb * distance[b * n + c]) / (wa + wb);
    size[a] += size[b];
    for (int64_t &f : first)
      if (f == b)
        f = a;
    live.erase(std::find(live.begin(), live.end(), b));
  }
  for (int64_t &f : first)
    f = std::find(live.begin(), live.end(), f) - live.begin();
  return first;
}

Status planMergeExperts(const Mixture &mixture, const MixtureData &data, int64_t keep,
                        MergeExpertsPlan &plan) {
  if (Status s = checkKeep(mixture, data, keep); !s.ok())
    return s;
  const FfnWeights &first = mixture.experts.front();
  for (const FfnWeights &expert : mixture.experts)
    if (expert.neurons() != first.neurons() || expert.gated() != first.gated() ||
        expert.activation != first.activation || expert.limit != first.limit ||
        expert.upOffset != first.upOffset)
      return {"experts to merge: expected the same number of neurons and activation, found " +
              std::to_string(first.neurons()) + " and " + std::to_string(expert.neurons()) +
              " neurons"};
  ExpertUse use;
  if (Status s = measureUse(mixture, data, true, use); !s.ok())
    return s;
  plan.cluster = clusterRows(use.meanOutput, keep);
  plan.usage = use.tokens;
  std::vector<double> total(static_cast<size_t>(keep)), members(total);
  for (int64_t e = 0; e < mixture.count(); ++e) {
    total[plan.cluster[e]] += use.tokens[e];
    members[plan.cluster[e]] += 1;
  }
  plan.share.resize(use.tokens.size());
  for (size_t e = 0; e < plan.share.size(); ++e) {
    int64_t c = plan.cluster[e];
    plan.share[e] = total[c] > 0 ? use.tokens[e] / total[c] : 1 / members[c];
  }
  std::vector<OwnedFfn> merged = mergeExperts(mixture, plan);
  Mixture changed;
  changed.selection = mixture.selection;
  for (const OwnedFfn &expert : merged)
    changed.experts.push_back(expert.view());
  for (int64_t s = 0; s < mixture.slotCount(); ++s)
    changed.slots.push_back(mixture.expertOf(s) < 0 ? -1 : plan.cluster[mixture.expertOf(s)]);
  return mixtureError(mixture, changed, {}, data, plan.error);
}

FfnWeights OwnedFfn::view() const {
  FfnWeights w;
  w.gate = gate;
  w.up = up;
  w.down = down;
  w.gateBias = gateBias.empty() ? nullptr : gateBias.data();
  w.upBias = upBias.empty() ? nullptr : upBias.data();
  w.downBias = downBias.empty() ? nullptr : downBias.data();
  w.activation = activation;
  w.limit = limit;
  w.upOffset = upOffset;
  return w;
}

std::vector<OwnedFfn> mergeExperts(const Mixture &mixture, const MergeExpertsPlan &plan) {
  std::vector<OwnedFfn> merged(
      plan.cluster.empty() ? 0 : *std::max_element(plan.cluster.begin(), plan.cluster.end()) + 1);
  for (size_t c = 0; c < merged.size(); ++c) {
    // Σ share_e · (what `part` says of expert e) over the cluster.
    auto sum = [&](auto &&part) {
      Matrix result;
      std::vector<double> values;
      for (size_t e = 0; e < plan.cluster.size(); ++e) {
        MatrixView m =
            plan.cluster[e] == static_cast<int64_t>(c) ? part(mixture.experts[e]) : MatrixView();
        if (m.empty())
          continue;
        if (values.empty())
          result = Matrix(m.rows, m.cols);
        values.resize(result.values.size());
        for (int64_t i = 0; i < m.rows; ++i)
          for (int64_t j = 0; j < m.cols; ++j)
            values[i * m.cols + j] += plan.share[e] * m(i, j);
      }
      for (size_t i = 0; i < values.size(); ++i)
        result.values[i] = static_cast<float>(values[i]);
      return result;
    };
    auto vector = [](const float *data, int64_t n) {
      return data ? MatrixView(data, 1, n) : MatrixView();
    };
    OwnedFfn &m = merged[c];
    m.activation = mixture.experts.front().activation;
    m.limit = mixture.experts.front().limit;
    m.upOffset = mixture.experts.front().upOffset;
    m.gate = sum([](const FfnWeights &w) { return w.gate; });
    m.up = sum([](const FfnWeights &w) { return w.up; });
    m.down = sum([](const FfnWeights &w) { return w.down; });
    m.gateBias = sum([&](const FfnWeights &w) { return vector(w.gateBias, w.neurons()); }).values;
    m.upBias = sum([&](const FfnWeights &w) { return vector(w.upBias, w.neurons()); }).values;
    m.downBias = sum([&](const FfnWeights &w) { return vector(w.downBias, w.outputs()); }).values;
  }
  return merged;
}

Mixture pruneExperts(const Mixture &mixture, const PruneExpertsPlan &plan) {
  Mixture pruned;
  pruned.selection = mixture.selection;
  std::vector<int64_t> place(static_cast<size_t>(mixture.count()), -1);
  for (size_t i = 0; i < plan.kept.size(); ++i) {
    place[plan.kept[i]] = static_cast<int64_t>(i);
    pruned.experts.push_back(mixture.experts[plan.kept[i]]);
  }
  for (int64_t slot : plan.keptSlots)
    pruned.slots.push_back(mixture.expertOf(slot) < 0 ? -1 : place[mixture.expertOf(slot)]);
  // No more can be chosen than there are.
  pruned.selection.k = std::min(pruned.selection.k, pruned.slotCount());
  Selection &selection = pruned.selection;
  auto keep = [&](auto &values) {
    auto all = std::exchange(values, {});
    for (int64_t slot : plan.keptSlots)
      values.push_back(all[slot]);
  };
  if (!selection.bias.empty())
    keep(selection.bias);
  if (!selection.groups.empty()) {
    keep(selection.groups);
    // Groups that lost all experts are gone. Where those that are chosen might hold fewer than k
    // experts the choice is among all.
    std::map<int64_t, int64_t> members;
    for (int64_t group : selection.groups)
      ++members[group];
    std::vector<int64_t> sizes;
    for (auto &[group, size] : members) {
      sizes.push_back(size);
      size = static_cast<int64_t>(sizes.size()) - 1;
    }
    for (int64_t &group : selection.groups)
      group = members[group];
    std::sort(sizes.begin(), sizes.end());
    selection.groupK = std::min(selection.groupK, static_cast<int64_t>(sizes.size()));
    if (std::accumulate(sizes.begin(), sizes.begin() + selection.groupK, int64_t(0)) <
        selection.k) {
      selection.groups.clear();
      selection.groupK = 0;
    }
  }
  return pruned;
}

Status planPruneExperts(const Mixture &mixture, const MixtureData &data, int64_t keep,
                        PruneCriterion criterion, PruneRouter router, PruneExpertsPlan &plan) {
  if (Status s = checkKeep(mixture, data, keep); !s.ok())
    return s;
  ExpertUse use;
  if (Status s = measureUse(mixture, data, false, use); !s.ok())
    return s;
  plan.score = criterion == PruneCriterion::Reap       ? use.saliency
               : criterion == PruneCriterion::SeerHard ? use.tokens
                                                       : use.weight;
  std::vector<int64_t> order(plan.score.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return plan.score[a] < plan.score[b] || (plan.score[a] == plan.score[b] && a > b);
  });
  auto split = order.end() - keep;
  plan.dropped.assign(order.begin(), split);
  plan.kept.assign(split, order.end());
  std::sort(plan.kept.begin(), plan.kept.end());
  plan.keptSlots.clear();
  for (int64_t s = 0; s < mixture.slotCount(); ++s)
    if (router == PruneRouter::Keep ||
        std::binary_search(plan.kept.begin(), plan.kept.end(), mixture.expertOf(s)))
      plan.keptSlots.push_back(s);
  return mixtureError(mixture, pruneExperts(mixture, plan), plan.keptSlots, data, plan.error);
}

} // namespace uoe::calibration
