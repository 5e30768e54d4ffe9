// Slice, Split, Concat, Pad, CenterCropPad, Trilu.
#include "Register.h"
#include "StridedCopy.h"
#include <algorithm>
#include <cstring>
#include <limits>

namespace uoe::rt {
namespace {

void slice(KernelCall &call) {
  const Tensor &x = call.in(0);
  int64_t rank = x.rank();
  std::vector<int64_t> starts, ends, axes, steps;
  bool hasAxes;
  if (call.count() > 1) {
    starts = toInts(call.in(1), "starts");
    ends = toInts(call.in(2), "ends");
    if ((hasAxes = call.has(3)))
      axes = toInts(call.in(3), "axes");
    if (call.has(4))
      steps = toInts(call.in(4), "steps");
  } else {
    starts = call.node.integers("starts");
    ends = call.node.integers("ends");
    if ((hasAxes = call.node.has("axes")))
      axes = call.node.integers("axes");
  }
  if (!hasAxes)
    for (size_t i = 0; i < starts.size(); ++i)
      axes.push_back(static_cast<int64_t>(i));
  if (steps.empty())
    steps.assign(starts.size(), 1);
  check(starts.size() == ends.size() && starts.size() == axes.size() &&
            starts.size() == steps.size(),
        "starts, ends, axes and steps have ", starts.size(), ", ", ends.size(), ", ", axes.size(),
        " and ", steps.size(), " elements, expected one number");

  Shape dims = x.shape(), strides = stridesOf(dims);
  int64_t offset = 0;
  std::vector<bool> seen(static_cast<size_t>(rank));
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t axis = axisIn(axes[i], rank), dim = x.dim(axis), step = steps[i];
    check(!seen[axis], "axis ", axis, " is sliced twice");
    seen[axis] = true;
    check(step != 0, "the step of axis ", axis, " is 0");
    // Counting from the end, then clamping to where a walk in the step's direction can begin and
    // end.
    int64_t start = starts[i] < 0 ? starts[i] + dim : starts[i];
    int64_t end = ends[i] < 0 ? ends[i] + dim : ends[i];
    int64_t count;
    if (step > 0) {
      start = std::min(std::max<int64_t>(start, 0), dim);
      end = std::min(std::max<int64_t>(end, 0), dim);
      count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
      start = std::min(std::max<int64_t>(start, -1), dim - 1);
      end = std::min(std::max<int64_t>(end, -1), dim - 1);
      // Unsigned, since the smallest step has no positive counterpart.
      uint64_t magnitude = uint64_t(0) - static_cast<uint64_t>(step);
      count = start > end
                  ? static_cast<int64_t>(static_cast<uint64_t>(start - end - 1) / magnitude) + 1
                  : 0;
    }
    dims[axis] = count;
    if (count > 0)
      offset += start * strides[axis];
    // A single element is never stepped from; a huge step would overflow.
    strides[axis] = count > 1 ? strides[axis] * step : strides[axis];
  }
  if (dims == x.shape() &&
      std::all_of(steps.begin(), steps.end(), [](int64_t s) { return s == 1; }))
    return call.set(0, x);
  call.set(0, onBytes(x, [&](const Tensor &bytes) {
             Tensor result(bytes.dtype(), dims);
             if (result.size() > 0)
               stridedCopy(dims,
                           bytes.data<char>() + offset * static_cast<int64_t>(elementBytes(bytes)),
                           strides, result.raw(), stridesOf(dims), elementBytes(bytes));
             return result;
           }));
}

/// Copies rows of `bytes` bytes between arrays whose rows lie `fromPitch` and `toPitch` bytes
/// apart.
void copyRows(const char *from, int64_t fromPitch, char *to, int64_t toPitch, int64_t rows,
              int64_t bytes) {
  if (bytes == 0)
    return;
  parallel(rows, std::max<int64_t>(1, (64 << 10) / bytes), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      std::memcpy(to + row * toPitch, from + row * fromPitch, static_cast<size_t>(bytes));
  });
}

void split(KernelCall &call) {
  const Tensor packed = call.in(0);
  Tensor x = unpackedNibbles(packed);
  int64_t axis = axisIn(call.node.integer("axis", 0), x.rank()), dim = x.dim(axis);
  auto parts = static_cast<int64_t>(call.outputs.size());
  std::vector<int64_t> lengths;
  if (call.has(1))
    lengths = toInts(call.in(1), "the lengths");
  else if (call.node.has("split"))
    lengths = call.node.integers("split");
  if (lengths.empty()) {
    parts = call.node.integer("num_outputs", parts);
    check(parts > 0 && parts == static_cast<int64_t>(call.outputs.size()),
          "attribute 'num_outputs' is ", parts, ", but there are ", call.outputs.size(),
          " outputs");
    check(call.node.version >= 18 || dim % parts == 0, "axis ", axis, " of length ", dim,
          " does not split into ", parts, " equal parts");
    int64_t each = (dim + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i)
      lengths.push_back(std::max<int64_t>(0, std::min(each, dim - i * each)));
  }
  check(static_cast<int64_t>(lengths.size()) == parts, "there are ", lengths.size(),
        " lengths for ", parts, " outputs");
  int64_t sum = 0;
  for (int64_t length : lengths) {
    check(length >= 0 && length <= dim, "the lengths ", toString(lengths), " do not fit axis ",
          axis, " of ", dim);
    sum += length;
  }
  check(sum == dim, "the lengths ", toString(lengths), " add up to ", sum, ", but axis ", axis,
        " has ", dim);
  auto at = static_cast<size_t>(axis);
  int64_t outer = productOf(x.shape(), 0, at);
  int64_t row =
      productOf(x.shape(), at + 1, x.shape().size()) * static_cast<int64_t>(elementBytes(x));
  int64_t offset = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    Shape dims = x.shape();
    dims[at] = lengths[i];
    if (call.wants(i)) {
      Tensor part(x.dtype(), dims);
      copyRows(x.data<char>() + offset * row, dim * row, part.data<char>(), lengths[i] * row, outer,
               lengths[i] * row);
      call.set(i, bitsOf(packed.dtype()) == 4 ? packedNibbles(part, packed.dtype()) : part);
    }
    offset += lengths[i];
  }
}

void concat(KernelCall &call) {
  check(call.count() > 0, "at least one input is expected");
  check(call.node.has("axis"), "attribute 'axis' is required");
  const Tensor &first = call.in(0);
  int64_t axis = axisIn(call.node.integer("axis", 0), first.rank());
  Shape dims = first.shape();
  dims[axis] = 0;
  for (size_t i = 0; i < call.count(); ++i) {
    const Tensor &x = call.in(i);
    check(x.dtype() == first.dtype(), "input ", i, " has type ", nameOf(x.dtype()), ", input 0 ",
          nameOf(first.dtype()));
    bool fits = x.rank() == first.rank();
    for (int64_t d = 0; fits && d < x.rank(); ++d)
      fits = d == axis || x.dim(d) == first.dim(d);
    check(fits, "input ", i, " of shape ", toString(x.shape()), " does not fit to input 0 of ",
          toString(first.shape()), " along axis ", axis);
    dims[axis] += x.dim(axis);
  }
  auto at = static_cast<size_t>(axis);
  bool nibbles = bitsOf(first.dtype()) == 4;
  Tensor result(nibbles ? DType::U8 : first.dtype(), dims);
  int64_t outer = productOf(dims, 0, at), inner = productOf(dims, at + 1, dims.size());
  int64_t row = inner * static_cast<int64_t>(elementBytes(result)), offset = 0;
  for (size_t i = 0; i < call.count(); ++i) {
    Tensor x = unpackedNibbles(call.in(i));
    int64_t bytes = x.dim(axis) * row;
    copyRows(x.data<char>(), bytes, result.data<char>() + offset, dims[at] * row, outer, bytes);
    offset += bytes;
  }
  call.set(0, nibbles ? packedNibbles(result, first.dtype()) : result);
}

/// Keeps the lower or upper triangle of the last two axes and clears the rest.
void trilu(KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() >= 2, "expected rank 2 or more, found ", describe(x));
  bool upper = call.node.integer("upper", 1) != 0;
  int64_t k = call.has(1) ? toInt(call.in(1), "k") : 0;
  int64_t rows = x.dim(-2), columns = x.dim(-1);
  auto size = static_cast<int64_t>(elementBytes(x));
  Tensor &y = call.outInPlace(0, 0, x.dtype(), x.shape());
  const char *from = x.data<char>();
  char *to = y.data<char>();
  k = std::min(std::max(k, -rows - 1), columns + 1);
  int64_t lines = x.size() == 0 ? 0 : x.size() / columns;
  for (int64_t line = 0; line < lines; ++line) {
    int64_t diagonal = line % rows + k;
    // Columns [keep.first, keep.second) stay.
    int64_t first = upper ? std::min(std::max<int64_t>(diagonal, 0), columns) : 0;
    int64_t last = upper ? columns : std::min(std::max<int64_t>(diagonal + 1, 0), columns);
    int64_t base = line * columns * size;
    std::memset(to + base, 0, static_cast<size_t>(first * size));
    if (from != to)
      std::memcpy(to + base + first * size, from + base + first * size,
                  static_cast<size_t>((last - first) * size));
    std::memset(to + base + last * size, 0, static_cast<size_t>((columns - last) * size));
  }
}

} // namespace

void registerSlice(KernelTable &table) {
  table.add("", "Slice", slice);
  table.add("", "Split", split);
  table.add("", "Concat", concat);
  table.add("", "Trilu", trilu);
}

} // namespace uoe::rt
