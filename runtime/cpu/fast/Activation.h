// Activations that kernels apply on the fly, and the vectorised functions behind them (at most 3
// ulp, see Math.h).
#pragma once
#include <limits>
#include <stdint.h>

namespace uoe::rt::fast {

enum class Activation : uint8_t {
  Identity,
  Relu,
  Relu2,     // max(x, 0)^2
  Gelu,      // x/2 (1 + erf(x / sqrt 2))
  GeluTanh,  // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  QuickGelu, // x sigmoid(1.702 x)
  Silu,      // x sigmoid(x)
  Sigmoid,
  Tanh,
  Exp,
  Erf,
};

/// What is done to the two halves of a gated block before they meet: h = act(min(gate, limit)) *
/// (clip(up, -limit, limit) + upOffset). NaN stays NaN.
struct Cut {
  float limit = std::numeric_limits<float>::infinity();
  float upOffset = 0;
  bool any() const { return limit < std::numeric_limits<float>::infinity() || upOffset != 0; }
};
/// gate[i] = min(gate[i], limit), up[i] = clip(up[i], -limit, limit) + upOffset.
void applyCut(const Cut &cut, float *gate, float *up, int64_t n);

/// y[i] = act(x[i]) on all threads; y may be x.
void activate(Activation act, const float *x, float *y, int64_t n);
/// y[i] = act(gate[i]) * up[i] on all threads; y may be either.
void activateGated(Activation act, const float *gate, const float *up, float *y, int64_t n);

} // namespace uoe::rt::fast
