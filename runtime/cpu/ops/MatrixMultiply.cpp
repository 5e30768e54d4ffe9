#include "MatrixMultiply.h"
#include "Numeric.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt {

namespace {
constexpr int64_t panelColumns = vec::microColumns;
constexpr int64_t depthBlock = 512; // 512 × 32 floats of a panel stay in the second-level cache

void packPanel(const float *b, int64_t ldb, bool transposed, int64_t depth, int64_t first,
               int64_t width, float *to) {
  if (transposed) {
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t j = width; j < panelColumns; ++j)
        to[k * panelColumns + j] = 0;
    // Blocks of 16 rows keep both sides of the transposition in the first-level cache.
    for (int64_t start = 0; start < depth; start += 16)
      for (int64_t j = 0; j < width; ++j) {
        const float *row = b + (first + j) * ldb;
        for (int64_t k = start; k < std::min(depth, start + 16); ++k)
          to[k * panelColumns + j] = row[k];
      }
    return;
  }
  for (int64_t k = 0; k < depth; ++k) {
    std::memcpy(to + k * panelColumns, b + k * ldb + first, width * sizeof(float));
    for (int64_t j = width; j < panelColumns; ++j)
      to[k * panelColumns + j] = 0;
  }
}
} // namespace

PackedMatrix packMatrix(const float *b, int64_t ldb, bool transposed, int64_t depth,
                        int64_t columns) {
  PackedMatrix result;
  result.depth = depth;
  result.columns = columns;
  int64_t panels = (columns + panelColumns - 1) / panelColumns;
  result.panels = Tensor(DType::F32, {panels, depth, panelColumns});
  float *to = result.panels.data<float>();
  ThreadPool::global().parallelFor(panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      packPanel(b, ldb, transposed, depth, p * panelColumns,
                std::min(panelColumns, columns - p * panelColumns), to + p * depth * panelColumns);
  });
  return result;
}

void multiplyPacked(const float *a, int64_t lda, int64_t rows, const PackedMatrix &b, float *c,
                    int64_t ldc) {
  int64_t depth = b.depth, columns = b.columns;
  if (rows == 0 || columns == 0)
    return;
  int64_t panels = (columns + panelColumns - 1) / panelColumns;
  const float *data = b.panels.data<float>();
  if (depth == 0) {
    for (int64_t r = 0; r < rows; ++r)
      std::memset(c + r * ldc, 0, columns * sizeof(float));
    return;
  }
  // Tasks are (rows, panel) pairs; rows are split as well where there are too few panels for the
  // threads.
  int64_t rowBlock = 48;
  while (rowBlock > vec::microRows &&
         panels * ((rows + rowBlock - 1) / rowBlock) < 4 * ThreadPool::global().threads())
    rowBlock /= 2;
  rowBlock = std::max(vec::microRows, rowBlock / vec::microRows * vec::microRows);
  int64_t rowBlocks = (rows + rowBlock - 1) / rowBlock;
  int64_t work = std::max<int64_t>(1, 2 * rowBlock * depth * panelColumns);
  int64_t grain = std::max<int64_t>(1, 200000 / work);
  ThreadPool::global().parallelFor(panels * rowBlocks, grain, [&](int64_t begin, int64_t end) {
    float edge[vec::microRows * panelColumns];
    for (int64_t task = begin; task < end; ++task) {
      int64_t panel = task / rowBlocks;
      int64_t firstRow = task % rowBlocks * rowBlock;
      int64_t lastRow = std::min(rows, firstRow + rowBlock);
      int64_t firstColumn = panel * panelColumns;
      int64_t width = std::min(panelColumns, columns - firstColumn);
      const float *from = data + panel * depth * panelColumns;
      for (int64_t k = 0; k < depth; k += depthBlock) {
        int64_t length = std::min(depthBlock, depth - k);
        for (int64_t r = firstRow; r < lastRow; r += vec::microRows) {
          int64_t height = std::min(vec::microRows, lastRow - r);
          float *to = c + r * ldc + firstColumn;
          if (width == panelColumns) {
            vec::microTile(a + r * lda + k, lda, from + k * panelColumns, length, height, to, ldc,
                           k > 0);
            continue;
          }
          vec::microTile(a + r * lda + k, lda, from + k * panelColumns, length, height, edge,
                         panelColumns, false);
          for (int64_t i = 0; i < height; ++i)
            for (int64_t j = 0; j < width; ++j)
              to[i * ldc + j] = (k > 0 ? to[i * ldc + j] : 0) + edge[i * panelColumns + j];
        }
      }
    }
  });
}

namespace {
template <typename T>
void multiplyRows(const T *a, int64_t lda, int64_t rows, const T *b, int64_t ldb, bool transposed,
                  int64_t depth, int64_t columns, T *c, int64_t ldc) {
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
} // namespace

void multiply(const float *a, int64_t lda, int64_t rows, const float *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, float *c, int64_t ldc) {
  if (rows < 2 * vec::microRows || depth < 4 || columns < 8) {
    multiplyRows(a, lda, rows, b, ldb, transposed, depth, columns, c, ldc);
    return;
  }
  multiplyPacked(a, lda, rows, packMatrix(b, ldb, transposed, depth, columns), c, ldc);
}

void multiply(const double *a, int64_t lda, int64_t rows, const double *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, double *c, int64_t ldc) {
  multiplyRows(a, lda, rows, b, ldb, transposed, depth, columns, c, ldc);
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
