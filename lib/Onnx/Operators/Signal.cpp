// Signal processing: transforms and windows.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

LogicalResult dft(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  if (!c.ranked(0) || c.in(0).rank() < 2)
    return success();
  SmallVector<Dim> shape(c.in(0).dims);
  int64_t axis = c.node.integer("axis", c.version >= 20 ? -2 : 1);
  if (c.has(2)) {
    auto given = c.integers(2);
    if (!given || given->size() != 1) {
      c.setRank(0, element, shape.size());
      return success();
    }
    axis = (*given)[0];
  }
  auto at = c.axis(axis, shape.size());
  if (failed(at))
    return failure();
  if (c.has(1)) {
    const auto *length = c.contents(1);
    shape[*at] = length && length->size() == 1 ? (*length)[0] : c.unknown();
  }
  bool inverse = c.node.integer("inverse", 0) != 0;
  bool onesided = c.node.integer("onesided", 0) != 0;
  if (onesided && inverse)
    shape[*at] =
        c.has(1) ? shape[*at] : c.dims.multiply(c.dims.subtract(shape[*at], c.dim(1)), c.dim(2));
  else if (onesided)
    shape[*at] = c.dims.add(c.dims.floorDiv(shape[*at], c.dim(2)), c.dim(1));
  shape.back() = c.dim(onesided && inverse ? 1 : 2);
  c.set(0, element, shape);
  return success();
}

LogicalResult stft(NodeContext &c) {
  Type element = c.in(0).element;
  c.setRank(0, element, 4);
  const auto *step = c.contents(1);
  Dim frame;
  if (const auto *length = c.contents(3); c.has(3) && length && length->size() == 1)
    frame = (*length)[0];
  else if (c.has(2) && c.in(2).rank() == 1)
    frame = c.size(2, 0);
  if (!step || step->size() != 1 || !(*step)[0].isConstant() || (*step)[0].is(0) || !frame ||
      !c.ranked(0))
    return success();
  Dim frames =
      c.dims.add(c.dims.floorDiv(c.dims.subtract(c.size(0, 1), frame), (*step)[0]), c.dim(1));
  Dim bins = c.node.integer("onesided", 1) ? c.dims.add(c.dims.floorDiv(frame, c.dim(2)), c.dim(1))
                                           : frame;
  c.set(0, element, {c.size(0, 0), frames, bins, c.dim(2)});
  return success();
}

LogicalResult window(NodeContext &c) {
  const auto *size = c.contents(0);
  c.set(0, c.elementOf(c.node.integer("output_datatype", 1)),
        {size && size->size() == 1 ? (*size)[0] : c.unknown()});
  return success();
}

LogicalResult melMatrix(NodeContext &c) {
  Type element = c.elementOf(c.node.integer("output_datatype", 1));
  const auto *bins = c.contents(0), *length = c.contents(1);
  Dim rows = length && length->size() == 1
                 ? c.dims.add(c.dims.floorDiv((*length)[0], c.dim(2)), c.dim(1))
                 : c.unknown();
  c.set(0, element, {rows, bins && bins->size() == 1 ? (*bins)[0] : c.unknown()});
  return success();
}

} // namespace

void uoe::onnx::addSignal(OperatorTable &table) {
  table.add("DFT", dft);
  table.add("STFT", stft);
  for (const char *name : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    table.add(name, window);
  table.add("MelWeightMatrix", melMatrix);
}
