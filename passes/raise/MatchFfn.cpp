#include "passes/raise/Ffn.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

// Normalised slice bounds of the last axis, if `value` is such a slice of `source`.
static bool lastAxisSlice(Value value, Constants &facts, Value &source, int64_t &start,
                          int64_t &size, int64_t &step) {
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || !node.input(0))
    return false;
  source = node.input(0);
  int64_t rank = rankOf(source), width = sizeOf(source, -1);
  if (rank < 1 || ShapedType::isDynamic(width))
    return false;
  auto isLast = [&](int64_t axis) { return axis == -1 || axis == rank - 1; };
  if (node.is("Split")) {
    if (!isLast(node.integer("axis", 0)))
      return false;
    start = 0;
    step = 1;
    for (Value result : node->getResults()) {
      size = sizeOf(result, -1);
      if (ShapedType::isDynamic(size))
        return false;
      if (result == value)
        return true;
      start += size;
    }
    return false;
  }
  if (!node.is("Slice"))
    return false;
  auto starts = facts.integers(node.input(1)), ends = facts.integers(node.input(2));
  auto axes =
      node.input(3) ? facts.integers(node.input(3)) : std::optional(SmallVector<int64_t>{0});
  auto steps =
      node.input(4) ? facts.integers(node.input(4)) : std::optional(SmallVector<int64_t>{1});
  if (!starts || !ends || !axes || !steps || starts->size() != 1 || ends->size() != 1 ||
      axes->size() != 1 || steps->size() != 1 || (*steps)[0] < 1 || !isLast((*axes)[0]))
    return false;
  auto clamp = [&](int64_t i) {
    return std::min(std::max<int64_t>(i < 0 ? i + width : i, 0), width);
  };
  start = clamp((*starts)[0]);
  step = (*steps)[0];
  size = llvm::divideCeil(std::max<int64_t>(clamp((*ends)[0]) - start, 0), step);
  return size > 0;
}

std::optional<FfnBranch> raise::matchBranch(Value value, Constants &facts) {
  FfnBranch branch;
  branch.value = value;
  Nodes nodes;
  // Slices may follow casts and quantisation; one may be of another.
  Value v = value;
  bool sliced = false;
  while (true) {
    Value source;
    int64_t start, size, step;
    if (lastAxisSlice(v, facts, source, start, size, step)) {
      branch.start = start + step * branch.start;
      branch.step *= step;
      if (!sliced)
        branch.size = size;
      sliced = true;
      nodes.insert(v.getDefiningOp());
      v = source;
      continue;
    }
    if (auto linear = matchLinear(v, facts)) {
      branch.linear = std::move(*linear);
      break;
    }
    Value next = throughOnce(v, true, &nodes);
    if (!next)
      return std::nullopt;
    v = next;
  }
  if (!sliced)
    branch.size = branch.linear.out;
  branch.linear.nodes.insert(nodes.begin(), nodes.end());
  return branch;
}

//===----------------------------------------------------------------------===//
// The activation's slice
//===----------------------------------------------------------------------===//

namespace {
struct Trace {
  Constants &facts;
  SmallVector<FfnBranch> branches;
  Nodes nodes;
  llvm::SmallDenseSet<Value, 8> seen;
  std::optional<Reason> failure;
  bool unknownOperator = false;

  bool run(Value value) {
    if (!seen.insert(value).second)
      return true;
    if (facts.isConstant(value)) {
      if (facts.scalar(value))
        return true;
      failure = Reason{"a constant of several values within the activation", value.getDefiningOp()};
      return false;
    }
    if (auto branch = matchBranch(value, facts)) {
      branches.push_back(std::move(*branch));
      return true;
    }
    auto node = value.getDefiningOp<NodeOp>();
    if (!node) {
      failure = Reason{"the activation reads a value that no matrix product makes",
                       value.getDefiningOp()};
      return false;
    }
    if (!isElementwise(node) || nodes.size() > 48) {
      failure = Reason{describe(node) + " is not an elementwise function that is known", node};
      unknownOperator = node.getNumResults() == 1 && !node.getInputs().empty() && node.input(0) &&
                        sizeOf(node.input(0), -1) == sizeOf(value, -1) && !isStructural(node);
      if (unknownOperator && matchBranch(node.input(0), facts))
        branches.push_back(*matchBranch(node.input(0), facts));
      return false;
    }
    bool regroups =
        node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten");
    if (regroups && !keepsLastDimension(node)) {
      failure = Reason{describe(node) + " changes the last dimension", node};
      return false;
    }
    nodes.insert(node);
    if (node.getOpType() == "DequantizeLinear" && node.input(0))
      if (auto quantise = node.input(0).getDefiningOp<NodeOp>();
          quantise && quantise.getOpType() == "QuantizeLinear")
        nodes.insert(quantise);
    if ((node.isContrib("BiasGelu") || node.isContrib("FastGelu")) && node.input(1)) {
      // The activation of x + bias: the bias belongs to the branch.
      auto branch = matchBranch(node.input(0), facts);
      if (!branch || !facts.isConstant(node.input(1)))
        return run(node.input(0));
      branch->extraBias = node.input(1);
      seen.insert(node.input(0));
      branches.push_back(std::move(*branch));
      return true;
    }
    for (Value operand : elementwiseOperands(node))
      if (!run(operand))
        return false;
    return true;
  }

  // Operators that end a search without a word: whatever reads them is not an activation of a
  // linear map.
  static bool isStructural(NodeOp node) {
    StringRef op = node.getOpType();
    return op.contains("Normalization") || op.starts_with("Reduce") || op == "Softmax" ||
           op == "Transpose" || op.contains("MatMul") || op == "Gemm" || op.contains("Attention") ||
           op == "Concat" || op.starts_with("Gather") || op == "Expand" || op == "Tile" ||
           op == "Pad" || op.contains("Conv") || op == "Slice" || op == "Split" ||
           op == "RotaryEmbedding" || op == "CumSum" || op == "Einsum" || op == "If" ||
           op == "Loop" || op == "Scan" || op == "Cos" || op == "Sin" || op == "MoE" ||
           op == "QMoE";
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

// Factors of the hidden neurons (IA3) between the activation and the down-projection become factors
// of its rows.
static void takeFactors(Linear &down, Constants &facts) {
  while (true) {
    Nodes nodes;
    auto node = through(down.input, true, &nodes).getDefiningOp<NodeOp>();
    Value hidden;
    Value factor = node ? factorsOf(node, down.in, facts, hidden) : Value();
    if (!factor)
      return;
    down.nodes.insert(nodes.begin(), nodes.end());
    down.nodes.insert(node);
    down.input = hidden;
    down.weight = [matrix = down.weight, factor, divides = node.is("Div"),
                   rows = down.in](OpBuilder &builder) {
      Value w = matrix(builder);
      Location loc = w.getLoc();
      Value column =
          makeReshape(builder, loc, makeCast(builder, loc, factor, elementOf(w)), {rows, 1});
      return makeNode(builder, loc, divides ? "Div" : "Mul", {w, column}, w.getType());
    };
  }
}

// Follows the down-projection's result through biases, quantisation and regrouping, while the
// block's input can be regrouped alike.
static void extendOutput(FfnMatch &match, Constants &facts) {
  Block *block = match.root.getDefiningOp()->getBlock();
  int64_t out = match.down.out;
  while (true) {
    Value other;
    NodeOp user = onlyUser(match.root);
    if (!user || !biasOf(user, out, facts, other))
      if (auto sum = sumAhead(match.root, match.down, facts, takeFactors)) {
        sum->map.nodes.insert(match.down.nodes.begin(), match.down.nodes.end());
        match.down = std::move(sum->map);
        match.downBiases.clear(); // they are the sum's
        match.root = sum->value;
        continue;
      }
    if (!user || user->getBlock() != block)
      return;
    if (Value bias = biasOf(user, out, facts, other)) {
      match.downBiases.push_back(bias);
      match.nodes.insert(user);
      match.root = user.getResult(0);
      continue;
    }
    if (user.getOpType() == "QuantizeLinear") {
      NodeOp back = onlyUser(user.getResult(0));
      NodeOp add =
          back && back.getOpType() == "DequantizeLinear" ? onlyUser(back.getResult(0)) : NodeOp();
      if (!add || add->getBlock() != block || !biasOf(add, out, facts, other))
        return;
      match.nodes.insert(user);
      match.nodes.insert(back);
      match.root = back.getResult(0);
      continue;
    }
    auto before = match.input.getDefiningOp<NodeOp>();
    if (!keepsLastDimension(user) || user.input(0) != match.root || !before ||
        !keepsLastDimension(before))
      return;
    Value outer = before.input(0), result = user.getResult(0);
    if (rankOf(outer) < 0 || rankOf(outer) != rankOf(result) ||
        !mayAgree(outer, result, rankOf(outer) - 1))
      return;
    match.nodes.insert(before);
    match.nodes.insert(user);
    match.input = outer;
    match.root = result;
  }
}

// Regroupings between the two products must leave the leading dimensions of input and result alike.
static bool alignInput(FfnMatch &match) {
  auto fits = [&]() {
    int64_t in = rankOf(match.input), out = rankOf(match.root);
    return in >= 0 && in == out && mayAgree(match.input, match.root, in - 1);
  };
  while (!fits()) {
    auto before = match.input.getDefiningOp<NodeOp>();
    if (!before || !keepsLastDimension(before)) {
      match.flattens = rankOf(match.root) == 2 && rankOf(match.input) > 2;
      return match.flattens;
    }
    match.nodes.insert(before);
    match.input = before.input(0);
  }
  return true;
}

// True if the value is added to a residual, perhaps after a norm or a constant factor.
static bool joinsResidual(Value value, Constants &facts) {
  for (int steps = 0; steps < 8; ++steps) {
    NodeOp next;
    for (Operation *user : value.getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node)
        continue;
      StringRef op = node.getOpType();
      if (op == "SkipLayerNormalization" || op == "SkipSimplifiedLayerNormalization")
        return true;
      if (node.is("Add")) {
        Value other = node.input(0) == value ? node.input(1) : node.input(0);
        if (!facts.isConstant(other))
          return true;
        next = node;
      }
      if (op.contains("Normalization") || node.is("Mul") || node.is("Cast") ||
          node.is("Identity") || node.is("Reshape") || op == "QuantizeLinear" ||
          op == "DequantizeLinear" || node.is("Dropout"))
        next = node;
    }
    if (!next)
      return false;
    value = next->getResult(0);
  }
  return false;
}

//===----------------------------------------------------------------------===//
// What looks like a block
//===----------------------------------------------------------------------===//

// The input of a map of channels that no matrix product spells: a convolution with a kernel of one
// element.
static Value pointwiseInput(NodeOp node, Constants &facts) {
  if (!node || !node.is("Conv") || !node.input(1) || !facts.isConstant(node.input(1)))
    return {};
  for (int64_t axis = 2; axis < rankOf(node.input(1)); ++axis)
    if (sizeOf(node.input(1), axis) != 1)
      return {};
  return rankOf(node.input(1)) > 2 ? node.input(0) : Value();
}

// True if a linear map is behind the value, through an activation and nodes of one operand that is
// no constant (products of two on both sides). `odd` becomes the first node on the way that is not
// elementwise.
static bool followsActivation(Value value, Constants &facts, Operation *&odd, bool &active,
                              int &budget) {
  while (--budget > 0) {
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || facts.isConstant(value) || node->getNumRegions() > 0)
      return false;
    if (matchLinearCore(value, facts) || pointwiseInput(node, facts))
      return true;
    StringRef op = node.getOpType();
    static constexpr StringLiteral activations[] = {"Relu",      "Gelu",      "Sigmoid",
                                                    "Tanh",      "Swish",     "Erf",
                                                    "Softplus",  "LeakyRelu", "Elu",
                                                    "HardSwish", "Mish",      "HardSigmoid",
                                                    "Where",     "Clip",      "PRelu",
                                                    "Celu",      "Selu",      "BiasGelu",
                                                    "FastGelu",  "QuickGelu", "ThresholdedRelu"};
    active |= llvm::is_contained(activations, op);
    SmallVector<Value> data;
    for (Value operand : node.getInputs())
      if (operand && isFloat(operand) && !facts.isConstant(operand))
        data.push_back(operand);
    // A change of layout is the reason only if nothing else is.
    auto layout = [](Operation *at) {
      auto node = cast<NodeOp>(at);
      return node.is("Reshape") || node.is("Transpose");
    };
    if ((!isElementwise(node) || node.is("Reshape")) && !llvm::is_contained(activations, op) &&
        (!odd || layout(odd)))
      odd = node;
    if (data.empty() || op == "Softmax" || op.contains("Attention") || op.starts_with("Gather") ||
        op == "Concat" || op.starts_with("Scatter"))
      return false;
    for (Value operand : ArrayRef(data).drop_front())
      if (operand != data.front() && ((op != "Mul" && op != "Where") ||
                                      !followsActivation(operand, facts, odd, active, budget)))
        return false;
    value = data.front();
  }
  return false;
}

// Why the node is no down-projection, if it is one of an unknown form.
static std::optional<Reason> oddBlock(NodeOp node, Value hidden, Constants &facts) {
  Operation *odd = nullptr;
  bool active = false;
  int budget = 48;
  if (!followsActivation(hidden, facts, odd, active, budget) || !active)
    return std::nullopt;
  if (node.integer("group", 1) != 1)
    return Reason{"linear: " + describe(node) + " is a convolution in groups", node};
  if (odd)
    return Reason{"activation: " + describe(odd) + " stands between the two linear maps", odd};
  if (pointwiseInput(node, facts))
    return Reason{"linear: " + describe(node) + " is a convolution", node};
  return Reason{"activation: the function before " + describe(node) + " is none that is known",
                node};
}

// The one operand of an elementwise node that is no constant; null if it is none, or has several.
static Value soleOperand(NodeOp node, Constants &facts) {
  Value data;
  if (!node || !isElementwise(node))
    return {};
  for (Value operand : elementwiseOperands(node)) {
    if (facts.isConstant(operand) || operand == data)
      continue;
    if (data)
      return {};
    data = operand;
  }
  return data;
}

// True if a third matrix is before the two or behind them, with an activation between, so that the
// three map back to the width that they come from.
static bool inThrees(const FfnMatch &match, Constants &facts) {
  Value behind = match.input;
  for (int steps = 0; steps < 8 && behind; ++steps) {
    if (auto linear = matchLinear(behind, facts))
      return steps > 0 && linear->in == match.down.out;
    behind = soleOperand(behind.getDefiningOp<NodeOp>(), facts);
  }
  Value ahead = match.root;
  for (int steps = 0; steps < 12 && ahead.hasOneUse(); ++steps) {
    auto user = dyn_cast<NodeOp>(*ahead.user_begin());
    if (!user || user->getNumResults() != 1)
      return false;
    ahead = user.getResult(0);
    if (soleOperand(user, facts))
      continue;
    auto linear = matchLinear(ahead, facts);
    return linear && linear->out == match.up.linear.in;
  }
  return false;
}

FfnOutcome raise::matchFfn(NodeOp node, Constants &facts, bool expert) {
  FfnOutcome outcome;
  if (node.getNumResults() == 0)
    return outcome;
  auto down = matchLinearCore(node.getResult(0), facts);
  if (!down) {
    if (Value hidden = pointwiseInput(node, facts))
      outcome.reason = oddBlock(node, hidden, facts);
    return outcome;
  }
  takeFactors(*down, facts);
  Trace trace{facts, {}, {}, {}, std::nullopt, false};
  if (!trace.run(down->input)) {
    if (!trace.branches.empty() && trace.unknownOperator)
      outcome.reason = Reason{"activation: " + trace.failure->text, trace.failure->at};
    else
      outcome.reason = oddBlock(node, down->input, facts);
    return outcome;
  }
  if (trace.branches.empty() || trace.branches.size() > 2) {
    outcome.reason = oddBlock(node, down->input, facts);
    return outcome;
  }
  auto miss = [&](std::string text, Operation *at = nullptr) {
    outcome.reason = Reason{std::move(text), at ? at : node.getOperation()};
    return outcome;
  };

  FfnMatch match;
  match.down = std::move(*down);
  Value hidden = match.down.input;
  FfnBranch &first = trace.branches[0];
  if (trace.branches.size() == 1) {
    auto activation = recogniseActivation(hidden, first.value);
    if (!activation && !expert)
      activation = spellActivation(hidden, first.value);
    if (!activation)
      return miss("activation: the function between " + describe(first.linear.core) + " and " +
                      describe(node) + " is none that is known",
                  hidden.getDefiningOp());
    // Two products in a row may be many things; a block of a layer widens and joins a residual.
    if (activation->activation == Activation::identity &&
        (expert || first.size <= first.linear.in || match.down.out != first.linear.in ||
         !joinsResidual(node.getResult(0), facts)))
      return outcome;
    match.activation = activation->activation;
    match.function = activation->function;
    match.factor = activation->factor;
    match.up = std::move(first);
  } else {
    FfnBranch &second = trace.branches[1];
    if (first.linear.core == second.linear.core && first.start == second.start)
      return miss("activation: " + describe(node) +
                  " follows a function with a parameter of each neuron");
    auto gated = recogniseGated(hidden, first.value, second.value);
    if (!gated && !expert)
      gated = recogniseCutGated(hidden, first.value, second.value);
    if (!gated && !expert)
      gated = spellGated(hidden, first.value, second.value);
    Value a = first.linear.input, b = second.linear.input;
    bool same = a == b || through(a, true) == through(b, true);
    if (!gated) {
      if (same)
        miss("activation: the function of " + describe(first.linear.core) + " and " +
                 describe(second.linear.core) + " is no gate that is known",
             hidden.getDefiningOp());
      return outcome;
    }
    if (!same)
      return miss("gate: " + describe(first.linear.core) + " and " + describe(second.linear.core) +
                  " read different values");
    if (a != b && a.getType() == b.getType()) {
      // The same regrouping of one value, spelled twice.
      through(b, true, &match.nodes);
      second.linear.input = a;
    } else if (a != b) {
      // The nearest value that both branches come from.
      Nodes fromA, fromB;
      llvm::SmallDenseMap<Value, size_t, 8> seen{{a, 0}};
      for (Value v = a; Value next = throughOnce(v, true, &fromA); v = next)
        seen[next] = fromA.size();
      Value common = b;
      while (!seen.count(common))
        common = throughOnce(common, true, &fromB);
      match.nodes.insert(fromA.begin(), fromA.begin() + seen[common]);
      match.nodes.insert(fromB.begin(), fromB.end());
      first.linear.input = second.linear.input = common;
    }
    match.activation = gated->activation;
    match.function = gated->function;
    match.factor = gated->factor;
    match.limit = gated->limit;
    match.upOffset = gated->upOffset;
    match.up = std::move(gated->firstIsGate ? second : first);
    match.gate = std::move(gated->firstIsGate ? first : second);
    if (match.gate->size != match.up.size)
      return miss("gate: " + std::to_string(match.gate->size) + " columns, up has " +
                  std::to_string(match.up.size));
  }
  int64_t d = match.up.linear.in, hiddenSize = match.up.size, e = match.down.out;
  match.input = match.up.linear.input;
  match.root = node.getResult(0);
  if (match.down.in != hiddenSize)
    return miss("down: takes " + std::to_string(match.down.in) + " values, the activation gives " +
                std::to_string(hiddenSize));
  if (e != d)
    return miss("shape: maps " + std::to_string(d) + " to " + std::to_string(e) +
                (inThrees(match, facts) ? ", two of three matrices in a row"
                                        : ", a head rather than a block of a layer"));
  match.nodes.insert(trace.nodes.begin(), trace.nodes.end());
  for (const FfnBranch *branch : {&match.up, match.gate ? &*match.gate : nullptr})
    if (branch)
      match.nodes.insert(branch->linear.nodes.begin(), branch->linear.nodes.end());
  extendOutput(match, facts);
  match.nodes.insert(match.down.nodes.begin(), match.down.nodes.end());
  if (!alignInput(match))
    return miss("shape: the leading dimensions of the input cannot be followed to the result");
  if (hiddenSize <= d && !expert && !joinsResidual(match.root, facts))
    return miss("shape: " + std::to_string(d) + " to " + std::to_string(hiddenSize) +
                " and back without a residual connection");
  outcome.match = std::move(match);
  return outcome;
}
