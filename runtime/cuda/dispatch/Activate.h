// Activations in float, by the numbers of fast::Activation.
#pragma once
#include "HostDevice.h"

namespace uoe::rt::cuda {

enum class Activation : int32_t {
  Identity,
  Relu,
  Relu2,
  Gelu,
  GeluTanh,
  QuickGelu,
  Silu,
  Sigmoid,
  Tanh,
  Exp,
  Erf,
};

/// As fast::Cut: act(min(gate, limit)) * (clip(up, -limit, limit) + upOffset).
struct Cut {
  float limit = INFINITY, upOffset = 0;
};

UOE_HOST_DEVICE inline float activate(Activation act, float x) {
  switch (act) {
  case Activation::Identity:
    return x;
  case Activation::Relu:
    return x > 0 ? x : x != x ? x : 0.0f;
  case Activation::Relu2:
    return x > 0 ? x * x : x != x ? x : 0.0f;
  case Activation::Gelu:
    return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
  case Activation::GeluTanh:
    return 0.5f * x * (1 + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
  case Activation::QuickGelu:
    return x / (1 + expf(-1.702f * x));
  case Activation::Silu:
    return x / (1 + expf(-x));
  case Activation::Sigmoid:
    return 1 / (1 + expf(-x));
  case Activation::Tanh:
    return tanhf(x);
  case Activation::Exp:
    return expf(x);
  case Activation::Erf:
    return erff(x);
  }
  return x;
}

/// A gated unit; NaN goes through.
UOE_HOST_DEVICE inline float gatedUnit(Activation act, const Cut &cut, float gate, float up) {
  gate = gate > cut.limit ? cut.limit : gate;
  up = up < -cut.limit ? -cut.limit : up > cut.limit ? cut.limit : up;
  return activate(act, gate) * (up + cut.upOffset);
}

} // namespace uoe::rt::cuda
