// The conversion of a dense model into a union of experts, as one call.
#pragma once
#include "lib/Conversion/Calibrate.h"
#include "lib/Conversion/Report.h"
#include "mlir/IR/BuiltinOps.h"
#include "passes/Passes.h"
#include <optional>
#include <string>

namespace uoe {

/// How a budget is spread over the layers.
enum class Planning {
  Uniform, // every layer the same
  Error,   // by each block's own relative error
  Loss,    // by what that error does to the model's output
};

struct ConvertOptions {
  std::string recipe;   // "experts", "cascade"; empty: decompose only
  double budget = 0.75; // share of the FFNs' multiply-adds to execute, router counted
  std::optional<DecomposeFfnPassOptions> ffn; // decompose feed-forward blocks, without routing
  std::optional<DecomposeAttentionPassOptions> attention; // decompose attention, by heads
  int64_t expertSize = 16;                                // neurons per routed expert
  std::string profile; // read it if it exists, else write it there; empty: a temporary
  CalibrationOptions calibration;
  Planning planning = Planning::Loss; // by Error where there is a profile, but no text
  int64_t distillSteps = 0;           // of training the routers of the recipe experts
  int64_t mergeMoe = 0; // merge the experts of native mixtures to so many a layer; 0: don't
  int64_t pruneMoe = 0; // then drop all but so many; 0: don't
  std::string criterion = "reap"; // by which experts are dropped: reap, seer, seer-soft
  bool allowLookAhead = false;    // choices that look ahead under causal attention only warn
  std::optional<double> merge;    // merge neurons that differ by at most this before all else
};

/// Converts a raised module in place. Fails with a diagnostic.
mlir::LogicalResult convert(mlir::ModuleOp raised, const ConvertOptions &options,
                            ConversionEffort &effort);

/// How routed experts are written in ONNX.
enum class ExpertsForm {
  Masked,   // standard operators, every expert computed: exact, runs anywhere, saves nothing
  Gathered, // standard operators, each expert on its own tokens
  Moe,      // com.microsoft.MoE where it can express the block, for ONNX Runtime
};

struct OnnxForm {
  ExpertsForm experts = ExpertsForm::Masked;
  bool approximate = false; // take the tanh GELU of com.microsoft.MoE for the exact one
};

/// From raised or converted form to ONNX operators, weights evaluated: ready for writeOnnx.
mlir::LogicalResult toOnnx(mlir::ModuleOp module, const OnnxForm &form = {});

} // namespace uoe
