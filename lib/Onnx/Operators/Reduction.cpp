// Reductions along axes, arg-extrema, top-k.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

LogicalResult reduceInto(NodeContext &c, Type element, std::optional<SmallVector<int64_t>> axes,
                         bool known, bool keep, SmallVectorImpl<bool> *reducedOut = nullptr) {
  c.setElement(0, element);
  if (!c.ranked(0))
    return success();
  const Facts &x = c.in(0);
  if (!known) {
    // Some axes, not known which: the rank is, if it is kept.
    if (keep)
      c.setRank(0, element, x.rank());
    return success();
  }
  bool none = !axes || axes->empty();
  if (none && c.node.integer("noop_with_empty_axes", 0)) {
    c.setLike(0, 0, element);
    return success();
  }
  SmallVector<bool> reduced(x.rank(), none);
  if (axes)
    for (int64_t axis : *axes) {
      auto at = c.axis(axis, x.rank());
      if (failed(at))
        return failure();
      reduced[*at] = true;
    }
  SmallVector<Dim> shape;
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (!reduced[i])
      shape.push_back(x.dims[i]);
    else if (keep)
      shape.push_back(c.dim(1));
  }
  c.set(0, element, shape);
  if (reducedOut)
    reducedOut->assign(reduced.begin(), reduced.end());
  return success();
}

template <typename F> LogicalResult reduceWith(NodeContext &c, F combine) {
  bool known;
  auto axes = c.integers("axes", 1, known);
  SmallVector<bool> reduced;
  if (failed(reduceInto(c, c.in(0).element, axes, known, c.node.integer("keepdims", 1) != 0,
                        &reduced)))
    return failure();
  // Products and sums of shapes: everything into one element.
  if (reduced.empty() || !llvm::all_of(reduced, [](bool x) { return x; }))
    return success();
  const auto *contents = c.contents(0);
  if (!contents || contents->empty())
    return success();
  Dim result = (*contents)[0];
  for (Dim next : llvm::drop_begin(*contents))
    result = combine(result, next);
  if (result)
    c.out(0).contents = SmallVector<Dim>{result};
  return success();
}

LogicalResult reduce(NodeContext &c) {
  return reduceWith(c, [](Dim, Dim) { return Dim(); });
}
template <Dim (DimTable::*function)(Dim, Dim)> LogicalResult reduceBy(NodeContext &c) {
  return reduceWith(c, [&](Dim a, Dim b) { return (c.dims.*function)(a, b); });
}

LogicalResult argExtremum(NodeContext &c) {
  return reduceInto(c, c.i64(), SmallVector<int64_t>{c.node.integer("axis", 0)}, true,
                    c.node.integer("keepdims", 1) != 0);
}

LogicalResult topK(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  c.setElement(1, c.i64());
  if (!c.ranked(0))
    return success();
  auto axis = c.axis(c.node.integer("axis", -1), c.in(0).rank());
  if (failed(axis))
    return failure();
  SmallVector<Dim> shape(c.in(0).dims);
  if (auto k = dyn_cast_or_null<IntegerAttr>(c.node.attribute("k")))
    shape[*axis] = c.dim(k.getInt());
  else if (const auto *k = c.contents(1); k && k->size() == 1)
    shape[*axis] = (*k)[0];
  else
    shape[*axis] = c.unknown();
  c.set(0, c.in(0).element, shape);
  c.set(1, c.i64(), shape);
  return success();
}

} // namespace

void uoe::onnx::addReduction(OperatorTable &table) {
  for (const char *name :
       {"ReduceMean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"})
    table.add(name, reduce);
  table.add("ReduceSum", reduceBy<&DimTable::add>);
  table.add("ReduceProd", reduceBy<&DimTable::multiply>);
  table.add("ReduceMax", reduceBy<&DimTable::max>);
  table.add("ReduceMin", reduceBy<&DimTable::min>);
  table.add("ArgMax", argExtremum);
  table.add("ArgMin", argExtremum);
  table.add("TopK", topK);
}
