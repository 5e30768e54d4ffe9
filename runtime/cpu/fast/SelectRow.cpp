#include "SelectRow.h"
#include "runtime/core/Error.h"
#include "simd/Table.h"
#include <algorithm>
#include <cmath>
#include <functional>

namespace uoe::rt::fast {

namespace {

/// Up to here the best k are kept in a heap, and a vector of scores is compared with the worst of
/// them at once.
constexpr int64_t heapMost = 64;
constexpr int64_t heapStep = 256;

void softmax(const Kernels &kernel, float *x, int64_t n) {
  float sum = kernel.expRow(x, n, kernel.maxRow(x, n));
  for (int64_t i = 0; i < n; ++i)
    x[i] /= sum;
}

void cool(const float *x, int64_t n, float temperature, float *y) {
  if (temperature == 1)
    std::copy(x, x + n, y);
  else
    for (int64_t i = 0; i < n; ++i)
      y[i] = x[i] / temperature;
}

std::vector<std::vector<int32_t>> membersOf(const SelectSpec &spec) {
  std::vector<std::vector<int32_t>> members(static_cast<size_t>(spec.groupCount()));
  for (size_t e = 0; e < spec.groups.size(); ++e)
    members[static_cast<size_t>(spec.groups[e])].push_back(static_cast<int32_t>(e));
  return members;
}

} // namespace

void chooseHighest(const float *x, const uint8_t *eligible, int64_t n, int64_t k,
                   std::vector<uint64_t> &keys, std::vector<int32_t> &out) {
  const size_t before = out.size();
  keys.clear();
  k = std::min(k, n);
  if (k <= 0)
    return;
  const std::greater<uint64_t> better;
  auto key = [&](int64_t i) { return rankKey(x[i], static_cast<uint32_t>(i)); };
  if (k > heapMost) {
    for (int64_t i = 0; i < n; ++i)
      if (!eligible || eligible[i])
        keys.push_back(key(i));
    if (static_cast<int64_t>(keys.size()) > k) {
      std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), better);
      keys.resize(static_cast<size_t>(k));
    }
  } else {
    int64_t i = 0;
    for (; i < n && static_cast<int64_t>(keys.size()) < k; ++i)
      if (!eligible || eligible[i])
        keys.push_back(key(i));
    std::make_heap(keys.begin(), keys.end(), better);
    auto offer = [&](int64_t j) {
      uint64_t own = key(j);
      if ((eligible && !eligible[j]) || own <= keys.front())
        return;
      std::pop_heap(keys.begin(), keys.end(), better);
      keys.back() = own;
      std::push_heap(keys.begin(), keys.end(), better);
    };
    uint16_t mask[heapStep / 16];
    while (i < n) {
      // Blocks grow with what was seen: the worst of the first few is soon out of date.
      const int64_t count = std::min({heapStep, n - i, std::max<int64_t>(16, i / 16 * 16)});
      const float worst = x[rankIndex(keys.front())];
      if (std::isnan(worst)) {
        for (int64_t j = 0; j < count; ++j)
          offer(i + j);
      } else {
        kernels().aboveRow(x + i, nullptr, worst, count, mask);
        for (int64_t w = 0; w * 16 < count; ++w)
          for (unsigned bits = mask[w]; bits; bits &= bits - 1)
            offer(i + w * 16 + __builtin_ctz(bits));
      }
      i += count;
    }
  }
  for (uint64_t found : keys)
    out.push_back(static_cast<int32_t>(rankIndex(found)));
  std::sort(out.begin() + static_cast<int64_t>(before), out.end());
}

void selectGates(const SelectSpec &spec, int64_t n, const float *scores, const float *groupScores,
                 float *gates) {
  const Kernels &kernel = kernels();
  cool(scores, n, spec.temperature, gates);
  if (spec.scoring == SelectSpec::Scoring::Sigmoid)
    return kernel.activation(Activation::Sigmoid, gates, gates, n);
  if (spec.scoring == SelectSpec::Scoring::Raw)
    return;
  if (!groupScores)
    return softmax(kernel, gates, n);
  const auto members = membersOf(spec);
  std::vector<float> groupGates(members.size()), part;
  const int64_t groups = static_cast<int64_t>(members.size());
  cool(groupScores, groups, spec.groupTemperature, groupGates.data());
  softmax(kernel, groupGates.data(), groups);
  for (size_t g = 0; g < members.size(); ++g) {
    part.clear();
    for (int32_t e : members[g])
      part.push_back(gates[e]);
    softmax(kernel, part.data(), static_cast<int64_t>(part.size()));
    for (size_t i = 0; i < part.size(); ++i)
      gates[members[g][i]] = part[i] * groupGates[g];
  }
}

RowSelector::RowSelector(const SelectSpec &spec, const SelectInput &in, bool wantGates)
    : spec(spec), in(in), n(in.experts), groups(spec.groupCount()), wantGates(wantGates),
      gateRow(static_cast<size_t>(n)), biased(static_cast<size_t>(in.selectionBias ? n : 0)),
      groupRow(static_cast<size_t>(groups)),
      eligible(static_cast<size_t>(spec.groupK || in.within.offsets ? n : 0)),
      list(static_cast<size_t>(n + 16)), members(membersOf(spec)) {}

// Step 2: flags, or null where all are eligible.
const uint8_t *RowSelector::findEligible(int64_t r) {
  if (eligible.empty())
    return nullptr;
  std::fill(eligible.begin(), eligible.end(), uint8_t(!in.within.offsets));
  if (in.within.offsets) {
    int64_t outer = r / in.rows * in.withinPerSample + r % in.rows / in.withinRows;
    for (int64_t i = in.within.offsets[outer]; i < in.within.offsets[outer + 1]; ++i) {
      int32_t e = in.within.ids[i];
      check(e >= 0 && e < n, "select: expert ", e, " of ", n, " in the routing around it");
      eligible[static_cast<size_t>(e)] = 1;
    }
  }
  if (!spec.groupK)
    return eligible.data();
  groupsByScore(r);
  std::vector<int32_t> best;
  chooseHighest(groupRow.data(), nullptr, groups, spec.groupK, keys, best);
  std::vector<uint8_t> on(static_cast<size_t>(groups));
  for (int32_t g : best)
    on[static_cast<size_t>(g)] = 1;
  for (int64_t e = 0; e < n; ++e)
    eligible[size_t(e)] &= on[static_cast<size_t>(spec.groups[size_t(e)])];
  return eligible.data();
}

void RowSelector::groupsByScore(int64_t r) {
  if (in.groupScores) {
    cool(in.groupScores + r * groups, groups, spec.groupTemperature, groupRow.data());
    return softmax(kernels(), groupRow.data(), groups);
  }
  const int64_t count = spec.groupTop2 ? 2 : 1;
  for (size_t g = 0; g < members.size(); ++g) {
    uint64_t best[2] = {0, 0};
    for (int32_t e : members[g]) {
      uint64_t own = rankKey(biasedGates[e], static_cast<uint32_t>(e));
      if (own > best[0]) {
        best[1] = best[0];
        best[0] = own;
      } else if (own > best[1]) {
        best[1] = own;
      }
    }
    float sum = biasedGates[rankIndex(best[0])];
    if (count == 2 && members[g].size() > 1)
      sum += biasedGates[rankIndex(best[1])];
    groupRow[g] = sum;
  }
}

void RowSelector::above(const float *x, const float *limits, float limit,
                        std::vector<int32_t> &ids) {
  int32_t *end = list.data() + kernels().listAbove(x, limits, limit, n, list.data());
  if (allowed)
    end = std::remove_if(list.data(), end, [&](int32_t e) { return !allowed[e]; });
  ids.insert(ids.end(), list.data(), end);
}

// The best come off in blocks that double, until their gates exceed p.
void RowSelector::topP(const float *ranked, std::vector<int32_t> &ids) {
  keys.clear();
  for (int64_t e = 0; e < n; ++e)
    if (!allowed || allowed[e])
      keys.push_back(rankKey(ranked[e], static_cast<uint32_t>(e)));
  const size_t before = ids.size();
  float sum = 0;
  auto first = keys.begin();
  for (int64_t block = 32; first != keys.end() && sum <= spec.p; block *= 2) {
    auto last = first + std::min<int64_t>(block, keys.end() - first);
    if (last != keys.end())
      std::nth_element(first, last - 1, keys.end(), std::greater<>());
    std::sort(first, last, std::greater<>());
    for (; first != last && sum <= spec.p; ++first) {
      uint32_t e = rankIndex(*first);
      sum += gates[e];
      ids.push_back(static_cast<int32_t>(e));
    }
    first = last;
  }
  std::sort(ids.begin() + static_cast<int64_t>(before), ids.end());
}

void RowSelector::choose(int64_t r, std::vector<int32_t> &ids, std::vector<float> &gatesOut) {
  using Rule = SelectSpec::Rule;
  const float *scores = in.scores + r * n;
  const bool byScore = !in.selectionBias && !in.groupScores; // gates have the order of the scores
  const bool asTheyAre = spec.scoring == SelectSpec::Scoring::Raw && spec.temperature == 1;
  const bool ranksGates =
      !byScore || spec.groupK || spec.rule == Rule::Threshold || spec.rule == Rule::TopP;
  gates = scores;
  if (!asTheyAre && (wantGates || ranksGates)) {
    selectGates(spec, n, scores, in.groupScores ? in.groupScores + r * groups : nullptr,
                gateRow.data());
    gates = gateRow.data();
  }
  biasedGates = gates;
  if (in.selectionBias) {
    for (int64_t e = 0; e < n; ++e)
      biased[size_t(e)] = gates[e] + in.selectionBias[e];
    biasedGates = biased.data();
  }
  allowed = findEligible(r);
  const float *ranked = byScore ? scores : biasedGates;
  const size_t before = ids.size();
  auto takeAll = [&] {
    for (int64_t e = 0; e < n; ++e)
      if (!allowed || allowed[e])
        ids.push_back(static_cast<int32_t>(e));
  };
  switch (spec.rule) {
  case Rule::All:
    takeAll();
    break;
  case Rule::Threshold:
    above(biasedGates, in.thresholds, spec.tau, ids);
    break;
  case Rule::TopK:
    chooseHighest(ranked, allowed, n, spec.k, keys, ids);
    break;
  case Rule::TopP:
    if (spec.p >= 1)
      takeAll();
    else
      topP(biasedGates, ids);
    break;
  }
  if (ids.size() == before && spec.empty == SelectSpec::Empty::Argmax)
    chooseHighest(ranked, allowed, n, 1, keys, ids);
  else if (ids.size() == before && spec.empty == SelectSpec::Empty::All)
    takeAll();
  for (size_t i = before; wantGates && i < ids.size(); ++i)
    gatesOut.push_back(gates[ids[i]]);
}

} // namespace uoe::rt::fast
