#include "uoe/calibration/Training.h"
#include "Hidden.h"
#include <algorithm>
#include <cmath>

namespace uoe::calibration {

double derivative(const Activation &activation, double v) {
  auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  switch (activation) {
  case Activation::Relu:
    return v > 0 ? 1 : 0;
  case Activation::ReluSquared:
    return v > 0 ? 2 * v : 0;
  case Activation::GeluErf:
    return 0.5 * (1 + std::erf(v / std::sqrt(2.0))) +
           v * std::exp(-0.5 * v * v) / std::sqrt(2 * M_PI);
  case Activation::GeluTanh: {
    double c = std::sqrt(2 / M_PI), t = std::tanh(c * (v + 0.044715 * v * v * v));
    return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 3 * 0.044715 * v * v);
  }
  case Activation::Silu: {
    double s = sigmoid(v);
    return s * (1 + v * (1 - s));
  }
  case Activation::QuickGelu: {
    double s = sigmoid(1.702 * v);
    return s * (1 + 1.702 * v * (1 - s));
  }
  case Activation::Sigmoid: {
    double s = sigmoid(v);
    return s * (1 - s);
  }
  case Activation::Tanh: {
    double t = std::tanh(v);
    return 1 - t * t;
  }
  case Activation::Identity:
    return 1;
  case Activation::Custom: {
    double step = 1e-4 * std::max(1.0, std::fabs(v));
    return (activation.custom(v + step) - activation.custom(v - step)) / (2 * step);
  }
  }
  return 0;
}

namespace {

/// x W + b.
Matrix affine(MatrixView x, MatrixView w, const float *bias) {
  Matrix y = multiply(x, w);
  addBias(y, bias);
  return y;
}

std::vector<float> columnSums(const Matrix &m) {
  std::vector<double> sums(static_cast<size_t>(m.cols));
  for (int64_t t = 0; t < m.rows; ++t)
    for (int64_t j = 0; j < m.cols; ++j)
      sums[j] += m(t, j);
  return {sums.begin(), sums.end()};
}

Status checkGated(const GatedExperts &layer, MatrixView h) {
  if (layer.experts.empty())
    return {"experts: expected at least one, found none"};
  for (const FfnWeights &expert : layer.experts) {
    if (Status s = check(expert); !s.ok())
      return s;
    if (expert.inputs() != h.cols || expert.outputs() != layer.experts[0].outputs())
      return {"experts: expected " + std::to_string(h.cols) + " inputs and " +
              std::to_string(layer.experts[0].outputs()) + " outputs each, found " +
              std::to_string(expert.inputs()) + " and " + std::to_string(expert.outputs())};
  }
  if (layer.router.rows != h.cols ||
      layer.router.cols != static_cast<int64_t>(layer.experts.size()))
    return {"router: expected [" + std::to_string(h.cols) + ", " +
            std::to_string(layer.experts.size()) + "], found [" +
            std::to_string(layer.router.rows) + ", " + std::to_string(layer.router.cols) + "]"};
  return {};
}

/// n over the active experts of a token, or 1.
double scaleOf(const GatedExperts &layer, const Matrix &active, int64_t t) {
  double count = 0;
  for (int64_t i = 0; i < active.cols; ++i)
    count += active(t, i);
  return layer.rescale && count > 0 ? static_cast<double>(active.cols) / count : 1;
}

/// softmax(row / temperature) in double precision.
std::vector<double> softmax(MatrixView m, int64_t row, double temperature) {
  std::vector<double> p(static_cast<size_t>(m.cols));
  double largest = -HUGE_VAL, sum = 0;
  for (int64_t e = 0; e < m.cols; ++e)
    largest = std::max(largest, m(row, e) / temperature);
  for (int64_t e = 0; e < m.cols; ++e)
    sum += p[e] = std::exp(m(row, e) / temperature - largest);
  for (double &v : p)
    v /= sum;
  return p;
}

double entropyOf(const std::vector<double> &p) {
  double sum = 0;
  for (double v : p)
    sum += v > 0 ? v * std::log(v) : 0;
  return sum;
}

/// Given dL/dp of a softmax of s / temperature at p, dL/ds into `out`.
void softmaxGradient(const std::vector<double> &p, const std::vector<double> &slope,
                     double temperature, float *out) {
  double mean = 0;
  for (size_t e = 0; e < p.size(); ++e)
    mean += p[e] * slope[e];
  for (size_t e = 0; e < p.size(); ++e)
    out[e] = static_cast<float>(p[e] * (slope[e] - mean) / temperature);
}

} // namespace

FfnGradients backwardFfn(const FfnWeights &weights, MatrixView x, MatrixView outputGradient) {
  FfnGradients result;
  Matrix a = affine(x, weights.gate, weights.gateBias), u;
  if (weights.gated())
    u = affine(x, weights.up, weights.upBias);
  Matrix dh = multiply(outputGradient, weights.down.transposed()), h(a.rows, a.cols),
         da(a.rows, a.cols), du(u.rows, u.cols);
  for (size_t i = 0; i < a.values.size(); ++i) {
    float act = apply(weights.activation, a.values[i]);
    double linear = weights.gated() ? u.values[i] : 1.0;
    h.values[i] = static_cast<float>(act * linear);
    da.values[i] =
        static_cast<float>(dh.values[i] * linear * derivative(weights.activation, a.values[i]));
    if (weights.gated())
      du.values[i] = dh.values[i] * act;
  }
  result.down = multiply(MatrixView(h).transposed(), outputGradient);
  result.gate = multiply(x.transposed(), da);
  if (weights.gated())
    result.up = multiply(x.transposed(), du);
  if (weights.gateBias)
    result.gateBias = columnSums(da);
  if (weights.upBias && weights.gated())
    result.upBias = columnSums(du);
  if (weights.downBias) {
    std::vector<double> sums(static_cast<size_t>(outputGradient.cols));
    for (int64_t t = 0; t < outputGradient.rows; ++t)
      for (int64_t j = 0; j < outputGradient.cols; ++j)
        sums[j] += outputGradient(t, j);
    result.downBias.assign(sums.begin(), sums.end());
  }
  return result;
}

Status forwardGated(const GatedExperts &layer, MatrixView h, GatedForward &result) {
  if (Status s = checkGated(layer, h); !s.ok())
    return s;
  int64_t n = layer.router.cols;
  result.gates = multiply(h, layer.router);
  result.active = Matrix(h.rows, n);
  result.y = Matrix(h.rows, layer.experts[0].outputs());
  for (size_t i = 0; i < result.gates.values.size(); ++i) {
    float &gate = result.gates.values[i];
    gate = 1.0f / (1.0f + std::exp(-gate));
    result.active.values[i] = gate > layer.tau ? 1.0f : 0.0f;
  }
  for (int64_t i = 0; i < n; ++i) {
    Matrix o;
    if (Status s = runDense(layer.experts[i], h, o); !s.ok())
      return s;
    for (int64_t t = 0; t < h.rows; ++t)
      if (result.active(t, i) != 0) {
        auto weight = static_cast<float>(scaleOf(layer, result.active, t) * result.gates(t, i));
        for (int64_t j = 0; j < o.cols; ++j)
          result.y(t, j) += weight * o(t, j);
      }
  }
  return {};
}

Status backwardGated(const GatedExperts &layer, MatrixView h, const GatedForward &forward,
                     MatrixView outputGradient, double sparsity, GatedGradients &gradients) {
  if (Status s = checkGated(layer, h); !s.ok())
    return s;
  int64_t n = layer.router.cols;
  if (outputGradient.rows != h.rows || outputGradient.cols != layer.experts[0].outputs() ||
      forward.gates.rows != h.rows || forward.gates.cols != n)
    return {"gradient: expected " + std::to_string(h.rows) + " tokens of " +
            std::to_string(layer.experts[0].outputs()) + ", found " +
            std::to_string(outputGradient.rows) + " of " + std::to_string(outputGradient.cols)};
  Matrix ds(h.rows, n); // with respect to h Y
  gradients.experts.clear();
  for (int64_t i = 0; i < n; ++i) {
    Matrix o, weighted(h.rows, outputGradient.cols);
    if (Status s = runDense(layer.experts[i], h, o); !s.ok())
      return s;
    for (int64_t t = 0; t < h.rows; ++t) {
      double scale = scaleOf(layer, forward.active, t), gate = forward.gates(t, i), dot = 0;
      for (int64_t j = 0; j < o.cols; ++j) {
        dot += static_cast<double>(outputGradient(t, j)) * o(t, j);
        weighted(t, j) =
            static_cast<float>(forward.active(t, i) * scale * gate * outputGradient(t, j));
      }
      ds(t, i) = static_cast<float>((scale * dot + sparsity) * gate * (1 - gate));
    }
    gradients.experts.push_back(backwardFfn(layer.experts[i], h, weighted));
  }
  gradients.router = multiply(h.transposed(), ds);
  return {};
}

double sparsityLoss(const GatedForward &forward) {
  double sum = 0;
  for (size_t i = 0; i < forward.gates.values.size(); ++i)
    sum += static_cast<double>(forward.gates.values[i]) * forward.active.values[i];
  return forward.gates.rows ? sum / static_cast<double>(forward.gates.rows) : 0;
}

Status LoadStatistics::add(MatrixView logits, MatrixView weights) {
  if (logits.rows != weights.rows || logits.cols != weights.cols ||
      (!probability.empty() && static_cast<int64_t>(probability.size()) != logits.cols))
    return {"load: expected logits and weights of one shape, found [" +
            std::to_string(logits.rows) + ", " + std::to_string(logits.cols) + "] and [" +
            std::to_string(weights.rows) + ", " + std::to_string(weights.cols) + "]"};
  probability.resize(static_cast<size_t>(logits.cols));
  chosen.resize(static_cast<size_t>(logits.cols));
  for (int64_t t = 0; t < logits.rows; ++t) {
    std::vector<double> p = softmax(logits, t, 1);
    for (int64_t e = 0; e < logits.cols; ++e) {
      probability[e] += p[e];
      chosen[e] += weights(t, e) != 0;
    }
  }
  tokens += logits.rows;
  return {};
}

std::vector<double> LoadStatistics::meanProbability() const {
  std::vector<double> mean = probability;
  for (double &p : mean)
    p /= static_cast<double>(std::max<int64_t>(tokens, 1));
  return mean;
}

double LoadStatistics::entropy() const {
  return entropyOf(meanProbability());
}

double LoadStatistics::imbalance() const {
  double most = 0, all = 0;
  for (double c : chosen) {
    most = std::max(most, c);
    all += c;
  }
  return all > 0 ? most * static_cast<double>(chosen.size()) / all : 1;
}

double balanceEntropy(const std::vector<MatrixView> &logits, std::vector<Matrix> *gradients) {
  int64_t tokens = 0, n = logits.empty() ? 0 : logits[0].cols;
  std::vector<double> mean(static_cast<size_t>(n));
  for (const MatrixView &m : logits) {
    tokens += m.rows;
    for (int64_t t = 0; t < m.rows; ++t) {
      std::vector<double> p = softmax(m, t, 1);
      for (int64_t e = 0; e < n; ++e)
        mean[e] += p[e];
    }
  }
  for (double &p : mean)
    p /= static_cast<double>(std::max<int64_t>(tokens, 1));
  if (gradients) {
    gradients->clear();
    std::vector<double> slope(mean);
    for (double &v : slope)
      v = (v > 0 ? std::log(v) + 1 : 0) / static_cast<double>(std::max<int64_t>(tokens, 1));
    for (const MatrixView &m : logits) {
      Matrix g(m.rows, n);
      for (int64_t t = 0; t < m.rows; ++t)
        softmaxGradient(softmax(m, t, 1), slope, 1, g.row(t));
      gradients->push_back(std::move(g));
    }
  }
  return tokens ? entropyOf(mean) : 0;
}

double balanceLoss(MatrixView scores, MatrixView weights, double tau0, Matrix *gradient) {
  int64_t tokens = scores.rows, n = scores.cols;
  std::vector<double> share(static_cast<size_t>(n)), mean(share);
  if (gradient)
    *gradient = Matrix(tokens, n);
  if (tokens == 0)
    return 0;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> p = softmax(scores, t, tau0);
    for (int64_t e = 0; e < n; ++e) {
      mean[e] += p[e] / static_cast<double>(tokens);
      share[e] += (weights(t, e) != 0) / static_cast<double>(tokens);
    }
  }
  double loss = 0;
  std::vector<double> slope(share);
  for (int64_t e = 0; e < n; ++e) {
    loss += static_cast<double>(n) * share[e] * mean[e];
    slope[e] = static_cast<double>(n) * share[e] / static_cast<double>(tokens);
  }
  for (int64_t t = 0; gradient && t < tokens; ++t)
    softmaxGradient(softmax(scores, t, tau0), slope, tau0, gradient->row(t));
  return loss;
}

} // namespace uoe::calibration
