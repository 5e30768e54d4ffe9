#include "Weights.h"
#include "runtime/cpu/fast/Activation.h"
#include "runtime/cpu/fused/Weights.h"
#include <cmath>
#include <cstring>

namespace uoe::rt::cuda {

void placeRows(const Tensor &matrix, bool transposed, Tensor &to, int64_t first, int64_t step) {
  const auto width = static_cast<size_t>(bitsOf(matrix.dtype()) / 8);
  const int64_t k = matrix.dim(transposed ? 1 : 0), n = matrix.dim(transposed ? 0 : 1);
  const char *from = matrix.data<char>();
  char *out = to.data<char>();
  for (int64_t j = 0; j < n; ++j) {
    char *row = out + static_cast<size_t>((first + j * step) * k) * width;
    if (transposed)
      std::memcpy(row, from + static_cast<size_t>(j * k) * width, static_cast<size_t>(k) * width);
    else
      for (int64_t i = 0; i < k; ++i)
        std::memcpy(row + static_cast<size_t>(i) * width,
                    from + static_cast<size_t>(i * n + j) * width, width);
  }
}

Tensor innerRows(const Tensor &up, bool upTransposed, const Tensor *gate, bool gateTransposed) {
  const int64_t in = up.dim(upTransposed ? 1 : 0), hidden = up.dim(upTransposed ? 0 : 1);
  const int64_t per = gate ? 2 : 1;
  Tensor rows(up.dtype(), {hidden * per, in});
  if (gate)
    placeRows(*gate, gateTransposed, rows, 0, 2);
  placeRows(up, upTransposed, rows, per - 1, per);
  return rows;
}

Tensor innerBias(const Tensor *up, const Tensor *gate, bool gated, int64_t hidden) {
  if (!up && !gate)
    return {};
  const int64_t per = gated ? 2 : 1;
  Tensor bias(DType::F32, {hidden * per});
  auto *out = bias.data<float>();
  for (int64_t j = 0; j < hidden; ++j) {
    if (gated)
      out[2 * j] = gate ? gate->data<float>()[j] : 0;
    out[per * j + per - 1] = up ? up->data<float>()[j] : 0;
  }
  return bias;
}

namespace {

template <typename T> Tensor narrowedTo(const Tensor &weight, DType type) {
  Tensor result(type, weight.shape());
  for (int64_t i = 0; i < weight.size(); ++i)
    static_cast<T *>(result.raw())[i] = fromFloat<T>(weight.data<float>()[i]);
  return result;
}

} // namespace

Tensor narrowed(const Tensor &weight) {
  if (weight.dtype() != DType::F32)
    return weight;
  switch (fast::exactType({{weight.data<float>(), weight.size()}})) {
  case fast::ElementType::BF16:
    return narrowedTo<BF16>(weight, DType::BF16);
  case fast::ElementType::F16:
    return narrowedTo<F16>(weight, DType::F16);
  case fast::ElementType::F32:
    break;
  }
  return weight;
}

Activation deviceActivation(const Node &node) {
  static_assert(int(Activation::QuickGelu) == int(fast::Activation::QuickGelu) &&
                    int(Activation::Erf) == int(fast::Activation::Erf),
                "the device's activations have the CPU's numbers");
  return static_cast<Activation>(activationOf(node));
}

Cut deviceCut(const Node &node) {
  return {node.real("limit", INFINITY), node.real("up_offset", 0)};
}

} // namespace uoe::rt::cuda
