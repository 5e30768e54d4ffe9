// Fused activations of com.microsoft.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"

namespace uoe::rt {
namespace {

using vec::Activation;

/// y = f(x + bias), the bias (input 1, optional) along the last dimension.
template <typename T> void activate(KernelCall &call, Activation kind, float alpha) {
  const Node &node = call.node;
  DType type = call.in(0).dtype();
  // Before x shares the input's storage, which would no longer be ours to take.
  Tensor result = type == DTypeOf<T>::value ? call.outInPlace(0, 0, type, call.in(0).shape())
                                            : Tensor(DTypeOf<T>::value, call.in(0).shape());
  Tensor x = inputAs<T>(call, 0), bias;
  int64_t length = x.rank() ? x.dim(-1) : 1;
  if (call.has(1)) {
    bias = inputAs<T>(call, 1);
    check(bias.rank() == 1 && bias.size() == length, node.op, ": the bias must have shape [",
          length, "], found ", toString(bias.shape()));
  }
  const T *b = call.has(1) ? bias.data<T>() : nullptr;
  const T *from = x.data<T>();
  T *to = result.data<T>();
  if (!b) {
    ThreadPool::global().parallelFor(x.size(), 1 << 12, [&](int64_t begin, int64_t end) {
      vec::activate(kind, alpha, from + begin, static_cast<const T *>(nullptr), to + begin,
                    end - begin);
    });
  } else {
    int64_t rows = length ? x.size() / length : 0;
    ThreadPool::global().parallelFor(
        rows, std::max<int64_t>(1, (1 << 12) / std::max<int64_t>(1, length)),
        [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r)
            vec::activate(kind, alpha, from + r * length, b, to + r * length, length);
        });
  }
  if (type != DTypeOf<T>::value)
    setReal(call, 0, result, type);
}

template <Activation kind> void run(KernelCall &call) {
  float alpha = call.node.real("alpha", 1.702f);
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { activate<decltype(zero)>(call, kind, alpha); });
}

/// (x + bias): left half · gelu(right half). x is (batch, sequence, 2·d), bias (2·d).
void runBiasSplitGelu(KernelCall &call) {
  DType type = call.in(0).dtype();
  withCompute(type, "BiasSplitGelu", [&](auto zero) {
    using T = decltype(zero);
    Tensor x = inputAs<T>(call, 0), bias = inputAs<T>(call, 1);
    check(x.rank() >= 1 && x.dim(-1) % 2 == 0 && bias.rank() == 1 && bias.size() == x.dim(-1),
          "BiasSplitGelu: expected an even last dimension and a bias of its length, found shapes ",
          toString(x.shape()), " and ", toString(bias.shape()));
    int64_t length = x.dim(-1), half = length / 2, rows = length ? x.size() / length : 0;
    Shape shape = x.shape();
    shape.back() = half;
    Tensor result(DTypeOf<T>::value, shape);
    const T *from = x.template data<T>(), *b = bias.template data<T>();
    T *to = result.data<T>();
    ThreadPool::global().parallelFor(rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        vec::activate(Activation::GeluErf, 0, from + r * length + half, b + half, to + r * half,
                      half);
        for (int64_t i = 0; i < half; ++i)
          to[r * half + i] *= from[r * length + i] + b[i];
      }
    });
    setReal(call, 0, result, type);
  });
}

/// x + bias + skip, x (batch, pixels, channels).
void runBiasAdd(KernelCall &call) {
  DType type = call.in(0).dtype();
  withCompute(type, "BiasAdd", [&](auto zero) {
    using T = decltype(zero);
    Tensor x = inputAs<T>(call, 0), bias = inputAs<T>(call, 1), skip = inputAs<T>(call, 2);
    check(x.rank() >= 1 && bias.rank() == 1 && bias.size() == x.dim(-1) &&
              skip.shape() == x.shape(),
          "BiasAdd: expected X, a bias of its last dimension and a skip of its shape, found ",
          toString(x.shape()), ", ", toString(bias.shape()), " and ", toString(skip.shape()));
    int64_t length = x.dim(-1), rows = length ? x.size() / length : 0;
    Tensor result(DTypeOf<T>::value, x.shape());
    for (int64_t r = 0; r < rows; ++r)
      vec::add(x.template data<T>() + r * length, bias.template data<T>(),
               skip.template data<T>() + r * length, result.data<T>() + r * length, length);
    setReal(call, 0, result, type);
  });
}

} // namespace

void registerActivation(KernelTable &table) {
  table.add("com.microsoft", "Gelu", run<Activation::GeluErf>);
  table.add("com.microsoft", "BiasGelu", run<Activation::GeluErf>);
  table.add("com.microsoft", "FastGelu", run<Activation::GeluTanh>);
  table.add("com.microsoft", "QuickGelu", run<Activation::QuickGelu>);
  table.add("com.microsoft", "BiasSplitGelu", runBiasSplitGelu);
  table.add("com.microsoft", "BiasAdd", runBiasAdd);
}

} // namespace uoe::rt
