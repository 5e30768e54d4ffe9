// GridSample and NonMaxSuppression.
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace uoe::rt {
namespace {

enum class Padding { Zeros, Border, Reflection };

struct GridOptions {
  int order; // 0 nearest, 1 linear, 3 cubic
  Padding padding;
  bool align;
};

/// Mirrors x into [low, high].
double reflect(double x, double low, double high) {
  double range = high - low;
  if (range <= 0)
    return low;
  double distance = std::fmod(std::fabs(x - low), 2 * range);
  return low + (distance > range ? 2 * range - distance : distance);
}

/// The input index for an integral position; -1 where padding gives zero.
int64_t indexOf(double position, int64_t size, const GridOptions &o) {
  if (o.padding == Padding::Zeros)
    return position < 0 || position > static_cast<double>(size - 1)
               ? -1
               : static_cast<int64_t>(position);
  if (o.padding == Padding::Reflection)
    position = o.align ? reflect(position, 0, static_cast<double>(size - 1))
                       : reflect(position, -0.5, static_cast<double>(size) - 0.5);
  return static_cast<int64_t>(
      std::min(std::max(std::nearbyint(position), 0.0), static_cast<double>(size - 1)));
}

/// Up to four (index, weight) pairs along one dimension.
struct Line {
  int count = 0;
  std::array<int64_t, 4> index{};
  std::array<double, 4> weight{};
};

Line lineOf(double coordinate, int64_t size, const GridOptions &o) {
  double length = static_cast<double>(size);
  double x = o.align ? (coordinate + 1) / 2 * (length - 1) : ((coordinate + 1) * length - 1) / 2;
  if (!std::isfinite(x))
    x = -1e9;
  // Border and reflection act on the position itself for the two simple interpolations.
  if (o.order != 3) {
    if (o.padding == Padding::Border)
      x = std::min(std::max(x, 0.0), length - 1);
    else if (o.padding == Padding::Reflection)
      x = o.align ? reflect(x, 0, length - 1) : reflect(x, -0.5, length - 0.5);
    if (o.padding == Padding::Reflection)
      x = std::min(std::max(x, 0.0), length - 1);
  }
  Line line;
  auto add = [&](double position, double weight) {
    line.index[line.count] = indexOf(position, size, o);
    line.weight[line.count++] = weight;
  };
  if (o.order == 0) {
    add(std::nearbyint(x), 1);
  } else if (o.order == 1) {
    double left = std::floor(x);
    add(left, left + 1 - x);
    add(left + 1, x - left);
  } else {
    const double a = -0.75;
    double left = std::floor(x);
    for (int i = -1; i <= 2; ++i) {
      double t = std::fabs(x - (left + i));
      double weight =
          t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
      add(left + i, weight);
    }
  }
  return line;
}

template <typename T> void gridSample(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0), grid = inputAs<T>(call, 1);
  std::string mode = node.string("mode", "linear"), padding = node.string("padding_mode", "zeros");
  GridOptions o;
  check(mode == "nearest" || mode == "linear" || mode == "bilinear" || mode == "cubic" ||
            mode == "bicubic",
        "GridSample: unknown mode '", mode, "'");
  check(padding == "zeros" || padding == "border" || padding == "reflection",
        "GridSample: unknown padding_mode '", padding, "'");
  o.order = mode == "nearest" ? 0 : mode == "cubic" || mode == "bicubic" ? 3 : 1;
  o.padding = padding == "zeros"    ? Padding::Zeros
              : padding == "border" ? Padding::Border
                                    : Padding::Reflection;
  o.align = node.integer("align_corners", 0);
  int64_t spatial = x.rank() - 2;
  check((spatial == 2 || spatial == 3) && grid.rank() == x.rank() && grid.dim(-1) == spatial &&
            grid.dim(0) == x.dim(0),
        "GridSample: expected X (batch, channels, ...) and a grid (batch, ..., ", spatial,
        "), found shapes ", toString(x.shape()), " and ", toString(grid.shape()));
  int64_t channels = x.dim(1), plane = extent(x.shape(), 2, x.rank());
  int64_t points = extent(grid.shape(), 1, grid.rank() - 1);
  check(plane > 0 || points == 0, "GridSample: X is empty");
  Shape shape(grid.shape().begin(), grid.shape().end() - 1);
  shape.insert(shape.begin() + 1, channels);
  Tensor result(DTypeOf<T>::value, shape);
  ThreadPool::global().parallelFor(x.dim(0) * points, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t n = i / points, at = i % points;
      const T *where = grid.data<T>() + i * spatial;
      // The grid names the last dimension first. Two dimensions are three with a single plane.
      Line lines[3];
      int64_t sizes[3] = {1, x.dim(-2), x.dim(-1)};
      if (spatial == 3)
        sizes[0] = x.dim(2);
      for (int64_t d = 0; d < 3; ++d) {
        if (d == 0 && spatial == 2) {
          lines[0].count = 1;
          lines[0].weight[0] = 1;
          continue;
        }
        lines[d] = lineOf(static_cast<double>(where[2 - d]), sizes[d], o);
      }
      for (int64_t c = 0; c < channels; ++c) {
        const T *from = x.data<T>() + (n * channels + c) * plane;
        double total = 0;
        for (int a = 0; a < lines[0].count; ++a)
          for (int b = 0; b < lines[1].count; ++b)
            for (int e = 0; e < lines[2].count; ++e) {
              int64_t z = lines[0].index[a], y = lines[1].index[b], w = lines[2].index[e];
              if (z < 0 || y < 0 || w < 0)
                continue;
              total += lines[0].weight[a] * lines[1].weight[b] * lines[2].weight[e] *
                       static_cast<double>(from[(z * sizes[1] + y) * sizes[2] + w]);
            }
        result.data<T>()[(n * channels + c) * points + at] = static_cast<T>(total);
      }
    }
  });
  setReal(call, 0, result, call.in(0).dtype());
}

void runGridSample(KernelCall &call) {
  withCompute(call.in(0).dtype(), "GridSample: X",
              [&](auto zero) { gridSample<decltype(zero)>(call); });
}

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

Box boxOf(const float *p, bool center) {
  if (center)
    return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

bool overlaps(const Box &a, const Box &b, float threshold) {
  float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0)
    return false;
  float common = height * width;
  return common / (a.area() + b.area() - common) > threshold;
}

void runNonMaxSuppression(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &boxes = call.in(0), &scores = call.in(1);
  expectType(boxes, DType::F32, "NonMaxSuppression: boxes");
  expectType(scores, DType::F32, "NonMaxSuppression: scores");
  check(boxes.rank() == 3 && scores.rank() == 3 && boxes.dim(2) == 4 &&
            boxes.dim(0) == scores.dim(0) && boxes.dim(1) == scores.dim(2),
        "NonMaxSuppression: expected boxes (batch, n, 4) and scores (batch, classes, n), found "
        "shapes ",
        toString(boxes.shape()), " and ", toString(scores.shape()));
  int64_t most = call.has(2) ? toInt(call.in(2), "max_output_boxes_per_class") : 0;
  float threshold = call.has(3) ? static_cast<float>(toDouble(call.in(3), "iou_threshold")) : 0.0f;
  bool filter = call.has(4);
  float least = filter ? static_cast<float>(toDouble(call.in(4), "score_threshold")) : 0.0f;
  bool center = node.integer("center_point_box", 0);
  int64_t count = boxes.dim(1);
  std::vector<int64_t> selected;
  for (int64_t b = 0; b < scores.dim(0); ++b)
    for (int64_t c = 0; c < scores.dim(1); ++c) {
      const float *score = scores.data<float>() + (b * scores.dim(1) + c) * count;
      std::vector<int64_t> order;
      for (int64_t i = 0; i < count; ++i)
        if (!filter || score[i] > least)
          order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t i, int64_t j) { return score[i] > score[j]; });
      std::vector<Box> kept;
      for (int64_t i : order) {
        if (static_cast<int64_t>(kept.size()) >= most)
          break;
        Box box = boxOf(boxes.data<float>() + (b * count + i) * 4, center);
        if (std::any_of(kept.begin(), kept.end(),
                        [&](const Box &other) { return overlaps(box, other, threshold); }))
          continue;
        kept.push_back(box);
        selected.insert(selected.end(), {b, c, i});
      }
    }
  Tensor &result = call.out(0, DType::I64, {static_cast<int64_t>(selected.size() / 3), 3});
  std::copy(selected.begin(), selected.end(), result.data<int64_t>());
}

} // namespace

void registerSampling(KernelTable &table) {
  table.add("", "GridSample", runGridSample);
  table.add("", "NonMaxSuppression", runNonMaxSuppression);
}

} // namespace uoe::rt
