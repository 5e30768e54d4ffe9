// The passes of all stages, declared from Passes.td.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace uoe {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

/// Normalised, folded, canonical: what raising expects. Results differ from the model's by
/// rounding.
void buildCanonicalPipeline(mlir::OpPassManager &passes);
/// Canonical forms, then blocks: raise-attention, raise-moe, raise-ffn.
void buildRaisePipeline(mlir::OpPassManager &passes);

/// Registers every pass and every named pipeline, once per process.
void registerAllPasses();

} // namespace uoe
