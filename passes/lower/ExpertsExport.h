// What exports of routed feed-forward experts share, whichever operators they spell them with.
#pragma once
#include "passes/lower/Lower.h"

namespace uoe {

/// Routed experts of one feed-forward block each, with the operands of the whole.
struct RoutedFfn {
  ExpertsOp op;
  SelectOp select;
  FfnOp body;                                      // one expert
  mlir::Value x, up, gate, down, biasUp, biasGate; // up and gate [d, F], down [F, outputs], [F]
  int64_t inputs, outputs;

  int64_t experts() { return op.numExperts(); }
  /// True if a chosen expert counts once: no weights.
  bool unit() {
    return !op.getSlots() && select.getWeight() == WeightRule::unit &&
           select.getScaling() == Scaling::none && select.getFactor().convertToFloat() == 1;
  }
};

/// The routed FFN that an op is; `why` says what is missing where it is none.
std::optional<RoutedFfn> matchRoutedFfn(ExpertsOp op, std::string &why);

/// The routing as a tensor [tokens..., experts]: the weight of a chosen expert, or with `chosen` 1,
/// and 0 elsewhere; slots of one expert add up. It is spelled in uoe ops, which lower-uoe-to-onnx
/// knows how to spell.
mlir::Value routingTensor(mlir::OpBuilder &builder, RoutedFfn &ffn, bool chosen);

/// The rows of skipped experts, (1 − chosen)·skip; null if there are none.
mlir::Value skippedRows(NodeBuilder &nodes, RoutedFfn &ffn, mlir::Value chosen);

/// Replaces the op by `value`, which takes its type.
void replaceExperts(RoutedFfn &ffn, mlir::Value value);

} // namespace uoe
