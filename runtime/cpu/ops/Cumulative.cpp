// CumSum and CumProd.
#include "Elementwise.h"
#include "Register.h"
#include <algorithm>
#include <vector>

namespace uoe::rt {
namespace {

struct AddTo {
  template <typename A> static A first() { return 0; }
  template <typename A> static A join(A m, A x) { return m + x; }
};
struct MultiplyBy {
  template <typename A> static A first() { return 1; }
  template <typename A> static A join(A m, A x) { return m * x; }
};

template <typename Op> void cumulate(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t axis = axisIn(toInt(call.in(1), "the axis"), x.rank());
  bool exclusive = call.node.integer("exclusive", 0) != 0;
  bool reverse = call.node.integer("reverse", 0) != 0;
  auto at = static_cast<size_t>(axis);
  int64_t n = x.dim(axis), outer = productOf(x.shape(), 0, at);
  int64_t inner = productOf(x.shape(), at + 1, x.shape().size());
  Tensor &y = call.out(0, x.dtype(), x.shape());
  dispatch(NumberTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    // Unsigned, so that integers wrap around.
    using A = std::conditional_t<std::is_integral<T>::value, uint64_t, ComputeOf<T>>;
    // Along other axes than the last, all sums of a row go on at once: memory is read in order.
    std::vector<A> sums(inner);
    for (int64_t o = 0; o < outer; ++o) {
      std::fill(sums.begin(), sums.end(), Op::template first<A>());
      for (int64_t j = 0; j < n; ++j) {
        int64_t place = (o * n + (reverse ? n - 1 - j : j)) * inner;
        const T *from = x.data<T>() + place;
        T *to = y.data<T>() + place;
        for (int64_t i = 0; i < inner; ++i) {
          A next = Op::join(sums[i], static_cast<A>(from[i]));
          to[i] = static_cast<T>(exclusive ? sums[i] : next);
          sums[i] = next;
        }
      }
    }
  });
}

} // namespace

void registerCumulative(KernelTable &table) {
  table.add("", "CumSum", cumulate<AddTo>);
  table.add("", "CumProd", cumulate<MultiplyBy>);
}

} // namespace uoe::rt
