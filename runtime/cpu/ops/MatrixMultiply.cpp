#include "MatrixMultiply.h"
#include "Numeric.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt {

void multiply(const double *a, int64_t lda, int64_t rows, const double *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, double *c, int64_t ldc) {
  // Columns in chunks, so that a single row is threaded too.
  const int64_t chunk = 256;
  int64_t chunks = (columns + chunk - 1) / chunk;
  int64_t grain = std::max<int64_t>(1, 100000 / std::max<int64_t>(1, 2 * depth * chunk));
  ThreadPool::global().parallelFor(rows * chunks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t r = task / chunks, j = task % chunks * chunk;
      int64_t width = std::min(chunk, columns - j);
      if (transposed)
        vec::dots(a + r * lda, b + j * ldb, ldb, width, depth, c + r * ldc + j);
      else
        vec::combine(a + r * lda, b + j, ldb, depth, c + r * ldc + j, width);
    }
  });
}
void multiply(const float *a, int64_t lda, int64_t rows, const float *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, float *c, int64_t ldc) {
  if (rows > 0 && columns > 0)
    fast::gemmUnpacked(rows, columns, depth, a, lda, false, b, ldb, transposed, c, ldc);
}

void multiplyShorts(const int16_t *a, int64_t rows, const int16_t *bTransposed, int64_t depth,
                    int64_t columns, int32_t *c) {
  const int64_t chunk = 64;
  int64_t chunks = (columns + chunk - 1) / chunk;
  // A chunk of B is reused by all rows of a task while it is in the cache.
  const int64_t rowBlock = 16;
  int64_t rowBlocks = (rows + rowBlock - 1) / rowBlock;
  int64_t grain = std::max<int64_t>(1, 100000 / std::max<int64_t>(1, depth * chunk * rowBlock));
  ThreadPool::global().parallelFor(chunks * rowBlocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t first = task / rowBlocks * chunk, last = std::min(columns, first + chunk);
      int64_t row = task % rowBlocks * rowBlock, stop = std::min(rows, row + rowBlock);
      for (int64_t j = first; j < last; ++j)
        for (int64_t r = row; r < stop; ++r)
          c[r * columns + j] = vec::dot(a + r * depth, bTransposed + j * depth, depth);
    }
  });
}

void addPairSaturation(const int16_t *a, const int32_t *zeroA, int64_t rows,
                       const int16_t *bTransposed, const int32_t *zeroB, int64_t columns,
                       int64_t depth, const int64_t *order, int32_t *c) {
  ThreadPool::global().parallelFor(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t j = 0; j < columns; ++j) {
        const int16_t *left = a + r * depth, *right = bTransposed + j * depth;
        int32_t lost = 0;
        for (int64_t i = 0; i + 1 < depth; i += 2) { // a single product never reaches the limit
          int64_t first = order ? order[i] : i, second = order ? order[i + 1] : i + 1;
          int32_t sum = (left[first] + zeroA[r]) * (right[first] + zeroB[j]) +
                        (left[second] + zeroA[r]) * (right[second] + zeroB[j]);
          lost += std::max(-32768, std::min(32767, sum)) - sum;
        }
        c[r * columns + j] += lost;
      }
  });
}

MatMulPlan planMatMul(const Node &node, Shape a, Shape b, bool transposeB) {
  check(!a.empty() && !b.empty(), node.op, ": inputs must have rank 1 or more, found shapes ",
        toString(a), " and ", toString(b));
  bool vectorA = a.size() == 1, vectorB = b.size() == 1;
  Shape originalA = a, originalB = b;
  if (vectorA)
    a.insert(a.begin(), 1);
  if (vectorB)
    b.push_back(1);
  if (transposeB)
    std::swap(b[b.size() - 2], b.back());
  MatMulPlan p;
  p.rows = a[a.size() - 2];
  p.depth = a.back();
  p.columns = b.back();
  check(b[b.size() - 2] == p.depth, node.op, ": the inner dimensions must agree, found shapes ",
        toString(originalA), " and ", toString(originalB));
  Shape batchA(a.begin(), a.end() - 2), batchB(b.begin(), b.end() - 2);
  p.batch = broadcastShape(node, batchA, batchB);
  p.result = p.batch;
  if (!vectorA)
    p.result.push_back(p.rows);
  if (!vectorB)
    p.result.push_back(p.columns);
  auto stridesA = broadcastStrides(batchA, p.batch), stridesB = broadcastStrides(batchB, p.batch);
  int64_t count = elementCount(p.batch);
  p.aOffset.resize(count);
  p.bOffset.resize(count);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    for (size_t d = p.batch.size(); d-- > 0;) {
      int64_t index = rest % p.batch[d];
      rest /= p.batch[d];
      p.aOffset[i] += index * stridesA[d];
      p.bOffset[i] += index * stridesB[d];
    }
  }
  return p;
}

} // namespace uoe::rt
