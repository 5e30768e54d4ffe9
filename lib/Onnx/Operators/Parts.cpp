// Operators that cut tensors into parts, join, repeat and pad them.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

using Contents = SmallVector<Dim>;

LogicalResult concat(NodeContext &c) {
  Type element;
  for (unsigned i = 0; i < c.count() && !element; ++i)
    element = c.in(i).element;
  c.setElement(0, element);
  int64_t rank = -1;
  for (unsigned i = 0; i < c.count(); ++i)
    if (c.ranked(i))
      rank = c.in(i).rank();
  if (rank < 0)
    return success();
  auto axis = c.axis(c.node.integer("axis", 1), rank);
  if (failed(axis))
    return failure();
  SmallVector<Dim> result(rank);
  Dim total = c.dim(0);
  Contents contents;
  bool whole = rank == 1;
  for (unsigned i = 0; i < c.count(); ++i) {
    const Facts &x = c.in(i);
    if (x.ranked && x.rank() != rank)
      return c.fail("needs operands of equal rank, found " + c.describe(c.in(0)) + " and " +
                    c.describe(x));
    for (int64_t k = 0; k < rank; ++k) {
      Dim size = x.ranked ? x.dims[k] : Dim();
      if (k == *axis) {
        total = size && total ? c.dims.add(total, size) : Dim();
        continue;
      }
      if (!size)
        continue;
      if (result[k] && c.dims.equal(result[k], size) == false)
        return c.fail("needs equal sizes of axis " + llvm::Twine(k) + ", found " +
                      c.describe(c.in(0)) + " and " + c.describe(x));
      // Sizes that must be equal: prefer the one that says most.
      if (!result[k] || size.isConstant() ||
          (!result[k].isConstant() && c.dims.name(result[k]).empty()))
        result[k] = size;
    }
    const Contents *part = whole ? c.contents(i) : nullptr;
    whole &= part != nullptr;
    if (part)
      contents.append(*part);
  }
  result[*axis] = total ? total : c.unknown();
  for (Dim &size : result)
    if (!size)
      size = c.unknown();
  c.set(0, element, result);
  if (whole && static_cast<int64_t>(contents.size()) <= kMaxContents)
    c.out(0).contents = contents;
  return success();
}

LogicalResult split(NodeContext &c) {
  Type element = c.in(0).element;
  unsigned n = c.results();
  for (unsigned i = 0; i < n; ++i)
    c.setElement(i, element);
  if (!c.ranked(0))
    return success();
  auto axis = c.axis(c.node.integer("axis", 0), c.in(0).rank());
  if (failed(axis))
    return failure();
  Dim total = c.size(0, *axis);
  SmallVector<Dim> sizes;
  if (auto attribute = c.list("split")) {
    for (int64_t size : *attribute)
      sizes.push_back(c.dim(size));
  } else if (c.has(1)) {
    if (const Contents *contents = c.contents(1))
      sizes.assign(contents->begin(), contents->end());
  } else if (auto constant = total.constant()) {
    // Equal parts, the last one smaller (since opset 18).
    int64_t chunk = n ? (*constant + n - 1) / n : 0;
    for (unsigned i = 0; i < n; ++i)
      sizes.push_back(
          c.dim(std::clamp<int64_t>(*constant - static_cast<int64_t>(i) * chunk, 0, chunk)));
  } else {
    Dim part = c.dims.exactDiv(total, c.dim(n));
    for (unsigned i = 0; part && i < n; ++i)
      sizes.push_back(part);
  }
  if (!sizes.empty() && sizes.size() != n)
    return c.fail("needs as many sizes as results, found " + llvm::Twine(sizes.size()) + " and " +
                  llvm::Twine(n));
  Dim sum = c.dim(0);
  for (Dim size : sizes)
    sum = c.dims.add(sum, size);
  if (!sizes.empty() && c.dims.equal(sum, total) == false)
    return c.fail("needs sizes whose sum is the axis's, found " + c.describe(c.in(0)));
  const Contents *contents = c.in(0).rank() == 1 ? c.contents(0) : nullptr;
  int64_t offset = 0;
  for (unsigned i = 0; i < n; ++i) {
    SmallVector<Dim> result(c.in(0).dims);
    result[*axis] = sizes.empty() ? c.unknown() : sizes[i];
    c.set(i, element, result);
    auto length = result[*axis].constant();
    if (!contents || !length || *length < 0 ||
        offset + *length > static_cast<int64_t>(contents->size())) {
      contents = nullptr;
      continue;
    }
    c.out(i).contents = Contents(ArrayRef<Dim>(*contents).slice(offset, *length));
    offset += *length;
  }
  return success();
}

LogicalResult tile(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0))
    return success();
  const Contents *repeats = c.contents(1);
  if (!repeats || static_cast<int64_t>(repeats->size()) != c.in(0).rank()) {
    c.setRank(0, element, c.in(0).rank());
    return success();
  }
  SmallVector<Dim> result;
  for (auto [size, repeat] : llvm::zip(c.in(0).dims, *repeats))
    result.push_back(c.dims.multiply(size, repeat));
  c.set(0, element, result);
  const Contents *contents = c.in(0).rank() == 1 ? c.contents(0) : nullptr;
  auto count = c.out(0).count();
  if (contents && !contents->empty() && count && *count <= kMaxContents) {
    c.out(0).contents.emplace();
    for (int64_t i = 0; i < *count; ++i)
      c.out(0).contents->push_back((*contents)[i % contents->size()]);
  }
  return success();
}

LogicalResult pad(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0))
    return success();
  int64_t rank = c.in(0).rank();
  Contents pads;
  bool known = true;
  auto attribute = c.list("pads");
  if (!attribute)
    attribute = c.list("paddings");
  if (attribute) {
    for (int64_t value : *attribute)
      pads.push_back(c.dim(value));
  } else if (const Contents *contents = c.contents(1)) {
    pads = *contents;
  } else {
    known = false;
  }
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (c.has(3)) {
    auto given = c.integers(3);
    known &= given.has_value();
    if (given)
      axes = *given;
  }
  if (!known || pads.size() != 2 * axes.size()) {
    c.setRank(0, element, rank);
    return success();
  }
  SmallVector<Dim> result(c.in(0).dims);
  for (auto [i, axis] : llvm::enumerate(axes)) {
    auto at = c.axis(axis, rank);
    if (failed(at))
      return failure();
    result[*at] = c.dims.add(result[*at], c.dims.add(pads[i], pads[i + axes.size()]));
  }
  c.set(0, element, result);
  return success();
}

/// One end of a slice as an offset from the front in [0, size] (or [-1, size-1] for negative
/// steps); null if not known.
Dim clampIndex(NodeContext &c, Dim index, Dim size, bool backward) {
  DimTable &d = c.dims;
  if (!index)
    return {};
  auto value = index.constant();
  // Exporters write "to the end" as a number far beyond any size, TensorFlow's as 1e9.
  if (value && *value >= 1000000000)
    return backward ? d.subtract(size, c.dim(1)) : size;
  if (value && *value <= INT32_MIN)
    return c.dim(backward ? -1 : 0);
  Dim low = c.dim(backward ? -1 : 0), high = backward ? d.subtract(size, c.dim(1)) : size;
  Dim shifted = index;
  // -n for a size n counts from the end. For n = 0 it would be the front; such graphs mean "the
  // last n" and fail elsewhere.
  if (d.less(index, c.dim(0)) == true ||
      (!index.isConstant() && d.isNonNegative(d.multiply(index, c.dim(-1)))))
    shifted = d.add(index, size);
  else if (!d.isNonNegative(index))
    return {};
  return d.max(low, d.min(shifted, high));
}

LogicalResult slice(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0))
    return success();
  const Facts &x = c.in(0);
  int64_t rank = x.rank();
  auto operand = [&](const char *name, unsigned i) -> std::optional<Contents> {
    if (auto list = c.list(name)) {
      Contents made;
      for (int64_t value : *list)
        made.push_back(c.dim(value));
      return made;
    }
    if (const Contents *contents = c.contents(i))
      return *contents;
    return std::nullopt;
  };
  auto starts = operand("starts", 1), ends = operand("ends", 2);
  bool known;
  auto axes = c.integers("axes", 3, known);
  if (!known) {
    c.setRank(0, element, rank);
    return success();
  }
  size_t n = starts ? starts->size() : ends ? ends->size() : 0;
  if (!starts && !ends) {
    auto length = c.ranked(1) ? c.in(1).count() : std::nullopt;
    n = axes ? axes->size() : length ? *length : rank;
  }
  if (!axes)
    axes = llvm::to_vector(llvm::seq<int64_t>(0, n));
  auto steps = c.has(4) ? c.integers(4) : SmallVector<int64_t>(n, 1);
  if (axes->size() != n || (starts && ends && starts->size() != ends->size()))
    return c.fail("needs starts, ends and axes of equal length");
  SmallVector<Dim> result(x.dims);
  std::optional<std::pair<int64_t, int64_t>> window; // of a vector's contents
  for (size_t i = 0; i < n; ++i) {
    auto at = c.axis((*axes)[i], rank);
    if (failed(at))
      return failure();
    Dim size = x.dims[*at];
    int64_t step = steps && i < steps->size() ? (*steps)[i] : 0;
    Dim &out = result[*at];
    out = Dim();
    if (step != 0 && step != INT64_MIN && starts && ends) {
      bool backward = step < 0;
      Dim begin = clampIndex(c, (*starts)[i], size, backward);
      Dim end = clampIndex(c, (*ends)[i], size, backward);
      if (begin && end) {
        Dim span = backward ? c.dims.subtract(begin, end) : c.dims.subtract(end, begin);
        int64_t stride = backward ? -step : step;
        Dim length = span;
        if (stride != 1)
          length = c.dims.floorDiv(c.dims.add(span, c.dim(stride - 1)), c.dim(stride));
        out = c.dims.max(length, c.dim(0));
        if (rank == 1 && begin.isConstant() && out.isConstant())
          window = {*begin.constant(), step};
      }
    }
    if (!out)
      out = c.unknown();
  }
  c.set(0, element, result);
  const Contents *contents = rank == 1 && window ? c.contents(0) : nullptr;
  if (contents && n == 1) {
    Contents part;
    for (int64_t i = 0; i < *result[0].constant(); ++i) {
      int64_t index = window->first + i * window->second;
      if (index < 0 || index >= static_cast<int64_t>(contents->size()))
        return success();
      part.push_back((*contents)[index]);
    }
    c.out(0).contents = part;
  }
  return success();
}

} // namespace

void uoe::onnx::addParts(OperatorTable &table) {
  table.add("Concat", concat);
  table.add("Split", split);
  table.add("Tile", tile);
  table.add("Pad", pad);
  table.addContrib("Pad", pad);
  table.add("Slice", slice);
}
