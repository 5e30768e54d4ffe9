#include "lib/Calibration/Hidden.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::calibration;

namespace {

int64_t above(const std::vector<float> &values, float threshold) {
  return std::count_if(values.begin(), values.end(), [&](float v) { return v > threshold; });
}

TEST(CutAbove, takesAWideGapNearby) {
  // 0 .. 63, of which 40 comes again with a rounding; two more may be left out.
  std::vector<float> values(64);
  for (int i = 0; i < 64; ++i)
    values[i] = static_cast<float>((i * 37) % 64);
  *std::find(values.begin(), values.end(), 39.0f) = std::nextafter(40.0f, 0.0f);
  std::vector<float> shuffled = values;
  EXPECT_EQ(cutAbove(shuffled, 40), 40.5f);
  shuffled = values;
  EXPECT_EQ(cutAbove(shuffled, 30), 29.5f);
}

TEST(CutAbove, leavesWhatIsAsked) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int64_t count : {1, 2, 7, 100, 5000, 100000}) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float &v : values)
      v = normal(random);
    for (double share : {1e-9, 0.1, 0.5, 0.999, 1.0}) {
      auto below = static_cast<int64_t>(std::ceil(share * static_cast<double>(count)));
      std::vector<float> shuffled = values;
      float cut = cutAbove(shuffled, below);
      EXPECT_LE(above(values, cut), count - below);
      EXPECT_GE(above(values, cut),
                std::min(count - below,
                         std::max<int64_t>(1, count - below - std::max<int64_t>(count / 32, 1))));
    }
  }
}

TEST(CutAbove, leavesEqualValuesTogether) {
  std::vector<float> values(1000, 0.0f);
  values[3] = values[700] = 1.0f;
  values[5] = 2.0f;
  std::vector<float> shuffled = values;
  EXPECT_EQ(cutAbove(shuffled, 10), 0.5f);
  shuffled.assign(1000, 3.0f);
  EXPECT_EQ(above(std::vector<float>(1000, 3.0f), cutAbove(shuffled, 10)), 0);
}

} // namespace
