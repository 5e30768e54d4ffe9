// Convolutions as products on a device: what those of floats and of integers share.
#pragma once
#include "Call.h"
#include "runtime/cpu/ops/Window.h"
#include "runtime/cuda/ops/Window.h"

namespace uoe::rt::cuda {

/// A convolution of X [batch, channels, ..] with W [filters, channels / groups, ..].
struct Convolution {
  Window window;
  int64_t batch = 0, channels = 0, filters = 0, groups = 1;
  int64_t taps = 0, positions = 0; // of a group; of the result
  Shape result;

  int64_t groupFilters() const { return filters / groups; }
};

/// False for shapes that do not fit each other: the CPU says what is wrong.
bool convolutionOf(const Node &node, const Shape &x, const Shape &weights, Convolution &c);

/// Windows of the samples begin .. end of x: [samples * groups, positions, taps], or taps before
/// positions. `padding`, one element on the device, lies around x; None: zeros.
Tensor layOut(Call &call, const Convolution &c, const Tensor &x, bool tapsInnermost, int64_t begin,
              int64_t end, const Tensor &padding = {});

} // namespace uoe::rt::cuda
