// Where, NonZero, Compress, OneHot, ReverseSequence, Unique: choosing elements by value.
#include "Elementwise.h"
#include "Indices.h"
#include "Register.h"
#include "StridedCopy.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace uoe::rt {
namespace {

/// One run of z = c ? x : y with strides of 0 or 1.
template <typename T>
void whereRun(const uint8_t *c, int64_t cs, const T *x, int64_t xs, const T *y, int64_t ys, T *z,
              int64_t n) {
  if (cs == 0) {
    const T *from = *c ? x : y;
    if (*c ? xs : ys)
      std::copy_n(from, n, z);
    else
      std::fill_n(z, n, *from);
  } else if (xs && ys) {
    for (int64_t i = 0; i < n; ++i)
      z[i] = c[i] ? x[i] : y[i];
  } else if (xs) {
    T other = *y;
    for (int64_t i = 0; i < n; ++i)
      z[i] = c[i] ? x[i] : other;
  } else if (ys) {
    T other = *x;
    for (int64_t i = 0; i < n; ++i)
      z[i] = c[i] ? other : y[i];
  } else {
    T one = *x, other = *y;
    for (int64_t i = 0; i < n; ++i)
      z[i] = c[i] ? one : other;
  }
}

void where(KernelCall &call) {
  const Tensor &c = call.in(0), &x = call.in(1), &y = call.in(2);
  expectType(c, DType::Bool, "the condition");
  expectSameType(x, y);
  Shape shape = broadcastShapes(c.shape(), broadcastShapes(x.shape(), y.shape()));
  auto plan = planBroadcast<3>(shape, {&c.shape(), &x.shape(), &y.shape()});
  Tensor &result = shape == x.shape()   ? call.outInPlace(0, 1, x.dtype(), shape)
                   : shape == y.shape() ? call.outInPlace(0, 2, x.dtype(), shape)
                                        : call.out(0, x.dtype(), shape);
  int inner = plan.rank - 1;
  auto run = [&](auto tag) {
    using T = decltype(tag);
    forEachRun(
        plan, kElementGrain, [&](const std::array<int64_t, 3> &offsets, int64_t out, int64_t n) {
          whereRun(c.data<uint8_t>() + offsets[0], plan.strides[0][inner], x.data<T>() + offsets[1],
                   plan.strides[1][inner], y.data<T>() + offsets[2], plan.strides[2][inner],
                   result.data<T>() + out, n);
        });
  };
  switch (elementBytes(x)) {
  case 1:
    return run(uint8_t());
  case 2:
    return run(uint16_t());
  case 4:
    return run(uint32_t());
  default:
    check(elementBytes(x) == 8, "type ", nameOf(x.dtype()), " is not supported");
    return run(uint64_t());
  }
}

void nonZero(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> found;
  Tensor isSet = castTo(x, DType::Bool);
  for (int64_t i = 0, n = x.size(); i < n; ++i)
    if (isSet.data<bool>()[i])
      found.push_back(i);
  auto count = static_cast<int64_t>(found.size());
  Tensor &result = call.out(0, DType::I64, {x.rank(), count});
  int64_t *to = result.data<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = found[i];
    for (int64_t d = x.rank(); d-- > 0;) {
      to[d * count + i] = rest % x.dim(d);
      rest /= x.dim(d);
    }
  }
}

/// Slices `index` of an axis, in their order.
Tensor taken(const Tensor &x, int64_t axis, const std::vector<int64_t> &index) {
  auto at = static_cast<size_t>(axis);
  Shape dims = x.shape();
  dims[at] = static_cast<int64_t>(index.size());
  Tensor result(x.dtype(), dims);
  int64_t outer = productOf(x.shape(), 0, at);
  int64_t row =
      productOf(x.shape(), at + 1, x.shape().size()) * static_cast<int64_t>(elementBytes(x));
  char *to = result.data<char>();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i : index) {
      std::memcpy(to, x.data<char>() + (o * x.dim(axis) + i) * row, static_cast<size_t>(row));
      to += row;
    }
  return result;
}

void compress(KernelCall &call) {
  const Tensor &whole = call.in(0), &condition = call.in(1);
  expectType(condition, DType::Bool, "the condition");
  check(condition.rank() == 1, "the condition must be a vector, found ", describe(condition));
  bool hasAxis = call.node.has("axis");
  Tensor x = hasAxis ? whole : whole.reshaped({whole.size()});
  int64_t axis = hasAxis ? axisIn(call.node.integer("axis", 0), x.rank()) : 0;
  std::vector<int64_t> index;
  for (int64_t i = 0; i < condition.size(); ++i)
    if (condition.data<bool>()[i]) {
      check(i < x.dim(axis), "the condition selects ", i, " of an axis of ", x.dim(axis));
      index.push_back(i);
    }
  call.set(0, taken(x, axis, index));
}

void oneHot(KernelCall &call) {
  const Tensor &indices = call.in(0), &values = call.in(2);
  double given = toDouble(call.in(1), "the depth");
  check(given >= 1 && given < 1e12, "the depth must be positive, found ", given);
  auto depth = static_cast<int64_t>(given);
  check(values.size() == 2, "the values must be two, found ", describe(values));
  int64_t axis = axisIn(call.node.integer("axis", -1), indices.rank() + 1);
  Shape dims = indices.shape();
  dims.insert(dims.begin() + axis, depth);
  Tensor index = castTo(indices, DType::I64);
  Tensor &result = call.out(0, values.dtype(), dims);
  auto at = static_cast<size_t>(axis);
  int64_t outer = productOf(dims, 0, at), inner = productOf(dims, at + 1, dims.size());
  auto size = elementBytes(values);
  auto fill = [&](auto tag) {
    using T = decltype(tag);
    T off = values.data<T>()[0], on = values.data<T>()[1];
    T *to = result.data<T>();
    std::fill_n(to, result.size(), off);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i) {
        // What is out of range leaves no mark.
        int64_t hot = index.data<int64_t>()[o * inner + i];
        hot = hot < 0 ? hot + depth : hot;
        if (hot >= 0 && hot < depth)
          to[(o * depth + hot) * inner + i] = on;
      }
  };
  switch (size) {
  case 1:
    return fill(uint8_t());
  case 2:
    return fill(uint16_t());
  case 4:
    return fill(uint32_t());
  default:
    check(size == 8, "type ", nameOf(values.dtype()), " is not supported");
    return fill(uint64_t());
  }
}

void reverseSequence(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t batchAxis = call.node.integer("batch_axis", 1),
          timeAxis = call.node.integer("time_axis", 0);
  check(x.rank() >= 2 && ((batchAxis == 0 && timeAxis == 1) || (batchAxis == 1 && timeAxis == 0)),
        "the axes must be 0 and 1 of at least two, found batch ", batchAxis, " and time ", timeAxis,
        " of ", describe(x));
  std::vector<int64_t> lengths = toInts(call.in(1), "sequence_lens");
  check(static_cast<int64_t>(lengths.size()) == x.dim(batchAxis), "sequence_lens has ",
        lengths.size(), " elements for a batch of ", x.dim(batchAxis));
  Tensor &y = call.out(0, x.dtype(), x.shape());
  int64_t row = productOf(x.shape(), 2, x.shape().size()) * static_cast<int64_t>(elementBytes(x));
  int64_t batchStride = batchAxis == 0 ? x.dim(1) : 1, timeStride = timeAxis == 0 ? x.dim(1) : 1;
  for (int64_t b = 0; b < x.dim(batchAxis); ++b) {
    check(lengths[b] >= 0 && lengths[b] <= x.dim(timeAxis), "sequence length ", lengths[b],
          " is outside [0, ", x.dim(timeAxis), "]");
    for (int64_t t = 0; t < x.dim(timeAxis); ++t) {
      int64_t source = t < lengths[b] ? lengths[b] - 1 - t : t;
      std::memcpy(y.data<char>() + (b * batchStride + t * timeStride) * row,
                  x.data<char>() + (b * batchStride + source * timeStride) * row,
                  static_cast<size_t>(row));
    }
  }
}

/// Unique slices along an axis (the flattened elements without one); `data` has x's values.
template <typename T>
void uniqueOf(KernelCall &call, const Tensor &x, const T *data, int64_t axis) {
  auto at = static_cast<size_t>(axis);
  int64_t n = x.dim(axis), outer = productOf(x.shape(), 0, at);
  int64_t inner = productOf(x.shape(), at + 1, x.shape().size());
  // Lexicographic order of slices; NaN equals nothing and comes last.
  auto compare = [&](int64_t a, int64_t b) {
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i) {
        T u = data[(o * n + a) * inner + i], v = data[(o * n + b) * inner + i];
        if (u < v || (v != v && u == u))
          return -1;
        if (v < u || (u != u && v == v))
          return 1;
        if (u != u)
          return a < b ? -1 : a > b ? 1 : 0;
      }
    return 0;
  };
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
  std::vector<int64_t> first, counts, group(static_cast<size_t>(n));
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      first.push_back(order[i]);
      counts.push_back(0);
    }
    ++counts.back();
    group[order[i]] = static_cast<int64_t>(first.size()) - 1;
  }
  if (!call.node.integer("sorted", 1)) {
    std::vector<int64_t> rank(first.size()), place(first.size());
    std::iota(rank.begin(), rank.end(), 0);
    std::sort(rank.begin(), rank.end(), [&](int64_t a, int64_t b) { return first[a] < first[b]; });
    std::vector<int64_t> newFirst, newCounts;
    for (size_t i = 0; i < rank.size(); ++i) {
      place[rank[i]] = static_cast<int64_t>(i);
      newFirst.push_back(first[rank[i]]);
      newCounts.push_back(counts[rank[i]]);
    }
    first = std::move(newFirst);
    counts = std::move(newCounts);
    for (int64_t &g : group)
      g = place[g];
  }
  call.set(0, taken(x, axis, first));
  const std::vector<int64_t> *others[] = {&first, &group, &counts};
  for (size_t i = 0; i < 3; ++i)
    if (call.wants(i + 1))
      call.set(i + 1, makeInts(*others[i]));
}

void unique(KernelCall &call) {
  const Tensor &whole = call.in(0);
  bool hasAxis = call.node.has("axis");
  Tensor x = hasAxis ? whole : whole.reshaped({whole.size()});
  int64_t axis = hasAxis ? axisIn(call.node.integer("axis", 0), x.rank()) : 0;
  Tensor wide = widest(x);
  dispatch(WideTypes(), wide.dtype(), "an input",
           [&](auto type) { uniqueOf(call, x, wide.data<typename decltype(type)::type>(), axis); });
}

} // namespace

void registerSelect(KernelTable &table) {
  table.add("", "Where", where);
  table.add("", "NonZero", nonZero);
  table.add("", "Compress", compress);
  table.add("", "OneHot", oneHot);
  table.add("", "ReverseSequence", reverseSequence);
  table.add("", "Unique", unique);
}

} // namespace uoe::rt
