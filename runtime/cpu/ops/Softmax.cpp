// Softmax, LogSoftmax, Hardmax.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"
#include <cmath>

namespace uoe::rt {
namespace {

enum class Kind { Soft, Log, Hard };

template <typename T> void softmaxRow(Kind kind, const T *x, T *y, int64_t n) {
  if (n == 0)
    return;
  if (kind == Kind::Hard) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i)
      if (x[i] > x[best])
        best = i;
    for (int64_t i = 0; i < n; ++i)
      y[i] = i == best ? T(1) : T(0);
    return;
  }
  T top = vec::largest(x, n);
  // A row of -inf has no largest finite element: exp(-inf - -inf) is NaN, which is what the
  // definition gives.
  if (kind == Kind::Soft) {
    T total = vec::expShifted(x, top, y, n);
    vec::scale(y, T(1) / total, n);
    return;
  }
  std::vector<T> scratch(n);
  T shift = top + std::log(vec::expShifted(x, top, scratch.data(), n));
  for (int64_t i = 0; i < n; ++i)
    y[i] = x[i] - shift;
}

template <typename T> void softmax(KernelCall &call, Kind kind) {
  const Node &node = call.node;
  DType type = call.in(0).dtype();
  // In place where the input's storage is ours to take (asked before x shares it), so that scores
  // are not held twice.
  Tensor result = type == DTypeOf<T>::value ? call.outInPlace(0, 0, type, call.in(0).shape())
                                            : Tensor(DTypeOf<T>::value, call.in(0).shape());
  Tensor x = inputAs<T>(call, 0);
  int64_t rank = x.rank();
  bool flatten = node.version < 13 && node.domain.empty();
  int64_t axis = resolveAxis(node, node.integer("axis", flatten ? 1 : -1), rank);
  int64_t outer = extent(x.shape(), 0, axis), inner = 1, length = 1;
  if (rank > 0) {
    length = flatten ? extent(x.shape(), axis, rank) : x.shape()[axis];
    inner = flatten ? 1 : extent(x.shape(), axis + 1, rank);
  }
  const T *from = x.data<T>();
  T *to = result.data<T>();
  int64_t grain = std::max<int64_t>(1, (1 << 13) / std::max<int64_t>(1, length));
  ThreadPool::global().parallelFor(outer * inner, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> row(inner == 1 ? 0 : length);
    for (int64_t r = begin; r < end; ++r) {
      if (inner == 1) {
        softmaxRow(kind, from + r * length, to + r * length, length);
        continue;
      }
      int64_t first = r / inner * length * inner + r % inner;
      for (int64_t i = 0; i < length; ++i)
        row[i] = from[first + i * inner];
      softmaxRow(kind, row.data(), row.data(), length);
      for (int64_t i = 0; i < length; ++i)
        to[first + i * inner] = row[i];
    }
  });
  if (type != DTypeOf<T>::value)
    setReal(call, 0, result, type);
}

template <Kind kind> void run(KernelCall &call) {
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { softmax<decltype(zero)>(call, kind); });
}

} // namespace

void registerSoftmax(KernelTable &table) {
  table.add("", "Softmax", run<Kind::Soft>);
  table.add("", "LogSoftmax", run<Kind::Log>);
  table.add("", "Hardmax", run<Kind::Hard>);
}

} // namespace uoe::rt
