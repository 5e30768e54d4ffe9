#include "Placement.h"

namespace uoe::rt::cuda {

namespace {
/// A vector up to here is one of sizes, positions or slices; longer ones are data.
constexpr int64_t kShortVector = 4096;
/// The same of floats: scales and sizes on their way through a division.
constexpr int64_t kShortReals = 8;
} // namespace

bool readsShapesOnly(const Node &node) {
  return node.domain.empty() && (node.op == "Shape" || node.op == "Size");
}

bool isView(const Node &node) {
  return node.domain.empty() &&
         (node.op == "Identity" || node.op == "Reshape" || node.op == "Squeeze" ||
          node.op == "Unsqueeze" || node.op == "Flatten");
}

bool isShapeArithmetic(const Node &node, const std::vector<HostOperand> &operands) {
  // These make much of little: their results are data.
  if (node.op == "Expand" || node.op == "ConstantOfShape" || node.op == "Tile")
    return operands.size() == 1 ? operands[0].shape.empty() : false;
  for (const HostOperand &operand : operands) {
    const bool real = operand.type == DType::F32 || operand.type == DType::F16 ||
                      operand.type == DType::BF16 || operand.type == DType::F64;
    if (operand.shape.size() > 1 ||
        elementCount(operand.shape) > (real ? kShortReals : kShortVector))
      return false;
  }
  return true;
}

} // namespace uoe::rt::cuda
