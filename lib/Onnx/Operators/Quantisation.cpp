// Quantisation: element types change, shapes do not.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

Type uint8(NodeContext &c) {
  return c.elementOf(2);
}

LogicalResult quantize(NodeContext &c) {
  int64_t dtype = c.node.integer("output_dtype", 0);
  Type element = c.has(2) ? c.in(2).element : dtype ? c.elementOf(dtype) : uint8(c);
  c.setLike(0, 0, element);
  return success();
}

LogicalResult dequantize(NodeContext &c) {
  int64_t dtype = c.node.integer("output_dtype", 0);
  c.setLike(0, 0, dtype ? c.elementOf(dtype) : c.in(1).element);
  return success();
}

LogicalResult dynamicQuantize(NodeContext &c) {
  c.setLike(0, 0, uint8(c));
  c.set(1, c.f32(), {});
  c.set(2, uint8(c), {});
  return success();
}

/// com.microsoft.QLinearAdd and its kin: (a, scale, zero, b, scale, zero, scale, zero).
LogicalResult qlinearBinary(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0) || !c.ranked(3))
    return success();
  SmallVector<Dim> shape;
  if (failed(c.broadcast(c.in(0).dims, c.in(3).dims, shape)))
    return failure();
  c.set(0, c.in(0).element, shape);
  return success();
}

} // namespace

void uoe::onnx::addQuantisation(OperatorTable &table) {
  table.add("QuantizeLinear", quantize);
  table.add("DequantizeLinear", dequantize);
  table.add("DynamicQuantizeLinear", dynamicQuantize);
  table.addContrib("QuantizeLinear", quantize);
  table.addContrib("DequantizeLinear", dequantize);
  for (const char *name : {"QLinearAdd", "QLinearMul"})
    table.addContrib(name, qlinearBinary);
  for (const char *name : {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"})
    table.addContrib(name, likeFirst);
}
