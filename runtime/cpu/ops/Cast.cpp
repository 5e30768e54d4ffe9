// Cast and CastLike between all numeric types.
#include "Elementwise.h"
#include "Register.h"
#include "SmallFloat.h"
#include "StridedCopy.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// Double to float rounded to odd: rounding that once more to 16 bits is as good as rounding once.
float roundedToOdd(double value) {
  float nearest = static_cast<float>(value);
  if (!std::isfinite(nearest) || static_cast<double>(nearest) == value)
    return nearest;
  uint32_t bits = detail::floatBits(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
    --bits;
  return detail::floatOf(bits | 1);
}

/// Truncates. What does not fit wraps around from int64, as conversions on the usual processors do.
template <typename To, typename From> To toInteger(From value) {
  if constexpr (std::is_same<To, int32_t>::value) {
    return value > From(-2147483904.0) && value < From(2147483648.0)
               ? static_cast<int32_t>(value)
               : std::numeric_limits<int32_t>::min();
  } else if constexpr (std::is_same<To, uint64_t>::value) {
    if (value >= From(9223372036854775808.0))
      return value < From(18446744073709551616.0) ? static_cast<uint64_t>(value) : 0;
    return value > From(-9223372036854775808.0) ? static_cast<uint64_t>(static_cast<int64_t>(value))
                                                : uint64_t(1) << 63;
  } else {
    int64_t wide = value >= From(-9223372036854775808.0) && value < From(9223372036854775808.0)
                       ? static_cast<int64_t>(value)
                       : std::numeric_limits<int64_t>::min();
    return static_cast<To>(wide);
  }
}

template <typename To, typename From> To converted(From value) {
  if constexpr (isHalf<From>)
    return converted<To>(static_cast<float>(value));
  else if constexpr (std::is_same<To, bool>::value)
    return value != From(0);
  else if constexpr (isHalf<To> && std::is_same<From, double>::value)
    return To(roundedToOdd(value));
  else if constexpr (isHalf<To>)
    return To(static_cast<float>(value));
  else if constexpr (std::is_floating_point<From>::value && std::is_integral<To>::value)
    return toInteger<To>(value);
  else
    return static_cast<To>(value);
}

template <typename From, typename To> void convertRange(const From *from, To *to, int64_t n) {
  if constexpr (isHalf<From> && std::is_same<To, float>::value) {
    toFloatRow(from, to, n);
  } else if constexpr (isHalf<To> && std::is_same<From, float>::value) {
    fromFloatRow(from, to, n);
  } else {
    for (int64_t i = 0; i < n; ++i)
      to[i] = converted<To>(from[i]);
  }
}

using Conversion = void (*)(const void *from, void *to, int64_t n);

/// Every type to its wide one and every wide type to any other: a third of the code of all pairs.
Conversion widening(DType type) {
  Conversion found = nullptr;
  dispatch(AllTypes(), type, "a value", [&](auto tag) {
    using From = typename decltype(tag)::type;
    found = [](const void *from, void *to, int64_t n) {
      convertRange(static_cast<const From *>(from), static_cast<WideOf<From> *>(to), n);
    };
  });
  return found;
}

Conversion narrowing(DType wide, DType type) {
  Conversion found = nullptr;
  dispatch(WideTypes(), wide, "a value", [&](auto fromTag) {
    using From = typename decltype(fromTag)::type;
    dispatch(AllTypes(), type, "a result", [&](auto toTag) {
      using To = typename decltype(toTag)::type;
      found = [](const void *from, void *to, int64_t n) {
        convertRange(static_cast<const From *>(from), static_cast<To *>(to), n);
      };
    });
  });
  return found;
}

DType wideTypeOf(DType type) {
  DType wide = type;
  dispatch(AllTypes(), type, "a value",
           [&](auto tag) { wide = DTypeOf<WideOf<typename decltype(tag)::type>>::value; });
  return wide;
}

bool isSmall(DType type) {
  return bitsOf(type) == 4 || isFloat8Type(type) || type == DType::F8E8M0;
}

/// Float8, float4 and 4-bit integers to float or int8.
Tensor widened(const Tensor &tensor) {
  int64_t n = tensor.size();
  const uint8_t *from = tensor.data<uint8_t>();
  if (tensor.dtype() == DType::F8E8M0) {
    Tensor wide(DType::F32, tensor.shape());
    for (int64_t i = 0; i < n; ++i)
      wide.data<float>()[i] = fromPower(from[i]);
    return wide;
  }
  if (isFloat8Type(tensor.dtype())) {
    Tensor wide(DType::F32, tensor.shape());
    const float *values = float8Values(tensor.dtype());
    float *to = wide.data<float>();
    parallel(n, kElementGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        to[i] = values[from[i]];
    });
    return wide;
  }
  auto nibble = [&](int64_t i) { return static_cast<uint8_t>((from[i / 2] >> (i % 2 * 4)) & 15); };
  if (tensor.dtype() == DType::F4E2M1) {
    Tensor wide(DType::F32, tensor.shape());
    for (int64_t i = 0; i < n; ++i)
      wide.data<float>()[i] = fromFloat4(nibble(i));
    return wide;
  }
  bool isSigned = tensor.dtype() == DType::I4;
  Tensor wide(DType::I8, tensor.shape());
  int8_t *to = wide.data<int8_t>();
  for (int64_t i = 0; i < n; ++i)
    to[i] = static_cast<int8_t>(isSigned ? (nibble(i) ^ 8) - 8 : nibble(i));
  return wide;
}

Tensor narrowed(const Tensor &tensor, DType type, bool saturate, PowerRounding rounding) {
  int64_t n = tensor.size();
  Tensor result(type, tensor.shape());
  uint8_t *to = result.data<uint8_t>();
  if (type == DType::F8E8M0) {
    for (int64_t i = 0; i < n; ++i)
      to[i] = toPower(tensor.data<float>()[i], saturate, rounding);
    return result;
  }
  if (isFloat8Type(type)) {
    const float *from = tensor.data<float>();
    parallel(n, kElementGrain / 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        to[i] = toFloat8(from[i], type, saturate);
    });
    return result;
  }
  std::fill_n(to, result.bytes(), uint8_t(0));
  for (int64_t i = 0; i < n; ++i) {
    int nibble =
        type == DType::F4E2M1 ? toFloat4(tensor.data<float>()[i]) : tensor.data<int32_t>()[i] & 15;
    to[i / 2] |= static_cast<uint8_t>(nibble << (i % 2 * 4));
  }
  return result;
}

} // namespace

Tensor castTo(const Tensor &tensor, DType type, bool saturate, PowerRounding rounding) {
  if (tensor.dtype() == type)
    return tensor;
  if (isSmall(tensor.dtype()))
    return castTo(widened(tensor), type, saturate, rounding);
  if (isSmall(type)) {
    bool integer = type == DType::I4 || type == DType::U4;
    return narrowed(castTo(tensor, integer ? DType::I32 : DType::F32), type, saturate, rounding);
  }
  Tensor result(type, tensor.shape());
  DType wide = wideTypeOf(tensor.dtype());
  Conversion first = wide == tensor.dtype() ? nullptr : widening(tensor.dtype());
  Conversion second = wide == type ? nullptr : narrowing(wide, type);
  auto fromBytes = static_cast<int64_t>(elementBytes(tensor));
  auto toBytes = static_cast<int64_t>(elementBytes(result));
  parallel(tensor.size(), kElementGrain, [&](int64_t begin, int64_t end) {
    if (!first || !second)
      return (first ? first : second)(tensor.data<char>() + begin * fromBytes,
                                      result.data<char>() + begin * toBytes, end - begin);
    constexpr int64_t block = 512; // stays in the first-level cache
    alignas(64) char values[block * sizeof(int64_t)];
    for (; begin < end; begin += block) {
      int64_t n = std::min(block, end - begin);
      first(tensor.data<char>() + begin * fromBytes, values, n);
      second(values, result.data<char>() + begin * toBytes, n);
    }
  });
  return result;
}

Tensor widest(const Tensor &tensor) {
  return castTo(tensor, wideTypeOf(tensor.dtype()));
}

namespace {

Tensor castAs(const KernelCall &call, DType type) {
  std::string name = call.node.string("round_mode", "up");
  check(name == "up" || name == "down" || name == "nearest",
        "attribute 'round_mode': expected up, down or nearest, found ", name);
  PowerRounding rounding = name == "up"     ? PowerRounding::Up
                           : name == "down" ? PowerRounding::Down
                                            : PowerRounding::Nearest;
  return castTo(call.in(0), type, call.node.integer("saturate", 1) != 0, rounding);
}

DType targetType(const Node &node) {
  check(node.has("to"), "attribute 'to' is required");
  int64_t to = node.integer("to", 0);
  auto type = static_cast<DType>(to);
  check(to > 0 && to <= static_cast<int64_t>(DType::F8E8M0) && bitsOf(type) != 0 &&
            type != DType::C64 && type != DType::C128,
        "attribute 'to': type ", to, " is not supported");
  return type;
}

void cast(KernelCall &call) {
  call.set(0, castAs(call, targetType(call.node)));
}

void castLike(KernelCall &call) {
  call.set(0, castAs(call, call.in(1).dtype()));
}

/// The same bits as another type of equal width.
void bitCast(KernelCall &call) {
  const Tensor &x = call.in(0);
  DType type = targetType(call.node);
  check(bitsOf(type) == bitsOf(x.dtype()), nameOf(x.dtype()), " has another width than ",
        nameOf(type));
  call.set(0, x.aliased(type, x.shape()));
}

} // namespace

void registerCast(KernelTable &table) {
  table.add("", "Cast", cast);
  table.add("", "CastLike", castLike);
  table.add("", "BitCast", bitCast);
}

} // namespace uoe::rt
