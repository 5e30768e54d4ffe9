// RotaryEmbedding: ai.onnx 23 (X, cos, sin, position_ids) and com.microsoft (X, position_ids, cos,
// sin).
#include "Rotary.h"
#include "AttentionCore.h"
#include "Numeric.h"
#include "Register.h"

namespace uoe::rt {
namespace {

template <typename T> void rotary(KernelCall &call, bool contrib) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  size_t cosIndex = contrib ? 2 : 1, sinIndex = cosIndex + 1, positionIndex = contrib ? 1 : 3;
  Tensor cosines = inputAs<T>(call, cosIndex), sines = inputAs<T>(call, sinIndex);
  check(cosines.shape() == sines.shape() && (cosines.rank() == 2 || cosines.rank() == 3), node.op,
        ": cos_cache and sin_cache must be equal in shape, found ", toString(cosines.shape()),
        " and ", toString(sines.shape()));
  check(x.rank() == 3 || x.rank() == 4, node.op, ": X must have 3 or 4 dimensions, found ",
        toString(x.shape()));
  int64_t half = cosines.dim(-1), heads = node.integer("num_heads", 0);
  int64_t rotated = node.integer("rotary_embedding_dim", 0);
  int64_t batch = x.dim(0), rows, size;
  AttentionStrides strides;
  if (x.rank() == 4) {
    heads = x.dim(1);
    rows = x.dim(2);
    size = x.dim(3);
    strides = headMajor(heads, rows, size);
  } else {
    rows = x.dim(1);
    if (heads == 0 && contrib) {
      check(half > 0 && x.dim(2) % (2 * half) == 0, node.op,
            ": the width of X must be a multiple of ", 2 * half, ", found shape ",
            toString(x.shape()));
      heads = x.dim(2) / (2 * half);
    }
    check(heads > 0 && x.dim(2) % heads == 0, node.op, ": num_heads (", heads,
          ") must be positive and divide the width of X, found shape ", toString(x.shape()));
    size = x.dim(2) / heads;
    strides = rowMajor(heads, rows, size);
  }
  if (rotated == 0)
    rotated = contrib ? 2 * half : size;
  check(rotated == 2 * half && rotated <= size, node.op, ": the caches must have ", rotated / 2,
        " columns for heads of ", size, ", found shape ", toString(cosines.shape()));
  std::vector<int64_t> positions;
  bool single = false; // one number: the position of the first row
  if (call.has(positionIndex)) {
    const Tensor &ids = call.in(positionIndex);
    single = contrib && ids.size() == 1 && ids.rank() <= 1;
    check(single || ids.size() == batch * rows, node.op, ": position_ids must have shape [", batch,
          ", ", rows, "], found ", toString(ids.shape()));
    check(cosines.rank() == 2, node.op, ": with position_ids the caches must be matrices, found ",
          toString(cosines.shape()));
    positions = toInts(ids.reshaped({ids.size()}), "position_ids");
    for (int64_t id : positions)
      check(id >= 0 && id + (single ? rows - 1 : 0) < cosines.dim(0), node.op,
            ": position ids must be in [0, ", cosines.dim(0), "), found ", id);
  } else {
    check(!contrib && cosines.size() == batch * rows * half, node.op,
          ": without position_ids the caches must have shape [", batch, ", ", rows, ", ", half,
          "], found ", toString(cosines.shape()));
  }
  bool interleaved = node.integer("interleaved", 0);
  Tensor result(DTypeOf<T>::value, x.shape());
  const T *from = x.data<T>();
  T *to = result.data<T>();
  ThreadPool::global().parallelFor(
      batch * rows, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, heads * size)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t b = i / rows, r = i % rows;
          int64_t position = positions.empty() ? i : single ? positions[0] + r : positions[i];
          const T *c = cosines.data<T>() + position * half, *s = sines.data<T>() + position * half;
          for (int64_t h = 0; h < heads; ++h) {
            int64_t at = b * strides.batch + h * strides.head + r * strides.row;
            rotateRow(from + at, to + at, c, s, half, interleaved, size);
          }
        }
      });
  setReal(call, 0, result, call.in(0).dtype());
}

template <bool contrib> void run(KernelCall &call) {
  withCompute(call.in(0).dtype(), "RotaryEmbedding: X",
              [&](auto zero) { rotary<decltype(zero)>(call, contrib); });
}

} // namespace

void registerRotary(KernelTable &table) {
  table.add("", "RotaryEmbedding", run<false>);
  table.add("com.microsoft", "RotaryEmbedding", run<true>);
}

} // namespace uoe::rt
