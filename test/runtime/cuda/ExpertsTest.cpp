// The expert layer's programs on simulated blocks, against the naive twin in double sums.
#include "runtime/cuda/dispatch/Experts.h"
#include <gtest/gtest.h>
#include <memory>
#include <random>

using namespace uoe::rt::cuda;

namespace {

TEST(Fragment, LanesHoldEachElementOnce) {
  int a[16][16] = {}, b[16][8] = {}, c[16][8] = {};
  for (int lane = 0; lane < 32; ++lane) {
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < 4; ++r)
        ++a[aRow(lane, r)][aColumn(lane, r) + half];
      for (int r = 0; r < 2; ++r)
        ++b[bRow(lane, r) + half][bColumn(lane)];
    }
    for (int q = 0; q < 4; ++q)
      ++c[cRow(lane, q)][cColumn(lane, q)];
  }
  for (auto &row : a)
    for (int count : row)
      EXPECT_EQ(count, 1);
  for (int k = 0; k < 16; ++k)
    for (int n = 0; n < 8; ++n) {
      EXPECT_EQ(b[k][n], 1);
      EXPECT_EQ(c[k][n], 1);
    }
}

TEST(Fragment, ElementsLieWherePtxSaysTheyDo) {
  // Read off the figures of the PTX ISA.
  EXPECT_EQ(aRow(5, 1), 9); // lane 5: T1 of group 1; a2, a3
  EXPECT_EQ(aColumn(5, 1), 2);
  EXPECT_EQ(aRow(31, 2), 7); // a4, a5
  EXPECT_EQ(aColumn(31, 2), 14);
  EXPECT_EQ(bRow(6, 1), 12); // b2, b3
  EXPECT_EQ(bColumn(6), 1);
  EXPECT_EQ(cRow(13, 3), 11);
  EXPECT_EQ(cColumn(13, 3), 3);
}

/// One layer, one routing, and what comes of them. Values are rounded to T on the way in.
template <typename T> struct Problem {
  int rows, in, out;
  bool gated;
  std::vector<int32_t> hidden, first, tiles, offset, ids, place, source;
  std::vector<T> x, inner, outer;
  std::vector<float> innerBias, outerBias, weights;
  Layer<T> layer;

  Problem(unsigned seed, int rows, int in, int out, const std::vector<int> &sizes, int percent,
          bool gated, bool biases)
      : rows(rows), in(in), out(out), gated(gated), hidden{0} {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> real(-1, 1);
    auto fill = [&](std::vector<T> &v, int64_t n, float scale) {
      for (int64_t i = 0; i < n; ++i)
        v.push_back(fromFloat<T>(scale * real(random)));
    };
    layer.mostHidden = 1;
    for (int size : sizes) {
      hidden.push_back(hidden.back() + size);
      layer.mostHidden = std::max(layer.mostHidden, size);
    }
    const int experts = static_cast<int>(sizes.size()), neurons = hidden.back();
    fill(x, int64_t(rows) * in, 1);
    fill(inner, int64_t(neurons) * in * (gated ? 2 : 1), 1 / std::sqrt(float(in)));
    fill(outer, int64_t(neurons) * out, 1);
    for (int i = 0; biases && i < neurons * (gated ? 2 : 1); ++i)
      innerBias.push_back(real(random));
    for (int i = 0; biases && i < out; ++i)
      outerBias.push_back(real(random));
    std::vector<std::vector<int32_t>> takers(sizes.size());
    offset.push_back(0);
    for (int r = 0; r < rows; ++r) {
      for (int e = 0; e < experts; ++e)
        // Expert 1 is nobody's.
        if (e != 1 && int(random() % 100) < percent) {
          ids.push_back(e);
          takers[size_t(e)].push_back(r);
        }
      offset.push_back(static_cast<int32_t>(ids.size()));
    }
    first.push_back(0);
    tiles.push_back(0);
    for (const auto &list : takers) {
      source.insert(source.end(), list.begin(), list.end());
      first.push_back(static_cast<int32_t>(source.size()));
      tiles.push_back(tiles.back() +
                      ceilDiv(static_cast<int>(list.size()), ProductTile<T>::height));
    }
    std::vector<int32_t> next(first);
    for (int32_t e : ids)
      place.push_back(next[size_t(e)]++);
    for (size_t i = 0; i < source.size(); ++i)
      weights.push_back(real(random));
    layer.experts = experts;
    layer.in = in;
    layer.out = out;
    layer.hidden = hidden.data();
    layer.gated = gated;
    layer.act = gated ? Activation::Silu : Activation::Gelu;
    layer.inner = inner.data();
    layer.outer = outer.data();
    layer.innerBias = biases ? innerBias.data() : nullptr;
    layer.outerBias = biases ? outerBias.data() : nullptr;
  }

  /// The naive twin: no tiles, no permutation, double sums.
  std::vector<double> reference() const {
    std::vector<double> y(size_t(rows) * size_t(out));
    const int per = gated ? 2 : 1;
    for (int r = 0; r < rows; ++r) {
      for (int o = 0; o < out && layer.outerBias; ++o)
        y[size_t(r * out + o)] = outerBias[size_t(o)];
      for (int32_t i = offset[size_t(r)]; i < offset[size_t(r) + 1]; ++i) {
        const int e = ids[size_t(i)], count = hidden[size_t(e) + 1] - hidden[size_t(e)];
        for (int j = 0; j < count; ++j) {
          double pre[2] = {0, 1};
          for (int p = 0; p < per; ++p) {
            const int64_t row = int64_t(hidden[size_t(e)] + j) * per + p;
            pre[p] = layer.innerBias ? innerBias[size_t(row)] : 0;
            for (int k = 0; k < in; ++k)
              pre[p] +=
                  double(toFloat(x[size_t(r * in + k)])) * toFloat(inner[size_t(row * in + k)]);
          }
          const double h =
              activate(layer.act, float(pre[0])) * pre[1] * weights[size_t(place[size_t(i)])];
          for (int o = 0; o < out; ++o)
            y[size_t(r * out + o)] +=
                h *
                toFloat(outer[size_t(int64_t(hidden[size_t(e)]) * out + int64_t(o) * count + j)]);
        }
      }
    }
    return y;
  }

  /// Blocks of the two grouped products, then the combine.
  std::vector<double> simulated(int band) const {
    using P = ProductTile<T>;
    auto shared = std::make_unique<typename P::Shared>();
    HostTeam team(P::threads);
    const int64_t pairs = int64_t(source.size());
    // Rows of h begin at multiples of 16 bytes; experts of other sizes do not, and are not copied.
    const int64_t ldh = ceilDiv(layer.mostHidden, P::perCopy) * P::perCopy;
    bool even = true;
    for (int32_t start : hidden)
      even = even && start % P::perCopy == 0;
    std::vector<T> h(size_t(pairs * ldh)), partial(size_t(pairs * out)), y(size_t(rows * out));
    Schedule schedule{
        layer.experts, P::height,    P::width,    layer.mostHidden * layer.rowsPerNeuron(),
        band,          first.data(), tiles.data()};
    for (int64_t i = 0; i < schedule.count(); ++i)
      innerTile<T>(team, *shared, layer, schedule.tile(i), x.data(), in, source.data(),
                   weights.data(), in % P::perCopy == 0, h.data(), ldh);
    schedule.columns = out;
    for (int64_t i = 0; i < schedule.count(); ++i)
      outerTile<T>(team, *shared, layer, schedule.tile(i), h.data(), ldh, even, partial.data());
    for (int r = 0; r < rows; ++r)
      for (int o = 0; o < out; ++o)
        combineElement<T>(r, o, out, partial.data(), offset.data(), ids.data(), place.data(),
                          layer.outerBias, nullptr, y.data(), out);
    std::vector<double> result;
    for (T value : y)
      result.push_back(toFloat(value));
    return result;
  }
};

template <typename T> void compare(const Problem<T> &problem, const std::vector<double> &found) {
  const std::vector<double> expected = problem.reference();
  ASSERT_EQ(found.size(), expected.size());
  double largest = 1;
  for (double value : expected)
    largest = std::max(largest, std::fabs(value));
  // h, partials and results are rounded to T: 8, 11 or 24 bits.
  const double tolerance = std::is_same_v<T, BF16> ? 2e-2 : std::is_same_v<T, F16> ? 3e-3 : 3e-6;
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], tolerance * largest)
        << "row " << i / size_t(problem.out) << ", column " << i % size_t(problem.out);
}

template <typename T> class ExpertLayer : public testing::Test {};
using Types = testing::Types<float, BF16, F16>;
TYPED_TEST_SUITE(ExpertLayer, Types);

TYPED_TEST(ExpertLayer, RaggedAndEmptyExperts) {
  unsigned seed = 0;
  for (int rows : {0, 1, 7, 150, 300})
    for (bool gated : {false, true})
      for (const std::vector<int> &sizes : {std::vector<int>{40},
                                            {16, 16, 16, 16},
                                            {88, 8, 72, 160},
                                            {1, 1, 1},
                                            {7, 5, 33, 1, 90}}) {
        SCOPED_TRACE(testing::Message()
                     << "seed " << seed << ": " << rows << " rows, " << sizes.size() << " experts");
        Problem<TypeParam> problem(seed, rows, 72, 136, sizes, 60, gated, seed % 3 == 0);
        ASSERT_NO_FATAL_FAILURE(compare(problem, problem.simulated(1 + int(seed) % 3)));
        ++seed;
      }
}

TYPED_TEST(ExpertLayer, WidthsThatFitNoVector) {
  unsigned seed = 100;
  for (int in : {1, 7, 33, 129})
    for (int out : {1, 9, 131}) {
      SCOPED_TRACE(testing::Message() << in << " to " << out);
      Problem<TypeParam> problem(seed, 20, in, out, {11, 3, 50}, 50, seed % 2 == 0, true);
      ASSERT_NO_FATAL_FAILURE(compare(problem, problem.simulated(8)));
      ++seed;
    }
}

} // namespace
