// Normalisation over batches, groups, channels and norms.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"
#include <cmath>

namespace uoe::rt {
namespace {

/// Checks for (batch, channels, ...) and gives the elements behind a channel.
int64_t planeOf(const Node &node, const Shape &shape) {
  check(shape.size() >= 2, node.op, ": input must have shape (batch, channels, ...), found ",
        toString(shape));
  return extent(shape, 2, static_cast<int64_t>(shape.size()));
}

template <typename T> Tensor channelInput(KernelCall &call, size_t i, int64_t count) {
  Tensor tensor = inputAs<T>(call, i);
  check(tensor.size() == count, call.node.op, ": input ", i, " must have ", count,
        " elements, found shape ", toString(tensor.shape()));
  return tensor;
}

template <typename T> void batchNorm(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  // A vector is a batch of single channels' values.
  Shape shape = x.shape();
  if (shape.size() == 1)
    shape.push_back(1);
  int64_t plane = planeOf(node, shape), channels = shape[1], batch = shape[0];
  if (x.rank() == 1)
    channels = 1;
  bool perElement = node.version < 9 && !node.integer("spatial", 1);
  int64_t statistics = perElement ? channels * plane : channels;
  Tensor scale = channelInput<T>(call, 1, statistics), bias = channelInput<T>(call, 2, statistics),
         mean = channelInput<T>(call, 3, statistics),
         variance = channelInput<T>(call, 4, statistics);
  T epsilon = static_cast<T>(node.real("epsilon", 1e-5f));
  DType type = call.in(0).dtype();
  if (node.integer("training_mode", 0)) {
    check(!perElement, "BatchNormalization: training needs spatial statistics");
    T momentum = static_cast<T>(node.real("momentum", 0.9f));
    Tensor newMean(DTypeOf<T>::value, {channels}), newVariance(DTypeOf<T>::value, {channels});
    Tensor batchMean(DTypeOf<T>::value, {channels}), batchVariance(DTypeOf<T>::value, {channels});
    for (int64_t c = 0; c < channels; ++c) {
      T count = static_cast<T>(batch * plane), total = 0, square = 0;
      for (int64_t n = 0; n < batch; ++n)
        total += vec::sum(x.data<T>() + (n * channels + c) * plane, plane);
      T m = total / count;
      for (int64_t n = 0; n < batch; ++n)
        square += vec::squares(x.data<T>() + (n * channels + c) * plane, m, plane);
      batchMean.data<T>()[c] = m;
      batchVariance.data<T>()[c] = square / count;
      newMean.data<T>()[c] = mean.data<T>()[c] * momentum + m * (1 - momentum);
      newVariance.data<T>()[c] = variance.data<T>()[c] * momentum + square / count * (1 - momentum);
    }
    if (call.wants(1))
      setReal(call, 1, newMean, call.in(3).dtype());
    if (call.wants(2))
      setReal(call, 2, newVariance, call.in(4).dtype());
    mean = batchMean;
    variance = batchVariance;
  }
  Tensor result(DTypeOf<T>::value, x.shape());
  ThreadPool::global().parallelFor(
      batch * channels, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, plane)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T *from = x.data<T>() + i * plane;
          T *to = result.data<T>() + i * plane;
          for (int64_t p = 0; p < plane; ++p) {
            int64_t s = perElement ? i % channels * plane + p : i % channels;
            T factor = scale.data<T>()[s] / std::sqrt(variance.data<T>()[s] + epsilon);
            to[p] = (from[p] - mean.data<T>()[s]) * factor + bias.data<T>()[s];
          }
        }
      });
  setReal(call, 0, result, type);
}

/// Normalises `count` runs of `length`, each of channels × plane values, then scales per channel.
template <typename T>
void normaliseGroups(const Tensor &x, Tensor &result, int64_t count, int64_t length, int64_t plane,
                     T epsilon, const std::vector<T> &scale, const std::vector<T> &bias,
                     int64_t channels) {
  ThreadPool::global().parallelFor(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *from = x.data<T>() + i * length;
      T *to = result.data<T>() + i * length;
      T mean = vec::sum(from, length) / static_cast<T>(length);
      T inverse =
          T(1) / std::sqrt(vec::squares(from, mean, length) / static_cast<T>(length) + epsilon);
      for (int64_t p = 0; p < length; p += plane) {
        int64_t c = (i * length + p) / plane % channels;
        T factor = inverse * scale[c], shift = bias[c] - mean * factor;
        for (int64_t k = 0; k < plane; ++k)
          to[p + k] = from[p + k] * factor + shift;
      }
    }
  });
}

template <typename T> std::vector<T> channelValues(KernelCall &call, size_t i, int64_t channels) {
  Tensor tensor = channelInput<T>(call, i, channels);
  return std::vector<T>(tensor.data<T>(), tensor.data<T>() + channels);
}

template <typename T> void instanceNorm(KernelCall &call) {
  Tensor x = inputAs<T>(call, 0);
  int64_t plane = planeOf(call.node, x.shape()), channels = x.dim(1);
  Tensor result(DTypeOf<T>::value, x.shape());
  if (x.size() > 0)
    normaliseGroups<T>(x, result, x.dim(0) * channels, plane, plane,
                       static_cast<T>(call.node.real("epsilon", 1e-5f)),
                       channelValues<T>(call, 1, channels), channelValues<T>(call, 2, channels),
                       channels);
  setReal(call, 0, result, call.in(0).dtype());
}

template <typename T> void groupNorm(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  int64_t plane = planeOf(node, x.shape()), channels = x.dim(1);
  int64_t groups = node.integer("num_groups", 0);
  check(groups > 0 && channels % groups == 0, node.op, ": num_groups must divide the ", channels,
        " channels, found ", groups);
  // Before operator set 21 there is one scale per group.
  bool perGroup = node.version < 21 && call.in(1).size() == groups;
  std::vector<T> scale = channelValues<T>(call, 1, perGroup ? groups : channels),
                 bias = channelValues<T>(call, 2, perGroup ? groups : channels);
  if (perGroup) {
    std::vector<T> wideScale(channels), wideBias(channels);
    for (int64_t c = 0; c < channels; ++c) {
      wideScale[c] = scale[c / (channels / groups)];
      wideBias[c] = bias[c / (channels / groups)];
    }
    scale = wideScale;
    bias = wideBias;
  }
  Tensor result(DTypeOf<T>::value, x.shape());
  if (x.size() > 0)
    normaliseGroups<T>(x, result, x.dim(0) * groups, channels / groups * plane, plane,
                       static_cast<T>(node.real("epsilon", 1e-5f)), scale, bias, channels);
  setReal(call, 0, result, call.in(0).dtype());
}

template <typename T> void lpNorm(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  int64_t axis = resolveAxis(node, node.integer("axis", -1), x.rank());
  int64_t p = node.integer("p", 2);
  check(p == 1 || p == 2, node.op, ": p must be 1 or 2, found ", p);
  int64_t outer = extent(x.shape(), 0, axis), length = x.rank() ? x.shape()[axis] : 1,
          inner = extent(x.shape(), std::min(axis + 1, x.rank()), x.rank());
  Tensor result(DTypeOf<T>::value, x.shape());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      const T *from = x.data<T>() + o * length * inner + i;
      T *to = result.data<T>() + o * length * inner + i;
      T norm = 0;
      for (int64_t k = 0; k < length; ++k)
        norm += p == 1 ? std::fabs(from[k * inner]) : from[k * inner] * from[k * inner];
      norm = p == 1 ? norm : std::sqrt(norm);
      for (int64_t k = 0; k < length; ++k)
        to[k * inner] = norm == 0 ? T(0) : from[k * inner] / norm;
    }
  setReal(call, 0, result, call.in(0).dtype());
}

template <typename T> void meanVariance(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  std::vector<bool> reduced(x.shape().size(), false);
  check(x.rank() > 0, node.op, ": expected rank 1 or more, found a scalar");
  for (int64_t axis : node.integers("axes", {0, 2, 3}))
    reduced[resolveAxis(node, axis, x.rank())] = true;
  // The index of each element's statistics.
  int64_t groups = 1;
  std::vector<int64_t> strides(reduced.size(), 0);
  for (size_t d = reduced.size(); d-- > 0;)
    if (!reduced[d]) {
      strides[d] = groups;
      groups *= x.shape()[d];
    }
  int64_t count = x.size();
  std::vector<int64_t> group(count);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    for (size_t d = reduced.size(); d-- > 0;) {
      group[i] += rest % x.shape()[d] * strides[d];
      rest /= x.shape()[d];
    }
  }
  std::vector<double> mean(groups, 0.0), variance(groups, 0.0);
  double each = groups ? static_cast<double>(count) / static_cast<double>(groups) : 1.0;
  for (int64_t i = 0; i < count; ++i)
    mean[group[i]] += x.data<T>()[i] / each;
  for (int64_t i = 0; i < count; ++i)
    variance[group[i]] += std::pow(x.data<T>()[i] - mean[group[i]], 2) / each;
  Tensor result(DTypeOf<T>::value, x.shape());
  for (int64_t i = 0; i < count; ++i)
    result.data<T>()[i] =
        static_cast<T>((x.data<T>()[i] - mean[group[i]]) / (std::sqrt(variance[group[i]]) + 1e-9));
  setReal(call, 0, result, call.in(0).dtype());
}

/// x / (bias + alpha / size · Σ x² over neighbouring channels)^beta.
template <typename T> void localResponse(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  int64_t plane = planeOf(node, x.shape()), channels = x.dim(1);
  int64_t size = node.integer("size", 1);
  check(size > 0, node.op, ": size must be positive, found ", size);
  T alpha = static_cast<T>(node.real("alpha", 1e-4f)),
    beta = static_cast<T>(node.real("beta", 0.75f)), bias = static_cast<T>(node.real("bias", 1.0f));
  Tensor result(DTypeOf<T>::value, x.shape());
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < plane; ++p) {
        T total = 0;
        int64_t last = std::min(channels - 1, c + size / 2);
        for (int64_t k = std::max<int64_t>(0, c - (size - 1) / 2); k <= last; ++k) {
          T v = x.data<T>()[(n * channels + k) * plane + p];
          total += v * v;
        }
        int64_t at = (n * channels + c) * plane + p;
        result.data<T>()[at] =
            x.data<T>()[at] / std::pow(bias + alpha / static_cast<T>(size) * total, beta);
      }
  setReal(call, 0, result, call.in(0).dtype());
}

#define UOE_RUN(NAME)                                                                              \
  void run_##NAME(KernelCall &call) {                                                              \
    withCompute(call.in(0).dtype(), call.node.op.c_str(),                                          \
                [&](auto zero) { NAME<decltype(zero)>(call); });                                   \
  }
UOE_RUN(batchNorm)
UOE_RUN(instanceNorm)
UOE_RUN(groupNorm)
UOE_RUN(lpNorm)
UOE_RUN(meanVariance)
UOE_RUN(localResponse)
#undef UOE_RUN

} // namespace

void registerBatchNorm(KernelTable &table) {
  table.add("", "BatchNormalization", run_batchNorm);
  table.add("", "InstanceNormalization", run_instanceNorm);
  table.add("", "GroupNormalization", run_groupNorm);
  table.add("", "LpNormalization", run_lpNorm);
  table.add("", "MeanVarianceNormalization", run_meanVariance);
  table.add("", "LRN", run_localResponse);
}

} // namespace uoe::rt
