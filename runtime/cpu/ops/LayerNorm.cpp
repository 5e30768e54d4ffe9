// LayerNormalization, RMSNormalization and the fused forms of com.microsoft: rows normalised over
// their last dimensions.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"
#include <cmath>

namespace uoe::rt {
namespace {

/// One row: subtracts the mean unless `rootMeanSquare`, divides by the deviation. Reports both if
/// asked.
template <typename T>
void normaliseRow(bool rootMeanSquare, const T *x, const T *gamma, const T *beta, T epsilon, T *y,
                  int64_t n, T *meanOut, T *inverseOut) {
  T mean = rootMeanSquare ? T(0) : vec::sum(x, n) / static_cast<T>(n);
  T inverse = T(1) / std::sqrt(vec::squares(x, mean, n) / static_cast<T>(n) + epsilon);
  if (y)
    vec::normalise(x, mean, inverse, gamma, beta, y, n);
  if (meanOut)
    *meanOut = mean;
  if (inverseOut)
    *inverseOut = inverse;
}

int64_t rowGrain(int64_t length) {
  return std::max<int64_t>(1, (1 << 13) / std::max<int64_t>(1, length));
}

/// gamma or beta of the normalised shape: as given, or broadcast to the whole of `shape`.
template <typename T> struct Weight {
  Tensor tensor;
  bool full = false; // one element per element of X, not per element of a row
  const T *at(int64_t row, int64_t length) const {
    return tensor.raw() ? tensor.data<T>() + (full ? row * length : 0) : nullptr;
  }
};

template <typename T>
Weight<T> weightOf(KernelCall &call, size_t i, const Shape &shape, int64_t length) {
  Weight<T> weight;
  if (!call.has(i))
    return weight;
  weight.tensor = inputAs<T>(call, i);
  if (weight.tensor.size() == length &&
      weight.tensor.rank() <= static_cast<int64_t>(shape.size())) {
    // The elements of a row, whatever leading ones the shape has.
    return weight;
  }
  check(broadcastShape(call.node, weight.tensor.shape(), shape) == shape, call.node.op, ": input ",
        i, " must broadcast to ", toString(shape), ", found ", toString(weight.tensor.shape()));
  auto strides = broadcastStrides(weight.tensor.shape(), shape);
  Tensor spread(DTypeOf<T>::value, shape);
  const T *from = weight.tensor.template data<T>();
  for (int64_t i = 0, n = spread.size(); i < n; ++i) {
    int64_t rest = i, offset = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      offset += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    spread.data<T>()[i] = from[offset];
  }
  weight.tensor = spread;
  weight.full = true;
  return weight;
}

template <typename T> void layerNorm(KernelCall &call, bool rootMeanSquare) {
  const Node &node = call.node;
  DType type = call.in(0).dtype();
  DType resultType = rootMeanSquare && call.has(1) ? call.in(1).dtype() : type;
  bool direct = type == DTypeOf<T>::value && resultType == type;
  // Before x shares the input's storage, which would no longer be ours to take.
  Tensor result;
  if (direct)
    result = call.outInPlace(0, 0, type, call.in(0).shape());
  Tensor x = inputAs<T>(call, 0);
  int64_t axis = resolveAxis(node, node.integer("axis", -1), x.rank());
  int64_t rows = extent(x.shape(), 0, axis), length = extent(x.shape(), axis, x.rank());
  Weight<T> gamma = weightOf<T>(call, 1, x.shape(), length);
  Weight<T> beta = rootMeanSquare ? Weight<T>() : weightOf<T>(call, 2, x.shape(), length);
  T epsilon = static_cast<T>(node.real("epsilon", 1e-5f));
  Shape statistics(x.shape().begin(), x.shape().begin() + axis);
  statistics.resize(x.shape().size(), 1);
  // RMS forms have the inverse deviation as their second result.
  size_t meanIndex = 1, inverseIndex = rootMeanSquare ? 1 : 2;
  Tensor mean, inverse;
  if (!rootMeanSquare && call.wants(meanIndex))
    mean = Tensor(DTypeOf<T>::value, statistics);
  if (call.wants(inverseIndex))
    inverse = Tensor(DTypeOf<T>::value, statistics);
  if (!direct)
    result = Tensor(DTypeOf<T>::value, x.shape());
  const T *from = x.data<T>();
  T *to = result.data<T>();
  ThreadPool::global().parallelFor(rows, rowGrain(length), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      normaliseRow(rootMeanSquare, from + r * length, gamma.at(r, length), beta.at(r, length),
                   epsilon, to + r * length, length, mean.raw() ? mean.data<T>() + r : nullptr,
                   inverse.raw() ? inverse.data<T>() + r : nullptr);
  });
  if (!direct)
    setReal(call, 0, result, resultType);
  DType statisticsType = type == DType::F64 ? DType::F64 : DType::F32;
  if (mean.raw())
    setReal(call, meanIndex, mean, statisticsType);
  if (inverse.raw())
    setReal(call, inverseIndex, inverse, statisticsType);
}

template <bool rootMeanSquare> void runLayerNorm(KernelCall &call) {
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { layerNorm<decltype(zero)>(call, rootMeanSquare); });
}

/// Checks that input i is a vector of `length` and gives it as T.
template <typename T> Tensor vectorInput(KernelCall &call, size_t i, int64_t length) {
  if (!call.has(i))
    return {};
  Tensor tensor = inputAs<T>(call, i);
  check(tensor.size() == length && tensor.rank() == 1, call.node.op, ": input ", i,
        " must have shape [", length, "], found ", toString(tensor.shape()));
  return tensor;
}

template <typename T> const T *pointer(const Tensor &tensor) {
  return tensor.dtype() == DType::None ? nullptr : tensor.data<T>();
}

/// (input + skip + bias), normalised. Inputs: input, skip, gamma, [beta,] bias.
template <typename T> void skipNorm(KernelCall &call, bool rootMeanSquare) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0), skip = inputAs<T>(call, 1);
  check(x.rank() >= 1, node.op, ": input 0 must have rank 2 or 3, found ", toString(x.shape()));
  int64_t length = x.dim(-1), rows = extent(x.shape(), 0, x.rank() - 1);
  check(skip.rank() <= x.rank() && broadcastShape(node, skip.shape(), x.shape()) == x.shape() &&
            (skip.size() == 0 || x.size() % skip.size() == 0) && skip.dim(-1) == length,
        node.op, ": skip must have the shape ", toString(x.shape()),
        " of the input or be broadcast over its batch, found ", toString(skip.shape()));
  int64_t skipRows = length ? skip.size() / length : 1;
  Tensor gamma = vectorInput<T>(call, 2, length), beta, bias;
  if (!rootMeanSquare)
    beta = vectorInput<T>(call, 3, length);
  bias = vectorInput<T>(call, rootMeanSquare ? 3 : 4, length);
  T epsilon = static_cast<T>(node.real("epsilon", 1e-12f));
  Tensor result(DTypeOf<T>::value, x.shape()), sum, mean, inverse;
  Shape statistics = x.shape();
  statistics.back() = 1;
  if (call.wants(1))
    mean = Tensor(DTypeOf<T>::value, statistics);
  if (call.wants(2))
    inverse = Tensor(DTypeOf<T>::value, statistics);
  bool wantSum = call.wants(3);
  sum = wantSum ? Tensor(DTypeOf<T>::value, x.shape()) : result;
  const T *g = pointer<T>(gamma), *b = pointer<T>(beta), *c = pointer<T>(bias);
  ThreadPool::global().parallelFor(rows, rowGrain(length), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T *row = sum.data<T>() + r * length;
      vec::add(x.data<T>() + r * length, skip.data<T>() + r % skipRows * length, c, row, length);
      normaliseRow(rootMeanSquare, row, g, b, epsilon, result.data<T>() + r * length, length,
                   mean.raw() ? mean.data<T>() + r : nullptr,
                   inverse.raw() ? inverse.data<T>() + r : nullptr);
    }
  });
  DType type = call.in(0).dtype();
  setReal(call, 0, result, type);
  if (mean.raw())
    setReal(call, 1, mean, DType::F32);
  if (inverse.raw())
    setReal(call, 2, inverse, DType::F32);
  if (wantSum)
    setReal(call, 3, sum, type);
}

template <bool rootMeanSquare> void runSkipNorm(KernelCall &call) {
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { skipNorm<decltype(zero)>(call, rootMeanSquare); });
}

/// Row `id` of a table, an error outside it.
template <typename T>
const T *embedding(const Node &node, const Tensor &table, int64_t id, const char *what) {
  check(id >= 0 && id < table.dim(0), node.op, ": ", what, " id must be in [0, ", table.dim(0),
        "), found ", id);
  return table.data<T>() + id * table.dim(1);
}

template <typename T> void embedNorm(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &ids = call.in(0);
  check(ids.rank() == 2, node.op, ": input_ids must have shape (batch, sequence), found ",
        toString(ids.shape()));
  int64_t batch = ids.dim(0), sequence = ids.dim(1);
  Tensor words = inputAs<T>(call, 2), positions = inputAs<T>(call, 3), segments;
  if (call.has(4))
    segments = inputAs<T>(call, 4);
  check(words.rank() == 2 && positions.rank() == 2 && words.dim(1) == positions.dim(1), node.op,
        ": the embeddings must be matrices of equal width, found ", toString(words.shape()),
        " and ", toString(positions.shape()));
  int64_t hidden = words.dim(1);
  std::vector<int64_t> wordIds = toInts(ids.reshaped({batch * sequence}), "input_ids"), segmentIds,
                       positionIds;
  if (call.has(1)) {
    check(call.in(1).shape() == ids.shape(), node.op, ": segment_ids must have shape ",
          toString(ids.shape()), ", found ", toString(call.in(1).shape()));
    check(call.has(4) && segments.rank() == 2 && segments.dim(1) == hidden, node.op,
          ": segment_ids need a segment embedding of width ", hidden);
    segmentIds = toInts(call.in(1).reshaped({batch * sequence}), "segment_ids");
  }
  if (call.has(8)) {
    const Tensor &p = call.in(8);
    check(p.rank() == 2 && (p.dim(0) == batch || p.dim(0) == 1) && p.dim(1) == sequence, node.op,
          ": position_ids must have shape (batch or 1, sequence), found ", toString(p.shape()));
    positionIds = toInts(p.reshaped({p.size()}), "position_ids");
  }
  Tensor gamma = vectorInput<T>(call, 5, hidden), beta = vectorInput<T>(call, 6, hidden);
  T epsilon = static_cast<T>(node.real("epsilon", 1e-12f));
  Tensor result(DTypeOf<T>::value, {batch, sequence, hidden});
  Tensor sum = call.wants(2) ? Tensor(DTypeOf<T>::value, {batch, sequence, hidden}) : result;
  const T *g = pointer<T>(gamma), *b = pointer<T>(beta);
  ThreadPool::global().parallelFor(
      batch * sequence, rowGrain(hidden), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          int64_t position =
              positionIds.empty() ? r % sequence : positionIds[r % positionIds.size()];
          const T *word = embedding<T>(node, words, wordIds[r], "word");
          const T *place = embedding<T>(node, positions, position, "position");
          const T *segment =
              segmentIds.empty() ? nullptr : embedding<T>(node, segments, segmentIds[r], "segment");
          T *row = sum.data<T>() + r * hidden;
          vec::add(word, place, segment, row, hidden);
          normaliseRow(false, row, g, b, epsilon, result.data<T>() + r * hidden, hidden,
                       static_cast<T *>(nullptr), static_cast<T *>(nullptr));
        }
      });
  DType type = call.in(2).dtype();
  setReal(call, 0, result, type);
  if (call.wants(1)) {
    Tensor &counts = call.out(1, DType::I32, {batch});
    std::vector<int64_t> mask;
    if (call.has(7)) {
      check(call.in(7).shape() == ids.shape(), node.op, ": mask must have shape ",
            toString(ids.shape()), ", found ", toString(call.in(7).shape()));
      mask = toInts(call.in(7).reshaped({batch * sequence}), "mask");
    }
    for (int64_t i = 0; i < batch; ++i) {
      int32_t count = 0;
      for (int64_t s = 0; s < sequence && !mask.empty(); ++s)
        count += mask[i * sequence + s] == 1;
      counts.data<int32_t>()[i] = count;
    }
  }
  if (call.wants(2))
    setReal(call, 2, sum, type);
}

void runEmbedNorm(KernelCall &call) {
  withCompute(call.in(2).dtype(), "EmbedLayerNormalization",
              [&](auto zero) { embedNorm<decltype(zero)>(call); });
}

} // namespace

void registerLayerNorm(KernelTable &table) {
  table.add("", "LayerNormalization", runLayerNorm<false>);
  table.add("", "RMSNormalization", runLayerNorm<true>);
  // Exporters write these into the default domain too, and ONNX Runtime accepts that.
  for (const char *domain : {"", "com.microsoft"}) {
    table.add(domain, "SimplifiedLayerNormalization", runLayerNorm<true>);
    table.add(domain, "SkipLayerNormalization", runSkipNorm<false>);
    table.add(domain, "SkipSimplifiedLayerNormalization", runSkipNorm<true>);
  }
  table.add("com.microsoft", "LayerNormalization", runLayerNorm<false>);
  table.add("com.microsoft", "EmbedLayerNormalization", runEmbedNorm);
}

} // namespace uoe::rt
