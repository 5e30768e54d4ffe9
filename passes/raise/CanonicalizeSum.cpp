// x·W + s·(x·A)·B, a low-rank map beside a matrix (LoRA that was not merged), as x·(W + s·A·B): one
// product at run time, and one matrix for whoever splits it. In any spelling that the matcher of
// linear maps knows, factors of columns (DoRA) and sums of several included.
#include "passes/raise/Canonicalize.h"
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;
using uoe::raise::Simplified;

/// Quantised matrices stay what they are: the sum would be of floats, and larger.
static bool isFloatSpelling(const raise::Linear &map, raise::Constants &facts) {
  return llvm::all_of(map.nodes, [&](Operation *op) {
    auto node = dyn_cast<NodeOp>(op);
    if (!node || !(node.getDomain().empty() || node.getDomain() == "ai.onnx" ||
                   node.isContrib("FusedMatMul")))
      return false;
    return llvm::none_of(node.getInputs(), [&](Value operand) {
      auto maker = operand.getDefiningOp<NodeOp>();
      return maker && maker.getOpType() == "DequantizeLinear";
    });
  });
}

Simplified raise::canonicalSum(Graph &graph, NodeOp root) {
  if (!(root.is("Add") || root.is("Sub")) || root.getInputs().size() != 2 ||
      !graph.isFloat(root.getResult(0)) || !graph.size(root.getResult(0), -1) ||
      graph.rank(root.getResult(0)) < 2)
    return Simplified::none();
  Constants facts;
  Value result = root.getResult(0), ignored;
  if (facts.isConstant(root.input(0)) || facts.isConstant(root.input(1)) ||
      biasOf(root, *graph.size(result, -1), facts, ignored))
    return Simplified::none();
  auto map = matchLinear(result, facts);
  if (!map || !isFloatSpelling(*map, facts) || rankOf(map->input) != rankOf(result) ||
      elementOf(map->input) != elementOf(result) ||
      !mayAgree(map->input, result, rankOf(result) - 1))
    return Simplified::none();
  // A matrix of which another value is made as well would be there twice.
  auto isWithin = [&](Operation *op) {
    return op == root || llvm::all_of(op->getUsers(), [&](Operation *user) {
             auto node = dyn_cast<NodeOp>(user);
             return node && (map->nodes.contains(user) || node.is("Add") || node.is("Sub") ||
                             node.is("Mul"));
           });
  };
  if (!llvm::all_of(map->nodes, isWithin))
    return Simplified::none();
  OpBuilder builder(root);
  Location loc = blockLoc(root);
  Operation *before = root->getPrevNode();
  Value matrix = map->weight(builder);
  Value bias = makeBias(builder, loc, *map, {}, 0, map->out);
  for (Operation *op = before ? before->getNextNode() : &root->getBlock()->front(); op != root;
       op = op->getNextNode()) {
    op->removeAttr(kMade);
    (void)graph.facts.run(op);
  }
  Value product = graph.make(root, "MatMul", {map->input, matrix});
  return Simplified::with(bias ? graph.make(root, "Add", {product, bias}) : product);
}
