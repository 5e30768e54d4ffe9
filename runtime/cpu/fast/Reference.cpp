#include "Reference.h"
#include <algorithm>
#include <cmath>
#include <vector>

namespace uoe::rt::fast::reference {

float activate(Activation act, float value) {
  double x = value;
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (act) {
  case Activation::Identity:
    return value;
  case Activation::Relu:
    return value < 0 ? 0.0f : value;
  case Activation::Relu2:
    return static_cast<float>(x < 0 ? 0 : x * x);
  case Activation::Gelu:
    return static_cast<float>(x / 2 * std::erfc(-x / std::sqrt(2.0)));
  case Activation::GeluTanh:
    return static_cast<float>(
        x / 2 *
        (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))));
  case Activation::QuickGelu:
    return static_cast<float>(x * sigmoid(1.702 * x));
  case Activation::Silu:
    return static_cast<float>(x * sigmoid(x));
  case Activation::Sigmoid:
    return static_cast<float>(sigmoid(x));
  case Activation::Tanh:
    return static_cast<float>(std::tanh(x));
  case Activation::Exp:
    return static_cast<float>(std::exp(x));
  case Activation::Erf:
    return static_cast<float>(std::erf(x));
  }
  return value;
}

void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA, const float *b,
          int64_t ldb, bool transB, float *c, int64_t ldc, const Epilogue &e) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p)
        sum += double(transA ? a[p * lda + i] : a[i * lda + p]) *
               double(transB ? b[j * ldb + p] : b[p * ldb + j]);
      double value = double(e.alpha) * sum + (e.bias ? double(e.bias[j]) : 0);
      float result = activate(e.act, static_cast<float>(value));
      if (e.residual)
        result += e.residualScale * e.residual[i * e.ldr + j];
      c[i * ldc + j] = result;
    }
}

void ffn(const FfnSource &s, Activation act, const float *x, int64_t ldx, int64_t tokens,
         const float *weights, float *y, int64_t ldy) {
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> sums(static_cast<size_t>(s.out));
    for (int64_t i = 0; i < s.out; ++i)
      sums[static_cast<size_t>(i)] = s.downBias ? double(s.downBias[i]) : 0;
    for (int64_t j = 0; j < s.hidden; ++j) {
      float weight = weights ? weights[t * s.hidden + j] : 1.0f;
      if (weight == 0)
        continue;
      double gate = s.gateBias ? double(s.gateBias[j]) : 0, up = s.upBias ? double(s.upBias[j]) : 0;
      for (int64_t i = 0; i < s.in; ++i) {
        double value = x[t * ldx + i];
        if (s.gate)
          gate += value * double(s.gate[s.gateTransposed ? j * s.in + i : i * s.hidden + j]);
        up += value * double(s.up[s.upTransposed ? j * s.in + i : i * s.hidden + j]);
      }
      double h = s.gate ? double(activate(act, static_cast<float>(gate))) * up
                        : double(activate(act, static_cast<float>(up)));
      for (int64_t i = 0; i < s.out; ++i)
        sums[static_cast<size_t>(i)] +=
            double(weight) * h *
            double(s.down[s.downTransposed ? i * s.hidden + j : j * s.out + i]);
    }
    for (int64_t i = 0; i < s.out; ++i)
      y[t * ldy + i] = static_cast<float>(sums[static_cast<size_t>(i)]);
  }
}

void products(const ProductSource &s, const float *x, int64_t ldx, int64_t tokens,
              const float *weights, float *y, int64_t ldy) {
  const int64_t outHeads = s.splitInput ? 1 : s.heads;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> sums(static_cast<size_t>(outHeads * s.out));
    for (int64_t e = 0; e < s.experts; ++e) {
      const float weight = weights[t * s.experts + e];
      if (weight == 0)
        continue;
      const int64_t head = e / (s.experts / s.heads);
      const float *row = x + t * ldx + (s.splitInput ? head * s.in : 0);
      for (int64_t j = 0; j < s.out; ++j) {
        double sum = s.bias ? double(s.bias[e * s.out + j]) : 0;
        for (int64_t i = 0; i < s.in; ++i)
          sum += double(row[i]) * double(s.weight[e * s.stepExpert + i * s.stepIn + j * s.stepOut]);
        sums[static_cast<size_t>((s.splitInput ? 0 : head * s.out) + j)] += double(weight) * sum;
      }
    }
    for (size_t j = 0; j < sums.size(); ++j)
      y[t * ldy + int64_t(j)] = static_cast<float>(sums[j]);
  }
}

void cascade(const CascadeSource &s, Activation act, const float *x, int64_t ldx, int64_t tokens,
             float *y, int64_t ldy, CascadeCounts *counts) {
  auto keeps = [](const float *scale, int64_t i, float value, float threshold) {
    return !scale || std::fabs(value) * scale[i] > threshold;
  };
  counts->tokens += tokens;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> sums(static_cast<size_t>(s.out));
    for (int64_t i = 0; i < s.out; ++i)
      sums[static_cast<size_t>(i)] = s.downBias ? double(s.downBias[i]) : 0;
    auto z = [&](int64_t i) { return x[t * ldx + i] - (s.mean ? s.mean[i] : 0.0f); };
    for (int64_t i = 0; i < s.in; ++i) {
      counts->gateChannels += keeps(s.gateScale, i, z(i), s.gateThreshold);
      counts->upChannels += s.up && keeps(s.upScale, i, z(i), s.upThreshold);
    }
    for (int64_t j = 0; j < s.hidden; ++j) {
      double g = s.firstBias ? double(s.firstBias[j]) : 0, u = s.upBias ? double(s.upBias[j]) : 0;
      for (int64_t i = 0; i < s.in; ++i) {
        double mean = s.mean ? double(s.mean[i]) : 0;
        bool gate = keeps(s.gateScale, i, z(i), s.gateThreshold);
        bool up = keeps(s.upScale, i, z(i), s.upThreshold);
        g += (mean + (gate ? double(z(i)) : 0)) *
             double(s.first[s.firstTransposed ? j * s.in + i : i * s.hidden + j]);
        if (s.up)
          u += (mean + (up ? double(z(i)) : 0)) *
               double(s.up[s.upTransposed ? j * s.in + i : i * s.hidden + j]);
      }
      float h = activate(act, static_cast<float>(g));
      if (s.up && !keeps(s.activeScale, j, h, s.activeThreshold))
        continue;
      ++counts->activeNeurons;
      if (s.up)
        h *= static_cast<float>(u);
      if (!keeps(s.downScale, j, h, s.downThreshold))
        continue;
      ++counts->downNeurons;
      for (int64_t i = 0; i < s.out; ++i)
        sums[static_cast<size_t>(i)] +=
            double(h) * double(s.down[s.downTransposed ? i * s.hidden + j : j * s.out + i]);
    }
    for (int64_t i = 0; i < s.out; ++i)
      y[t * ldy + i] = static_cast<float>(sums[static_cast<size_t>(i)]);
  }
}

void attention(const AttentionArgs &a) {
  auto at = [](const Strides4 &by, int64_t b, int64_t h, int64_t p, int64_t f) {
    return b * by.batch + h * by.head + p * by.position + f * by.feature;
  };
  std::vector<float> x(static_cast<size_t>(a.keys));
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t s = 0; s < a.queries; ++s) {
        int64_t kv = h / (a.heads / a.kvHeads), own = s + (a.offsets ? a.offsets[b] : a.offset);
        int64_t length = a.kvLengths ? a.kvLengths[b] : a.keys;
        float most = -INFINITY;
        for (int64_t t = 0; t < a.keys; ++t) {
          double dot = 0;
          for (int64_t i = 0; i < a.size; ++i)
            dot +=
                double(a.q[at(a.qStrides, b, h, s, i)]) * double(a.k[at(a.kStrides, b, kv, t, i)]);
          float score = static_cast<float>(dot) * a.scale;
          if (a.softcap != 0 && !a.softcapAfterBias)
            score = a.softcap * std::tanh(score / a.softcap);
          if (a.bias)
            score += a.bias[at(a.biasStrides, b, h, s, t)];
          if (a.softcap != 0 && a.softcapAfterBias)
            score = a.softcap * std::tanh(score / a.softcap);
          bool out = t >= length || (a.causal && t > own) ||
                     (a.window > 0 && t <= own - a.window) ||
                     (a.mask && !a.mask[at(a.maskStrides, b, h, s, t)]);
          x[static_cast<size_t>(t)] = out ? -INFINITY : score;
          most = std::max(most, x[static_cast<size_t>(t)]);
        }
        double sum = 0;
        for (float &score : x)
          sum += score = most == -INFINITY ? 0.0f : std::exp(score - most);
        if (a.sink && most != -INFINITY)
          sum += std::exp(double(a.sink[h]) - double(most));
        for (int64_t i = 0; i < a.valueSize; ++i) {
          double y = 0;
          for (int64_t t = 0; t < a.keys; ++t)
            if (x[static_cast<size_t>(t)] != 0)
              y += double(x[static_cast<size_t>(t)]) * double(a.v[at(a.vStrides, b, kv, t, i)]);
          float &result = a.output[at(a.outputStrides, b, h, s, i)];
          result = most != -INFINITY ? static_cast<float>(y / sum) : a.sink ? 0.0f : a.emptyRow;
        }
      }
}

} // namespace uoe::rt::fast::reference
