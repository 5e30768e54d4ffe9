// The pass that recognises composite functions.
#include "passes/raise/Canonicalize.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_CANONICALIZEONNXPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

NodeOp raise::producer(Value value, StringRef op) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  return node && node.is(op) ? node : NodeOp();
}

Value raise::withoutCasts(Graph &graph, Value value) {
  while (NodeOp cast = producer(value, "Cast")) {
    if (!graph.isFloat(cast.input(0)) || !graph.isFloat(value))
      break;
    value = cast.input(0);
  }
  return value;
}

bool raise::isAbout(Graph &graph, Value value, double expected) {
  auto scalar = graph.scalarOf(value);
  if (!scalar)
    return false;
  Type element = graph.element(value);
  double tolerance = element.isF16() ? 1e-3 : element.isBF16() ? 1e-2 : 1e-6;
  return std::abs(*scalar - expected) <= tolerance * std::abs(expected);
}

Value raise::otherOperand(NodeOp node, Value value) {
  if (!node || node.getInputs().size() != 2)
    return {};
  if (node.getInputs()[0] == value)
    return node.input(1);
  return node.getInputs()[1] == value ? node.input(0) : Value();
}

bool raise::isConstantExpression(Graph &graph, Value value, int depth) {
  if (!value || depth > 6)
    return false;
  if (value.getDefiningOp<WeightOp>())
    return true;
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || !node.getSubgraphs().empty())
    return false;
  if (node.is("Constant"))
    return true;
  return !node.getInputs().empty() && llvm::all_of(node.getInputs(), [&](Value operand) {
    return isa<NoneType>(operand.getType()) || isConstantExpression(graph, operand, depth + 1);
  });
}

namespace {
struct CanonicalizeOnnx : uoe::impl::CanonicalizeOnnxPassBase<CanonicalizeOnnx> {
  using Base = uoe::impl::CanonicalizeOnnxPassBase<CanonicalizeOnnx>;
  using Base::Base;

  std::shared_ptr<WeightReader> weights;
  int64_t changes = 0;

  Simplified apply(Graph &graph, NodeOp node) {
    using Rule = Simplified (*)(Graph &, NodeOp);
    for (Rule rule : {&simplify, &recogniseLayerNorm, &recogniseRms, &recogniseActivation,
                      &recogniseSoftmax, &canonicalLinear, &canonicalSum, &canonicalEinsum,
                      &canonicalChoice, &canonicalRepeat, &canonicalTranspose}) {
      Simplified result = rule(graph, node);
      if (!result.changed)
        continue;
      if (rule != &simplify)
        ++recognised;
      return result;
    }
    for (auto rule : {&recogniseMask, &recogniseLateMask, &canonicalHeads})
      if (Simplified result = rule(graph, node, *weights); result.changed) {
        ++recognised;
        return result;
      }
    if (rotary)
      if (Simplified result = recogniseRotary(graph, node, *weights); result.changed) {
        ++recognised;
        return result;
      }
    return Simplified::none();
  }

  void sweep(Graph &graph, Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          sweep(graph, inner);
      auto node = dyn_cast<NodeOp>(op);
      if (!node || node.getNumResults() == 0 || node.getResult(0).use_empty() ||
          node.is("Constant"))
        continue;
      for (int rounds = 0; rounds < 4; ++rounds) {
        Simplified result = apply(graph, node);
        if (!result.changed)
          break;
        if (result.value) {
          changes += graph.replace(node.getResult(0), result.value);
          break;
        }
        ++changes;
      }
    }
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    weights = std::make_shared<WeightReader>();
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      for (int round = 0; round < 16; ++round) { // one rule may wait for several others
        Inference analysis(module);
        (void)analysis.run(function);
        Graph graph(module, analysis);
        changes = 0;
        sweep(graph, function.getBody().front());
        removeUnused(function);
        changes += shareEqualNodes(function, graph);
        refineTypes(function, analysis);
        if (!changes)
          break;
      }
    }
    removeUnusedInitializers(module);
  }
};
} // namespace
