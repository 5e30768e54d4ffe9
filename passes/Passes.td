// Every pass, by stage. A pass lives in passes/STAGE/NAME.cpp and is tested by test/passes/STAGE/name.mlir.
//
//   namespace uoe {
//   #define GEN_PASS_DEF_NAMEPASS
//   #include "passes/Passes.h.inc"
//   }
//   struct NamePass : uoe::impl::NamePassBase<NamePass> { void runOnOperation() override; };
#ifndef UOE_PASSES
#define UOE_PASSES

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// raise: onnx -> uoe
//===----------------------------------------------------------------------===//

//===----------------------------------------------------------------------===//
// decompose: dense blocks -> experts, exactly
//===----------------------------------------------------------------------===//

def DecomposeFfnPass : Pass<"decompose-ffn", "::mlir::ModuleOp"> {
  let summary = "feed-forward blocks become sums of experts, exactly";
  let description = [{
    Each `uoe.ffn` becomes `uoe.experts` over slices of its neurons (columns of up and gate, rows of down, biases with them). A block's own
    attributes `uoe.sizes` and `uoe.permutation` (arrays of i64) go before the option. Blocks that quantise their activations are left
    dense, with a remark. `keep-dense` keeps the dense block beside its experts and probes both, for a proof.
  }];
  let options = [
    Option<"experts", "experts", "int64_t", "8", "number of experts; need not divide the number of neurons">,
    Option<"keepDense", "keep-dense", "bool", "false", "keep the dense block and probe both results">
  ];
  let statistics = [Statistic<"decomposed", "blocks-decomposed", "blocks that became experts">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

//===----------------------------------------------------------------------===//
// route: which experts run
//===----------------------------------------------------------------------===//

//===----------------------------------------------------------------------===//
// merge: neurons that duplicate each other
//===----------------------------------------------------------------------===//

//===----------------------------------------------------------------------===//
// plan: the budget over the layers
//===----------------------------------------------------------------------===//

//===----------------------------------------------------------------------===//
// lower: uoe and onnx -> what a runtime executes, or standard ONNX
//===----------------------------------------------------------------------===//

def LowerUoeToOnnxPass : Pass<"lower-uoe-to-onnx", "::mlir::ModuleOp"> {
  let summary = "uoe ops become standard ONNX operators: their reference meaning";
  let description = [{
    Blocks with a spelling get it back; others, and routing, are spelled with operators of the model's opset. Routing becomes a mask, so
    every expert is computed: exact, portable, and without savings.
  }];
}

def LowerUoeToRtPass : Pass<"lower-uoe-to-rt", "::mlir::ModuleOp"> {
  let summary = "uoe ops become calls of fused runtime entries";
  let description = [{
    Float32 blocks and experts for which the runtime has a fused entry become `rt.call "uoe" ...`; transpositions around attention are
    absorbed as layouts, biases and activations into products. What has no fused entry is left for `lower-uoe-to-onnx`.
  }];
  let dependentDialects = ["::uoe::rtir::RtDialect"];
}

def LowerToRtPass : Pass<"lower-to-rt", "::mlir::ModuleOp"> {
  let summary = "onnx nodes become calls of the runtime's kernel table";
  let description = [{
    Each `onnx.node` becomes an `rt.call` of the kernel of its operator, read by the opset that the model imports. A node without a
    kernel is an error that names node, operator and operand types. Run `lower-uoe-to-rt` before, if there are raised blocks.
  }];
  let dependentDialects = ["::uoe::rtir::RtDialect"];
}

#endif
