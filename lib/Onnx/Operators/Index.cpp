// Gathering, scattering and selecting by index.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

LogicalResult gather(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0) || !c.ranked(1))
    return success();
  const Facts &x = c.in(0), &indices = c.in(1);
  auto axis = c.axis(c.node.integer("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  ArrayRef<Dim> dims = x.dims;
  SmallVector<Dim> shape(dims.take_front(*axis));
  shape.append(indices.dims.begin(), indices.dims.end());
  llvm::append_range(shape, dims.drop_front(*axis + 1));
  c.set(0, element, shape);
  auto at = c.integers(1);
  if (auto size = x.dims[*axis].constant(); at && size)
    for (int64_t index : *at)
      if (index < -*size || index >= *size)
        return c.fail("needs indices in [" + llvm::Twine(-*size) + ", " + llvm::Twine(*size) +
                      "), found " + llvm::Twine(index));
  const auto *contents = x.rank() == 1 ? c.contents(0) : nullptr;
  if (contents && at) {
    SmallVector<Dim> result;
    for (int64_t index : *at)
      result.push_back((*contents)[index < 0 ? index + contents->size() : index]);
    c.out(0).contents = result;
  }
  return success();
}

LogicalResult gatherElements(NodeContext &c) {
  if (c.ranked(0) && c.ranked(1) && c.in(0).rank() != c.in(1).rank())
    return c.fail("needs data and indices of equal rank, found " + c.describe(c.in(0)) + " and " +
                  c.describe(c.in(1)));
  c.setLike(0, 1, c.in(0).element);
  return success();
}

LogicalResult gatherND(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0) || !c.ranked(1) || c.in(1).dims.empty())
    return success();
  auto depth = c.in(1).dims.back().constant();
  int64_t batch = c.node.integer("batch_dims", 0);
  if (!depth)
    return success();
  if (batch < 0 || batch + *depth > c.in(0).rank() || batch >= c.in(1).rank())
    return c.fail("needs indices of at most " + llvm::Twine(c.in(0).rank() - batch) +
                  " elements, found " + c.describe(c.in(1)));
  SmallVector<Dim> shape(ArrayRef<Dim>(c.in(1).dims).drop_back());
  for (int64_t i = 0; i < batch; ++i)
    if (c.in(0).dims[i].isConstant())
      shape[i] = c.in(0).dims[i];
  llvm::append_range(shape, ArrayRef<Dim>(c.in(0).dims).drop_front(batch + *depth));
  c.set(0, element, shape);
  return success();
}

/// ScatterND into a small vector of integers happens where slices are assigned in shape
/// computations.
LogicalResult scatterND(NodeContext &c) {
  c.setLike(0, 0);
  if (c.in(0).rank() != 1 || c.node.string("reduction", "none") != "none")
    return success();
  const auto *data = c.contents(0), *updates = c.contents(2);
  auto indices = c.integers(1);
  if (!data || !updates || !indices || indices->size() != updates->size())
    return success();
  SmallVector<Dim> result(*data);
  for (auto [i, index] : llvm::enumerate(*indices)) {
    int64_t at = index < 0 ? index + static_cast<int64_t>(result.size()) : index;
    if (at < 0 || at >= static_cast<int64_t>(result.size()))
      return success();
    result[at] = (*updates)[i];
  }
  c.out(0).contents = result;
  return success();
}

LogicalResult oneHot(NodeContext &c) {
  c.setElement(0, c.in(2).element);
  if (!c.ranked(0))
    return success();
  int64_t rank = c.in(0).rank() + 1;
  auto axis = c.axis(c.node.integer("axis", -1), rank);
  if (failed(axis))
    return failure();
  const auto *depth = c.contents(1);
  SmallVector<Dim> shape(c.in(0).dims);
  bool usable = depth && depth->size() == 1 && c.dims.isNonNegative((*depth)[0]);
  shape.insert(shape.begin() + *axis, usable ? (*depth)[0] : c.unknown());
  c.set(0, c.in(2).element, shape);
  return success();
}

LogicalResult nonZero(NodeContext &c) {
  c.set(0, c.i64(), {c.ranked(0) ? c.dim(c.in(0).rank()) : c.unknown(), c.unknown()});
  return success();
}

LogicalResult compress(NodeContext &c) {
  Type element = c.in(0).element;
  auto axis = dyn_cast_or_null<IntegerAttr>(c.node.attribute("axis"));
  if (!axis) {
    c.setRank(0, element, 1);
    return success();
  }
  c.setElement(0, element);
  if (!c.ranked(0))
    return success();
  auto at = c.axis(axis.getInt(), c.in(0).rank());
  if (failed(at))
    return failure();
  SmallVector<Dim> shape(c.in(0).dims);
  shape[*at] = c.unknown();
  c.set(0, element, shape);
  return success();
}

LogicalResult uniqueElements(NodeContext &c) {
  auto axis = dyn_cast_or_null<IntegerAttr>(c.node.attribute("axis"));
  Dim count = c.unknown();
  for (unsigned i = 1; i < c.results(); ++i)
    c.setRank(i, c.i64(), 1);
  c.setElement(0, c.in(0).element);
  if (!axis) {
    c.set(0, c.in(0).element, {count});
  } else if (c.ranked(0)) {
    auto at = c.axis(axis.getInt(), c.in(0).rank());
    if (failed(at))
      return failure();
    SmallVector<Dim> shape(c.in(0).dims);
    shape[*at] = count;
    c.set(0, c.in(0).element, shape);
  }
  c.set(1, c.i64(), {count});
  c.set(3, c.i64(), {count});
  return success();
}

LogicalResult nonMaxSuppression(NodeContext &c) {
  c.set(0, c.i64(), {c.unknown(), c.dim(3)});
  return success();
}

/// com.microsoft.GatherBlockQuantized: rows of a block-quantised matrix, in the scales' type.
LogicalResult gatherBlockQuantized(NodeContext &c) {
  Type element = c.in(2).element;
  c.setElement(0, element);
  if (!c.ranked(0) || !c.ranked(1))
    return success();
  auto axis = c.axis(c.node.integer("gather_axis", 0), c.in(0).rank());
  if (failed(axis))
    return failure();
  SmallVector<Dim> data(c.in(0).dims);
  // uint8 data packs several values of `bits` bits along the last axis.
  if (c.in(0).element && c.in(0).element.isUnsignedInteger(8))
    data.back() =
        c.dims.multiply(data.back(), c.dim(8 / std::max<int64_t>(1, c.node.integer("bits", 4))));
  SmallVector<Dim> shape(ArrayRef<Dim>(data).take_front(*axis));
  shape.append(c.in(1).dims.begin(), c.in(1).dims.end());
  llvm::append_range(shape, ArrayRef<Dim>(data).drop_front(*axis + 1));
  c.set(0, element, shape);
  return success();
}

} // namespace

void uoe::onnx::addIndex(OperatorTable &table) {
  table.add("Gather", gather);
  table.add("GatherElements", gatherElements);
  table.add("GatherND", gatherND);
  table.addContrib("GatherND", gatherND);
  for (const char *name : {"Scatter", "ScatterElements", "ReverseSequence"})
    table.add(name, likeFirst);
  table.add("ScatterND", scatterND);
  table.add("OneHot", oneHot);
  table.add("NonZero", nonZero);
  table.add("Compress", compress);
  table.add("Unique", uniqueElements);
  table.add("NonMaxSuppression", nonMaxSuppression);
  table.addContrib("GatherBlockQuantized", gatherBlockQuantized);
}
