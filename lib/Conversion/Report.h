// What a conversion did: per layer its form, cost and error; for the model parameters and
// multiply-adds.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace uoe {

struct BlockReport {
  std::string name, recipe; // recipe: "dense", "experts", "cascade", "decomposed"
  int64_t neurons = 0, experts = 0, core = 0;
  double multiplyAdds = 0; // of the dense block, per token
  double cost = 1;  // executed share, router counted, as measured on held-out calibration tokens
  double error = 0; // relative squared error of the block's output on them
};

struct ConversionReport {
  double parameters = 0; // elements of float weights that the graph uses
  double matmulMultiplyAdds =
      0; // of products with constant weights, per token, routed blocks at their cost
  std::vector<BlockReport> blocks;
};

/// Measures a raised or converted module.
ConversionReport measureModel(mlir::ModuleOp module);

/// A table: one line per block, then totals before and after.
std::string toText(const ConversionReport &before, const ConversionReport &after);

/// The same as JSON, into a file. Fails with a diagnostic at `module`.
mlir::LogicalResult writeJson(const ConversionReport &before, const ConversionReport &after,
                              const std::string &path, mlir::ModuleOp module);

} // namespace uoe
