#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"
#include <algorithm>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class SelectTest : public EveryIsa {};
UOE_EVERY_ISA(SelectTest);

/// A random spec with all that it needs; scores of few values, so that ties are common, with NaN
/// and infinities among them.
struct Case {
  SelectSpec spec;
  SelectInput in;
  std::vector<float> scores, thresholds, bias, groupScores;
  std::vector<int64_t> withinOffsets;
  std::vector<int32_t> withinIds;

  Case(unsigned seed, int64_t samples, int64_t rows, int64_t experts) {
    std::mt19937 random(seed);
    auto below = [&](int64_t n) {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
    };
    auto real = [&](float low, float high) {
      return low + (high - low) * static_cast<float>(random() % 1000) / 1000;
    };
    in.samples = samples;
    in.rows = rows;
    in.experts = experts;
    in.batch = samples % 2 == 0 && samples > 0 ? 2 : 1;
    const bool coarse = below(2);
    for (int64_t i = 0; i < samples * rows * experts; ++i) {
      float x = coarse ? float(below(5)) - 2 : real(-3, 3);
      scores.push_back(below(50) ? x : below(2) ? NAN : below(2) ? INFINITY : -INFINITY);
    }
    in.scores = scores.data();
    spec.rule = static_cast<SelectSpec::Rule>(below(4));
    spec.scoring = spec.rule == SelectSpec::Rule::TopP ? SelectSpec::Scoring::Softmax
                                                       : static_cast<SelectSpec::Scoring>(below(3));
    spec.temperature = below(2) ? 1.0f : 0.7f;
    spec.k = 1 + below(experts);
    spec.p = below(5) ? real(0.05f, 0.99f) : 1.0f;
    spec.tau = spec.scoring == SelectSpec::Scoring::Raw       ? real(-1, 2)
               : spec.scoring == SelectSpec::Scoring::Sigmoid ? 0.5f
                                                              : 1.0f / float(experts);
    if (spec.rule == SelectSpec::Rule::Threshold && below(2)) {
      for (int64_t e = 0; e < experts; ++e)
        thresholds.push_back(spec.tau + real(-0.1f, 0.1f));
      in.thresholds = thresholds.data();
    }
    spec.empty = static_cast<SelectSpec::Empty>(below(3));
    spec.normalize = static_cast<SelectSpec::Normalize>(below(4));
    spec.scaling = static_cast<SelectSpec::Scaling>(below(3));
    spec.gateWeights = below(2);
    spec.factor = below(2) ? 1.0f : 2.5f;
    if (below(2)) {
      for (int64_t e = 0; e < experts; ++e)
        bias.push_back(real(-0.5f, 0.5f));
      in.selectionBias = bias.data();
    }
    if (experts > 1 && below(2)) {
      const int64_t groups = 1 + below(std::min<int64_t>(experts, 5));
      for (int64_t e = 0; e < experts; ++e)
        spec.groups.push_back(e < groups ? e : below(groups));
      spec.groupK = below(2) ? 1 + below(groups) : 0;
      spec.groupTop2 = below(2);
      spec.groupTemperature = 1.3f;
      if (spec.scoring == SelectSpec::Scoring::Softmax && below(2)) {
        for (int64_t i = 0; i < samples * rows * groups; ++i)
          groupScores.push_back(real(-1, 1));
        in.groupScores = groupScores.data();
      }
    }
    if (below(2)) {
      spec.capacity = below(2) ? 1 + below(rows + 2) : 0;
      spec.capacityShare = below(2) ? real(0.01f, 1) : 0.0f;
      spec.capacityTakers = below(2);
      spec.padWithTokens = spec.hasCapacity() && below(2);
    }
    if (below(3) == 0) {
      in.withinRows = below(2) ? std::max<int64_t>(1, rows) : 1 + below(4);
      in.withinPerSample = (rows + in.withinRows - 1) / in.withinRows;
      withinOffsets.push_back(0);
      for (int64_t i = 0; i < samples * in.withinPerSample; ++i) {
        for (int64_t e = 0; e < experts; ++e)
          if (below(3))
            withinIds.push_back(static_cast<int32_t>(e));
        withinOffsets.push_back(static_cast<int64_t>(withinIds.size()));
      }
      in.within = {withinOffsets.data(), withinIds.data(), nullptr};
    }
  }
};

void compare(const Case &c) {
  const int64_t n = c.in.experts, total = c.in.samples * c.in.rows;
  Selected found = select(c.spec, c.in);
  reference::DenseSelection expected = reference::select(c.spec, c.in);
  ASSERT_EQ(found.choice.tokens(), total);
  ASSERT_EQ(found.capacity, expected.capacity);
  ASSERT_EQ(found.choice.weights.empty(), c.spec.unitWeights() || found.choice.ids.empty());
  std::vector<bool> chosen(expected.chosen.size());
  std::vector<float> weights(expected.weights.size());
  for (int64_t r = 0; r < total; ++r)
    for (int64_t i = found.choice.offsets[size_t(r)]; i < found.choice.offsets[size_t(r) + 1];
         ++i) {
      int32_t e = found.choice.ids[size_t(i)];
      ASSERT_TRUE(i == found.choice.offsets[size_t(r)] || found.choice.ids[size_t(i) - 1] < e);
      chosen[size_t(r * n + e)] = true;
      weights[size_t(r * n + e)] =
          found.choice.weights.empty() ? 1.0f : found.choice.weights[size_t(i)];
    }
  for (size_t i = 0; i < chosen.size(); ++i)
    ASSERT_EQ(chosen[i], expected.chosen[i])
        << "row " << i / size_t(n) << ", expert " << i % size_t(n);
  expectClose(weights, expected.weights, 1e-6f);
  // Places: the rows kept in ascending order, then others, each once.
  for (int64_t s = 0; s < c.in.samples && c.spec.hasCapacity(); ++s)
    for (int64_t e = 0; e < n; ++e) {
      std::vector<int64_t> kept, rest;
      for (int64_t place = 0; place < found.capacity; ++place) {
        int64_t row = found.places[size_t((s * found.capacity + place) * n + e)];
        bool on = expected.chosen[size_t((s * c.in.rows + row) * n + e)];
        ASSERT_TRUE(!on || rest.empty() || c.spec.padWithTokens);
        (on ? kept : rest).push_back(row);
      }
      std::sort(kept.begin(), kept.end());
      ASSERT_TRUE(std::adjacent_find(kept.begin(), kept.end()) == kept.end());
      ASSERT_TRUE(std::is_sorted(rest.begin(), rest.end()));
      int64_t takers = 0;
      for (int64_t l = 0; l < c.in.rows; ++l)
        takers += expected.chosen[size_t((s * c.in.rows + l) * n + e)];
      ASSERT_EQ(int64_t(kept.size()), takers);
    }
}

TEST_P(SelectTest, RandomDecisions) {
  unsigned seed = 0;
  for (int64_t samples : {0, 1, 2, 3})
    for (int64_t rows : {0, 1, 5, 7})
      for (int64_t experts : {1, 2, 7, 16, 33})
        for (int repeat = 0; repeat < 12; ++repeat) {
          SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << samples << " samples of "
                                          << rows << " rows, " << experts << " experts");
          ASSERT_NO_FATAL_FAILURE(compare(Case(seed++, samples, rows, experts)));
        }
}

TEST_P(SelectTest, ManyRowsAndManyExperts) {
  for (auto [samples, rows, experts] :
       {std::array<int64_t, 3>{1, 1024, 3}, {2, 7, 600}, {1, 1, 4096}})
    for (unsigned seed = 0; seed < 6; ++seed) {
      Case c(100 + seed, samples, rows, experts);
      if (c.spec.normalize != SelectSpec::Normalize::None && samples * rows * experts > 3000)
        c.spec.normalize = SelectSpec::Normalize::None; // the reference is quadratic there
      SCOPED_TRACE(testing::Message()
                   << seed << ": " << rows << " rows, " << experts << " experts");
      ASSERT_NO_FATAL_FAILURE(compare(c));
    }
}

TEST_P(SelectTest, TopOfThousands) {
  // Every k around where the method changes, on ascending, descending and equal scores.
  const int64_t n = 1000;
  for (int shape = 0; shape < 3; ++shape)
    for (int64_t k : {1, 2, 63, 64, 65, 500, 999, 1000}) {
      std::vector<float> scores;
      for (int64_t i = 0; i < n; ++i)
        scores.push_back(shape == 0 ? float(i / 3) : shape == 1 ? float(-i) : 1.0f);
      SelectSpec spec;
      spec.rule = SelectSpec::Rule::TopK;
      spec.k = k;
      SelectInput in;
      in.samples = in.rows = 1;
      in.experts = n;
      in.scores = scores.data();
      Selected found = select(spec, in);
      reference::DenseSelection expected = reference::select(spec, in);
      ASSERT_EQ(static_cast<int64_t>(found.choice.ids.size()), k);
      for (int32_t e : found.choice.ids)
        ASSERT_TRUE(expected.chosen[size_t(e)]) << e << " of " << k << ", shape " << shape;
    }
}

TEST_P(SelectTest, Gates) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Case c(seed, 1, 4, 1 + seed % 23);
    const int64_t groups = c.spec.groupCount();
    for (int64_t r = 0; r < 4; ++r) {
      std::vector<float> found(size_t(c.in.experts));
      const float *groupScores = c.in.groupScores ? c.in.groupScores + r * groups : nullptr;
      selectGates(c.spec, c.in.experts, c.in.scores + r * c.in.experts, groupScores, found.data());
      ASSERT_NO_FATAL_FAILURE(expectClose(
          found,
          reference::gates(c.spec, c.in.experts, c.in.scores + r * c.in.experts, groupScores),
          1e-6f));
    }
  }
}

TEST(SpreadTest, RowsToTokensAndSlotsToExperts) {
  // Two samples of two rows over 4 slots; 5 tokens a sample, 3 to a row.
  const std::vector<int64_t> offsets{0, 2, 2, 3, 6};
  const std::vector<int32_t> ids{0, 2, 3, 0, 1, 2};
  const std::vector<float> weights{1, 2, 3, 4, 5, 6};
  Choice plain = spread({offsets.data(), ids.data(), nullptr}, 2, 2, 5, 3, {});
  EXPECT_EQ(plain.offsets, (std::vector<int64_t>{0, 2, 4, 6, 6, 6, 7, 8, 9, 12, 15}));
  EXPECT_EQ(plain.ids, (std::vector<int32_t>{0, 2, 0, 2, 0, 2, 3, 3, 3, 0, 1, 2, 0, 1, 2}));
  EXPECT_TRUE(plain.weights.empty());
  // Slots 0 and 2 share expert 1; slot 1 is nobody's.
  Choice merged = spread({offsets.data(), ids.data(), weights.data()}, 2, 2, 5, 3, {1, -1, 1, 0});
  EXPECT_EQ(merged.offsets, (std::vector<int64_t>{0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(merged.ids, (std::vector<int32_t>{1, 1, 1, 0, 0, 0, 1, 1}));
  EXPECT_EQ(merged.weights, (std::vector<float>{3, 3, 3, 3, 3, 3, 10, 10}));
  // Without weights two picks of one expert are 2.
  Choice counted = spread({offsets.data(), ids.data(), nullptr}, 2, 2, 2, 1, {0, -1, 0, 0});
  EXPECT_EQ(counted.weights, (std::vector<float>{2, 1, 2}));
  EXPECT_THROW(spread({offsets.data(), ids.data(), nullptr}, 2, 2, 5, 2, {}), uoe::rt::Error);
}

} // namespace
