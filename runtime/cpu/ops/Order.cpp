// ArgMax, ArgMin, TopK: by the order of elements along an axis.
#include "Elementwise.h"
#include "Register.h"
#include <algorithm>
#include <numeric>

namespace uoe::rt {
namespace {

using OrderTypes = NumberTypes;

/// An axis as [outer][n][inner].
struct Lines {
  Lines(const Tensor &x, int64_t axis)
      : n(x.dim(axis)), outer(productOf(x.shape(), 0, static_cast<size_t>(axis))),
        inner(productOf(x.shape(), static_cast<size_t>(axis) + 1, x.shape().size())) {}
  int64_t n, outer, inner;
};

template <bool largest> void arg(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t axis = axisIn(call.node.integer("axis", 0), x.rank());
  bool lastWins = call.node.integer("select_last_index", 0) != 0;
  Lines lines(x, axis);
  check(lines.n > 0 || x.size() > 0 || lines.outer * lines.inner == 0, "axis ", axis, " of ",
        toString(x.shape()), " is empty");
  Shape dims = x.shape();
  if (call.node.integer("keepdims", 1))
    dims[axis] = 1;
  else
    dims.erase(dims.begin() + axis);
  Tensor &y = call.out(0, DType::I64, std::move(dims));
  dispatch(OrderTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = ComputeOf<T>;
    parallel(lines.outer * lines.inner, std::max<int64_t>(1, kElementGrain / lines.n),
             [&](int64_t begin, int64_t end) {
               for (int64_t line = begin; line < end; ++line) {
                 const T *row =
                     x.data<T>() + line / lines.inner * lines.n * lines.inner + line % lines.inner;
                 C best = static_cast<C>(row[0]);
                 int64_t at = 0;
                 for (int64_t i = 1; i < lines.n; ++i) {
                   C value = static_cast<C>(row[i * lines.inner]);
                   bool better = largest ? value > best : value < best;
                   // NaN is what everything else is compared with first.
                   better |= value != value && best == best;
                   if (better || (lastWins && value == best)) {
                     best = value;
                     at = i;
                   }
                 }
                 y.data<int64_t>()[line] = at;
               }
             });
  });
}

constexpr int64_t kFew = 32;

template <typename T>
void topOfLines(const Tensor &x, const Lines &lines, int64_t k, bool largest, bool sorted,
                Tensor &values, Tensor &indices) {
  using C = ComputeOf<T>;
  parallel(lines.outer * lines.inner,
           std::max<int64_t>(1, kElementGrain / 8 / std::max<int64_t>(1, lines.n)),
           [&](int64_t begin, int64_t end) {
             std::vector<C> row(static_cast<size_t>(lines.n));
             std::vector<int64_t> order(row.size());
             // Ties go to the smaller index; NaN counts as the largest value.
             auto before = [&](int64_t a, int64_t b) {
               C u = row[a], v = row[b];
               bool uNaN = u != u, vNaN = v != v;
               if (uNaN || vNaN)
                 return uNaN == vNaN ? a < b : uNaN == largest;
               if (u != v)
                 return largest ? u > v : u < v;
               return a < b;
             };
             for (int64_t line = begin; line < end; ++line) {
               int64_t o = line / lines.inner, i = line % lines.inner;
               const T *from = x.data<T>() + o * lines.n * lines.inner + i;
               for (int64_t j = 0; j < lines.n; ++j)
                 row[j] = static_cast<C>(from[j * lines.inner]);
               if (k <= kFew) {
                 // Few: each element is compared with the worst one kept, and seldom inserted.
                 int64_t kept = 0;
                 for (int64_t j = 0; j < lines.n; ++j) {
                   if (kept == k && (k == 0 || !before(j, order[k - 1])))
                     continue;
                   int64_t at = kept < k ? kept++ : k - 1;
                   for (; at > 0 && before(j, order[at - 1]); --at)
                     order[at] = order[at - 1];
                   order[at] = j;
                 }
               } else {
                 std::iota(order.begin(), order.end(), 0);
                 if (k < lines.n)
                   std::nth_element(order.begin(), order.begin() + (k - 1), order.end(), before);
                 if (sorted)
                   std::sort(order.begin(), order.begin() + k, before);
               }
               for (int64_t j = 0; j < k; ++j) {
                 int64_t at = (o * k + j) * lines.inner + i;
                 values.data<T>()[at] = from[order[j] * lines.inner];
                 indices.data<int64_t>()[at] = order[j];
               }
             }
           });
}

void topK(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t axis = axisIn(call.node.integer("axis", -1), x.rank());
  int64_t k = call.has(1) ? toInt(call.in(1), "k") : call.node.integer("k", -1);
  Lines lines(x, axis);
  check(k >= 0 && k <= lines.n, "k is ", k, ", but axis ", axis, " has ", lines.n, " elements");
  Shape dims = x.shape();
  dims[axis] = k;
  Tensor values(x.dtype(), dims), indices(DType::I64, dims);
  dispatch(OrderTypes(), x.dtype(), "an input", [&](auto type) {
    topOfLines<typename decltype(type)::type>(x, lines, k, call.node.integer("largest", 1) != 0,
                                              call.node.integer("sorted", 1) != 0, values, indices);
  });
  call.set(0, std::move(values));
  if (call.wants(1))
    call.set(1, std::move(indices));
}

} // namespace

void registerOrder(KernelTable &table) {
  table.add("", "ArgMax", arg<true>);
  table.add("", "ArgMin", arg<false>);
  table.add("", "TopK", topK);
}

} // namespace uoe::rt
