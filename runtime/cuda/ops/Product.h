// Matrix products with an epilogue: y = act(x Wᵀ + bias) + residual, or act(gate) * up where the
// rows of W are pairs of the two.
#pragma once
#include "runtime/cuda/dispatch/Experts.h"

#include "Element.h"

namespace uoe::rt::cuda {

/// y [batches, m, n] of a [batches, m, k] and b [batches, n, k], which may be of a narrower type;
/// of a batch's loops operand 0 is a, 1 is b.
template <typename T, typename W = T> struct ProductCall {
  const T *a = nullptr, *bias = nullptr, *residual = nullptr;
  const W *b = nullptr;
  const T *rowBias = nullptr; // [rowBatches, m]: of rows, again after so many batches
  T *y = nullptr;
  int32_t rowBatches = 1;
  int32_t m = 0, n = 0, k = 0; // n counts rows of b: twice the columns of y where it is gated
  bool gated = false, copies = false; // copies: all rows begin at multiples of 16 bytes
  Activation act = Activation::Identity;
  Cut cut;
  float scale = 1; // of the product, before the bias
  StridedLoops<2> batches;

  UOE_HOST_DEVICE int64_t columns() const { return gated ? n / 2 : n; }
};

/// Two adjacent columns of the product, the first even.
template <typename T, typename W>
UOE_HOST_DEVICE void storeProduct(const ProductCall<T, W> &call, int64_t batch, int64_t row,
                                  int32_t column, float c, float next) {
  const bool both = column + 1 < call.n;
  const float ofRow =
      call.rowBias ? toFloat(call.rowBias[batch % call.rowBatches * call.m + row]) : 0.0f;
  const float first = c * call.scale + ofRow + (call.bias ? toFloat(call.bias[column]) : 0.0f);
  const float second =
      next * call.scale + ofRow + (call.bias && both ? toFloat(call.bias[column + 1]) : 0.0f);
  const int64_t line = (batch * call.m + row) * call.columns();
  auto put = [&](int64_t at, float value) {
    call.y[at] = fromFloat<T>(value + (call.residual ? toFloat(call.residual[at]) : 0.0f));
  };
  if (call.gated) {
    put(line + column / 2, gatedUnit(call.act, call.cut, first, second));
  } else {
    put(line + column, activate(call.act, first));
    if (both)
      put(line + column + 1, activate(call.act, second));
  }
}

/// A block a tile, those of a batch next to each other.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void productKernel(const Grid &grid, const ProductCall<T, W> &call) {
  using P = ProductTile<T>;
  const int64_t down = ceilDiv<int64_t>(call.m, P::height),
                across = ceilDiv<int64_t>(call.n, P::width), block = grid.block();
  const int64_t batch = block / (down * across), within = block % (down * across);
  int64_t at[2];
  call.batches.offsets(batch, at);
  Tile tile;
  tile.row = static_cast<int32_t>(within / across * P::height);
  tile.rows = static_cast<int32_t>(least<int64_t>(P::height, call.m - tile.row));
  tile.column = static_cast<int32_t>(within % across * P::width);
  auto team = grid.team();
  auto whole = [&](int) { return Segment<W>{call.b + at[1], call.k, 0, call.k}; };
  tileProduct<T>(team, grid.template shared<typename P::Shared>(), tile, call.a + at[0], call.k,
                 nullptr, call.n, call.k > 0 ? 1 : 0, whole, call.copies,
                 [&](int32_t row, int32_t column, float c, float next) {
                   storeProduct(call, batch, row, column, c, next);
                 });
}

constexpr int kFewRows = 8;

/// Up to 8 rows: a warp a pair of columns, so that each weight is read once.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void fewRowsKernel(const Grid &grid, const ProductCall<T, W> &call) {
  grid.eachWarp([&](auto &warp, int64_t index, int64_t) {
    using Warp = std::remove_reference_t<decltype(warp)>;
    const int64_t pairs = ceilDiv<int64_t>(call.n, 2), batch = index / pairs;
    if (batch >= call.batches.count)
      return;
    const auto column = static_cast<int32_t>(index % pairs * 2);
    int64_t at[2];
    call.batches.offsets(batch, at);
    const T *a = call.a + at[0];
    const W *b = call.b + at[1] + int64_t(column) * call.k;
    const bool both = column + 1 < call.n;
    typename Warp::template Registers<Sums<2 * kFewRows>> sums(warp);
    warp.own([&](int lane) {
      auto &own = sums[lane].value;
      unrolled<2 * kFewRows>([&](int i) { own[i] = 0; });
      for (int32_t k = lane; k < call.k; k += 32) {
        const float first = toFloat(b[k]), second = both ? toFloat(b[call.k + k]) : 0.0f;
        unrolled<kFewRows>([&](int r) {
          const float x = r < call.m ? toFloat(a[int64_t(r) * call.k + k]) : 0.0f;
          own[2 * r] += x * first;
          own[2 * r + 1] += x * second;
        });
      }
    });
    warp.addWithin(32, sums);
    warp.each([&](int lane) {
      unrolled<kFewRows>([&](int r) {
        if (r == lane && r < call.m)
          storeProduct(call, batch, r, column, sums[lane].value[2 * r],
                       sums[lane].value[2 * r + 1]);
      });
    });
  });
}

} // namespace uoe::rt::cuda
