// What a conversion did: per layer its form, cost and error; for the model parameters and
// multiply-adds.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace uoe {

struct BlockReport {
  std::string name, recipe; // recipe: "dense", "mixture", "experts", "cascade", ...
  int64_t neurons = 0, experts = 0, core = 0, merged = 0; // merged: neurons that others took over
  double multiplyAdds = 0;                                // of the dense block, per token
  double cost = 1;  // executed share, router counted, as measured on held-out calibration tokens
  double error = 0; // relative squared error of the block's output on them
};

struct ConversionReport {
  double parameters = 0; // elements of float weights that the graph uses
  double matmulMultiplyAdds =
      0; // of products with constant weights, per token, routed blocks at their cost
  std::vector<BlockReport> blocks;
};

/// What the conversion itself took.
struct ConversionEffort {
  double calibrating = 0, merging = 0, planning = 0, routing = 0; // seconds
  double seconds() const { return calibrating + merging + planning + routing; }
  size_t peakBytes = 0; // resident memory of the process at its highest, mapped files included
};

/// Measures a raised or converted module.
ConversionReport measureModel(mlir::ModuleOp module);

/// A table: one line per block, then totals before and after.
std::string toText(const ConversionReport &before, const ConversionReport &after,
                   const ConversionEffort &effort);

/// The same as JSON, into a file. Fails with a diagnostic at `module`.
mlir::LogicalResult writeJson(const ConversionReport &before, const ConversionReport &after,
                              const ConversionEffort &effort, const std::string &path,
                              mlir::ModuleOp module);

} // namespace uoe
