// Types and shapes of every value, from the operators' own rules.
#include "lib/Onnx/Operators/Inference.h"
#include "passes/Passes.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_INFERSHAPESPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

void raise::refineTypes(func::FuncOp function, Inference &analysis) {
  if (function.isExternal())
    return;
  auto refine = [&](Value value, bool keepNames) {
    if (!isa<NoneType>(value.getType()))
      value.setType(typeOf(analysis.facts(value), analysis.dims, value.getType(), keepNames));
  };
  function.walk([&](Operation *op) {
    if (auto node = dyn_cast<NodeOp>(op))
      for (Value result : node.getResults())
        refine(result, isOutput(result));
    for (Region &region : op->getRegions())
      for (Block &block : region)
        if (op != function.getOperation())
          for (BlockArgument argument : block.getArguments())
            refine(argument, /*keepNames=*/false);
  });
  SmallVector<Type> results;
  for (Value value : function.getBody().front().getTerminator()->getOperands())
    results.push_back(value.getType());
  function.setFunctionType(
      FunctionType::get(function.getContext(), function.getFunctionType().getInputs(), results));
}

namespace {
struct InferShapes : uoe::impl::InferShapesPassBase<InferShapes> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function : module.getOps<func::FuncOp>()) {
      // Names of dimensions hold within one graph: an analysis each.
      Inference analysis(module, /*diagnose=*/true);
      if (failed(analysis.run(function)))
        signalPassFailure();
      raise::refineTypes(function, analysis);
    }
  }
};
} // namespace
