// com.microsoft's mixtures of experts: tokens (rows, hidden) or (batch, seq, hidden), router
// probabilities, experts' weights.
#include "lib/Onnx/Operators/Table.h"

using namespace uoe::onnx;

void uoe::onnx::addMoe(OperatorTable &table) {
  table.addContrib("MoE", likeFirst);
  table.addContrib("QMoE", likeFirst);
}
