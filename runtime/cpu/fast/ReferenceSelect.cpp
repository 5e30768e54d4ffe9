// uoe.select step by step over dense arrays: a rank is the number of those that are better.
#include "Reference.h"
#include <cmath>

namespace uoe::rt::fast::reference {

namespace {

bool better(float a, int64_t i, float b, int64_t j) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) == std::isnan(b) ? i < j : std::isnan(b);
  return a != b ? a > b : i < j;
}

// True for the k best of those that are allowed.
std::vector<bool> top(const std::vector<float> &x, const std::vector<bool> &allowed, int64_t k) {
  std::vector<bool> taken(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    int64_t rank = 0;
    for (size_t j = 0; j < x.size(); ++j)
      rank += allowed[j] && better(x[j], int64_t(j), x[i], int64_t(i));
    taken[i] = allowed[i] && rank < k;
  }
  return taken;
}

std::vector<float> softmax(std::vector<float> x, float temperature) {
  double most = -INFINITY, sum = 0;
  for (float &v : x)
    most = std::max(most, double(v /= temperature));
  for (float v : x)
    sum += std::exp(double(v) - most);
  for (float &v : x)
    v = static_cast<float>(std::exp(double(v) - most) / sum);
  return x;
}

} // namespace

std::vector<float> gates(const SelectSpec &spec, int64_t n, const float *scores,
                         const float *groupScores) {
  std::vector<float> g(scores, scores + n);
  switch (spec.scoring) {
  case SelectSpec::Scoring::Raw:
    for (float &v : g)
      v /= spec.temperature;
    return g;
  case SelectSpec::Scoring::Sigmoid:
    for (float &v : g)
      v = static_cast<float>(1 / (1 + std::exp(-double(v / spec.temperature))));
    return g;
  case SelectSpec::Scoring::Softmax:
    break;
  }
  if (!groupScores)
    return softmax(g, spec.temperature);
  std::vector<float> group =
      softmax({groupScores, groupScores + spec.groupCount()}, spec.groupTemperature);
  for (int64_t which = 0; which < spec.groupCount(); ++which) {
    std::vector<float> part;
    for (int64_t e = 0; e < n; ++e)
      if (spec.groups[size_t(e)] == which)
        part.push_back(scores[e]);
    part = softmax(part, spec.temperature);
    size_t next = 0;
    for (int64_t e = 0; e < n; ++e)
      if (spec.groups[size_t(e)] == which)
        g[size_t(e)] = part[next++] * group[size_t(which)];
  }
  return g;
}

DenseSelection select(const SelectSpec &spec, const SelectInput &in) {
  using Rule = SelectSpec::Rule;
  const int64_t n = in.experts, total = in.samples * in.rows;
  DenseSelection out;
  std::vector<float> gate(size_t(total * n));
  out.chosen.assign(size_t(total * n), false);
  out.weights.assign(size_t(total * n), 0.0f);
  for (int64_t r = 0; r < total; ++r) {
    const float *scores = in.scores + r * n;
    const float *groupScores = in.groupScores ? in.groupScores + r * spec.groupCount() : nullptr;
    // 1. The fast path's own gates, so that rounding decides nothing; they have a test of their
    // own.
    std::vector<float> g(static_cast<size_t>(n));
    selectGates(spec, n, scores, groupScores, g.data());
    std::vector<float> c = g;
    for (int64_t e = 0; e < n && in.selectionBias; ++e)
      c[size_t(e)] += in.selectionBias[e];
    // 2.
    std::vector<bool> allowed(size_t(n), true);
    if (spec.groupK) {
      std::vector<float> of(static_cast<size_t>(spec.groupCount()));
      for (size_t which = 0; which < of.size(); ++which) {
        std::vector<float> members;
        for (int64_t e = 0; e < n; ++e)
          if (spec.groups[size_t(e)] == int64_t(which))
            members.push_back(c[size_t(e)]);
        std::vector<bool> best =
            top(members, std::vector<bool>(members.size(), true), spec.groupTop2 ? 2 : 1);
        for (size_t i = 0; i < members.size(); ++i)
          of[which] += best[i] ? members[i] : 0.0f;
      }
      if (groupScores)
        of = softmax({groupScores, groupScores + spec.groupCount()}, spec.groupTemperature);
      std::vector<bool> on = top(of, std::vector<bool>(of.size(), true), spec.groupK);
      for (int64_t e = 0; e < n; ++e)
        allowed[size_t(e)] = on[size_t(spec.groups[size_t(e)])];
    }
    if (in.within.offsets) {
      int64_t outer = r / in.rows * in.withinPerSample + r % in.rows / in.withinRows;
      std::vector<bool> inside(static_cast<size_t>(n));
      for (int64_t i = in.within.offsets[outer]; i < in.within.offsets[outer + 1]; ++i)
        inside[size_t(in.within.ids[i])] = true;
      for (int64_t e = 0; e < n; ++e)
        allowed[size_t(e)] = allowed[size_t(e)] && inside[size_t(e)];
    }
    // 3.
    std::vector<float> ranked =
        in.selectionBias || in.groupScores ? c : std::vector<float>(scores, scores + n);
    std::vector<bool> chosen = allowed;
    if (spec.rule == Rule::Threshold)
      for (int64_t e = 0; e < n; ++e)
        chosen[size_t(e)] =
            allowed[size_t(e)] && c[size_t(e)] > (in.thresholds ? in.thresholds[e] : spec.tau);
    if (spec.rule == Rule::TopK)
      chosen = top(ranked, allowed, spec.k);
    if (spec.rule == Rule::TopP && spec.p < 1) {
      float sum = 0;
      chosen.assign(size_t(n), false);
      for (int64_t count = 1; count <= n && sum <= spec.p; ++count) {
        // The next best of the rest.
        std::vector<bool> rest = allowed;
        for (size_t e = 0; e < rest.size(); ++e)
          rest[e] = rest[e] && !chosen[e];
        std::vector<bool> next = top(c, rest, 1);
        for (size_t e = 0; e < next.size(); ++e)
          if (next[e]) {
            chosen[e] = true;
            sum += g[e];
          }
      }
    }
    // 4.
    bool none = true;
    for (bool on : chosen)
      none = none && !on;
    if (none && spec.empty == SelectSpec::Empty::Argmax)
      chosen = top(ranked, allowed, 1);
    if (none && spec.empty == SelectSpec::Empty::All)
      chosen = allowed;
    for (int64_t e = 0; e < n; ++e) {
      out.chosen[size_t(r * n + e)] = chosen[size_t(e)];
      gate[size_t(r * n + e)] = chosen[size_t(e)] ? g[size_t(e)] : 0.0f;
    }
  }
  // 5.
  const int64_t positions = in.batch > 0 ? total / in.batch : 0;
  auto sameSum = [&](int64_t r, int64_t e, int64_t r2, int64_t e2) {
    switch (spec.normalize) {
    case SelectSpec::Normalize::Experts:
      return r == r2;
    case SelectSpec::Normalize::Tokens:
      return e == e2 && r / in.rows == r2 / in.rows;
    case SelectSpec::Normalize::Batch:
      return e == e2 && r % positions == r2 % positions;
    case SelectSpec::Normalize::None:
      break;
    }
    return false;
  };
  if (spec.normalize != SelectSpec::Normalize::None) {
    std::vector<float> divided = gate;
    for (int64_t i = 0; i < total * n; ++i) {
      if (!out.chosen[size_t(i)])
        continue;
      float sum = 0;
      for (int64_t j = 0; j < total * n; ++j)
        if (sameSum(i / n, i % n, j / n, j % n))
          sum += gate[size_t(j)];
      divided[size_t(i)] = sum == 0 ? 0.0f : gate[size_t(i)] / sum;
    }
    gate = divided;
  }
  // 6.
  if (spec.hasCapacity()) {
    int64_t c = in.rows;
    if (spec.capacity > 0)
      c = std::min(c, spec.capacity);
    if (spec.capacityShare > 0)
      c = std::min(c, std::max<int64_t>(1, static_cast<int64_t>(
                                               std::floor(spec.capacityShare * float(in.rows)))));
    int64_t most = 0;
    auto at = [&](int64_t s, int64_t l, int64_t e) { return size_t((s * in.rows + l) * n + e); };
    for (int64_t s = 0; s < in.samples; ++s)
      for (int64_t e = 0; e < n; ++e) {
        int64_t takers = 0;
        for (int64_t l = 0; l < in.rows; ++l)
          takers += out.chosen[at(s, l, e)];
        most = std::max(most, takers);
      }
    if (spec.capacityTakers)
      c = std::min(c, most);
    out.capacity = c;
    for (int64_t s = 0; s < in.samples; ++s)
      for (int64_t e = 0; e < n; ++e) {
        std::vector<float> column;
        std::vector<bool> took;
        for (int64_t l = 0; l < in.rows; ++l) {
          column.push_back(gate[at(s, l, e)]);
          took.push_back(out.chosen[at(s, l, e)]);
        }
        std::vector<bool> kept = top(column, took, c);
        int64_t free = c;
        for (bool on : kept)
          free -= on;
        for (int64_t l = 0; l < in.rows; ++l)
          if (spec.padWithTokens && !took[size_t(l)] && free > 0) {
            kept[size_t(l)] = true;
            --free;
          }
        for (int64_t l = 0; l < in.rows; ++l)
          out.chosen[at(s, l, e)] = kept[size_t(l)];
      }
  }
  // 7.
  for (int64_t r = 0; r < total; ++r) {
    float active = 0;
    for (int64_t e = 0; e < n; ++e)
      active += out.chosen[size_t(r * n + e)];
    for (int64_t e = 0; e < n; ++e) {
      if (!out.chosen[size_t(r * n + e)])
        continue;
      float w = (spec.gateWeights ? gate[size_t(r * n + e)] : 1.0f) * spec.factor;
      if (spec.scaling == SelectSpec::Scaling::OneOverActive)
        w /= active;
      if (spec.scaling == SelectSpec::Scaling::NOverActive)
        w = w * float(n) / active;
      out.weights[size_t(r * n + e)] = w;
    }
  }
  return out;
}

} // namespace uoe::rt::fast::reference
