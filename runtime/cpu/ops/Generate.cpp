// Operators that make values: constants, ranges, identity matrices, random numbers.
#include "Elementwise.h"
#include "Register.h"
#include "StridedCopy.h"
#include <cmath>
#include <cstring>
#include <random>

namespace uoe::rt {
namespace {

void constant(KernelCall &call) {
  const Node &node = call.node;
  if (const Tensor *value = node.tensor("value"))
    return call.set(0, *value);
  if (node.has("value_float")) {
    *call.out(0, DType::F32, {}).data<float>() = node.real("value_float", 0);
  } else if (node.has("value_int")) {
    *call.out(0, DType::I64, {}).data<int64_t>() = node.integer("value_int", 0);
  } else if (node.has("value_floats")) {
    std::vector<float> values = node.reals("value_floats");
    Tensor &y = call.out(0, DType::F32, {static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), y.data<float>());
  } else if (node.has("value_ints")) {
    call.set(0, makeInts(node.integers("value_ints")));
  } else {
    fail("a constant needs one of the attributes value, value_float, value_floats, value_int and "
         "value_ints");
  }
}

void constantOfShape(KernelCall &call) {
  Shape dims = toInts(call.in(0), "the shape");
  const Tensor *value = call.node.tensor("value");
  if (!value) {
    Tensor &y = call.out(0, DType::F32, std::move(dims));
    std::memset(y.raw(), 0, y.bytes());
    return;
  }
  check(value->size() == 1, "attribute 'value' must have one element, found ", describe(*value));
  call.set(0, onBytes(*value, [&](const Tensor &single) {
             Tensor y(single.dtype(), dims);
             stridedCopy(dims, single.raw(), Shape(dims.size()), y.raw(), stridesOf(dims),
                         elementBytes(single));
             return y;
           }));
}

void range(KernelCall &call) {
  const Tensor &start = call.in(0), &limit = call.in(1), &delta = call.in(2);
  expectSameType(start, limit);
  expectSameType(start, delta);
  for (const Tensor *bound : {&start, &limit, &delta})
    check(bound->size() == 1, "start, limit and delta must be scalars, found ", describe(*bound));
  dispatch(NumberTypes(), start.dtype(), "a bound", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = ComputeOf<T>;
    C first = static_cast<C>(*start.data<T>()), last = static_cast<C>(*limit.data<T>()),
      step = static_cast<C>(*delta.data<T>());
    check(step != 0, "delta must not be 0");
    double span =
        (static_cast<double>(last) - static_cast<double>(first)) / static_cast<double>(step);
    check(span < 1e12, "a range of ", span, " elements is too large");
    int64_t count = span > 0 ? static_cast<int64_t>(std::ceil(span)) : 0;
    Tensor &y = call.out(0, start.dtype(), {count});
    T *to = y.data<T>();
    for (int64_t i = 0; i < count; ++i)
      to[i] = T(static_cast<C>(first + static_cast<C>(i) * step));
  });
}

DType typeAttribute(const Node &node, const char *key, DType otherwise) {
  int64_t type = node.integer(key, static_cast<int64_t>(otherwise));
  check(type > 0 && type <= static_cast<int64_t>(DType::F4E2M1), "attribute '", key, "': type ",
        type, " is not supported");
  return static_cast<DType>(type);
}

void eyeLike(KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() == 2, "expected rank 2, found ", describe(x));
  int64_t rows = x.dim(0), columns = x.dim(1), k = call.node.integer("k", 0);
  DType type = typeAttribute(call.node, "dtype", x.dtype());
  Tensor &y = call.out(0, type, x.shape());
  std::memset(y.raw(), 0, y.bytes());
  dispatch(AllTypes(), type, "a matrix", [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t row = 0; row < rows; ++row)
      if (k >= -row && k < columns - row)
        y.data<T>()[row * columns + row + k] = static_cast<T>(ComputeOf<T>(1));
  });
}

/// A seed as ONNX gives it, or a new one for every run.
std::mt19937_64 generator(const Node &node) {
  if (node.has("seed")) {
    float seed = node.real("seed", 0);
    return std::mt19937_64(detail::floatBits(seed));
  }
  return std::mt19937_64(std::random_device()());
}

template <typename Distribution>
void fillRandom(KernelCall &call, DType type, Shape dims, Distribution distribution) {
  std::mt19937_64 random = generator(call.node);
  Tensor &y = call.out(0, type, std::move(dims));
  dispatch(RealTypes(), type, "a random tensor", [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0, n = y.size(); i < n; ++i)
      y.data<T>()[i] = T(static_cast<ComputeOf<T>>(distribution(random)));
  });
}

template <bool like, bool normal> void random(KernelCall &call) {
  const Node &node = call.node;
  Shape dims = like ? call.in(0).shape() : node.integers("shape");
  DType type = DType::F32;
  if (like && isReal(call.in(0).dtype()))
    type = call.in(0).dtype();
  type = typeAttribute(node, "dtype", type);
  if constexpr (normal) {
    double scale = node.real("scale", 1);
    check(scale >= 0, "attribute 'scale' is negative: ", scale);
    double mean = node.real("mean", 0);
    std::normal_distribution<double> unit;
    fillRandom(call, type, std::move(dims),
               [=](std::mt19937_64 &engine) mutable { return mean + scale * unit(engine); });
  } else {
    double low = node.real("low", 0), high = node.real("high", 1);
    check(low <= high, "attribute 'low' is ", low, ", above 'high' ", high);
    std::uniform_real_distribution<double> unit(0, 1);
    fillRandom(call, type, std::move(dims),
               [=](std::mt19937_64 &engine) mutable { return low + (high - low) * unit(engine); });
  }
}

void bernoulli(KernelCall &call) {
  const Tensor &x = call.in(0);
  DType type = typeAttribute(call.node, "dtype", x.dtype());
  Tensor chances = castTo(x, DType::F64), drawn(DType::Bool, x.shape());
  std::mt19937_64 engine = generator(call.node);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int64_t i = 0, n = x.size(); i < n; ++i)
    drawn.data<bool>()[i] = unit(engine) < chances.data<double>()[i];
  call.set(0, castTo(drawn, type));
}

/// Samples of classes from rows of unnormalised log-probabilities.
void multinomial(KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() == 2 && x.dim(1) > 0, "expected [batch, classes], found ", describe(x));
  int64_t samples = call.node.integer("sample_size", 1), classes = x.dim(1);
  check(samples >= 0 && samples < int64_t(1) << 40,
        "attribute 'sample_size' is negative: ", samples);
  DType type = typeAttribute(call.node, "dtype", DType::I32);
  check(type == DType::I32 || type == DType::I64, "attribute 'dtype': expected int32 or int64");
  Tensor logits = castTo(x, DType::F64), drawn(DType::I64, {x.dim(0), samples});
  std::mt19937_64 engine = generator(call.node);
  for (int64_t row = 0; row < x.dim(0); ++row) {
    const double *from = logits.data<double>() + row * classes;
    double most = *std::max_element(from, from + classes);
    std::vector<double> weights;
    for (int64_t i = 0; i < classes; ++i)
      weights.push_back(std::exp(from[i] - most));
    std::discrete_distribution<int64_t> pick(weights.begin(), weights.end());
    for (int64_t i = 0; i < samples; ++i)
      drawn.data<int64_t>()[row * samples + i] = pick(engine);
  }
  call.set(0, castTo(drawn, type));
}

/// Uniform in [0, 1) with 53 random bits, drawn as NumPy draws them: the reference's masks come
/// from there.
double uniform(std::mt19937 &engine) {
  auto high = static_cast<double>(engine() >> 5), low = static_cast<double>(engine() >> 6);
  return (high * 67108864 + low) / 9007199254740992.0;
}

/// In inference the identity, and a mask that keeps all. In training elements are dropped, the
/// others scaled.
void dropout(KernelCall &call) {
  const Tensor &x = call.in(0);
  bool training = call.has(2) && toInt(call.in(2), "training_mode") != 0;
  double ratio = call.has(1) ? toDouble(call.in(1), "ratio") : call.node.real("ratio", 0.5f);
  Tensor mask(DType::Bool, x.shape());
  std::fill_n(mask.data<bool>(), mask.size(), true);
  if (!training || ratio == 0) {
    call.set(0, x);
  } else {
    check(ratio > 0 && ratio < 1, "the ratio must be in [0, 1), found ", ratio);
    std::mt19937 engine(call.node.has("seed") ? static_cast<uint32_t>(call.node.integer("seed", 0))
                                              : std::random_device()());
    for (int64_t i = 0, n = mask.size(); i < n; ++i)
      mask.data<bool>()[i] = uniform(engine) >= ratio;
    Tensor factor(DType::F64, {});
    *factor.data<double>() = 1 / (1 - ratio);
    Tensor &y = call.out(0, x.dtype(), x.shape());
    runRealBinary(RealBinary::Mul, x, castTo(factor, x.dtype()), y);
    runRealBinary(RealBinary::Mul, y, castTo(mask, x.dtype()), y);
  }
  // Before opset 10 the mask has the input's type.
  if (call.wants(1))
    call.set(1, castTo(mask, call.node.version < 10 ? x.dtype() : DType::Bool));
}

} // namespace

void registerGenerate(KernelTable &table) {
  table.add("", "Constant", constant);
  table.add("", "ConstantOfShape", constantOfShape);
  table.add("", "Range", range);
  table.add("", "EyeLike", eyeLike);
  table.add("", "RandomNormal", random<false, true>);
  table.add("", "RandomNormalLike", random<true, true>);
  table.add("", "RandomUniform", random<false, false>);
  table.add("", "RandomUniformLike", random<true, false>);
  table.add("", "Bernoulli", bernoulli);
  table.add("", "Dropout", dropout);
  table.add("", "Multinomial", multinomial);
}

} // namespace uoe::rt
