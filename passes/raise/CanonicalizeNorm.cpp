// Layer and RMS normalisation, spelled with means, squares and roots.
#include "passes/raise/Canonicalize.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

/// ReduceMean of the last k axes, kept.
struct Mean {
  Value of;
  int64_t axes = 0;
};

std::optional<Mean> meanOf(Graph &graph, Value value) {
  NodeOp node = producer(value, "ReduceMean");
  if (!node || node.integer("keepdims", 1) == 0)
    return std::nullopt;
  auto axes = graph.integersOf(node.input(1));
  int64_t rank = graph.rank(node.input(0));
  if (!axes || axes->empty() || rank < 0)
    return std::nullopt;
  for (int64_t &axis : *axes)
    axis = axis < 0 ? axis + rank : axis;
  llvm::sort(*axes);
  for (auto [i, axis] : llvm::enumerate(*axes))
    if (axis != rank - static_cast<int64_t>(axes->size()) + static_cast<int64_t>(i))
      return std::nullopt;
  return Mean{node.input(0), static_cast<int64_t>(axes->size())};
}

/// x * x or Pow(x, 2).
Value squareOf(Graph &graph, Value value) {
  if (NodeOp node = producer(value, "Mul"))
    return node.input(0) == node.input(1) ? node.input(0) : Value();
  if (NodeOp node = producer(value, "Pow"))
    return isAbout(graph, node.input(1), 2) ? node.input(0) : Value();
  return {};
}

/// A centred or plain value divided by its root mean square: n = of / sqrt(mean(of^2) + epsilon).
struct Normalised {
  Value of;
  double epsilon = 0;
  int64_t axes = 0;
};

/// The mean of squares under sqrt(mean + epsilon); `power` is -0.5 for the reciprocal.
bool rootOf(Graph &graph, Value value, bool reciprocal, Normalised &out) {
  if (reciprocal) {
    if (NodeOp node = producer(value, "Reciprocal"))
      return rootOf(graph, withoutCasts(graph, node.input(0)), false, out);
    if (NodeOp node = producer(value, "Div"))
      return isAbout(graph, node.input(0), 1) && rootOf(graph, node.input(1), false, out);
  }
  Value sum;
  if (NodeOp node = producer(value, "Sqrt"); node && !reciprocal)
    sum = node.input(0);
  else if (NodeOp node = producer(value, "Pow");
           node && isAbout(graph, node.input(1), reciprocal ? -0.5 : 0.5))
    sum = node.input(0);
  if (!sum)
    return false;
  sum = withoutCasts(graph, sum);
  NodeOp add = producer(sum, "Add");
  if (!add)
    return false;
  for (unsigned i : {0, 1}) {
    auto epsilon = graph.scalarOf(add.input(1 - i));
    auto mean = meanOf(graph, withoutCasts(graph, add.input(i)));
    if (!epsilon || !mean)
      continue;
    Value squared = squareOf(graph, withoutCasts(graph, mean->of));
    if (!squared)
      return false;
    out.of = squared;
    out.epsilon = *epsilon;
    out.axes = mean->axes;
    return true;
  }
  return false;
}

std::optional<Normalised> normalised(Graph &graph, Value value) {
  auto node = value.getDefiningOp<NodeOp>();
  Normalised out;
  if (!node || node.getInputs().size() != 2)
    return std::nullopt;
  auto same = [&](Value x) {
    return x == out.of || withoutCasts(graph, x) == withoutCasts(graph, out.of);
  };
  if (node.is("Div")) {
    if (rootOf(graph, withoutCasts(graph, node.input(1)), false, out) && same(node.input(0))) {
      out.of = node.input(0);
      return out;
    }
    return std::nullopt;
  }
  if (!node.is("Mul"))
    return std::nullopt;
  for (unsigned i : {0, 1})
    if (rootOf(graph, withoutCasts(graph, node.input(i)), true, out) && same(node.input(1 - i))) {
      out.of = node.input(1 - i);
      return out;
    }
  return std::nullopt;
}

/// x in x - mean(x) over the same axes.
Value centred(Graph &graph, Value value, int64_t axes) {
  NodeOp sub = producer(value, "Sub");
  if (!sub)
    return {};
  auto mean = meanOf(graph, withoutCasts(graph, sub.input(1)));
  if (!mean || mean->axes != axes ||
      withoutCasts(graph, mean->of) != withoutCasts(graph, sub.input(0)))
    return {};
  return sub.input(0);
}

/// A constant with exactly the normalised axes of x.
bool isParameter(Graph &graph, Value value, Value x, int64_t axes) {
  if (!value || !isConstantExpression(graph, value) || graph.rank(value) < 1)
    return false;
  const Facts &parameter = graph.facts.facts(value), &data = graph.facts.facts(x);
  // Leading axes of size 1 do nothing but would need a reshape.
  return parameter.rank() == axes && data.rank() >= axes &&
         llvm::equal(parameter.dims, ArrayRef<Dim>(data.dims).take_back(axes));
}

/// True if a later node multiplies `value` (cast or not) by a parameter and so is the better root.
bool isScaledLater(Graph &graph, Value value, int64_t axes) {
  for (Operation *user : value.getUsers()) {
    auto node = dyn_cast<NodeOp>(user);
    if (!node)
      continue;
    if (node.is("Cast") && graph.isFloat(node.getResult(0))) {
      if (isScaledLater(graph, node.getResult(0), axes))
        return true;
    } else if (node.is("Mul")) {
      Value other = otherOperand(node, value);
      if (other && isParameter(graph, other, value, axes))
        return true;
    }
  }
  return false;
}

Value ones(Graph &graph, NodeOp at, Value like, int64_t axes) {
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < axes; ++i) {
    auto size = graph.size(like, i - axes);
    if (!size)
      return {};
    shape.push_back(*size);
  }
  Type element = graph.element(like);
  APFloat one = FloatAttr::get(element, 1.0).getValue();
  return graph.constant(at, DenseElementsAttr::get(RankedTensorType::get(shape, element), one));
}

struct Scaled {
  Normalised norm;
  Value input, scale; // null scale: none
  bool casts = false; // the result is cast to the scale's type before it is scaled
};

/// The normalised value under `root`, scaled or not; `input` is what is normalised, before the
/// centring.
std::optional<Scaled> scaled(Graph &graph, NodeOp root, bool centring) {
  auto finish = [&](Normalised norm, Value scale, Type wanted) -> std::optional<Scaled> {
    Scaled out;
    out.norm = norm;
    out.scale = scale;
    Value input = norm.of;
    if (centring) {
      input = centred(graph, withoutCasts(graph, norm.of), norm.axes);
      if (!input)
        return std::nullopt;
    } else if (centred(graph, withoutCasts(graph, norm.of), norm.axes)) {
      return std::nullopt; // a layer normalisation
    }
    // The operators compute in float inside: casts around them go where the types come out right.
    if (graph.element(input) != wanted) {
      input = withoutCasts(graph, input);
      if (graph.element(input) != wanted)
        return std::nullopt;
    }
    out.input = input;
    return out;
  };
  if (root.is("Mul")) {
    for (unsigned i : {0, 1}) {
      Value inner = root.input(i), scale = root.input(1 - i);
      if (!inner || !scale)
        continue;
      auto norm = normalised(graph, withoutCasts(graph, inner));
      if (!norm || !isParameter(graph, scale, inner, norm->axes))
        continue;
      if (auto out = finish(*norm, scale, graph.element(scale)))
        return out;
    }
  }
  if (auto norm = normalised(graph, root.getResult(0))) {
    if (isScaledLater(graph, root.getResult(0), norm->axes))
      return std::nullopt;
    return finish(*norm, Value(), graph.element(root.getResult(0)));
  }
  return std::nullopt;
}

} // namespace

Simplified raise::recogniseRms(Graph &graph, NodeOp root) {
  if (graph.opset(root) < 23)
    return Simplified::none();
  bool simplified = root.getOpType() == "SimplifiedLayerNormalization";
  if (simplified) {
    // ONNX Runtime's name for it.
    for (Value extra : llvm::drop_begin(root.getResults()))
      if (!extra.use_empty())
        return Simplified::none();
    return Simplified::with(
        graph.make(root, "RMSNormalization", {root.input(0), root.input(1)},
                   {graph.attribute("axis", root.integer("axis", -1)),
                    graph.attribute("epsilon", root.real("epsilon", 1e-5)),
                    graph.attribute("stash_type", root.integer("stash_type", 1))}));
  }
  auto found = scaled(graph, root, /*centring=*/false);
  if (!found)
    return Simplified::none();
  Value scale = found->scale ? found->scale : ones(graph, root, found->input, found->norm.axes);
  if (!scale)
    return Simplified::none();
  return Simplified::with(graph.make(root, "RMSNormalization", {found->input, scale},
                                     {graph.attribute("axis", -found->norm.axes),
                                      graph.attribute("epsilon", found->norm.epsilon),
                                      graph.attribute("stash_type", int64_t(1))}));
}

Simplified raise::recogniseLayerNorm(Graph &graph, NodeOp root) {
  if (graph.opset(root) < 17)
    return Simplified::none();
  // With a bias: the scaled form below is a node already, which takes it.
  if (root.is("Add")) {
    for (unsigned i : {0, 1}) {
      NodeOp norm = producer(root.input(i), "LayerNormalization");
      int64_t rank = norm ? graph.rank(norm.input(0)) : -1;
      if (!norm || norm.input(2) || rank < 0)
        continue;
      int64_t axis = norm.integer("axis", -1);
      int64_t axes = axis < 0 ? -axis : rank - axis;
      if (!isParameter(graph, root.input(1 - i), norm.getResult(0), axes) ||
          graph.element(root.input(1 - i)) != graph.element(norm.getResult(0)))
        continue;
      SmallVector<NamedAttribute> attributes(norm.getNodeAttrs().begin(),
                                             norm.getNodeAttrs().end());
      return Simplified::with(graph.make(root, "LayerNormalization",
                                         {norm.input(0), norm.input(1), root.input(1 - i)},
                                         attributes));
    }
    return Simplified::none();
  }
  auto found = scaled(graph, root, /*centring=*/true);
  if (!found)
    return Simplified::none();
  Value scale = found->scale ? found->scale : ones(graph, root, found->input, found->norm.axes);
  if (!scale)
    return Simplified::none();
  return Simplified::with(graph.make(root, "LayerNormalization", {found->input, scale},
                                     {graph.attribute("axis", -found->norm.axes),
                                      graph.attribute("epsilon", found->norm.epsilon),
                                      graph.attribute("stash_type", int64_t(1))}));
}
