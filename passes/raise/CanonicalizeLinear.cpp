// One spelling of a linear layer: MatMul over the activations as they are, then Add.
#include "passes/raise/Canonicalize.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

/// x, if `value` is a Reshape of it that keeps the last axis.
static Value beforeReshape(Graph &graph, Value value) {
  NodeOp reshape = producer(value, "Reshape");
  if (!reshape)
    return {};
  Value x = reshape.input(0);
  const Facts &from = graph.facts.facts(x), &to = graph.facts.facts(value);
  if (!from.ranked || !to.ranked || from.rank() < 2 || to.rank() < 2 ||
      from.dims.back() != to.dims.back())
    return {};
  return x;
}

/// `made`, in the shape that `root`'s result has.
static Simplified reshapedLike(Graph &graph, NodeOp root, Value made) {
  const Facts &from = graph.facts.facts(made), &to = graph.facts.facts(root.getResult(0));
  if (!from.ranked || !to.ranked)
    return Simplified::none();
  if (llvm::equal(from.dims, to.dims))
    return Simplified::with(made);
  auto target = reshapeTarget(from.dims, to.dims);
  if (!target)
    return Simplified::none();
  return Simplified::with(graph.make(root, "Reshape", {made, graph.integers(root, *target)}));
}

static Simplified gemm(Graph &graph, NodeOp root) {
  if (root.real("alpha", 1) != 1 || root.integer("transA", 0) != 0 ||
      (root.input(2) && root.real("beta", 1) != 1))
    return Simplified::none();
  // The kernels take a transposed constant once; an activation would be transposed at each run.
  Value weight = root.input(1);
  bool transposed = root.integer("transB", 0) != 0;
  if (!weight || (transposed && !isConstantExpression(graph, weight)))
    return Simplified::none();
  if (transposed)
    weight =
        graph.make(root, "Transpose", {weight}, {graph.attribute("perm", ArrayRef<int64_t>{1, 0})});
  Value product = graph.make(root, "MatMul", {root.input(0), weight});
  if (!root.input(2))
    return Simplified::with(product);
  return Simplified::with(graph.make(root, "Add", {product, root.input(2)}));
}

/// A Gemm or Conv with its activation fused, as the nodes that it holds.
static Simplified unfuseActivation(Graph &graph, NodeOp root, StringRef op) {
  static const llvm::StringSet<> known{
      "Relu", "LeakyRelu", "Sigmoid",  "Tanh",     "HardSigmoid",
      "Elu",  "Selu",      "Softplus", "Softsign", "ThresholdedRelu"};
  StringRef activation = root.string("activation", "");
  if (!activation.empty() && !known.contains(activation))
    return Simplified::none();
  SmallVector<NamedAttribute> own, its;
  for (NamedAttribute attribute : root.getNodeAttrs()) {
    StringRef name = attribute.getName();
    if (name == "activation")
      continue;
    if (name == "activation_params") {
      auto params = dyn_cast<DenseF32ArrayAttr>(attribute.getValue());
      if (!params || params.size() > 2)
        return Simplified::none();
      for (auto [i, value] : llvm::enumerate(params.asArrayRef()))
        its.push_back(graph.attribute(i ? "beta" : "alpha", static_cast<double>(value)));
    } else if (name.consume_front("activation_")) {
      its.push_back(graph.attribute(name, attribute.getValue()));
    } else {
      own.push_back(attribute);
    }
  }
  SmallVector<Value> operands(root.getInputs().take_front(3));
  Value result = graph.make(root, op, operands, own);
  if (Value sum = root.input(3))
    result = graph.make(root, "Add", {result, sum});
  if (!activation.empty())
    result = graph.make(root, activation, {result}, its);
  return Simplified::with(result);
}

/// FusedMatMul that takes an operand's batch along in its transposition: the operand transposed.
static Simplified unfuseBatch(Graph &graph, NodeOp root) {
  SmallVector<Value> operands(root.getInputs());
  SmallVector<NamedAttribute> attributes;
  bool changed = false, plain = true;
  for (NamedAttribute attribute : root.getNodeAttrs())
    if (!attribute.getName().strref().starts_with("transBatch")) {
      attributes.push_back(attribute);
      plain &= attribute.getName() == "alpha" ? root.real("alpha", 1) == 1
                                              : root.integer(attribute.getName(), 0) == 0;
    }
  for (auto [i, name] : {std::pair(0, "transBatchA"), std::pair(1, "transBatchB")}) {
    if (!root.integer(name, 0))
      continue;
    int64_t rank = graph.rank(operands[i]);
    if (rank < 0)
      return Simplified::none();
    changed = true;
    if (rank < 3)
      continue;
    SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, rank));
    std::rotate(perm.begin(), perm.begin() + 1, perm.end() - 1);
    operands[i] = graph.make(root, "Transpose", {operands[i]},
                             {graph.attribute("perm", ArrayRef<int64_t>(perm))});
  }
  if (plain)
    return Simplified::with(graph.make(root, "MatMul", operands));
  if (!changed)
    return Simplified::none();
  return Simplified::with(graph.make(root, "FusedMatMul", operands, attributes, "com.microsoft"));
}

/// A BatchNormalization of the last axis (which a Transpose may have brought to the second place):
/// a scale and an offset of its columns, taken by the product before it where there is one.
static Simplified batchNorm(Graph &graph, NodeOp root) {
  Value x = root.input(0);
  if (root.integer("training_mode", 0) != 0 || root.getNumResults() != 1 ||
      root.getInputs().size() != 5 || !graph.element(x) || !graph.element(x).isF32() ||
      !llvm::all_of(root.getInputs().drop_front(),
                    [&](Value v) { return graph.isFloat(v) && isConstantExpression(graph, v); }))
    return Simplified::none();
  int64_t rank = graph.rank(x);
  DenseI64ArrayAttr perm;
  if (rank != 2) {
    NodeOp turn = producer(x, "Transpose");
    perm = turn ? dyn_cast_or_null<DenseI64ArrayAttr>(turn.attribute("perm")) : perm;
    if (!perm || perm.size() != rank || rank < 3 || perm[1] != rank - 1)
      return Simplified::none();
    x = turn.input(0);
  }
  auto make = [&](StringRef op, Value a, Value b) { return graph.make(root, op, {a, b}); };
  Value epsilon = graph.scalar(root, graph.element(x), root.real("epsilon", 1e-5));
  Value deviation = graph.make(root, "Sqrt", {make("Add", root.input(4), epsilon)});
  Value scale = make("Div", root.input(1), deviation);
  Value offset = make("Sub", root.input(2), make("Mul", root.input(3), scale));
  // The product that the values come from, if nothing else reads it.
  auto source = [&](Value value) {
    for (Value inner = value; inner && value.hasOneUse(); inner = beforeReshape(graph, value))
      value = inner;
    return value;
  };
  Value y = source(x), bias;
  if (NodeOp add = producer(y, "Add"); add && y.hasOneUse() && graph.rank(add.input(1)) == 1 &&
                                       isConstantExpression(graph, add.input(1))) {
    bias = add.input(1);
    y = source(add.input(0));
  }
  NodeOp product = y.hasOneUse() ? producer(y, "MatMul") : NodeOp();
  Value made;
  if (product && graph.rank(product.input(1)) == 2 &&
      isConstantExpression(graph, product.input(1))) {
    made = make("MatMul", product.input(0), make("Mul", product.input(1), scale));
    made = make("Add", made, bias ? make("Add", make("Mul", bias, scale), offset) : offset);
    const Facts &from = graph.facts.facts(made), &to = graph.facts.facts(x);
    auto target = from.ranked && to.ranked ? reshapeTarget(from.dims, to.dims) : std::nullopt;
    if (!target)
      made = {};
    else if (!llvm::equal(from.dims, to.dims))
      made = graph.make(root, "Reshape", {made, graph.integers(root, *target)});
  }
  if (!made)
    made = make("Add", make("Mul", x, scale), offset);
  if (perm)
    made = graph.make(root, "Transpose", {made}, {graph.attribute("perm", perm.asArrayRef())});
  return Simplified::with(made);
}

Simplified raise::canonicalLinear(Graph &graph, NodeOp root) {
  if (root.is("BatchNormalization"))
    return batchNorm(graph, root);
  if (root.isContrib("FusedGemm"))
    return unfuseActivation(graph, root, "Gemm");
  if (root.isContrib("FusedConv"))
    return unfuseActivation(graph, root, "Conv");
  if (root.isContrib("FusedMatMul") || root.isContrib("TransposeMatMul"))
    return unfuseBatch(graph, root);
  if (root.is("Gemm"))
    return gemm(graph, root);
  if (root.is("MatMul")) {
    Value x = beforeReshape(graph, root.input(0));
    if (!x || graph.rank(root.input(1)) != 2 || graph.rank(root.input(0)) != 2 ||
        graph.rank(x) <= 2)
      return Simplified::none();
    // Only if the way back can be said.
    const Facts &from = graph.facts.facts(x), &to = graph.facts.facts(root.getResult(0));
    SmallVector<Dim> made(from.dims.begin(), from.dims.end());
    made.back() = to.dims.back();
    if (!reshapeTarget(made, to.dims))
      return Simplified::none();
    return reshapedLike(graph, root, graph.make(root, "MatMul", {x, root.input(1)}));
  }
  if (root.is("Add")) {
    // The bias follows its product.
    for (unsigned i : {0, 1}) {
      Value bias = root.input(1 - i);
      Value x = root.input(i) ? beforeReshape(graph, root.input(i)) : Value();
      if (!x || !bias || graph.rank(bias) != 1 || !isConstantExpression(graph, bias) ||
          !producer(x, "MatMul") || graph.rank(x) <= graph.rank(root.input(i)) ||
          !reshapeTarget(graph.facts.facts(x).dims, graph.facts.facts(root.getResult(0)).dims))
        continue;
      return reshapedLike(graph, root, graph.make(root, "Add", {x, bias}));
    }
  }
  return Simplified::none();
}
