// com.microsoft's fused operators, spelled with standard ones.
#include "passes/Passes.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_UNFUSECONTRIBPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

bool usesOnly(NodeOp node, ArrayRef<unsigned> allowed) {
  for (OpResult result : node->getResults())
    if (!result.use_empty() && !llvm::is_contained(allowed, result.getResultNumber()))
      return false;
  return true;
}

bool biasGelu(Graph &graph, NodeOp node) {
  if (graph.opset(node) < 20 || !node.input(1))
    return false;
  Value sum = graph.make(node, "Add", {node.input(0), node.input(1)});
  SmallVector<NamedAttribute> attributes;
  if (node.isContrib("FastGelu"))
    attributes.push_back(graph.attribute("approximate", StringRef("tanh")));
  return graph.replace(node.getResult(0), graph.make(node, "Gelu", {sum}, attributes));
}

/// (input, skip, gamma, beta, bias), or (input, skip, gamma, bias) for the simplified form; results
/// 0 and 3 (the sum).
bool skipNorm(Graph &graph, NodeOp node) {
  bool simplified = node.isContrib("SkipSimplifiedLayerNormalization");
  if (graph.opset(node) < (simplified ? 23 : 17) || !usesOnly(node, {0, 3}))
    return false;
  Value sum = graph.make(node, "Add", {node.input(0), node.input(1)});
  if (Value bias = node.input(simplified ? 3 : 4))
    sum = graph.make(node, "Add", {sum, bias});
  SmallVector<Value> operands = {sum, node.input(2)};
  if (!simplified && node.input(3))
    operands.push_back(node.input(3));
  Value norm = graph.make(node, simplified ? "RMSNormalization" : "LayerNormalization", operands,
                          {graph.attribute("axis", int64_t(-1)),
                           graph.attribute("epsilon", node.real("epsilon", 1e-12f)),
                           graph.attribute("stash_type", int64_t(1))});
  graph.replace(node.getResult(0), norm);
  if (node.getNumResults() > 3 && !node.getResult(3).use_empty())
    graph.replace(node.getResult(3), sum);
  return true;
}

/// (ids, segment ids, word, position, segment tables, gamma, beta, mask, position ids); the mask
/// index is not computed.
bool embedNorm(Graph &graph, NodeOp node) {
  if (graph.opset(node) < 17 || !usesOnly(node, {0, 2}) || !node.input(0) || !node.input(2) ||
      !node.input(3))
    return false;
  // Ids are int32 there, as Gather takes them.
  Value sum = graph.make(node, "Gather", {node.input(2), node.input(0)});
  Value positions = node.input(8);
  Value position;
  if (positions) {
    position = graph.make(node, "Gather", {node.input(3), positions});
  } else {
    // Rows 0 to seq of the table.
    Value length =
        graph.make(node, "Shape", {node.input(0)},
                   {graph.attribute("start", int64_t(1)), graph.attribute("end", int64_t(2))});
    position =
        graph.make(node, "Slice",
                   {node.input(3), graph.integers(node, {0}), length, graph.integers(node, {0})});
  }
  sum = graph.make(node, "Add", {sum, position});
  if (node.input(1) && node.input(4))
    sum =
        graph.make(node, "Add", {sum, graph.make(node, "Gather", {node.input(4), node.input(1)})});
  Value norm = graph.make(node, "LayerNormalization", {sum, node.input(5), node.input(6)},
                          {graph.attribute("axis", int64_t(-1)),
                           graph.attribute("epsilon", node.real("epsilon", 1e-12f)),
                           graph.attribute("stash_type", int64_t(1))});
  graph.replace(node.getResult(0), norm);
  if (node.getNumResults() > 2 && !node.getResult(2).use_empty())
    graph.replace(node.getResult(2), sum);
  return true;
}

Value swapLast(Graph &graph, NodeOp at, Value value) {
  int64_t rank = graph.rank(value);
  SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(perm[rank - 1], perm[rank - 2]);
  return graph.make(at, "Transpose", {value}, {graph.attribute("perm", perm)});
}

bool fusedMatMul(Graph &graph, NodeOp node) {
  if (node.integer("transBatchA", 0) || node.integer("transBatchB", 0))
    return false;
  Value a = node.input(0), b = node.input(1);
  bool transA = node.integer("transA", 0), transB = node.integer("transB", 0);
  if ((transA && graph.rank(a) < 2) || (transB && graph.rank(b) < 2))
    return false;
  if (transA)
    a = swapLast(graph, node, a);
  if (transB)
    b = swapLast(graph, node, b);
  Value product = graph.make(node, "MatMul", {a, b});
  double alpha = node.real("alpha", 1);
  Type element = graph.element(product);
  if (alpha != 1) {
    if (!isa_and_nonnull<FloatType>(element))
      return false;
    product = graph.make(node, "Mul", {product, graph.scalar(node, element, alpha)});
  }
  return graph.replace(node.getResult(0), product);
}

struct UnfuseContrib : uoe::impl::UnfuseContribPassBase<UnfuseContrib> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function : module.getOps<func::FuncOp>()) {
      Inference analysis(module);
      (void)analysis.run(function);
      Graph graph(module, analysis);
      SmallVector<NodeOp> nodes;
      function.walk([&](NodeOp node) {
        if (node.getDomain() == "com.microsoft")
          nodes.push_back(node);
      });
      for (NodeOp node : nodes) {
        bool done = false;
        if (node.isContrib("BiasGelu") || node.isContrib("FastGelu"))
          done = biasGelu(graph, node);
        else if (node.isContrib("SkipLayerNormalization") ||
                 node.isContrib("SkipSimplifiedLayerNormalization"))
          done = skipNorm(graph, node);
        else if (node.isContrib("EmbedLayerNormalization"))
          done = embedNorm(graph, node);
        else if (node.isContrib("FusedMatMul"))
          done = fusedMatMul(graph, node);
        unfused += done;
      }
      removeUnused(function);
      refineTypes(function, analysis);
    }
  }
};
} // namespace
