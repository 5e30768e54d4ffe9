// Windows that slide over a tensor, laid out as a matrix (im2col): a convolution is a product then.
#pragma once
#include "Copy.h"

namespace uoe::rt::cuda {

/// x [batches, channels, in..] as matrices of taps (channel of the group, place in the kernel) and
/// positions, one for each batch and group. Three spatial dimensions; missing ones are 1.
struct WindowCall {
  const void *x = nullptr, *padding = nullptr; // padding: what lies around x; null: zeros
  void *to = nullptr;
  int32_t bytes = 4;
  bool tapsInnermost = true;          // [positions, taps], else [taps, positions]
  int64_t matrices = 0, channels = 0; // batches * groups; of a group
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, pad[3] = {};

  UOE_HOST_DEVICE int64_t taps() const { return channels * kernel[0] * kernel[1] * kernel[2]; }
  UOE_HOST_DEVICE int64_t positions() const { return out[0] * out[1] * out[2]; }
  UOE_HOST_DEVICE int64_t count() const { return matrices * taps() * positions(); }
};

/// A thread an element of the matrices.
template <typename Grid>
UOE_HOST_DEVICE void windowKernel(const Grid &grid, const WindowCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.count())
      return;
    const int64_t inner = call.tapsInnermost ? call.taps() : call.positions();
    const int64_t outer = call.tapsInnermost ? call.positions() : call.taps();
    const int64_t matrix = i / inner / outer;
    int64_t tap = call.tapsInnermost ? i % inner : i / inner % outer;
    int64_t position = call.tapsInnermost ? i / inner % outer : i % inner;
    int64_t at = 0, step = 1;
    bool inside = true;
    for (int d = 2; d >= 0; --d) {
      const int64_t place = position % call.out[d] * call.stride[d] - call.pad[d] +
                            tap % call.kernel[d] * call.dilation[d];
      inside = inside && place >= 0 && place < call.in[d];
      at += place * step;
      step *= call.in[d];
      position /= call.out[d];
      tap /= call.kernel[d];
    }
    // What is left of the tap is its channel.
    if (inside)
      copyElement(call.bytes, call.x, (matrix * call.channels + tap) * step + at, call.to, i);
    else if (call.padding)
      copyElement(call.bytes, call.padding, 0, call.to, i);
    else
      clearElement(call.bytes, call.to, i);
  });
}

} // namespace uoe::rt::cuda
