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
      // By comparisons that NaN fails.
      const double limit = double(s.cut.limit);
      if (s.gate) {
        gate = gate > limit ? limit : gate;
        up = (up > limit ? limit : up < -limit ? -limit : up) + double(s.cut.upOffset);
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
          const int64_t query = a.places ? a.places[s] : s, key = a.places ? a.places[t] : t;
          if (a.softcap != 0 && !a.softcapAfterBias)
            score = a.softcap * std::tanh(score / a.softcap);
          if (a.bias)
            score += a.bias[at(a.biasStrides, b, h, query, key)];
          if (a.softcap != 0 && a.softcapAfterBias)
            score = a.softcap * std::tanh(score / a.softcap);
          bool out = t >= length || (a.causal && t > own) ||
                     (a.window > 0 && t <= own - a.window) ||
                     (a.mask && !a.mask[at(a.maskStrides, b, h, query, key)]);
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

/// Rows [tokens, n] of x times the columns `first`.. of a matrix [in, columns].
static std::vector<float> projected(const HeadsSource &s, const HeadsSource::Matrix &m,
                                    const GatheredArgs &a, const std::vector<int64_t> &tokens,
                                    int64_t first, int64_t n) {
  std::vector<float> y;
  for (int64_t t : tokens)
    for (int64_t j = first; j < first + n; ++j) {
      double sum = m.bias ? double(m.bias[j]) : 0;
      for (int64_t i = 0; i < s.in; ++i)
        sum += double(a.x[t * a.ldx + i]) * double(m.data[i * m.stepRow + j * m.stepColumn]);
      y.push_back(static_cast<float>(sum));
    }
  return y;
}

/// Rotates heads [rows, heads, size]; `at` says which row of the tables a row takes.
static void rotate(const RotaryTables &tables, std::vector<float> &x, int64_t heads, int64_t size,
                   int64_t sample, const std::vector<int64_t> &at) {
  const int64_t half = tables.half, step = tables.interleaved ? 2 : 1;
  for (size_t r = 0; tables.cosines && r < at.size(); ++r)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < half; ++i) {
        float *own = x.data() + (int64_t(r) * heads + h) * size;
        float &p = own[i * step], &q = own[tables.interleaved ? 2 * i + 1 : i + half];
        const int64_t row = sample * tables.stepSample + at[r] * tables.stepToken + i;
        const float c = tables.cosines[row], s = tables.sines[row], before = p;
        p = before * c - q * s;
        q = before * s + q * c;
      }
}

void gatheredAttention(const HeadsSource &s, const GatheredArgs &a, const float *weights, float *y,
                       int64_t ldy) {
  std::vector<double> sums(static_cast<size_t>(a.samples * a.length * s.out));
  for (int64_t b = 0; b < a.samples; ++b)
    for (int64_t e = 0; e < s.experts; ++e) {
      std::vector<int64_t> tokens, tableRows;
      std::vector<int32_t> places;
      for (int64_t t = 0; t < a.length; ++t)
        if (weights[(b * a.length + t) * s.experts + e] != 0) {
          tableRows.push_back(a.tables.compacted ? int64_t(tokens.size()) : t);
          places.push_back(static_cast<int32_t>(a.biasCompacted ? int64_t(tokens.size()) : t));
          tokens.push_back(b * a.length + t);
        }
      const auto count = static_cast<int64_t>(tokens.size());
      const int64_t qWidth = s.heads * s.size, kWidth = s.kvHeads * s.size,
                    vWidth = s.kvHeads * s.valueSize, oWidth = s.heads * s.valueSize;
      std::vector<float> q = projected(s, s.q, a, tokens, e * qWidth, qWidth),
                         k = projected(s, s.k, a, tokens, e * kWidth, kWidth),
                         v = projected(s, s.v, a, tokens, e * vWidth, vWidth),
                         mixed(static_cast<size_t>(count * oWidth));
      rotate(a.tables, q, s.heads, s.size, b, tableRows);
      rotate(a.tables, k, s.kvHeads, s.size, b, tableRows);
      AttentionArgs own = a.attention;
      own.batch = 1;
      own.heads = s.heads;
      own.kvHeads = s.kvHeads;
      own.queries = own.keys = count;
      own.size = s.size;
      own.valueSize = s.valueSize;
      own.q = q.data();
      own.k = k.data();
      own.v = v.data();
      own.qStrides = {0, s.size, qWidth, 1};
      own.kStrides = {0, s.size, kWidth, 1};
      own.vStrides = {0, s.valueSize, vWidth, 1};
      own.output = mixed.data();
      own.outputStrides = {0, s.valueSize, oWidth, 1};
      own.places = places.data();
      if (own.bias)
        own.bias += b * own.biasStrides.batch;
      if (own.mask)
        own.mask += b * own.maskStrides.batch;
      reference::attention(own);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t t = tokens[size_t(r)];
        const double weight = double(weights[t * s.experts + e]);
        for (int64_t j = 0; j < s.out; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < oWidth; ++i)
            sum += double(mixed[size_t(r * oWidth + i)]) *
                   double(s.o.data[(e * oWidth + i) * s.o.stepRow + j * s.o.stepColumn]);
          sums[size_t(t * s.out + j)] += weight * sum;
        }
      }
    }
  for (int64_t t = 0; t < a.samples * a.length; ++t)
    for (int64_t j = 0; j < s.out; ++j)
      y[t * ldy + j] = static_cast<float>(sums[size_t(t * s.out + j)]);
}

} // namespace uoe::rt::fast::reference
