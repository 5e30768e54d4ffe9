// The cascade of exact thresholds that route-cascade writes (experts of single channels and
// neurons), as one runtime entry has it.
#pragma once
#include "passes/lower/Lower.h"

namespace uoe {

/// Experts of one channel each: row i of a matrix is chosen where |x_i| * norms_i > tau.
struct ChosenChannels {
  mlir::Value x, norms;
  float tau = 0;

  explicit operator bool() const { return static_cast<bool>(x); }
};

/// x weight + offset over the channels that x's own magnitudes choose.
struct ChosenProduct {
  ChosenChannels by;
  mlir::Value weight, offset;

  explicit operator bool() const { return static_cast<bool>(weight); }
};

/// down(act(gate(x - mean)) * up(x - mean)), each stage over its chosen channels; without `up`
/// down(act(gate(x - mean))).
struct CascadeBlock {
  mlir::Value x, mean, down;
  ChosenProduct gate, up;
  ChosenChannels active, last; // neurons by their gate, and by what enters `down`
  Activation activation = Activation::identity;

  explicit operator bool() const { return static_cast<bool>(down); }
  /// In the order of the runtime's entry; null for what a block without `up` lacks.
  llvm::SmallVector<mlir::Value> operands() const {
    return {x,         mean,        gate.weight,  gate.offset, gate.by.norms, up.weight,
            up.offset, up.by.norms, active.norms, down,        last.norms};
  }
};

/// From the experts of the last stage back to the input; none if they are something else.
CascadeBlock matchCascade(ExpertsOp experts);

} // namespace uoe
