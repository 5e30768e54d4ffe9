// The dispatch programs of runtime/cuda/dispatch on simulated warps and blocks, against plain
// references and the CPU's own selection.
#include "runtime/cpu/fast/Reference.h"
#include "runtime/cpu/fast/Select.h"
#include "runtime/cpu/fast/SelectRow.h"
#include "runtime/cuda/dispatch/Permute.h"
#include "runtime/cuda/dispatch/Schedule.h"
#include "runtime/cuda/dispatch/Select.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::rt;
using namespace uoe::rt::cuda;

namespace {

int below(std::mt19937 &random, int n) {
  return static_cast<int>(random() % unsigned(n));
}

std::vector<uint64_t> randomMasks(std::mt19937 &random, int rows, int experts, int percent) {
  const int words = maskWords(experts);
  std::vector<uint64_t> masks(size_t(rows) * size_t(words));
  for (int r = 0; r < rows; ++r)
    for (int e = 0; e < experts; ++e)
      if (below(random, 100) < percent)
        masks[size_t(r * words + e / 64)] |= uint64_t(1) << (e % 64);
  return masks;
}

TEST(Team, EveryOrderVisitsEveryThreadOnce) {
  for (int width : {1, 2, 3, 7, 32, 256}) {
    HostTeam team(width);
    for (int phase = 0; phase < 4; ++phase) {
      std::vector<int> seen(static_cast<size_t>(width));
      team.each([&](int i) { ++seen[size_t(i)]; });
      EXPECT_EQ(seen, std::vector<int>(size_t(width), 1));
    }
  }
}

TEST(Mask, CountsAndRanks) {
  std::mt19937 random(1);
  for (int experts : {1, 7, 63, 64, 65, 130, 4096})
    for (int percent : {0, 10, 100}) {
      std::vector<uint64_t> mask = randomMasks(random, 1, experts, percent);
      int before = 0;
      for (int e = 0; e < experts; ++e) {
        ASSERT_EQ(rankInMask(mask.data(), e), before);
        before += hasBit(mask.data(), e);
      }
      ASSERT_EQ(countMask(mask.data(), maskWords(experts)), before);
    }
  EXPECT_EQ(bitsBelow(0), 0u);
  EXPECT_EQ(bitsBelow(64), ~uint64_t(0));
}

TEST(Mask, BlocksHoldEachRowOnceAndOneSampleEach) {
  for (int samples : {0, 1, 3})
    for (int rows : {0, 1, 63, 64, 65, 200}) {
      RowBlocks blocks{samples, rows};
      std::vector<int> seen(size_t(samples * rows));
      for (int b = 0; rows > 0 && b < blocks.blocks(); ++b) {
        ASSERT_GE(blocks.rowsOf(b), 1);
        for (int t = 0; t < blocks.rowsOf(b); ++t) {
          const int row = blocks.firstRow(b) + t;
          ++seen[size_t(row)];
          ASSERT_EQ(blocks.blockOf(row), b);
          ASSERT_EQ(blocks.bitOf(row), t);
          ASSERT_EQ(row / rows, blocks.firstRow(b) / rows);
        }
      }
      ASSERT_EQ(seen, std::vector<int>(seen.size(), 1));
    }
}

TEST(Scan, ExclusiveSums) {
  std::mt19937 random(2);
  for (int width : {1, 32, 33, 256})
    for (int count : {0, 1, 7, 31, 32, 33, 1000, 4096}) {
      HostTeam team(width);
      std::vector<int32_t> in, expected{0}, out(size_t(count) + 1, -1), partial(size_t(2 * width));
      for (int i = 0; i < count; ++i) {
        in.push_back(below(random, 5));
        expected.push_back(expected.back() + in.back());
      }
      exclusiveScan(
          team, count, [&](int64_t i) { return in[size_t(i)]; }, out.data(), partial.data());
      ASSERT_EQ(out, expected) << width << " threads, " << count;
      // In place.
      in.push_back(0);
      exclusiveScan(
          team, count, [&](int64_t i) { return in[size_t(i)]; }, in.data(), partial.data());
      ASSERT_EQ(in, expected);
    }
}

TEST(Schedule, TilesCoverRaggedAndEmptyExperts) {
  std::mt19937 random(3);
  for (int experts : {1, 2, 7, 64, 300})
    for (int pairs : {0, 1, 7, 500})
      for (int height : {1, 16, 128})
        for (int columns : {1, 100, 256}) {
          std::vector<int32_t> rows(size_t(experts) + 1), tiles(rows);
          for (int i = 0; i < pairs; ++i) // few experts have most
            ++rows[size_t(std::min(below(random, experts), below(random, experts)))];
          int32_t sum = 0, tileSum = 0;
          for (int e = 0; e <= experts; ++e) {
            const int32_t own = e < experts ? rows[size_t(e)] : 0;
            rows[size_t(e)] = sum;
            tiles[size_t(e)] = tileSum;
            sum += own;
            tileSum += (own + height - 1) / height;
          }
          Schedule schedule{experts,     height,      96, columns, 1 + below(random, 9),
                            rows.data(), tiles.data()};
          ASSERT_LE(tileSum, mostRowTiles(pairs, experts, height));
          std::vector<int> seen(size_t(pairs * columns));
          for (int64_t number = 0; number < schedule.count(); ++number) {
            const Tile tile = schedule.tile(number);
            ASSERT_GE(tile.expert, 0);
            ASSERT_GE(tile.rows, 1);
            ASSERT_LE(tile.rows, height);
            ASSERT_GE(tile.row, rows[size_t(tile.expert)]);
            ASSERT_LE(tile.row + tile.rows, rows[size_t(tile.expert) + 1]);
            for (int r = 0; r < tile.rows; ++r)
              for (int c = tile.column; c < std::min(columns, tile.column + 96); ++c)
                ++seen[size_t((tile.row + r) * columns + c)];
          }
          ASSERT_EQ(seen, std::vector<int>(seen.size(), 1)) << experts << " experts, " << pairs;
          ASSERT_EQ(schedule.tile(schedule.count()).expert, -1);
          ASSERT_EQ(schedule.tile(-1).expert, -1);
        }
}

TEST(Number, SixteenBitTypesAreTheCpus) {
  std::mt19937 random(4);
  for (int i = 0; i < 100000; ++i) {
    const float x = floatOfBits(static_cast<uint32_t>(random()));
    ASSERT_EQ(fromFloat<BF16>(x).bits, BFloat16(x).bits);
    ASSERT_EQ(fromFloat<F16>(x).bits, Half(x).bits);
  }
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = toFloat(F16{static_cast<uint16_t>(bits)});
    if (!std::isnan(x)) {
      ASSERT_EQ(fromFloat<F16>(x).bits, bits);
    }
  }
}

TEST(Select, RankKeysAreTheCpus) {
  for (float x : {0.0f, -0.0f, 1.0f, -1.0f, 1e-45f, -1e-45f, INFINITY, -INFINITY, NAN, -NAN, 3e38f})
    for (uint32_t i : {0u, 1u, 4095u}) {
      EXPECT_EQ(cuda::rankKey(x, i), fast::rankKey(x, i));
      EXPECT_EQ(cuda::rankIndex(cuda::rankKey(x, i)), int(i));
    }
}

/// A selection as the CPU takes it, and the same as the device does.
struct Case {
  fast::SelectSpec spec;
  fast::SelectInput in;
  SelectRule rule;
  std::vector<float> scores, thresholds, bias;
  std::vector<int64_t> withinOffsets{0};
  std::vector<int32_t> withinIds;
  std::vector<uint64_t> eligible; // empty: all

  Case(unsigned seed, int samples, int rows, int experts) {
    std::mt19937 random(seed);
    auto real = [&](float low, float high) {
      return low + (high - low) * static_cast<float>(below(random, 1000)) / 1000;
    };
    in.samples = samples;
    in.rows = rows;
    in.experts = experts;
    const bool coarse = below(random, 2);
    for (int i = 0; i < samples * rows * experts; ++i) {
      const float x = coarse ? float(below(random, 5)) - 2 : real(-3, 3);
      scores.push_back(below(random, 50)  ? x
                       : below(random, 2) ? NAN
                       : below(random, 2) ? INFINITY
                                          : -INFINITY);
    }
    in.scores = scores.data();
    spec.rule = static_cast<fast::SelectSpec::Rule>(below(random, 4));
    spec.scoring = spec.rule == fast::SelectSpec::Rule::TopP
                       ? fast::SelectSpec::Scoring::Softmax
                       : static_cast<fast::SelectSpec::Scoring>(below(random, 3));
    spec.temperature = below(random, 2) ? 1.0f : 0.7f;
    spec.k = below(random, 4) ? 1 + below(random, experts) : experts;
    spec.p = below(random, 5) ? real(0.05f, 0.99f) : 1.0f;
    spec.tau = spec.scoring == fast::SelectSpec::Scoring::Raw ? real(-1, 2) : 1.0f / float(experts);
    if (spec.rule == fast::SelectSpec::Rule::Threshold && below(random, 2)) {
      for (int e = 0; e < experts; ++e)
        thresholds.push_back(spec.tau + real(-0.1f, 0.1f));
      in.thresholds = thresholds.data();
    }
    spec.empty = static_cast<fast::SelectSpec::Empty>(below(random, 3));
    spec.normalize =
        below(random, 2) ? fast::SelectSpec::Normalize::Experts : fast::SelectSpec::Normalize::None;
    spec.scaling = static_cast<fast::SelectSpec::Scaling>(below(random, 3));
    spec.gateWeights = below(random, 2);
    spec.factor = below(random, 2) ? 1.0f : 2.5f;
    if (below(random, 2)) {
      for (int e = 0; e < experts; ++e)
        bias.push_back(real(-0.5f, 0.5f));
      in.selectionBias = bias.data();
    }
    if (below(random, 2)) {
      spec.capacity = 1 + below(random, rows + 2);
      spec.padWithTokens = below(random, 2);
    }
    if (below(random, 3) == 0) {
      in.withinRows = 1;
      in.withinPerSample = rows;
      eligible.resize(size_t(samples * rows * maskWords(experts)));
      for (int r = 0; r < samples * rows; ++r) {
        for (int e = 0; e < experts; ++e)
          if (below(random, 3)) {
            withinIds.push_back(e);
            eligible[size_t(r * maskWords(experts) + e / 64)] |= uint64_t(1) << (e % 64);
          }
        withinOffsets.push_back(int64_t(withinIds.size()));
      }
      in.within = {withinOffsets.data(), withinIds.data(), nullptr};
    }
    rule.rule = static_cast<Rule>(spec.rule);
    rule.scoring = static_cast<Scoring>(spec.scoring);
    rule.empty = static_cast<Empty>(spec.empty);
    rule.scaling = static_cast<Scaling>(spec.scaling);
    rule.experts = experts;
    rule.k = static_cast<int32_t>(spec.k);
    rule.temperature = spec.temperature;
    rule.tau = spec.tau;
    rule.p = spec.p;
    rule.factor = spec.factor;
    rule.normalizeExperts = spec.normalize == fast::SelectSpec::Normalize::Experts;
    rule.gateWeights = spec.gateWeights;
    rule.thresholds = in.thresholds;
    rule.bias = in.selectionBias;
  }
};

/// All dispatch programs in the order in which the device runs them.
struct Dispatched {
  std::vector<uint64_t> masks, columns;
  std::vector<int32_t> base, first, offset, tiles, ids, place, source;
  std::vector<float> weights;
};

Dispatched dispatch(const Case &c, int tileHeight) {
  const int n = c.rule.experts, words = maskWords(n);
  const RowBlocks rows{static_cast<int>(c.in.samples), static_cast<int>(c.in.rows)};
  const int total = rows.samples * rows.rows, blocks = rows.rows > 0 ? rows.blocks() : 0;
  Dispatched out;
  out.masks.resize(size_t(total * words));
  out.columns.resize(size_t(blocks * n));
  out.base.resize(size_t(blocks * n));
  std::vector<float> gates(size_t(total) * size_t(n));
  HostTeam warp(32), block(256);
  for (int r = 0; r < total; ++r) {
    const float *scores = c.in.scores + int64_t(r) * n;
    float *gate = gates.data() + int64_t(r) * n;
    // The CPU's gates, so that rounding decides nothing; they have a test of their own.
    fast::selectGates(c.spec, n, scores, nullptr, gate);
    chooseRow(warp, c.rule, scores, gate,
              c.eligible.empty() ? nullptr : c.eligible.data() + r * words,
              out.masks.data() + r * words);
    if (c.rule.normalizeExperts)
      normaliseRow(warp, n, out.masks.data() + r * words, gate);
  }
  for (int b = 0; b < blocks; ++b)
    masksToColumns(block, rows, n, b, out.masks.data(), out.columns.data());
  if (c.spec.capacity > 0 && total > 0) {
    const int capacity = static_cast<int>(std::min(c.spec.capacity, c.in.rows));
    for (int sample = 0; sample < rows.samples; ++sample)
      for (int e = 0; e < n; ++e)
        keepBest(warp, rows.rows, capacity, c.spec.padWithTokens,
                 out.columns.data() + int64_t(sample) * rows.perSample() * n + e, n,
                 gates.data() + int64_t(sample) * rows.rows * n + e, n);
    for (int b = 0; b < blocks; ++b)
      columnsToMasks(block, rows, n, b, out.columns.data(), out.masks.data());
  }
  out.first.resize(size_t(n) + 1);
  out.tiles.resize(size_t(n) + 1);
  out.offset.resize(size_t(total) + 1);
  std::vector<int32_t> partial(512);
  for (int e = 0; e < n; ++e)
    countExpert(blocks, n, e, out.columns.data(), out.base.data(), out.first.data());
  scanAll(block, total, n, tileHeight, out.masks.data(), out.first.data(), out.first.data(),
          out.offset.data(), out.tiles.data(), partial.data());
  const size_t pairs = size_t(out.offset.back());
  EXPECT_EQ(out.first.back(), out.offset.back());
  out.ids.assign(pairs, -1);
  out.place.assign(pairs, -1);
  out.source.assign(pairs, -1);
  out.weights.resize(pairs);
  for (int r = 0; r < total; ++r)
    placeRow(rows, c.rule, r, out.masks.data(), out.columns.data(), out.base.data(),
             out.first.data(), out.offset.data(), gates.data(),
             {out.ids.data(), out.place.data(), out.source.data(), out.weights.data()});
  return out;
}

void compare(const Case &c) {
  const int n = c.rule.experts, height = 16;
  const fast::Selected expected = fast::select(c.spec, c.in);
  const Dispatched found = dispatch(c, height);
  ASSERT_EQ(std::vector<int64_t>(found.offset.begin(), found.offset.end()),
            expected.choice.offsets);
  ASSERT_EQ(found.ids, expected.choice.ids);
  // Stable: by expert, then by row.
  std::vector<std::pair<int32_t, int32_t>> pairs; // expert, entry
  std::vector<int32_t> rowOf;
  for (size_t r = 0; r + 1 < found.offset.size(); ++r)
    for (int32_t i = found.offset[r]; i < found.offset[r + 1]; ++i) {
      pairs.emplace_back(found.ids[size_t(i)], i);
      rowOf.push_back(static_cast<int32_t>(r));
    }
  std::sort(pairs.begin(), pairs.end());
  std::vector<int32_t> first(size_t(n) + 1), tiles(size_t(n) + 1);
  for (const auto &pair : pairs)
    ++first[size_t(pair.first) + 1];
  for (size_t e = 0; e < size_t(n); ++e) {
    tiles[e + 1] = tiles[e] + (first[e + 1] + height - 1) / height;
    first[e + 1] += first[e];
  }
  ASSERT_EQ(found.first, first);
  ASSERT_EQ(found.tiles, tiles);
  for (size_t p = 0; p < pairs.size(); ++p) {
    const size_t entry = size_t(pairs[p].second);
    ASSERT_EQ(found.place[entry], int32_t(p));
    ASSERT_EQ(found.source[p], rowOf[entry]);
    const float weight = expected.choice.weights.empty() ? 1.0f : expected.choice.weights[entry];
    if (std::isnan(weight)) {
      ASSERT_TRUE(std::isnan(found.weights[p]));
    } else {
      ASSERT_FLOAT_EQ(found.weights[p], weight);
    }
  }
}

TEST(Select, IsTheCpusSelection) {
  unsigned seed = 0;
  for (int samples : {0, 1, 2})
    for (int rows : {0, 1, 7, 65})
      for (int experts : {1, 2, 7, 33, 64, 65})
        for (int repeat = 0; repeat < 12; ++repeat) {
          SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << samples << " samples of "
                                          << rows << " rows, " << experts << " experts");
          ASSERT_NO_FATAL_FAILURE(compare(Case(seed++, samples, rows, experts)));
        }
}

TEST(Select, ManyRowsAndManyExperts) {
  for (auto [rows, experts] :
       {std::pair<int, int>{4096, 8}, {4096, 1}, {300, 256}, {7, 4096}, {1, 4096}})
    for (unsigned seed = 0; seed < 5; ++seed) {
      SCOPED_TRACE(testing::Message()
                   << seed << ": " << rows << " rows, " << experts << " experts");
      ASSERT_NO_FATAL_FAILURE(compare(Case(1000 + seed, 1, rows, experts)));
    }
}

TEST(Select, EveryK) {
  for (int n : {1, 2, 31, 32, 33, 100, 4096})
    for (int k : {1, 2, 8, 31, 99, 4095, 4096})
      for (int shape = 0; shape < 3; ++shape) {
        if (k > n)
          continue;
        std::vector<float> x;
        for (int i = 0; i < n; ++i)
          x.push_back(shape == 0 ? float(i / 3) : shape == 1 ? float(-i) : 1.0f);
        std::vector<uint64_t> keys, mask(size_t(maskWords(n)));
        SelectRule rule;
        rule.rule = Rule::TopK;
        rule.experts = n;
        rule.k = k;
        HostTeam warp;
        chooseRow(warp, rule, x.data(), x.data(), nullptr, mask.data());
        std::vector<int32_t> expected, found;
        fast::chooseHighest(x.data(), nullptr, n, k, keys, expected);
        for (int e = 0; e < n; ++e)
          if (hasBit(mask.data(), e))
            found.push_back(e);
        ASSERT_EQ(found, expected) << k << " of " << n << ", shape " << shape;
      }
}

TEST(Select, Gates) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Case c(seed, 1, 2, 1 + int(seed) % 70);
    for (int r = 0; r < 2; ++r) {
      const float *scores = c.in.scores + r * c.rule.experts;
      std::vector<float> found(scores, scores + c.rule.experts);
      HostTeam warp;
      rowGates(warp, c.rule, found.data(), found.data()); // in place
      const std::vector<float> expected =
          fast::reference::gates(c.spec, c.rule.experts, scores, nullptr);
      for (size_t e = 0; e < found.size(); ++e)
        if (std::isnan(expected[e])) {
          ASSERT_TRUE(std::isnan(found[e])) << "seed " << seed << ": " << e;
        } else if (std::isinf(expected[e])) {
          ASSERT_EQ(found[e], expected[e]);
        } else {
          ASSERT_NEAR(found[e], expected[e], 2e-6f) << "seed " << seed << ": " << e;
        }
    }
  }
}

} // namespace
