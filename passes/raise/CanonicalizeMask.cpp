// Masks that are spelled in arithmetic.
#include "passes/raise/Canonicalize.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

static std::optional<std::vector<float>> elementsOf(Graph &graph, Value value,
                                                    WeightReader &weights) {
  TypedAttr constant = graph.facts.constant(value);
  if (!constant)
    return std::nullopt;
  auto elements = weights.floats(constant);
  if (!elements) {
    llvm::consumeError(elements.takeError());
    return std::nullopt;
  }
  return std::move(*elements);
}

/// True if all elements are 0 or 1: a constant of such, a bool as a number, or a rearrangement of
/// one.
static bool isBinary(Graph &graph, Value value, WeightReader &weights, int depth = 0) {
  if (!value || depth > 16)
    return false;
  if (auto elements = elementsOf(graph, value, weights))
    return llvm::all_of(*elements, [](float x) { return x == 0.0f || x == 1.0f; });
  Type element = graph.element(value);
  if (element && element.isInteger(1))
    return true;
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || node.getInputs().empty())
    return false;
  for (StringRef op : {"Slice", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Transpose",
                       "Identity", "Tile", "Split", "Gather", "Trilu"})
    if (node.is(op))
      return isBinary(graph, node.input(0), weights, depth + 1);
  return false;
}

/// m·x + f(m), where f(1) = 0 and m is 0 or 1, chooses between x and f(0); GPT's scores are
/// m·x − 1e4·(1 − m) with m a triangle of ones. Exact for finite x.
Simplified raise::recogniseMask(Graph &graph, NodeOp root, WeightReader &weights) {
  if (!(root.is("Add") || root.is("Sub")) || !graph.isFloat(root.getResult(0)))
    return Simplified::none();
  for (unsigned i : {0, 1}) {
    if (root.is("Sub") && i == 1)
      break;
    NodeOp product = producer(root.input(i), "Mul");
    Value other = root.input(1 - i);
    for (unsigned j = 0; product && j < 2; ++j) {
      Value mask = product.input(j), x = product.input(1 - j);
      auto kept = evaluate(other, Assignment{{mask, 1.0}}),
           fill = evaluate(other, Assignment{{mask, 0.0}});
      // A function of the mask: another value of the mask gives another value.
      if (!kept || !fill || *kept != 0.0 || *fill == 0.0 || !isBinary(graph, mask, weights))
        continue;
      Value condition = graph.make(root, "Cast", {mask}, {graph.attribute("to", int64_t(9))});
      Value fillValue =
          graph.scalar(root, graph.element(root.getResult(0)), root.is("Sub") ? -*fill : *fill);
      return Simplified::with(graph.make(root, "Where", {condition, x, fillValue}));
    }
  }
  return Simplified::none();
}
