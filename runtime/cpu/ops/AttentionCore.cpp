#include "AttentionCore.h"
#include "MatrixMultiply.h"
#include "Vector.h"
#include "runtime/cpu/fast/Attention.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace uoe::rt {
namespace {

void product(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t lda,
             const float *b, int64_t ldb, bool transposed, float *c, int64_t ldc, float alpha) {
  fast::gemmUnpacked(rows, columns, depth, a, lda, false, b, ldb, transposed, c, ldc, alpha);
}
void product(int64_t rows, int64_t columns, int64_t depth, const double *a, int64_t lda,
             const double *b, int64_t ldb, bool transposed, double *c, int64_t ldc, double alpha) {
  multiply(a, lda, rows, b, ldb, transposed, depth, columns, c, ldc);
  for (int64_t r = 0; alpha != 1.0 && r < rows; ++r)
    vec::scale(c + r * ldc, alpha, columns);
}

struct KeyRange {
  int64_t begin, end;
};

template <typename T> KeyRange keysOf(const AttentionProblem<T> &p, int64_t batch, int64_t query) {
  int64_t position = query + (p.offset ? p.offset[batch] : 0);
  int64_t end = p.validKeys ? std::min(p.keys, p.validKeys[batch]) : p.keys;
  if (p.causal)
    end = std::min(end, position + 1);
  if (p.rightWindow >= 0)
    end = std::min(end, position + p.rightWindow + 1);
  int64_t begin = p.leftWindow >= 0 ? std::max<int64_t>(0, position - p.leftWindow) : 0;
  if (p.bias)
    end = std::min(end, p.biasKeys);
  end = std::max<int64_t>(end, 0);
  return {std::min(begin, end), end};
}

/// Turns a row of scaled logits into probabilities; keys outside the range get 0.
template <typename T>
void normaliseScores(const AttentionProblem<T> &p, int64_t batch, int64_t head, int64_t query,
                     T *row, int64_t first, int64_t last) {
  KeyRange range = keysOf(p, batch, query);
  T *report =
      p.scores ? p.scores + ((batch * p.heads + head) * p.queries + query) * p.keys : nullptr;
  int64_t width = last - first;
  if (report && p.scoresStage == 0)
    std::copy(row, row + width, report + first);
  if (p.softcap > 0)
    for (int64_t j = 0; j < width; ++j)
      row[j] = p.softcap * std::tanh(row[j] / p.softcap);
  if (report && p.scoresStage == 1)
    std::copy(row, row + width, report + first);
  T *x = row + (range.begin - first);
  int64_t count = range.end - range.begin;
  if (p.bias && count > 0) {
    const T *bias = p.bias + batch * p.bs.batch + head * p.bs.head + query * p.bs.row + range.begin;
    vec::add(x, bias, static_cast<const T *>(nullptr), x, count);
  }
  const T lowest = -std::numeric_limits<T>::infinity();
  if (report && p.scoresStage == 2) {
    std::fill(report, report + p.keys, lowest);
    std::copy(x, x + count, report + range.begin);
  }
  T top = vec::largest(x, count);
  if (p.sink)
    top = std::max(top, p.sink[head]);
  std::fill(row, x, T(0));
  std::fill(x + count, row + width, T(0));
  if (top == lowest) {
    std::fill(x, x + count, T(0));
  } else {
    T total = vec::expShifted(x, top, x, count);
    if (p.sink)
      total += std::exp(p.sink[head] - top);
    vec::scale(x, T(1) / total, count);
  }
  if (report && p.scoresStage == 3) {
    std::fill(report, report + p.keys, T(0));
    std::copy(row, row + width, report + first);
  }
}

template <typename T> void attendAny(const AttentionProblem<T> &p) {
  if (p.batch * p.heads * p.queries == 0)
    return;
  int64_t group = p.heads / p.kvHeads;
  // For a single query the heads of a group are the rows of one product, so that keys are read
  // once.
  bool grouped = p.queries == 1 && group > 1;
  int64_t outer = grouped ? p.kvHeads : p.heads;
  int64_t rows = grouped ? group : p.queries;
  int64_t blockRows = std::min<int64_t>(rows, p.keys > 8192 ? 16 : 64);
  // Short blocks where there would be fewer tasks than threads.
  while (blockRows > 8 &&
         p.batch * outer * ((rows + blockRows - 1) / blockRows) < ThreadPool::global().threads())
    blockRows /= 2;
  int64_t blocks = (rows + blockRows - 1) / blockRows;
  int64_t work = std::max<int64_t>(1, blockRows * p.keys * (p.headSize + p.valueSize));
  ThreadPool::global().parallelFor(
      p.batch * outer * blocks, std::max<int64_t>(1, 65536 / work),
      [&](int64_t begin, int64_t end) {
        std::vector<T> scratch(blockRows * std::max<int64_t>(p.keys, 1));
        for (int64_t task = begin; task < end; ++task) {
          int64_t b = task / (outer * blocks), h = task / blocks % outer;
          int64_t start = task % blocks * blockRows;
          int64_t count = std::min(blockRows, rows - start);
          int64_t firstHead = grouped ? h * group + start : h;
          int64_t kvHead = grouped ? h : h / group;
          int64_t firstQuery = grouped ? 0 : start;
          int64_t lastQuery = grouped ? 0 : start + count - 1;
          // The keys that any row of the block sees (all of them if the logits are asked for).
          KeyRange low = keysOf(p, b, firstQuery), high = keysOf(p, b, lastQuery);
          int64_t first = p.scores ? 0 : std::min(low.begin, high.begin);
          int64_t last = p.scores ? p.keys : std::max(low.end, high.end);
          int64_t width = std::max<int64_t>(0, last - first);
          const T *q = p.q + b * p.qs.batch + firstHead * p.qs.head + firstQuery * p.qs.row;
          const T *k = p.k + b * p.ks.batch + kvHead * p.ks.head + first * p.ks.row;
          const T *v = p.v + b * p.vs.batch + kvHead * p.vs.head + first * p.vs.row;
          T *out = p.out + b * p.os.batch + firstHead * p.os.head + firstQuery * p.os.row;
          int64_t outStep = grouped ? p.os.head : p.os.row;
          if (width > 0)
            product(count, width, p.headSize, q, grouped ? p.qs.head : p.qs.row, k, p.ks.row, true,
                    scratch.data(), width, p.scale);
          for (int64_t r = 0; r < count; ++r)
            normaliseScores(p, b, grouped ? firstHead + r : h, grouped ? 0 : start + r,
                            scratch.data() + r * width, first, first + width);
          if (width == 0)
            for (int64_t r = 0; r < count; ++r)
              std::fill(out + r * outStep, out + r * outStep + p.valueSize, T(0));
          else if (p.valueSize > 0)
            product(count, p.valueSize, width, scratch.data(), width, v, p.vs.row, false, out,
                    outStep, T(1));
        }
      });
}

} // namespace

void attend(const AttentionProblem<float> &problem) {
  attendAny(problem);
}
void attend(const AttentionProblem<double> &problem) {
  attendAny(problem);
}

template <typename T>
Tensor appendRows(const Tensor *past, const T *fresh, AttentionStrides strides, int64_t batch,
                  int64_t heads, int64_t freshRows, int64_t size) {
  int64_t pastRows = past ? past->dim(2) : 0, rows = pastRows + freshRows;
  Tensor result(DTypeOf<T>::value, {batch, heads, rows, size});
  T *to = result.data<T>();
  ThreadPool::global().parallelFor(
      batch * heads, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * size)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T *block = to + i * rows * size;
          if (pastRows * size > 0)
            std::memcpy(block, past->data<T>() + i * pastRows * size, pastRows * size * sizeof(T));
          const T *from = fresh + i / heads * strides.batch + i % heads * strides.head;
          for (int64_t r = 0; r < freshRows && size > 0; ++r)
            std::memcpy(block + (pastRows + r) * size, from + r * strides.row, size * sizeof(T));
        }
      });
  return result;
}
template Tensor appendRows<float>(const Tensor *, const float *, AttentionStrides, int64_t, int64_t,
                                  int64_t, int64_t);
template Tensor appendRows<double>(const Tensor *, const double *, AttentionStrides, int64_t,
                                   int64_t, int64_t, int64_t);

AttentionStrides headMajor(int64_t heads, int64_t rows, int64_t size) {
  return {heads * rows * size, rows * size, size};
}
AttentionStrides rowMajor(int64_t heads, int64_t rows, int64_t size) {
  return {heads * rows * size, size, heads * size};
}

} // namespace uoe::rt
