// Recurrent layers.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;

namespace {

/// X (seq, batch, in), or (batch, seq, in) with layout 1 -> Y, Y_h, and the LSTM's Y_c.
LogicalResult recurrent(NodeContext &c) {
  Type element = c.in(0).element;
  Dim directions = c.dim(c.node.string("direction", "forward") == "bidirectional" ? 2 : 1);
  bool batchFirst = c.node.integer("layout", 0) != 0;
  Dim seq = c.size(0, batchFirst ? 1 : 0), batch = c.size(0, batchFirst ? 0 : 1);
  int64_t given = c.node.integer("hidden_size", 0);
  Dim hidden = given ? c.dim(given) : c.size(2, 2);
  if (batchFirst) {
    c.set(0, element, {batch, seq, directions, hidden});
    c.set(1, element, {batch, directions, hidden});
    c.set(2, element, {batch, directions, hidden});
  } else {
    c.set(0, element, {seq, directions, batch, hidden});
    c.set(1, element, {directions, batch, hidden});
    c.set(2, element, {directions, batch, hidden});
  }
  return success();
}

} // namespace

void uoe::onnx::addRecurrent(OperatorTable &table) {
  for (const char *name : {"RNN", "GRU", "LSTM"})
    table.add(name, recurrent);
}
