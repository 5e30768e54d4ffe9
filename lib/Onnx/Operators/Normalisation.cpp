// Normalisations: the first result has the input's shape.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

/// Mean and inverse deviation: the input's shape with the normalised axes 1.
LogicalResult statistics(NodeContext &c, unsigned from) {
  if (!c.ranked(0))
    return success();
  auto axis = c.axis(c.node.integer("axis", -1), c.in(0).rank());
  if (failed(axis))
    return failure();
  SmallVector<Dim> shape(c.in(0).dims);
  std::fill(shape.begin() + *axis, shape.end(), c.dim(1));
  Type element = c.elementOf(c.node.integer("stash_type", 1));
  for (unsigned i = from; i < std::min(from + 2, c.results()); ++i)
    c.set(i, element, shape);
  return success();
}

LogicalResult checkScale(NodeContext &c, unsigned scale, int64_t axis) {
  if (!c.ranked(0) || !c.ranked(scale) || c.in(scale).rank() != 1)
    return success();
  auto at = c.axis(axis, c.in(0).rank());
  if (failed(at))
    return failure();
  if (*at == c.in(0).rank() - 1 && c.dims.equal(c.in(0).dims[*at], c.in(scale).dims[0]) == false &&
      !c.in(scale).dims[0].is(1))
    return c.fail("needs a scale of the normalised size, found " + c.describe(c.in(0)) + " and " +
                  c.describe(c.in(scale)));
  return success();
}

LogicalResult layerNorm(NodeContext &c) {
  c.setLike(0, 0);
  if (failed(checkScale(c, 1, c.node.integer("axis", -1))))
    return failure();
  return statistics(c, 1);
}

/// RMSNormalization: the scale's element type is the result's.
LogicalResult rmsNorm(NodeContext &c) {
  c.setLike(0, 0, c.in(1).element ? c.in(1).element : c.in(0).element);
  if (failed(checkScale(c, 1, c.node.integer("axis", -1))))
    return failure();
  return statistics(c, 1);
}

/// SkipLayerNormalization: input, skip -> output, mean, inverse deviation, sum.
LogicalResult skipNorm(NodeContext &c) {
  unsigned larger = c.in(1).rank() > c.in(0).rank() ? 1 : 0;
  c.setLike(0, larger);
  if (c.results() > 3)
    c.setLike(3, larger);
  if (c.ranked(0) && !c.in(0).dims.empty()) {
    SmallVector<Dim> shape(c.in(0).dims);
    shape.back() = c.dim(1);
    for (unsigned i = 1; i < std::min(3u, c.results()); ++i)
      c.set(i, c.f32(), shape);
  }
  return success();
}

/// EmbedLayerNormalization: ids (batch, seq), tables -> (batch, seq, width), mask index (batch),
/// sum.
LogicalResult embedNorm(NodeContext &c) {
  Type element = c.in(2).element;
  SmallVector<Dim> shape = {c.size(0, 0), c.size(0, 1), c.size(2, 1)};
  c.set(0, element, shape);
  if (c.wants(1))
    c.set(1, c.i32(), {c.size(0, 0)});
  if (c.wants(2))
    c.set(2, element, shape);
  return success();
}

LogicalResult batchNorm(NodeContext &c) {
  c.setLike(0, 0);
  // Training forms of older opsets also return statistics, of the channel's size.
  for (unsigned i = 1; i < c.results(); ++i)
    c.set(i, c.in(3).element ? c.in(3).element : c.in(0).element, {c.size(0, 1)});
  return success();
}

} // namespace

void uoe::onnx::addNormalisation(OperatorTable &table) {
  table.add("LayerNormalization", layerNorm);
  table.add("SimplifiedLayerNormalization", layerNorm);
  table.add("RMSNormalization", rmsNorm);
  for (const char *name : {"InstanceNormalization", "GroupNormalization", "LpNormalization",
                           "MeanVarianceNormalization", "LRN"})
    table.add(name, likeFirst);
  table.add("BatchNormalization", batchNorm);
  table.addContrib("SimplifiedLayerNormalization", layerNorm);
  table.addContrib("LayerNormalization", layerNorm);
  table.addContrib("SkipLayerNormalization", skipNorm);
  table.addContrib("SkipSimplifiedLayerNormalization", skipNorm);
  table.addContrib("EmbedLayerNormalization", embedNorm);
  table.addContrib("GroupNorm", likeFirst);
  table.addContrib("SkipGroupNorm", likeFirst);
}
