// Scatter, ScatterElements, ScatterND, TensorScatter: writing by index, with an optional reduction.
#include "Indices.h"
#include "Register.h"
#include "StridedCopy.h"
#include <cstring>

namespace uoe::rt {
namespace {

enum class Reduction { None, Add, Mul, Min, Max };

Reduction reductionOf(const Node &node) {
  std::string name = node.string("reduction", "none");
  const char *const names[] = {"none", "add", "mul", "min", "max"};
  for (int i = 0; i < 5; ++i)
    if (name == names[i])
      return static_cast<Reduction>(i);
  fail("attribute 'reduction': expected none, add, mul, min or max, found ", name);
}

template <typename T> T reduced(Reduction reduction, T old, T update) {
  using C = ComputeOf<T>;
  C a = static_cast<C>(old), b = static_cast<C>(update);
  switch (reduction) {
  case Reduction::Add:
    if constexpr (std::is_same<T, bool>::value)
      return a || b;
    else if constexpr (std::is_integral<T>::value)
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
      return T(a + b);
  case Reduction::Mul:
    if constexpr (std::is_same<T, bool>::value)
      return a && b;
    else if constexpr (std::is_integral<T>::value)
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else
      return T(a * b);
  case Reduction::Min:
    return T(b < a ? b : a);
  case Reduction::Max:
    return T(b > a ? b : a);
  case Reduction::None:
    break;
  }
  return update;
}

/// A copy of the data to write into, in the data's own storage if that is dying.
Tensor &target(KernelCall &call) {
  const Tensor &x = call.in(0);
  Tensor &y = call.outInPlace(0, 0, x.dtype(), x.shape());
  if (y.raw() != x.raw())
    std::memcpy(y.raw(), x.raw(), x.bytes());
  return y;
}

void scatterElements(KernelCall &call) {
  const Tensor &x = call.in(0), &indices = call.in(1), &updates = call.in(2);
  int64_t axis = axisIn(call.node.integer("axis", 0), x.rank());
  check(updates.dtype() == x.dtype(), "the updates have type ", nameOf(updates.dtype()),
        ", the data ", nameOf(x.dtype()));
  check(indices.shape() == updates.shape() && indices.rank() == x.rank(), "indices of shape ",
        toString(indices.shape()), ", updates of ", toString(updates.shape()), " and data of ",
        toString(x.shape()), " do not fit");
  for (int64_t d = 0; d < x.rank(); ++d)
    check(d == axis || indices.dim(d) <= x.dim(d), "indices of shape ", toString(indices.shape()),
          " exceed the data ", toString(x.shape()), " in axis ", d);
  std::vector<int64_t> index = indicesIn(indices, x.dim(axis), "ScatterElements");
  Reduction reduction = reductionOf(call.node);
  Shape strides = stridesOf(x.shape());
  Tensor &y = target(call);
  ElementWalk walk(indices.shape(), strides, axis);
  dispatch(AllTypes(), x.dtype(), "data", [&](auto type) {
    using T = typename decltype(type)::type;
    const T *from = updates.data<T>();
    T *to = y.data<T>();
    for (int64_t i = 0, n = indices.size(); i < n; ++i, walk.next()) {
      T &element = to[walk.offset + index[i] * strides[axis]];
      element = reduced(reduction, element, from[i]);
    }
  });
}

void scatterND(KernelCall &call) {
  const Tensor &x = call.in(0), &updates = call.in(2);
  check(updates.dtype() == x.dtype(), "the updates have type ", nameOf(updates.dtype()),
        ", the data ", nameOf(x.dtype()));
  TupleIndices tuples = tupleIndices(x, call.in(1), 0);
  Shape expected = tuples.outer;
  expected.insert(expected.end(), tuples.inner.begin(), tuples.inner.end());
  check(updates.shape() == expected, "updates of shape ", toString(expected),
        " are expected, found ", toString(updates.shape()));
  Reduction reduction = reductionOf(call.node);
  Tensor &y = target(call);
  int64_t block = tuples.block;
  if (reduction == Reduction::None) {
    auto size = static_cast<int64_t>(elementBytes(x));
    auto bytes = static_cast<size_t>(block * size);
    for (size_t i = 0; i < tuples.offsets.size() && bytes; ++i)
      std::memcpy(y.data<char>() + tuples.offsets[i] * size, updates.data<char>() + i * bytes,
                  bytes);
    return;
  }
  dispatch(AllTypes(), x.dtype(), "data", [&](auto type) {
    using T = typename decltype(type)::type;
    const T *from = updates.data<T>();
    for (int64_t offset : tuples.offsets) {
      T *to = y.data<T>() + offset;
      if constexpr (std::is_same<T, float>::value)
        if (reduction == Reduction::Add) {
          for (int64_t i = 0; i < block; ++i)
            to[i] += from[i];
          from += block;
          continue;
        }
      for (int64_t i = 0; i < block; ++i)
        to[i] = reduced(reduction, to[i], *from++);
    }
  });
}

/// A cache update (opset 24): present[b, ..., (start_b + i) mod length, ...] = update[b, ..., i,
/// ...].
void tensorScatter(KernelCall &call) {
  const Tensor &past = call.in(0), &update = call.in(1);
  int64_t axis = axisIn(call.node.integer("axis", -2), past.rank());
  check(axis > 0, "attribute 'axis' must not be the batch axis");
  std::string mode = call.node.string("mode", "linear");
  check(mode == "linear" || mode == "circular",
        "attribute 'mode': expected linear or circular, found ", mode);
  check(update.dtype() == past.dtype() && update.rank() == past.rank(), "the update ",
        describe(update), " does not fit the cache ", describe(past));
  for (int64_t d = 0; d < past.rank(); ++d)
    check(d == axis ? update.dim(d) <= past.dim(d) : update.dim(d) == past.dim(d), "the update ",
          describe(update), " does not fit the cache ", describe(past), " in axis ", d);
  int64_t batch = past.dim(0), length = past.dim(axis), count = update.dim(axis);
  std::vector<int64_t> starts(static_cast<size_t>(batch));
  if (call.has(2)) {
    starts = toInts(call.in(2), "write_indices");
    check(static_cast<int64_t>(starts.size()) == batch, "write_indices has ", starts.size(),
          " elements for a batch of ", batch);
  }
  for (int64_t start : starts)
    check(start >= 0 && (mode == "circular" || start <= length - count), "writing ", count,
          " entries at ", start, " exceeds the cache's ", length);
  auto at = static_cast<size_t>(axis);
  Tensor &y = target(call);
  int64_t outer = productOf(past.shape(), 1, at);
  int64_t row = productOf(past.shape(), at + 1, past.shape().size()) *
                static_cast<int64_t>(elementBytes(past));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(
            y.data<char>() + ((b * outer + o) * length + (starts[b] % length + i) % length) * row,
            update.data<char>() + ((b * outer + o) * count + i) * row, static_cast<size_t>(row));
}

} // namespace

void registerScatter(KernelTable &table) {
  table.add("", "Scatter", scatterElements);
  table.add("", "ScatterElements", scatterElements);
  table.add("", "ScatterND", scatterND);
  table.add("", "TensorScatter", tensorScatter);
}

} // namespace uoe::rt
