#include "uoe/calibration/Ffn.h"
#include "Hidden.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cmath>
#include <sstream>

namespace uoe::calibration {
namespace {

constexpr struct {
  Activation::Kind activation;
  const char *name;
} kNames[] = {{Activation::Relu, "relu"},        {Activation::ReluSquared, "relu_squared"},
              {Activation::GeluErf, "gelu"},     {Activation::GeluTanh, "gelu_tanh"},
              {Activation::Silu, "silu"},        {Activation::QuickGelu, "quick_gelu"},
              {Activation::Sigmoid, "sigmoid"},  {Activation::Tanh, "tanh"},
              {Activation::Identity, "identity"}};

std::string shapeOf(MatrixView m) {
  return "[" + std::to_string(m.rows) + ", " + std::to_string(m.cols) + "]";
}

bool allFinite(MatrixView m) {
  for (int64_t i = 0; i < m.rows; ++i)
    for (int64_t j = 0; j < m.cols; ++j)
      if (!std::isfinite(m(i, j)))
        return false;
  return true;
}

} // namespace

const char *nameOf(Activation::Kind activation) {
  for (auto &entry : kNames)
    if (entry.activation == activation)
      return entry.name;
  return "custom";
}

bool parseActivation(const std::string &name, Activation &activation) {
  for (auto &entry : kNames)
    if (name == entry.name) {
      activation = entry.activation;
      return true;
    }
  return false;
}

float apply(const Activation &activation, float x) {
  switch (activation) {
  case Activation::Relu:
    return x > 0 ? x : 0.0f;
  case Activation::ReluSquared:
    return x > 0 ? x * x : 0.0f;
  case Activation::GeluErf:
    return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  case Activation::GeluTanh:
    return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
  case Activation::Silu:
    return x / (1 + std::exp(-x));
  case Activation::QuickGelu:
    return x / (1 + std::exp(-1.702f * x));
  case Activation::Sigmoid:
    return 1 / (1 + std::exp(-x));
  case Activation::Tanh:
    return std::tanh(x);
  case Activation::Identity:
    return x;
  case Activation::Custom:
    return static_cast<float>(activation.custom(x));
  }
  return x;
}

Status check(const FfnWeights &weights, const Tokens *inputs) {
  auto fits = [&](MatrixView m, const char *name, int64_t rows, int64_t cols) -> Status {
    if (m.rows == rows && m.cols == cols)
      return {};
    return {std::string(name) + ": expected shape " + shapeOf({nullptr, rows, cols}) + ", found " +
            shapeOf(m)};
  };
  if (weights.gate.empty() || weights.down.empty())
    return {"the feed-forward block is empty: first weight " + shapeOf(weights.gate) +
            ", down-projection " + shapeOf(weights.down)};
  int64_t d = weights.inputs(), f = weights.neurons();
  if (weights.gated())
    if (Status s = fits(weights.up, "up weight", d, f); !s.ok())
      return s;
  if (Status s = fits(weights.down, "down weight", f, weights.outputs()); !s.ok())
    return s;
  const std::pair<MatrixView, const char *> all[] = {
      {weights.gate, "gate weight"},
      {weights.up, "up weight"},
      {weights.down, "down weight"},
      {{weights.gateBias, 1, weights.gateBias ? f : 0}, "gate bias"},
      {{weights.upBias, 1, weights.upBias ? f : 0}, "up bias"},
      {{weights.downBias, 1, weights.downBias ? weights.outputs() : 0}, "down bias"}};
  for (auto &[m, name] : all)
    if (!allFinite(m))
      return {std::string(name) + ": expected finite values, found NaN or infinity"};
  if (inputs && inputs->width() != d)
    return {"calibration inputs: expected " + std::to_string(d) + " values a token, found " +
            std::to_string(inputs->width())};
  if (inputs && inputs->count() == 0)
    return {"calibration inputs: expected at least one token, found none"};
  return {};
}

void parallelRows(int64_t count, const std::function<void(int64_t i)> &body) {
  rt::ThreadPool::global().parallelFor(count, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      body(i);
  });
}

void addBias(Matrix &rows, const float *bias) {
  if (bias)
    for (int64_t i = 0; i < rows.rows; ++i)
      for (int64_t j = 0; j < rows.cols; ++j)
        rows(i, j) += bias[j];
}

void applyActivation(const Activation &activation, float *values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    values[i] = apply(activation, values[i]);
}

Hidden hidden(const FfnWeights &weights, MatrixView x, bool wantUp) {
  Hidden result;
  result.h = multiply(x, weights.gate);
  addBias(result.h, weights.gateBias);
  if (weights.gated()) {
    result.up = multiply(x, weights.up);
    addBias(result.up, weights.upBias);
  }
  parallelRows(x.rows, [&](int64_t t) {
    float *h = result.h.row(t);
    for (int64_t j = 0; weights.gated() && j < result.h.cols; ++j) {
      float &up = result.up(t, j);
      h[j] = std::min(h[j], weights.limit);
      up = std::min(std::max(up, -weights.limit), weights.limit) + weights.upOffset;
    }
    applyActivation(weights.activation, h, result.h.cols);
    if (weights.gated())
      for (int64_t j = 0; j < result.h.cols; ++j)
        h[j] *= result.up(t, j);
  });
  if (!wantUp)
    result.up = {};
  return result;
}

Status runDense(const FfnWeights &weights, MatrixView x, Matrix &y) {
  MatrixTokens tokens(x);
  if (x.rows > 0)
    if (Status s = check(weights, &tokens); !s.ok())
      return s;
  y = multiply(hidden(weights, x).h, weights.down);
  addBias(y, weights.downBias);
  return {};
}

std::vector<float> rowNorms(MatrixView m) {
  std::vector<float> norms(static_cast<size_t>(m.rows));
  for (int64_t i = 0; i < m.rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < m.cols; ++j)
      sum += static_cast<double>(m(i, j)) * m(i, j);
    norms[i] = static_cast<float>(std::sqrt(sum));
  }
  return norms;
}

double squaredNorm(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

HeldOut::HeldOut(int64_t tokens, double share) {
  if (!(share > 0) || tokens < 4)
    return;
  period = std::max<int64_t>(2, std::llround(1 / std::min(share, 0.5)));
  run = std::clamp<int64_t>(tokens / (8 * period), 1, 64);
}

float cutAbove(std::vector<float> &values, int64_t below) {
  auto count = static_cast<int64_t>(values.size());
  if (below >= count)
    return *std::max_element(values.begin(), values.end());
  const int64_t more = std::max(count / 1024, std::min<int64_t>(1024, count / 32));
  const int64_t last = std::min(below + more, count - 1);
  // values[below - 1 .. last] in their places of the ascending order.
  auto at = [&](int64_t i) { return values.begin() + i; };
  std::nth_element(at(0), at(below - 1), values.end());
  std::nth_element(at(below), at(last), values.end());
  std::sort(at(below), at(last));
  int64_t widest = below;
  auto gap = [&](int64_t i) { return values[i] - values[i - 1]; };
  for (int64_t i = below + 1; i <= last && gap(widest) < 1e-4f * std::abs(values[widest]); ++i)
    if (gap(i) > gap(widest))
      widest = i;
  float low = values[widest - 1], high = values[widest];
  if (!(high > low)) { // all the same: the next that is not
    auto next = std::partition(at(last), values.end(), [&](float v) { return !(v > low); });
    if (next == values.end())
      return low;
    high = *std::min_element(next, values.end());
  }
  const float middle = 0.5f * low + 0.5f * high;
  return middle < high ? middle : low;
}

std::vector<int64_t> spacedTokens(int64_t count, int64_t wanted) {
  wanted = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(count, 1));
  std::vector<int64_t> result;
  if (count > 0)
    for (int64_t i = 0; i < wanted; ++i)
      result.push_back(i * count / wanted);
  return result;
}

Matrix gatherTokens(const Tokens &source, const std::vector<int64_t> &tokens) {
  Matrix rows(static_cast<int64_t>(tokens.size()), source.width());
  for (size_t i = 0; i < tokens.size(); ++i)
    source.read(tokens[i], 1, rows.row(static_cast<int64_t>(i)));
  return rows;
}

void forBatches(const Tokens &source, int64_t batch,
                const std::function<void(int64_t begin, const Matrix &x)> &body) {
  batch = std::max<int64_t>(batch, 1);
  for (int64_t begin = 0; begin < source.count(); begin += batch) {
    Matrix x(std::min(batch, source.count() - begin), source.width());
    source.read(begin, x.rows, x.values.data());
    body(begin, x);
  }
}

} // namespace uoe::calibration
