// Operators that read, make or change shapes.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

using Contents = SmallVector<Dim>;

LogicalResult shape(NodeContext &c) {
  c.setElement(0, c.i64());
  if (!c.ranked(0)) {
    c.setRank(0, c.i64(), 1);
    return success();
  }
  ArrayRef<Dim> dims = c.in(0).dims;
  int64_t rank = dims.size();
  auto clamp = [&](int64_t x) { return std::clamp<int64_t>(x < 0 ? x + rank : x, 0, rank); };
  int64_t start = clamp(c.node.integer("start", 0)), end = clamp(c.node.integer("end", rank));
  dims = dims.slice(start, std::max<int64_t>(end - start, 0));
  c.set(0, c.i64(), {c.dim(dims.size())});
  c.out(0).contents = Contents(dims);
  return success();
}

LogicalResult size(NodeContext &c) {
  c.set(0, c.i64(), {});
  if (c.ranked(0))
    c.out(0).contents = Contents{c.dims.product(c.in(0).dims)};
  return success();
}

/// Small integer contents travel through operators that only change the shape.
void keepContents(NodeContext &c) {
  if (c.out(0).count())
    if (const Contents *contents = c.contents(0))
      c.out(0).contents = *contents;
}

LogicalResult reshape(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  bool known = true;
  Contents target;
  if (auto attribute = c.list("shape")) {
    for (int64_t value : *attribute)
      target.push_back(c.dim(value));
  } else if (const Contents *contents = c.contents(1)) {
    target = *contents;
  } else {
    known = false;
  }
  if (!known) {
    if (auto length = c.ranked(1) && c.in(1).rank() == 1 ? c.size(1, 0).constant() : std::nullopt)
      c.setRank(0, element, *length);
    return success();
  }
  const Facts &x = c.in(0);
  bool allowZero = c.node.integer("allowzero", 0) != 0;
  SmallVector<Dim> result;
  int64_t inferred = -1;
  for (auto [axis, size] : llvm::enumerate(target)) {
    auto value = size.constant();
    if (value && *value == -1) {
      if (inferred >= 0)
        return c.fail("needs at most one size of -1");
      inferred = axis;
      result.push_back(c.unknown());
    } else if (value && *value == 0 && !allowZero) {
      if (x.ranked && static_cast<int64_t>(axis) >= x.rank())
        return c.fail("copies axis " + llvm::Twine(axis) + " of " + c.describe(x));
      result.push_back(x.ranked ? x.dims[axis] : c.unknown());
    } else if (value && *value < -1) {
      return c.fail("needs sizes of -1 or more, found " + llvm::Twine(*value));
    } else if (!c.dims.isNonNegative(size)) {
      // May be -1 at run time: any size.
      result.push_back(c.unknown());
      inferred = -2;
    } else {
      result.push_back(size);
    }
  }
  if (x.ranked) {
    // Sizes on both sides cancel: a quotient of sums is not found as one.
    SmallVector<Dim> from(x.dims);
    Dim rest = c.dim(1);
    for (auto [axis, size] : llvm::enumerate(result)) {
      auto same = llvm::find(from, size);
      if (static_cast<int64_t>(axis) == inferred)
        continue;
      if (!size.isConstant() && same != from.end())
        from.erase(same);
      else
        rest = c.dims.multiply(rest, size);
    }
    Dim total = c.dims.product(from);
    auto have = total.constant(), want = rest.constant();
    if (from.size() != x.dims.size()) // what cancelled may be 0
      have = want = std::nullopt;
    auto complain = [&] {
      Facts asked;
      asked.ranked = true;
      asked.dims.assign(target.begin(), target.end());
      return c.fail("needs as many elements as it is given, found " + c.describe(x) + " and " +
                    c.describe(asked).substr(1));
    };
    if (inferred >= 0) {
      if (have && want && (*want == 0 ? *have != 0 : *have % *want != 0))
        return complain();
      if (Dim quotient = c.dims.exactDiv(total, rest))
        result[inferred] = quotient;
      else if (!rest.is(0) && c.dims.isNonNegative(total) && c.dims.isNonNegative(rest))
        result[inferred] = c.dims.floorDiv(total, rest);
    } else if (inferred == -1 && have && want && *have != *want) {
      return complain();
    }
  }
  c.set(0, element, result);
  keepContents(c);
  return success();
}

LogicalResult flatten(NodeContext &c) {
  Type element = c.in(0).element;
  c.setRank(0, element, 2);
  if (!c.ranked(0))
    return success();
  const Facts &x = c.in(0);
  int64_t axis = c.node.integer("axis", 1);
  if (axis < -x.rank() || axis > x.rank())
    return c.fail("needs an axis in [" + llvm::Twine(-x.rank()) + ", " + llvm::Twine(x.rank()) +
                  "], found " + llvm::Twine(axis));
  axis = axis < 0 ? axis + x.rank() : axis;
  ArrayRef<Dim> dims = x.dims;
  c.set(0, element, {c.dims.product(dims.take_front(axis)), c.dims.product(dims.drop_front(axis))});
  keepContents(c);
  return success();
}

LogicalResult transpose(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  auto perm = c.list("perm");
  if (!c.ranked(0)) {
    if (perm)
      c.setRank(0, element, perm->size());
    return success();
  }
  const Facts &x = c.in(0);
  SmallVector<Dim> result;
  if (!perm) {
    result.assign(x.dims.rbegin(), x.dims.rend());
  } else {
    SmallVector<bool> seen(x.rank(), false);
    if (static_cast<int64_t>(perm->size()) != x.rank())
      return c.fail("needs a permutation of " + llvm::Twine(x.rank()) + " axes, found " +
                    llvm::Twine(perm->size()));
    for (int64_t axis : *perm) {
      auto at = c.axis(axis, x.rank());
      if (failed(at))
        return failure();
      if (seen[*at])
        return c.fail("needs a permutation, found axis " + llvm::Twine(axis) + " twice");
      seen[*at] = true;
      result.push_back(x.dims[*at]);
    }
  }
  c.set(0, element, result);
  if (x.rank() <= 1)
    keepContents(c);
  return success();
}

LogicalResult squeeze(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  bool known;
  auto axes = c.integers("axes", 1, known);
  if (!c.ranked(0))
    return success();
  const Facts &x = c.in(0);
  if (!known) {
    if (auto count = c.ranked(1) ? c.in(1).count() : std::nullopt; count && *count <= x.rank())
      c.setRank(0, element, x.rank() - *count);
    return success();
  }
  SmallVector<bool> drop(x.rank(), false);
  if (axes) {
    for (int64_t axis : *axes) {
      auto at = c.axis(axis, x.rank());
      if (failed(at))
        return failure();
      if (auto size = x.dims[*at].constant(); size && *size != 1)
        return c.fail("needs size 1 of axis " + llvm::Twine(axis) + ", found " + c.describe(x));
      drop[*at] = true;
    }
  } else {
    for (int64_t i = 0; i < x.rank(); ++i) {
      if (!x.dims[i].isConstant())
        return success(); // whether the axis goes is known at run time
      drop[i] = x.dims[i].is(1);
    }
  }
  SmallVector<Dim> result;
  for (int64_t i = 0; i < x.rank(); ++i)
    if (!drop[i])
      result.push_back(x.dims[i]);
  c.set(0, element, result);
  keepContents(c);
  return success();
}

LogicalResult unsqueeze(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  bool known;
  auto axes = c.integers("axes", 1, known);
  if (!c.ranked(0))
    return success();
  const Facts &x = c.in(0);
  if (!known || !axes) {
    if (auto count = c.ranked(1) ? c.in(1).count() : std::nullopt)
      c.setRank(0, element, x.rank() + *count);
    return success();
  }
  int64_t rank = x.rank() + axes->size();
  SmallVector<Dim> result(rank);
  for (int64_t axis : *axes) {
    auto at = c.axis(axis, rank);
    if (failed(at))
      return failure();
    if (result[*at])
      return c.fail("inserts axis " + llvm::Twine(axis) + " twice");
    result[*at] = c.dim(1);
  }
  const Dim *next = x.dims.begin();
  for (Dim &size : result)
    if (!size)
      size = *next++;
  c.set(0, element, result);
  keepContents(c);
  return success();
}

/// Contents that are all the same for a tensor whose elements all are.
void fill(NodeContext &c, Dim value) {
  auto count = c.out(0).count();
  if (count && *count >= 0 && *count <= kMaxContents && value)
    c.out(0).contents = Contents(*count, value);
}

LogicalResult expand(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  const Contents *target = c.contents(1);
  if (!c.ranked(0))
    return success();
  if (!target) {
    auto length = c.ranked(1) && c.in(1).rank() == 1 ? c.size(1, 0).constant() : std::nullopt;
    if (length)
      c.setRank(0, element, std::max(*length, c.in(0).rank()));
    return success();
  }
  SmallVector<Dim> sizes;
  for (Dim size : *target) {
    // ONNX Runtime reads -1 as "keep", as torch does; a size that may be anything is unknown.
    auto value = size.constant();
    if (value && *value < 0)
      sizes.push_back(c.dim(1));
    else
      sizes.push_back(c.dims.isNonNegative(size) ? size : c.unknown());
  }
  SmallVector<Dim> result;
  if (failed(c.broadcast(c.in(0).dims, sizes, result)))
    return failure();
  c.set(0, element, result);
  if (const Contents *contents = c.contents(0); contents && contents->size() == 1)
    fill(c, (*contents)[0]);
  else if (c.out(0).count() == c.in(0).count())
    keepContents(c);
  return success();
}

LogicalResult constantOfShape(NodeContext &c) {
  Type element = c.f32();
  Dim value;
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(c.node.attribute("value"))) {
    element = dense.getElementType();
    if (auto values = integersOf(dense); values && values->size() == 1)
      value = c.dim((*values)[0]);
  }
  c.setElement(0, element);
  if (const Contents *target = c.contents(0)) {
    SmallVector<Dim> sizes;
    for (Dim size : *target)
      sizes.push_back(c.dims.isNonNegative(size) ? size : c.unknown());
    c.set(0, element, sizes);
    fill(c, value);
  } else if (auto length = c.ranked(0) ? c.in(0).count() : std::nullopt) {
    c.setRank(0, element, *length);
  }
  return success();
}

LogicalResult range(NodeContext &c) {
  Type element = c.in(0).element ? c.in(0).element : c.in(1).element;
  c.setRank(0, element, 1);
  if (element && element.isInteger()) {
    const Contents *start = c.contents(0), *limit = c.contents(1), *step = c.contents(2);
    if (!start || !limit || !step || start->size() != 1 || limit->size() != 1 || step->size() != 1)
      return success();
    auto by = (*step)[0].constant();
    if (!by || *by == 0 || *by == INT64_MIN)
      return success();
    DimTable &d = c.dims;
    Dim span =
        *by > 0 ? d.subtract((*limit)[0], (*start)[0]) : d.subtract((*start)[0], (*limit)[0]);
    int64_t stride = std::abs(*by);
    Dim length = stride == 1 ? span : d.floorDiv(d.add(span, c.dim(stride - 1)), c.dim(stride));
    length = d.max(length, c.dim(0));
    c.set(0, element, {length});
    auto count = length.constant();
    if (count && *count <= kMaxContents) {
      c.out(0).contents.emplace();
      for (int64_t i = 0; i < *count; ++i)
        c.out(0).contents->push_back(d.add((*start)[0], c.dim(i * *by)));
    }
    return success();
  }
  auto start = c.reals(0), limit = c.reals(1), step = c.reals(2);
  if (start && limit && step && start->size() == 1 && limit->size() == 1 && step->size() == 1 &&
      (*step)[0] != 0) {
    double length = std::max(std::ceil(((*limit)[0] - (*start)[0]) / (*step)[0]), 0.0);
    if (length < 1e15)
      c.set(0, element, {c.dim(static_cast<int64_t>(length))});
  }
  // Positions counted in floats (rotary embeddings): from 0 in steps of 1 up to a size as a number.
  auto cast = c.node.input(1) ? c.node.input(1).getDefiningOp<NodeOp>() : NodeOp();
  if (start && step && start->size() == 1 && step->size() == 1 && (*start)[0] == 0.0 &&
      (*step)[0] == 1.0 && cast && cast.is("Cast") && cast.input(0))
    if (const Contents *limit = c.analysis.contents(cast.input(0)); limit && limit->size() == 1)
      c.set(0, element, {c.dims.max((*limit)[0], c.dim(0))});
  return success();
}

LogicalResult constant(NodeContext &c) {
  if (TypedAttr value = c.analysis.constant(c.node.getResult(0))) {
    c.out(0) = factsOf(value.getType(), c.dims);
    if (auto integers = integersOf(value)) {
      c.out(0).contents.emplace();
      for (int64_t x : *integers)
        c.out(0).contents->push_back(c.dim(x));
    }
  }
  return success();
}

LogicalResult eyeLike(NodeContext &c) {
  int64_t dtype = c.node.integer("dtype", 0);
  c.setLike(0, 0, dtype ? c.elementOf(dtype) : c.in(0).element);
  return success();
}

LogicalResult centerCropPad(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0))
    return success();
  int64_t rank = c.in(0).rank();
  auto axes = c.list("axes");
  if (!axes)
    axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  const Contents *target = c.contents(1);
  SmallVector<Dim> result(c.in(0).dims);
  for (auto [i, axis] : llvm::enumerate(*axes)) {
    auto at = c.axis(axis, rank);
    if (failed(at))
      return failure();
    result[*at] = target && i < target->size() ? (*target)[i] : c.unknown();
  }
  c.set(0, c.in(0).element, result);
  return success();
}

LogicalResult col2im(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  const Contents *image = c.contents(1), *block = c.contents(2);
  if (!image || !block)
    return success();
  SmallVector<Dim> shape = {c.size(0, 0), c.dims.floorDiv(c.size(0, 1), c.dims.product(*block))};
  shape.append(image->begin(), image->end());
  c.set(0, c.in(0).element, shape);
  return success();
}

} // namespace

void uoe::onnx::addShape(OperatorTable &table) {
  table.add("Shape", shape);
  table.add("Size", size);
  table.add("Reshape", reshape);
  table.add("Flatten", flatten);
  table.add("Transpose", transpose);
  table.add("Squeeze", squeeze);
  table.add("Unsqueeze", unsqueeze);
  table.add("Expand", expand);
  table.add("ConstantOfShape", constantOfShape);
  table.add("Range", range);
  table.addContrib("Range", range);
  table.add("Constant", constant);
  table.add("EyeLike", eyeLike);
  table.add("CenterCropPad", centerCropPad);
  table.add("Col2Im", col2im);
}
