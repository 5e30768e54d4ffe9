// com.microsoft's mixtures of experts.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;

namespace {

/// Tokens (rows, hidden) or (batch, seq, hidden), router probabilities, experts' weights -> the
/// tokens' shape.
LogicalResult moe(NodeContext &c) {
  c.setLike(0, 0);
  return success();
}

} // namespace

void uoe::onnx::addMoe(OperatorTable &table) {
  table.addContrib("MoE", moe);
  table.addContrib("QMoE", moe);
}
