// A product over a partitioned axis as a sum of experts.
#include "passes/decompose/Decompose.h"
#include "passes/decompose/Slicer.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

bool uoe::isProjection(NodeOp node, Constants &facts) {
  if (node.isContrib("MatMulNBits"))
    return facts.isConstant(node.input(1));
  return (node.is("MatMul") || node.is("Gemm") || node.is("MatMulInteger")) &&
         facts.isConstant(node.input(1)) && rankOf(node.input(1)) == 2 &&
         node.integer("transA", 0) == 0;
}

// The matrix of the projection in the body, restricted to rows `rows`, as [rows, out].
static Value sliceMatrix(NodeOp projection, AxisSlice rows, Slicer &slicer, Constants &facts) {
  OpBuilder &inner = slicer.inside();
  Location loc = projection.getLoc();
  Value matrix = projection.input(1);
  if (projection.isContrib("MatMulNBits")) {
    auto linear = matchLinearCore(projection.getResult(0), facts);
    if (!linear || !linear->biases.empty())
      return slicer.stop(Twine(describe(projection)) +
                         " (MatMulNBits) is no product with a constant matrix");
    matrix = slicer.matrixOf(*linear);
  }
  bool transposed = projection.is("Gemm") && projection.integer("transB", 0) != 0;
  rows.axis = transposed ? 1 : 0;
  Value part = slicer.slice(matrix, rows);
  if (!part || !transposed)
    return part;
  auto type = cast<RankedTensorType>(part.getType());
  auto swapped =
      RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
  return makeNode(inner, loc, "Transpose", {part}, swapped,
                  {inner.getNamedAttr("perm", inner.getDenseI64ArrayAttr({1, 0}))});
}

SplitProduct uoe::splitProduct(NodeOp projection, AxisSlice where, Slicer &slicer,
                               Constants &facts) {
  OpBuilder &inner = slicer.inside();
  Location loc = projection.getLoc();
  auto type = dyn_cast<RankedTensorType>(projection.getResult(0).getType());
  if (!type)
    return slicer.stop("the rank of its projection is not known"), SplitProduct();
  if (where.axis != rankOf(projection.input(0)) - 1)
    return slicer.stop(Twine(describe(projection)) + " (" + projection.getOpType() +
                       ") does not have what the experts split side by side"),
           SplitProduct();
  Value bias;
  if (projection.is("Gemm")) {
    auto factor = [&](StringRef attr) { return projection.real(attr, 1.0) == 1.0; };
    if (!factor("alpha") || !factor("beta"))
      return slicer.stop(Twine(describe(projection)) + " (Gemm) scales its product or bias"),
             SplitProduct();
    bias = projection.input(2);
  }
  Value x = slicer.slice(projection.input(0), where);
  Value matrix = x ? sliceMatrix(projection, where, slicer, facts) : Value();
  if (!matrix)
    return {};
  Value partial;
  if (projection.is("MatMulInteger")) {
    SmallVector<Value> operands{x, matrix};
    for (Value zero : llvm::drop_begin(projection.getInputs(), 2)) {
      operands.push_back(slicer.whole(zero));
      if (!operands.back())
        return {};
    }
    partial = makeNode(inner, loc, "MatMulInteger", operands, type);
  } else {
    partial = makeNode(inner, loc, "MatMul", {x, matrix}, type);
  }
  ExpertsOp experts = slicer.finish(partial, type, Combine::sum);
  Value result = addBias(slicer.outside(), loc, experts.getOutput(), bias);
  if (bias)
    slicer.made(result);
  return {experts, result};
}
