// A feed-forward block with structure to find, and tokens for it: few directions in the inputs,
// neurons that belong to them, a few neurons that are busy all the time.
#pragma once
#include "uoe/calibration/Ffn.h"
#include <algorithm>
#include <cmath>
#include <random>

namespace uoe::calibration::test {

/// The same numbers with every standard library, which std::normal_distribution does not promise.
class Random {
public:
  explicit Random(uint32_t seed) : engine(seed) {}
  float uniform() { return (static_cast<float>(engine() >> 8) + 0.5f) / 16777216.0f; }
  float normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.2831853f * uniform()); }
  Matrix matrix(int64_t rows, int64_t cols, float scale = 1) {
    Matrix m(rows, cols);
    for (float &v : m.values)
      v = scale * normal();
    return m;
  }

private:
  std::mt19937 engine;
};

struct Synthetic {
  Matrix gate, up, down, x;
  std::vector<float> gateBias, upBias, downBias;
  Activation activation = Activation::Silu;

  Synthetic(int64_t d, int64_t f, int64_t n, int64_t tokens, bool gated, uint32_t seed = 7) {
    Random random(seed);
    float scale = 1.5f / std::sqrt(static_cast<float>(d));
    Matrix topics = random.matrix(8, d);
    gate = random.matrix(d, f, scale);
    if (gated)
      up = random.matrix(d, f, scale);
    down = random.matrix(f, n, 1 / std::sqrt(static_cast<float>(f)));
    for (int64_t j = 0; j < f; ++j)
      for (int64_t i = 0; i < d; ++i)
        gate(i, j) += 2 * scale * topics(j % 8, i);
    gateBias = random.matrix(1, f, 0.3f).values;
    for (int64_t j = 0; j < f; ++j)
      gateBias[j] -= j % 10 == 0 ? -2.0f : 1.0f;
    if (gated)
      upBias = random.matrix(1, f, 0.3f).values;
    downBias = random.matrix(1, n, 0.1f).values;
    x = random.matrix(tokens, d, 0.6f);
    for (int64_t t = 0; t < tokens; ++t) {
      const float *topic = topics.row(static_cast<int64_t>(random.uniform() * 8));
      for (int64_t i = 0; i < d; ++i)
        x(t, i) += 0.8f * topic[i] + 0.2f;
    }
    if (!gated)
      activation = Activation::GeluErf;
  }

  FfnWeights weights() const {
    FfnWeights w;
    w.gate = gate;
    w.up = up;
    w.down = down;
    w.gateBias = gateBias.data();
    w.upBias = upBias.empty() ? nullptr : upBias.data();
    w.downBias = downBias.data();
    w.activation = activation;
    return w;
  }
};

/// y = h W_d + b_d, written out.
inline Matrix naive(const FfnWeights &w, MatrixView x) {
  Matrix y(x.rows, w.outputs());
  for (int64_t t = 0; t < x.rows; ++t) {
    std::vector<double> sum(static_cast<size_t>(w.outputs()));
    for (int64_t j = 0; j < w.neurons(); ++j) {
      double g = w.gateBias ? w.gateBias[j] : 0, u = w.upBias ? w.upBias[j] : 0;
      for (int64_t i = 0; i < w.inputs(); ++i) {
        g += static_cast<double>(x(t, i)) * w.gate(i, j);
        if (w.gated())
          u += static_cast<double>(x(t, i)) * w.up(i, j);
      }
      if (w.gated()) {
        g = std::min(g, static_cast<double>(w.limit));
        u = std::clamp(u, -static_cast<double>(w.limit), static_cast<double>(w.limit)) + w.upOffset;
      }
      double h = apply(w.activation, static_cast<float>(g)) * (w.gated() ? u : 1);
      for (int64_t k = 0; k < w.outputs(); ++k)
        sum[k] += h * w.down(j, k);
    }
    for (int64_t k = 0; k < w.outputs(); ++k)
      y(t, k) = static_cast<float>(sum[k] + (w.downBias ? w.downBias[k] : 0));
  }
  return y;
}

inline double relativeError(const Matrix &a, const Matrix &b) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < b.values.size(); ++i) {
    error += std::pow(static_cast<double>(a.values[i]) - b.values[i], 2);
    energy += std::pow(static_cast<double>(b.values[i]), 2);
  }
  return error / energy;
}

} // namespace uoe::calibration::test
