// ReduceSum and its relatives. Axes come as an attribute in older opsets and as an input in newer
// ones.
#include "Elementwise.h"
#include "Register.h"
#include "StridedCopy.h"
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// The lowest and highest value, infinities where there are any.
template <typename T> T bottom() {
  return std::numeric_limits<T>::has_infinity ? static_cast<T>(-std::numeric_limits<T>::infinity())
                                              : std::numeric_limits<T>::lowest();
}
template <typename T> T top() {
  return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                              : std::numeric_limits<T>::max();
}

// A reduction: the first value, how an element is mapped and joined, and what happens at the end.
// `n` is the number of elements. `row` names the loop over contiguous floats where there is one.
struct SumOf {
  static constexpr RealRow row = RealRow::Sum;
  template <typename A> static A first() { return 0; }
  template <typename A> static A map(A x) { return x; }
  template <typename A> static A join(A m, A x) { return m + x; }
  template <typename A> static A last(A m, int64_t) { return m; }
};
struct MeanOf : SumOf {
  template <typename A> static A last(A m, int64_t n) {
    if (std::is_integral<A>::value)
      return n ? static_cast<A>(m / static_cast<A>(n)) : A(0);
    return m / static_cast<A>(n);
  }
};
struct SumSquareOf : SumOf {
  static constexpr RealRow row = RealRow::SumSquare;
  template <typename A> static A map(A x) { return x * x; }
};
struct L1Of : SumOf {
  static constexpr RealRow row = RealRow::SumAbs;
  template <typename A> static A map(A x) { return x < 0 ? static_cast<A>(0 - x) : x; }
};
struct L2Of : SumSquareOf {
  template <typename A> static A last(A m, int64_t) { return static_cast<A>(std::sqrt(m)); }
};
struct LogSumOf : SumOf {
  template <typename A> static A last(A m, int64_t) { return static_cast<A>(std::log(m)); }
};
struct ProdOf : SumOf {
  static constexpr RealRow row = RealRow::Count;
  template <typename A> static A first() { return 1; }
  template <typename A> static A join(A m, A x) { return m * x; }
};
struct MinOf : SumOf {
  static constexpr RealRow row = RealRow::Min;
  template <typename A> static A first() { return top<A>(); }
  template <typename A> static A join(A m, A x) { return x < m || x != x ? x : m; }
};
struct MaxOf : SumOf {
  static constexpr RealRow row = RealRow::Max;
  template <typename A> static A first() { return bottom<A>(); }
  template <typename A> static A join(A m, A x) { return x > m || x != x ? x : m; }
};

std::vector<bool> reducedAxes(const KernelCall &call, bool &nothing) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> axes =
      call.has(1) ? toInts(call.in(1), "the axes") : call.node.integers("axes");
  nothing = axes.empty() && call.node.integer("noop_with_empty_axes", 0) != 0;
  std::vector<bool> reduced(x.shape().size(), axes.empty() && !nothing);
  for (int64_t axis : axes)
    reduced[axisIn(axis, x.rank())] = true;
  return reduced;
}

/// Reduces [outer][reduced][inner] to [outer][inner]. Integers wrap, as NumPy's sums of int64 do.
template <typename Op, typename T>
void reduceMiddle(const T *from, T *to, int64_t outer, int64_t reduced, int64_t inner) {
  int64_t grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, reduced));
  if (inner == 1) {
    parallel(outer, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const T *row = from + o * reduced;
        if constexpr (std::is_floating_point<T>::value && Op::row != RealRow::Count) {
          T value = loopsOf<T>().row[static_cast<int>(Op::row)](row, reduced);
          to[o] = Op::last(value, reduced);
        } else {
          T value = Op::template first<T>();
          for (int64_t r = 0; r < reduced; ++r)
            value = Op::join(value, Op::map(row[r]));
          to[o] = Op::last(value, reduced);
        }
      }
    });
    return;
  }
  // Whole rows are joined, in blocks of columns that stay in the first-level cache.
  constexpr int64_t block = 512;
  int64_t blocks = (inner + block - 1) / block;
  parallel(
      outer * blocks,
      std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, reduced * std::min(inner, block))),
      [&](int64_t begin, int64_t end) {
        T values[block];
        for (int64_t at = begin; at < end; ++at) {
          int64_t o = at / blocks, column = at % blocks * block;
          int64_t n = std::min(block, inner - column);
          std::fill_n(values, n, Op::template first<T>());
          for (int64_t r = 0; r < reduced; ++r) {
            const T *row = from + (o * reduced + r) * inner + column;
            for (int64_t i = 0; i < n; ++i)
              values[i] = Op::join(values[i], Op::map(row[i]));
          }
          for (int64_t i = 0; i < n; ++i)
            to[o * inner + column + i] = Op::last(values[i], reduced);
        }
      });
}

/// The axes with the reduced ones behind the others, so that one contiguous row is reduced for each
/// result.
Tensor reducedLast(const Tensor &x, const std::vector<bool> &reduced) {
  Shape strides = stridesOf(x.shape()), dims, from;
  for (bool wanted : {false, true})
    for (size_t d = 0; d < reduced.size(); ++d)
      if (reduced[d] == wanted) {
        dims.push_back(x.shape()[d]);
        from.push_back(strides[d]);
      }
  Tensor result(x.dtype(), dims);
  stridedCopy(dims, x.raw(), from, result.raw(), stridesOf(dims), elementBytes(x));
  return result;
}

struct Plan {
  Tensor x; // with the reduced axes adjacent
  int64_t outer = 1, reduced = 1, inner = 1;
  Shape result;
};

Plan planReduction(const KernelCall &call, const Tensor &x, const std::vector<bool> &axes) {
  bool keep = call.node.integer("keepdims", 1) != 0;
  Plan plan;
  int phase = 0; // before, in and behind the reduced axes
  bool adjacent = true;
  for (size_t d = 0; d < axes.size(); ++d) {
    int64_t dim = x.shape()[d];
    if (!axes[d])
      plan.result.push_back(dim);
    else if (keep)
      plan.result.push_back(1);
    if (dim == 1)
      continue;
    if (axes[d]) {
      adjacent &= phase < 2;
      phase = 1;
      plan.reduced *= dim;
    } else {
      phase = phase == 0 ? 0 : 2;
      (phase == 0 ? plan.outer : plan.inner) *= dim;
    }
  }
  plan.x = x;
  if (!adjacent) {
    plan.x = reducedLast(x, axes);
    plan.outer *= plan.inner;
    plan.inner = 1;
  }
  return plan;
}

template <typename Op, typename List> void reduce(KernelCall &call) {
  const Tensor &x = call.in(0);
  bool nothing;
  std::vector<bool> axes = reducedAxes(call, nothing);
  if (nothing && (std::is_same<Op, SumOf>::value || std::is_same<Op, MeanOf>::value ||
                  std::is_same<Op, ProdOf>::value || std::is_same<Op, MinOf>::value ||
                  std::is_same<Op, MaxOf>::value))
    return call.set(0, x);
  dispatch(List(), x.dtype(), "an input", [](auto) {});
  Plan plan = planReduction(call, x, axes);
  // Of no bools the largest is false: the lowest of the unsigned, not of the signed.
  Tensor wide = x.dtype() == DType::Bool ? castTo(plan.x, DType::U64) : widest(plan.x);
  Tensor found(wide.dtype(), plan.result);
  dispatch(WideTypes(), wide.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    reduceMiddle<Op>(wide.data<T>(), found.data<T>(), plan.outer, plan.reduced, plan.inner);
  });
  call.set(0, castTo(found, x.dtype()));
}

/// log Σ e^x = m + log Σ e^(x-m) with m the largest element.
void reduceLogSumExp(KernelCall &call) {
  const Tensor &given = call.in(0);
  bool nothing;
  std::vector<bool> axes = reducedAxes(call, nothing);
  Plan plan = planReduction(call, given, axes);
  Tensor x = castTo(plan.x, DType::F64), y(DType::F64, plan.result);
  const double *from = x.data<double>();
  double *to = y.data<double>();
  parallel(plan.outer, std::max<int64_t>(1, 1024 / std::max<int64_t>(1, plan.reduced * plan.inner)),
           [&](int64_t begin, int64_t end) {
             for (int64_t o = begin; o < end; ++o)
               for (int64_t i = 0; i < plan.inner; ++i) {
                 const double *row = from + o * plan.reduced * plan.inner + i;
                 double most = bottom<double>(), sum = 0;
                 for (int64_t r = 0; r < plan.reduced; ++r)
                   most = MaxOf::join(most, row[r * plan.inner]);
                 double shift = std::isfinite(most) ? most : 0;
                 for (int64_t r = 0; r < plan.reduced; ++r)
                   sum += std::exp(row[r * plan.inner] - shift);
                 to[o * plan.inner + i] = std::log(sum) + shift;
               }
           });
  call.set(0, castTo(y, given.dtype()));
}

} // namespace

void registerReduce(KernelTable &table) {
  table.add("", "ReduceSum", reduce<SumOf, NumberTypes>);
  table.add("", "ReduceMean", reduce<MeanOf, NumberTypes>);
  table.add("", "ReduceProd", reduce<ProdOf, NumberTypes>);
  table.add("", "ReduceMin", reduce<MinOf, AllTypes>);
  table.add("", "ReduceMax", reduce<MaxOf, AllTypes>);
  table.add("", "ReduceL1", reduce<L1Of, NumberTypes>);
  table.add("", "ReduceL2", reduce<L2Of, NumberTypes>);
  table.add("", "ReduceSumSquare", reduce<SumSquareOf, NumberTypes>);
  table.add("", "ReduceLogSum", reduce<LogSumOf, NumberTypes>);
  table.add("", "ReduceLogSumExp", reduceLogSumExp);
}

} // namespace uoe::rt
