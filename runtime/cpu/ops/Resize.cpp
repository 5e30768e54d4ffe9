// Resize and Upsample: one weighted gather per resized axis.
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <cmath>

namespace uoe::rt {
namespace {

struct Options {
  std::string mode, coordinates, nearest, aspect;
  double cubic = -0.75, extrapolation = 0;
  bool excludeOutside = false, antialias = false;
};

/// How one axis is resized.
struct AxisPlan {
  int64_t axis, in, out;
  double scale, roiBegin = 0, roiEnd = 1;
};

/// Which input elements an output element mixes.
struct Taps {
  std::vector<int64_t> index;
  std::vector<double> weight;
  bool outside = false; // takes the extrapolation value
};

double sourceOf(const Options &o, const AxisPlan &p, double x) {
  double width = p.scale * static_cast<double>(p.in), in = static_cast<double>(p.in);
  if (o.coordinates == "align_corners")
    return width == 1 ? 0.0 : x * (in - 1) / (width - 1);
  if (o.coordinates == "asymmetric")
    return x / p.scale;
  if (o.coordinates == "tf_crop_and_resize")
    return p.out == 1 ? 0.5 * (p.roiBegin + p.roiEnd) * (in - 1)
                      : p.roiBegin * (in - 1) + x * (p.roiEnd - p.roiBegin) * (in - 1) /
                                                    (static_cast<double>(p.out) - 1);
  if (o.coordinates == "pytorch_half_pixel")
    return p.out == 1 ? -0.5 : (x + 0.5) / p.scale - 0.5;
  if (o.coordinates == "tf_half_pixel_for_nn")
    return (x + 0.5) / p.scale;
  if (o.coordinates == "half_pixel_symmetric") {
    double adjustment = static_cast<double>(p.out) / width;
    return in / 2 * (1 - adjustment) + (x + 0.5) / p.scale - 0.5;
  }
  if (o.coordinates == "half_pixel")
    return (x + 0.5) / p.scale - 0.5;
  fail("Resize: unknown coordinate_transformation_mode '", o.coordinates, "'");
}

int64_t nearestOf(const Options &o, double x) {
  double result;
  if (o.nearest == "round_prefer_floor")
    result = std::ceil(x - 0.5);
  else if (o.nearest == "round_prefer_ceil")
    result = std::floor(x + 0.5);
  else if (o.nearest == "floor")
    result = std::floor(x);
  else if (o.nearest == "ceil")
    result = std::ceil(x);
  else
    fail("Resize: unknown nearest_mode '", o.nearest, "'");
  return static_cast<int64_t>(result);
}

/// The interpolation kernel at distance t: a triangle, or Keys' cubic with coefficient a.
double kernelAt(bool cubic, double a, double t) {
  t = std::fabs(t);
  if (!cubic)
    return std::max(0.0, 1 - t);
  if (t <= 1)
    return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0.0;
}

Taps tapsOf(const Options &o, const AxisPlan &p, int64_t position) {
  Taps taps;
  double x = sourceOf(o, p, static_cast<double>(position));
  if (o.coordinates == "tf_crop_and_resize" && (x < 0 || x > static_cast<double>(p.in - 1))) {
    taps.outside = true;
    return taps;
  }
  if (o.mode == "nearest") {
    taps.index = {std::max<int64_t>(0, std::min(p.in - 1, nearestOf(o, x)))};
    taps.weight = {1.0};
    return taps;
  }
  bool cubic = o.mode == "cubic";
  double reach = cubic ? 2 : 1, stretch = o.antialias ? std::min(p.scale, 1.0) : 1.0;
  int64_t start = static_cast<int64_t>(std::floor(-reach / stretch)) + 1, count = 2 - 2 * start;
  // An integral position belongs to the interval on its left.
  int64_t left = static_cast<int64_t>(std::ceil(x)) - 1;
  double ratio = x - static_cast<double>(left), total = 0;
  for (int64_t i = start; i < start + count; ++i) {
    double weight = kernelAt(cubic, o.cubic, (static_cast<double>(i) - ratio) * stretch);
    int64_t index = left + i;
    if (o.excludeOutside && (index < 0 || index >= p.in))
      weight = 0;
    total += weight;
    taps.index.push_back(std::max<int64_t>(0, std::min(p.in - 1, index)));
    taps.weight.push_back(weight);
  }
  if (o.excludeOutside || o.antialias)
    for (double &weight : taps.weight)
      weight /= total;
  return taps;
}

template <typename T> Tensor resizeAxis(const Tensor &x, const Options &o, const AxisPlan &p) {
  Shape shape = x.shape();
  int64_t outer = extent(shape, 0, p.axis), inner = extent(shape, p.axis + 1, x.rank());
  shape[p.axis] = p.out;
  Tensor result(DTypeOf<T>::value, shape);
  std::vector<Taps> taps;
  for (int64_t i = 0; i < p.out; ++i)
    taps.push_back(tapsOf(o, p, i));
  const T *from = x.data<T>();
  T *to = result.data<T>();
  // The last axis: rows of single elements, for which what a tap takes is to lie together.
  if (inner == 1 && std::none_of(taps.begin(), taps.end(), [](auto &t) { return t.outside; })) {
    struct Tap {
      int64_t index;
      T weight;
    };
    std::vector<Tap> all;
    std::vector<size_t> ends;
    for (const Taps &t : taps) {
      for (size_t k = 0; k < t.index.size(); ++k)
        if (T weight = static_cast<T>(t.weight[k]); weight != T(0))
          all.push_back({t.index[k], weight});
      ends.push_back(all.size());
    }
    ThreadPool::global().parallelFor(outer,
                                     std::max<int64_t>(1, 8192 / std::max<int64_t>(1, p.out)),
                                     [&](int64_t begin, int64_t end) {
                                       for (int64_t i = begin; i < end; ++i) {
                                         const T *source = from + i * p.in;
                                         size_t k = 0;
                                         for (int64_t j = 0; j < p.out; ++j) {
                                           T sum = T(0);
                                           for (; k < ends[j]; ++k)
                                             sum += all[k].weight * source[all[k].index];
                                           to[i * p.out + j] = sum;
                                         }
                                       }
                                     });
    return result;
  }
  ThreadPool::global().parallelFor(
      outer * p.out, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, inner)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const Taps &t = taps[i % p.out];
          T *row = to + i * inner;
          std::fill(row, row + inner, t.outside ? static_cast<T>(o.extrapolation) : T(0));
          for (size_t k = 0; k < t.index.size(); ++k) {
            const T *source = from + (i / p.out * p.in + t.index[k]) * inner;
            T weight = static_cast<T>(t.weight[k]);
            if (weight != T(0))
              for (int64_t j = 0; j < inner; ++j)
                row[j] += weight * source[j];
          }
        }
      });
  return result;
}

template <typename T>
void resize(KernelCall &call, Tensor x, const Options &o, const std::vector<AxisPlan> &plans) {
  for (const AxisPlan &p : plans) {
    // An axis that keeps its size is untouched, unless a region of it is cut out.
    bool same = p.in == p.out && p.scale == 1.0 && o.coordinates != "tf_crop_and_resize";
    if (!same)
      x = resizeAxis<T>(x, o, p);
  }
  DType type = call.in(0).dtype();
  if (isReal(type))
    return setReal(call, 0, x, type);
  Tensor &result = call.out(0, type, x.shape());
  auto store = [&](auto *to, double low, double high) {
    using I = std::remove_pointer_t<decltype(to)>;
    for (int64_t i = 0, n = x.size(); i < n; ++i) {
      double value = std::min(high, std::max(low, static_cast<double>(x.data<T>()[i])));
      to[i] = static_cast<I>(std::trunc(value));
    }
  };
  switch (type) {
  case DType::U8:
    return store(result.data<uint8_t>(), 0, 255);
  case DType::I8:
    return store(result.data<int8_t>(), -128, 127);
  case DType::Bool:
    return store(result.data<uint8_t>(), 0, 1);
  case DType::I32:
    return store(result.data<int32_t>(), -2147483648.0, 2147483647.0);
  default:
    return store(result.data<int64_t>(), -9.2e18, 9.2e18);
  }
}

/// Integers are resized in double, which holds them exactly up to 2^53.
Tensor asDouble(const Tensor &x, const Node &node) {
  Tensor result(DType::F64, x.shape());
  auto load = [&](const auto *from) {
    for (int64_t i = 0, n = x.size(); i < n; ++i)
      result.data<double>()[i] = static_cast<double>(from[i]);
  };
  switch (x.dtype()) {
  case DType::U8:
  case DType::Bool:
    load(x.data<uint8_t>());
    break;
  case DType::I8:
    load(x.data<int8_t>());
    break;
  case DType::I32:
    load(x.data<int32_t>());
    break;
  case DType::I64:
    load(x.data<int64_t>());
    break;
  default:
    fail(node.op, ": elements of type ", nameOf(x.dtype()), " are not supported");
  }
  return result;
}

std::vector<double> realsOf(const Tensor &tensor, const char *what) {
  check(isReal(tensor.dtype()), what, ": expected a float type, found ", nameOf(tensor.dtype()));
  Tensor wide = castReal(tensor, DType::F32);
  return std::vector<double>(wide.data<float>(), wide.data<float>() + wide.size());
}

void dispatch(KernelCall &call, const Options &o, const std::vector<AxisPlan> &plans) {
  const Tensor &x = call.in(0);
  for (const AxisPlan &p : plans)
    check(p.in > 0 || p.out == 0, call.node.op, ": an empty dimension cannot be resized to ",
          p.out);
  if (x.dtype() == DType::F64 || !isReal(x.dtype()))
    resize<double>(call, isReal(x.dtype()) ? x : asDouble(x, call.node), o, plans);
  else
    resize<float>(call, inputAs<float>(call, 0), o, plans);
}

std::vector<AxisPlan> plansOf(const Node &node, const Shape &shape,
                              const std::vector<double> &scales) {
  check(scales.size() == shape.size(), node.op, ": there must be one scale per dimension of ",
        toString(shape), ", found ", scales.size());
  std::vector<AxisPlan> plans;
  for (size_t i = 0; i < scales.size(); ++i) {
    check(scales[i] > 0, node.op, ": scales must be positive, found ", scales[i]);
    AxisPlan p{};
    p.axis = static_cast<int64_t>(i);
    p.in = shape[i];
    p.scale = scales[i];
    p.out = static_cast<int64_t>(std::floor(static_cast<double>(p.in) * scales[i] + 1e-6));
    plans.push_back(p);
  }
  return plans;
}

void runUpsample(KernelCall &call) {
  const Node &node = call.node;
  Options o;
  o.mode = node.string("mode", "nearest");
  if (o.mode == "bilinear")
    o.mode = "linear";
  o.coordinates = "asymmetric";
  o.nearest = "floor";
  std::vector<double> scales;
  if (call.has(1)) {
    scales = realsOf(call.in(1), "Upsample: scales");
  } else {
    auto list = node.reals("scales");
    scales.assign(list.begin(), list.end());
  }
  dispatch(call, o, plansOf(node, call.in(0).shape(), scales));
}

void runResize(KernelCall &call) {
  const Node &node = call.node;
  if (node.version < 11)
    return runUpsample(call);
  Options o;
  o.mode = node.string("mode", "nearest");
  o.coordinates = node.string("coordinate_transformation_mode", "half_pixel");
  o.nearest = node.string("nearest_mode", "round_prefer_floor");
  o.aspect = node.string("keep_aspect_ratio_policy", "stretch");
  o.cubic = node.real("cubic_coeff_a", -0.75f);
  o.extrapolation = node.real("extrapolation_value", 0);
  o.excludeOutside = node.integer("exclude_outside", 0);
  o.antialias = node.integer("antialias", 0);
  check(o.mode == "nearest" || o.mode == "linear" || o.mode == "cubic",
        "Resize: mode must be nearest, linear or cubic, found '", o.mode, "'");
  const Shape &shape = call.in(0).shape();
  int64_t rank = call.in(0).rank();
  std::vector<int64_t> axes = node.integers("axes");
  if (axes.empty())
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
  for (int64_t &axis : axes)
    axis = resolveAxis(node, axis, rank);
  std::vector<double> scales, roi;
  std::vector<int64_t> sizes;
  if (call.has(1))
    roi = realsOf(call.in(1), "Resize: roi");
  if (call.has(2))
    scales = realsOf(call.in(2), "Resize: scales");
  if (call.has(3))
    sizes = toInts(call.in(3), "Resize: sizes");
  check(scales.empty() != sizes.empty(), "Resize: either scales or sizes must be given");
  check((scales.empty() ? sizes.size() : scales.size()) == axes.size(), "Resize: there must be ",
        axes.size(), " scales or sizes, found ", scales.size() + sizes.size());
  double common = 0;
  if (!sizes.empty() && o.aspect != "stretch") {
    for (size_t i = 0; i < axes.size(); ++i) {
      double ratio = static_cast<double>(sizes[i]) / static_cast<double>(shape[axes[i]]);
      common = i == 0                     ? ratio
               : o.aspect == "not_larger" ? std::min(common, ratio)
                                          : std::max(common, ratio);
    }
  }
  std::vector<AxisPlan> plans;
  for (size_t i = 0; i < axes.size(); ++i) {
    AxisPlan p{};
    p.axis = axes[i];
    p.in = shape[axes[i]];
    p.roiEnd = 1;
    if (!scales.empty()) {
      check(scales[i] > 0, "Resize: scales must be positive, found ", scales[i]);
      p.scale = scales[i];
      p.out = static_cast<int64_t>(std::floor(static_cast<double>(p.in) * p.scale));
    } else {
      check(sizes[i] >= 0 && sizes[i] <= (int64_t(1) << 31),
            "Resize: sizes must not be negative, found ", sizes[i]);
      p.out = common > 0
                  ? static_cast<int64_t>(std::floor(common * static_cast<double>(p.in) + 0.5))
                  : sizes[i];
      p.scale = common > 0  ? common
                : p.in == 0 ? 1.0
                            : static_cast<double>(p.out) / static_cast<double>(p.in);
    }
    if (o.coordinates == "tf_crop_and_resize") {
      check(roi.size() == 2 * axes.size(), "Resize: roi must have ", 2 * axes.size(),
            " elements, found ", roi.size());
      p.roiBegin = roi[i];
      p.roiEnd = roi[axes.size() + i];
    }
    plans.push_back(p);
  }
  dispatch(call, o, plans);
}

} // namespace

void registerResize(KernelTable &table) {
  table.add("", "Resize", runResize);
  table.add("", "Upsample", runUpsample);
}

} // namespace uoe::rt
