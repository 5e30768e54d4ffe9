// The expert layer from permuted pairs to the result: h = act(x Wg) * (x Wu) * weight for gathered
// rows, partial = h Wd, y = the sum of a row's partials. Any number of neurons an expert.
#pragma once
#include "Activate.h"
#include "Schedule.h"
#include "Team.h"
#include <type_traits>

namespace uoe::rt::cuda {

/// The weights of a layer, stacked by expert. Expert e owns neurons hidden[e] .. hidden[e + 1], or
/// where `sizes` are given so many from hidden[e] on: several may own the same, or none.
template <typename W> struct Layer {
  int32_t experts = 0, in = 0, out = 0;
  int32_t mostHidden = 0;          // of one expert
  const int32_t *hidden = nullptr; // [experts + 1]
  const int32_t *sizes = nullptr;  // [experts] or null
  bool gated = false;
  Activation act = Activation::Identity;
  Cut cut; // of gated units
  /// [neurons, in]; gated: [neurons, 2, in], the gate's row before the up row.
  const W *inner = nullptr;
  const float *innerBias = nullptr; // [neurons] or [neurons, 2], or null
  /// Expert by expert [out, its neurons].
  const W *outer = nullptr;
  const float *outerBias = nullptr; // [out] or null: added once a row
  /// [experts, out] or null: what is taken off a row for each expert that it has chosen. outerBias
  /// holds the sum of all, so that what stays is added for those left out.
  const float *skip = nullptr;

  UOE_HOST_DEVICE int32_t neurons(int e) const {
    return sizes ? sizes[e] : hidden[e + 1] - hidden[e];
  }
  UOE_HOST_DEVICE int rowsPerNeuron() const { return gated ? 2 : 1; }
};

/// 128 x 128 tiles by 8 warps, 2 x 4 of them; three stages of operands in shared memory. Rows of
/// operands are padded by 16 bytes, so that the lanes of a fragment fall into different banks.
template <typename T> struct ProductTile {
  static constexpr int threads = 256, height = 128, width = 128, stages = 3;
  static constexpr int depth = 64 / sizeof(T); // 64 bytes
  static constexpr int perCopy = 16 / sizeof(T), stride = depth + perCopy;
  static constexpr int warpsAcross = 4, down = 4, across = 4;
  struct Shared {
    alignas(16) T a[stages][height * stride];
    alignas(16) T b[stages][width * stride];
    int32_t source[height];
  };
};

/// A part of a product's depth: B's rows in it [columns, depth], `ldb` apart, and where A's begin.
template <typename W> struct Segment {
  const W *b = nullptr;
  int64_t ldb = 0, shiftA = 0; // elements
  int32_t depth = 0;
};

/// to[i] = from[i] for i < count, else 0. `whole`: a count of n is aligned for one access.
template <int n, typename W>
UOE_HOST_DEVICE inline void convert(const W *from, int count, bool whole, float *to) {
  struct alignas(n * sizeof(W)) Pack {
    W element[n];
  };
  if (whole && count == n) {
    const Pack pack = *reinterpret_cast<const Pack *>(from);
    unrolled<n>([&](int i) { to[i] = toFloat(pack.element[i]); });
  } else {
    unrolled<n>([&](int i) { to[i] = i < count ? toFloat(from[i]) : 0.0f; });
  }
}

/// One tile of a product: C [tile rows, columns] = the sum over segments of A [rows, depth]
/// B [columns, depth]ᵀ. Row r of the pairs is row gather[r] of A, or row r. `copies`: A, B and
/// their rows begin at multiples of 16 bytes in each segment. store(row, column, c, next) is called
/// for each pair of adjacent columns; column is even. B may be of a narrower type than A: it
/// becomes A's as it is loaded. A block's program.
template <typename T, typename Team, typename Segments, typename Store>
UOE_HOST_DEVICE void tileProduct(Team &team, typename ProductTile<T>::Shared &shared,
                                 const Tile &tile, const T *a, int64_t lda, const int32_t *gather,
                                 int32_t columns, int segments, Segments &&segment, bool copies,
                                 Store &&store) {
  using P = ProductTile<T>;
  typename Team::template Registers<TileC<P::down, P::across>> c(team);
  team.each([&](int thread) {
    unrolled<P::down, P::across, 4>([&](int i, int j, int q) { c[thread].c[i][j][q] = 0; });
    for (int r = thread; r < P::height; r += P::threads)
      shared.source[r] = r >= tile.rows ? -1 : gather ? gather[tile.row + r] : tile.row + r;
  });

  // The next part of the depth, segment by segment, into its stage; what lies outside becomes 0.
  int next = 0, steps = 0;
  for (int i = 0; i < segments; ++i)
    steps += ceilDiv(segment(i).depth, P::depth);
  decltype(segment(0)) now;
  int32_t done = 0;
  auto load = [&](int step) {
    while (done >= now.depth) {
      now = segment(next++);
      done = 0;
    }
    T *toA = shared.a[step % P::stages], *toB = shared.b[step % P::stages];
    const int perRow = P::depth / P::perCopy;
    team.own([&](int thread) {
      for (int i = thread; i < (P::height + P::width) * perRow; i += P::threads) {
        const bool isA = i < P::height * perRow;
        const int row = isA ? i / perRow : i / perRow - P::height;
        const int at = i % perRow * P::perCopy, k = done + at;
        const int32_t from = isA                           ? shared.source[row]
                             : tile.column + row < columns ? tile.column + row
                                                           : -1;
        const int count = from < 0 ? 0 : most(0, least(P::perCopy, now.depth - k));
        T *to = (isA ? toA : toB) + row * P::stride + at;
        if constexpr (!std::is_same_v<std::decay_t<decltype(*now.b)>, T>) {
          if (!isA) {
            convert<P::perCopy>(now.b + (count > 0 ? from * now.ldb + k : 0), count, copies, to);
            continue;
          }
        }
        const T *source = a;
        if constexpr (std::is_same_v<std::decay_t<decltype(*now.b)>, T>)
          source = isA ? a : now.b;
        if (count > 0)
          source += (isA ? from * lda + now.shiftA : from * now.ldb) + k;
        if (copies) {
          team.copy(to, source, count * int(sizeof(T)));
        } else {
          for (int x = 0; x < P::perCopy; ++x)
            to[x] = x < count ? source[x] : fromFloat<T>(0);
        }
      }
    });
    done += P::depth;
  };

  for (int step = 0; step < P::stages - 1; ++step) {
    if (step < steps)
      load(step);
    team.commit();
  }
  for (int step = 0; step < steps; ++step) {
    team.template waitFor<P::stages - 2>();
    // Everyone's part has arrived, and everyone is done with the stage that is loaded next.
    team.each([](int) {});
    if (step + P::stages - 1 < steps)
      load(step + P::stages - 1);
    team.commit();
    const T *fromA = shared.a[step % P::stages], *fromB = shared.b[step % P::stages];
    auto rowsA = [&](int thread) {
      return fromA + thread / 32 / P::warpsAcross * P::down * 16 * P::stride;
    };
    auto rowsB = [&](int thread) {
      return fromB + thread / 32 % P::warpsAcross * P::across * 8 * P::stride;
    };
    if constexpr (sizeof(T) == 2) {
      unrolled<P::depth / 16>([&](int part) {
        typename Team::template Registers<TileA<P::down>> ownA(team);
        typename Team::template Registers<TileB<P::across>> ownB(team);
        team.own([&](int thread) {
          const int lane = thread % 32;
          const T *tileA = rowsA(thread) + 16 * part, *tileB = rowsB(thread) + 16 * part;
          unrolled<P::down, 4>([&](int i, int r) {
            ownA[thread].a[i][r] =
                wordOf(tileA + (16 * i + aRow(lane, r)) * P::stride + aColumn(lane, r));
          });
          unrolled<P::across, 2>([&](int j, int r) {
            ownB[thread].b[j][r] =
                wordOf(tileB + (8 * j + bColumn(lane)) * P::stride + bRow(lane, r));
          });
        });
        team.template multiply<T>(c, ownA, ownB);
      });
    } else {
      team.own([&](int thread) {
        const int lane = thread % 32;
        const T *tileA = rowsA(thread), *tileB = rowsB(thread);
        for (int k = 0; k < P::depth; ++k)
          unrolled<P::down, P::across, 4>([&](int i, int j, int q) {
            c[thread].c[i][j][q] += tileA[(16 * i + cRow(lane, q)) * P::stride + k] *
                                    tileB[(8 * j + cColumn(lane, q)) * P::stride + k];
          });
      });
    }
  }
  team.template waitFor<0>();
  // The barrier also keeps the next tile of this block from overwriting what is still read.
  team.each([&](int thread) {
    const int lane = thread % 32, warp = thread / 32;
    unrolled<P::down, P::across, 2>([&](int i, int j, int half) {
      const int q = 2 * half;
      const int row = (warp / P::warpsAcross * P::down + i) * 16 + cRow(lane, q);
      const int column =
          tile.column + (warp % P::warpsAcross * P::across + j) * 8 + cColumn(lane, q);
      if (row < tile.rows && column < columns)
        store(tile.row + row, column, c[thread].c[i][j][q], c[thread].c[i][j][q + 1]);
    });
  });
}

/// h [pairs, ldh] of one tile; its columns are rows of `inner`. A block's program.
template <typename T, typename W, typename Team>
UOE_HOST_DEVICE void innerTile(Team &team, typename ProductTile<T>::Shared &shared,
                               const Layer<W> &layer, const Tile &tile, const T *x, int64_t ldx,
                               const int32_t *source, const float *weights, bool copies, T *h,
                               int64_t ldh) {
  const int per = layer.rowsPerNeuron();
  const int64_t firstRow = int64_t(layer.hidden[tile.expert]) * per;
  const int32_t neurons = layer.neurons(tile.expert);
  const int32_t columns = neurons * per;
  if (tile.column >= columns)
    return; // another expert is wider
  const float *bias = layer.innerBias ? layer.innerBias + firstRow : nullptr;
  auto whole = [&](int) {
    return Segment<W>{layer.inner + firstRow * layer.in, layer.in, 0, layer.in};
  };
  tileProduct<T>(team, shared, tile, x, ldx, source, columns, 1, whole, copies,
                 [&](int32_t row, int32_t column, float c, float next) {
                   const float first = c + (bias ? bias[column] : 0.0f);
                   const bool both = column + 1 < columns;
                   const float second = next + (bias && both ? bias[column + 1] : 0.0f);
                   T *to = h + row * ldh;
                   if (layer.gated) {
                     to[column / 2] = fromFloat<T>(gatedUnit(layer.act, layer.cut, first, second) *
                                                   weights[row]);
                   } else {
                     to[column] = fromFloat<T>(activate(layer.act, first) * weights[row]);
                     if (both)
                       to[column + 1] = fromFloat<T>(activate(layer.act, second) * weights[row]);
                   }
                 });
}

/// partial [pairs, out] of one tile. A block's program.
template <typename T, typename W, typename Team>
UOE_HOST_DEVICE void outerTile(Team &team, typename ProductTile<T>::Shared &shared,
                               const Layer<W> &layer, const Tile &tile, const T *h, int64_t ldh,
                               bool copies, T *partial) {
  const int64_t first = layer.hidden[tile.expert];
  const int32_t neurons = layer.neurons(tile.expert);
  auto whole = [&](int) {
    return Segment<W>{layer.outer + first * layer.out, neurons, 0, neurons};
  };
  tileProduct<T>(team, shared, tile, h, ldh, nullptr, layer.out, 1, whole, copies,
                 [&](int32_t row, int32_t column, float c, float next) {
                   T *to = partial + int64_t(row) * layer.out + column;
                   to[0] = fromFloat<T>(c);
                   if (column + 1 < layer.out)
                     to[1] = fromFloat<T>(next);
                 });
}

/// The sum of column `column` of skip [experts, out] over a row's experts, entries begin .. end of
/// its list.
UOE_HOST_DEVICE inline float skipped(const float *skip, int32_t out, int32_t column,
                                     const int32_t *ids, int32_t begin, int32_t end) {
  float sum = 0;
  for (int32_t i = begin; i < end; ++i)
    sum += skip[int64_t(ids[i]) * out + column];
  return sum;
}

/// y of rows that all chose the same experts, without `skip`: one product over the depth of all of
/// them, kept in registers and written once, without partials. Consecutive rows have consecutive
/// pairs within each of their experts. `tile` counts rows, and columns of y; ids and place are
/// Permute.h's. A block's program.
template <typename T, typename W, typename Team>
UOE_HOST_DEVICE void sharedOuterTile(Team &team, typename ProductTile<T>::Shared &shared,
                                     const Layer<W> &layer, const Tile &tile, const int32_t *offset,
                                     const int32_t *ids, const int32_t *place, const T *h,
                                     int64_t ldh, bool copies, T *y, int64_t ldy) {
  const int32_t entry = offset[tile.row];
  auto expert = [&](int i) {
    const int32_t e = ids[entry + i];
    const int32_t neurons = layer.neurons(e);
    return Segment<W>{layer.outer + int64_t(layer.hidden[e]) * layer.out, neurons,
                      (int64_t(place[entry + i]) - tile.row) * ldh, neurons};
  };
  const float *bias = layer.outerBias;
  tileProduct<T>(team, shared, tile, h, ldh, nullptr, layer.out, offset[tile.row + 1] - entry,
                 expert, copies, [&](int32_t row, int32_t column, float c, float next) {
                   T *to = y + row * ldy + column;
                   to[0] = fromFloat<T>(c + (bias ? bias[column] : 0.0f));
                   if (column + 1 < layer.out)
                     to[1] = fromFloat<T>(next + (bias ? bias[column + 1] : 0.0f));
                 });
}

/// y [row, column] = bias + the row's partials, added in float up the row's list of experts: what
/// one thread does. Rows that chose nobody get the bias. `skip` as in Layer.
template <typename T>
UOE_HOST_DEVICE void combineElement(int64_t row, int32_t column, int32_t out, const T *partial,
                                    const int32_t *offset, const int32_t *ids, const int32_t *place,
                                    const float *bias, const float *skip, T *y, int64_t ldy) {
  float sum = bias ? bias[column] : 0.0f;
  if (skip)
    sum -= skipped(skip, out, column, ids, offset[row], offset[row + 1]);
  for (int32_t i = offset[row]; i < offset[row + 1]; ++i)
    sum += toFloat(partial[int64_t(place[i]) * out + column]);
  y[row * ldy + column] = fromFloat<T>(sum);
}

} // namespace uoe::rt::cuda
