// From element types at run time to types at compile time.
#pragma once
#include "runtime/core/Kernel.h"

namespace uoe::rt {

template <typename T> struct Type { using type = T; };
template <typename... Ts> struct Types {};

template <typename... As, typename... Bs> Types<As..., Bs...> joined(Types<As...>, Types<Bs...>) {
  return {};
}

using RealTypes = Types<float, double, Half, BFloat16>;
using UnsignedTypes = Types<uint8_t, uint16_t, uint32_t, uint64_t>;
using SignedTypes = Types<int8_t, int16_t, int32_t, int64_t>;
using IntegerTypes = decltype(joined(SignedTypes(), UnsignedTypes()));
using NumberTypes = decltype(joined(RealTypes(), IntegerTypes()));
using AllTypes = decltype(joined(NumberTypes(), Types<bool>()));
/// Each of AllTypes has its values, exactly, among those of one of these.
using WideTypes = Types<float, double, int64_t, uint64_t>;

/// Calls body(Type<T>()) for the T of the list that `type` denotes; raises Error if there is none.
template <typename... Ts, typename Body>
void dispatch(Types<Ts...>, DType type, const char *what, Body &&body) {
  bool found = ((type == DTypeOf<Ts>::value && (body(Type<Ts>()), true)) || ...);
  check(found, what, " of type ", nameOf(type), " is not supported");
}

template <typename T>
constexpr bool isHalf = std::is_same<T, Half>::value || std::is_same<T, BFloat16>::value;

/// float, double, float16 or bfloat16.
bool isReal(DType type);

/// What T is computed in.
template <typename T> using ComputeOf = std::conditional_t<isHalf<T>, float, T>;

/// The one of WideTypes for T.
template <typename T>
using WideOf =
    std::conditional_t<std::is_integral<T>::value,
                       std::conditional_t<std::is_same<T, uint64_t>::value, uint64_t, int64_t>,
                       ComputeOf<T>>;

/// Runs body(begin, end) over [0, count), on all threads if there are at least two grains of work.
template <typename Body> void parallel(int64_t count, int64_t grain, Body &&body) {
  if (count < 2 * grain) {
    if (count > 0)
      body(int64_t(0), count);
    return;
  }
  ThreadPool::global().parallelFor(count, grain, std::ref(body));
}

/// Elements from which a second thread pays, for operations of a few cycles each.
constexpr int64_t kElementGrain = 16384;

/// An axis in [0, rank) from one in [-rank, rank); raises Error otherwise.
inline int64_t axisIn(int64_t axis, int64_t rank, const char *what = "axis") {
  check(axis >= -rank && axis < rank, what, " ", axis, " is outside [", -rank, ", ", rank - 1,
        "] for rank ", rank);
  return axis < 0 ? axis + rank : axis;
}

/// Product of dims[begin, end).
inline int64_t productOf(const Shape &dims, size_t begin, size_t end) {
  int64_t product = 1;
  for (size_t i = begin; i < end; ++i)
    product *= dims[i];
  return product;
}

} // namespace uoe::rt
