// Constants are computed, shape arithmetic is solved, and nodes that do nothing go.
#include "passes/Passes.h"
#include "passes/raise/Evaluate.h"
#include "passes/raise/Simplify.h"

namespace uoe {
#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

/// The elements of a small integer tensor as an attribute, if all are known.
static DenseElementsAttr knownContents(Graph &graph, Value value) {
  const Facts &facts = graph.facts.facts(value);
  if (!facts.contents || !facts.element || !facts.count())
    return {};
  SmallVector<int64_t> shape;
  SmallVector<APInt> elements;
  unsigned width = facts.element.getIntOrFloatBitWidth();
  for (Dim dim : facts.dims)
    shape.push_back(*dim.constant());
  for (Dim dim : *facts.contents) {
    auto constant = dim.constant();
    if (!constant)
      return {};
    elements.push_back(APInt(width, static_cast<uint64_t>(*constant), /*isSigned=*/true,
                             /*implicitTrunc=*/true));
  }
  return DenseElementsAttr::get(RankedTensorType::get(shape, facts.element), elements);
}

/// Quantised weights stay what they are: evaluating them would spend the memory that they save.
static bool keepsSmall(NodeOp node) {
  return node.getOpType() == "DequantizeLinear" || node.getOpType() == "GatherBlockQuantized";
}

namespace {
struct FoldConstants : uoe::impl::FoldConstantsPassBase<FoldConstants> {
  using Base = uoe::impl::FoldConstantsPassBase<FoldConstants>;
  using Base::Base;

  std::shared_ptr<WeightReader> weights; // shared by the pass's clones
  int64_t changes = 0;

  void fold(Graph &graph, NodeOp node) {
    if (node.is("Constant") || node.use_empty() || (node.is("If") && takeBranch(graph, node)))
      return;
    // What is known of the result replaces it.
    bool allKnown = true;
    for (Value result : node.getResults()) {
      if (isa<NoneType>(result.getType()) || result.use_empty())
        continue;
      DenseElementsAttr known = knownContents(graph, result);
      if (!known) {
        allKnown = false;
        continue;
      }
      changes += graph.replace(result, graph.constant(node, known));
    }
    if (allKnown)
      return;
    bool constant = !node.getInputs().empty() && !keepsSmall(node) &&
                    llvm::all_of(node.getInputs(), [&](Value operand) {
                      return isa<NoneType>(operand.getType()) || graph.facts.constant(operand);
                    });
    if (constant && !node.is("Identity")) {
      if (auto values = evaluate(node, graph.facts, *weights, maxBytes)) {
        for (auto [result, value] : llvm::zip(node.getResults(), *values))
          if (value && !result.use_empty())
            changes += graph.replace(result, graph.constant(node, value));
        ++evaluated;
        return;
      }
    }
    for (int rounds = 0; rounds < 4; ++rounds) {
      Simplified simplified = simplify(graph, node);
      if (!simplified.changed)
        return;
      if (simplified.value) {
        changes += graph.replace(node.getResult(0), simplified.value);
        return;
      }
      ++changes;
    }
  }

  /// An If whose condition is known is the branch that is taken.
  bool takeBranch(Graph &graph, NodeOp node) {
    auto condition = graph.integersOf(node.input(0));
    if (!condition || condition->size() != 1 || !node.getSubgraphNames())
      return false;
    StringRef taken = (*condition)[0] ? "then_branch" : "else_branch";
    for (auto [i, name] : llvm::enumerate(*node.getSubgraphNames())) {
      Block &branch = node.getSubgraphs()[i].front();
      if (cast<StringAttr>(name).getValue() != taken ||
          branch.getTerminator()->getNumOperands() != node.getNumResults())
        continue;
      node->getBlock()->getOperations().splice(node->getIterator(), branch.getOperations(),
                                               branch.begin(), std::prev(branch.end()));
      for (auto [result, value] :
           llvm::zip(node.getResults(), branch.getTerminator()->getOperands()))
        if (!result.use_empty())
          graph.replace(result, value);
      ++changes;
      return true;
    }
    return false;
  }

  void sweep(Graph &graph, Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          sweep(graph, inner);
      if (auto node = dyn_cast<NodeOp>(op))
        fold(graph, node);
    }
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    weights = std::make_shared<WeightReader>();
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      for (int round = 0; round < 4; ++round) {
        Inference analysis(module);
        (void)analysis.run(function);
        Graph graph(module, analysis);
        changes = 0;
        sweep(graph, function.getBody().front());
        removed += removeUnused(function);
        changes += shareEqualNodes(function, graph);
        if (!changes && shapes)
          changes += rebuildShapes(function, graph);
        removed += removeUnused(function);
        refineTypes(function, analysis);
        if (!changes)
          break;
      }
    }
    removeUnusedInitializers(module);
  }
};
} // namespace
