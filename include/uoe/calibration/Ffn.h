// A dense feed-forward block, as calibration sees it.
#pragma once
#include "Tokens.h"
#include <functional>
#include <limits>
#include <memory>

namespace uoe::calibration {

/// What a neuron makes of its sum: a function with a name, or any other.
class Activation {
public:
  enum Kind {
    Relu,
    ReluSquared, // max(x, 0)^2
    GeluErf,
    GeluTanh,
    Silu,
    QuickGelu,
    Sigmoid,
    Tanh,
    Identity,
    Custom
  };
  using Function = std::function<double(double)>;

  Activation(Kind kind) : kind(kind) {}
  /// A function without a name; it is called from several threads at once.
  explicit Activation(Function function)
      : kind(Custom), function(std::make_shared<const Function>(std::move(function))) {}
  operator Kind() const { return kind; }
  /// The function of a custom activation.
  double custom(double x) const { return (*function)(x); }

private:
  Kind kind;
  std::shared_ptr<const Function> function;
};

/// ONNX-like spelling of those with a name ("relu", "relu_squared", "gelu", "gelu_tanh", "silu",
/// "quick_gelu", "sigmoid", "tanh", "identity").
const char *nameOf(Activation::Kind activation);
bool parseActivation(const std::string &name, Activation &activation);
float apply(const Activation &activation, float value);

/// y = h W_d + b_d with h = act(x W_g + b_g) ⊙ (x W_u + b_u), or h = act(x W_g + b_g) where there
/// is no W_u. Where there is, with a limit c and an offset o, h = act(min(x W_g + b_g, c)) ⊙
/// (clip(x W_u + b_u, -c, c) + o). x is [tokens, d], y is [tokens, n]; n is d in a transformer, but
/// nothing needs that.
struct FfnWeights {
  MatrixView gate;                 // [d, F]: W_g, or W_1 of a plain block
  MatrixView up;                   // [d, F], empty in a plain block
  MatrixView down;                 // [F, n]
  const float *gateBias = nullptr; // [F] or null
  const float *upBias = nullptr;   // [F] or null
  const float *downBias = nullptr; // [n] or null
  Activation activation = Activation::Silu;
  float limit = std::numeric_limits<float>::infinity();
  float upOffset = 0;

  bool gated() const { return !up.empty(); }
  int64_t inputs() const { return gate.rows; }
  int64_t neurons() const { return gate.cols; }
  int64_t outputs() const { return down.cols; }
  /// Multiply-adds of one token, biases and activation not counted.
  int64_t multiplyAdds() const { return neurons() * (inputs() * (gated() ? 2 : 1) + outputs()); }
};

/// Checks that shapes fit each other and, if given, the tokens; and that no weight is NaN or
/// infinite.
Status check(const FfnWeights &weights, const Tokens *inputs = nullptr);

/// The dense block itself: y [tokens, n] for x [tokens, d].
Status runDense(const FfnWeights &weights, MatrixView x, Matrix &y);

/// What calibration is to fit. Errors are Σ_t w_t ‖y_t − ŷ_t‖² / Σ_t w_t ‖y_t‖².
struct CalibrationData {
  const Tokens *inputs = nullptr; // x, [tokens, d]: what the block receives
  /// y, [tokens, n]: what it should give; null means the dense block's output for `inputs`. Another
  /// target is of use when `inputs` come from a model whose earlier layers are converted already.
  const Tokens *targets = nullptr;
  const float *tokenWeights = nullptr; // [tokens] or null for 1
};

} // namespace uoe::calibration
