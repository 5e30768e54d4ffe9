#include "passes/raise/Attention.h"
#include "passes/raise/Scalar.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

bool raise::isFusedAttention(NodeOp node) {
  StringRef domain = node.getDomain();
  return node.getOpType().ends_with("Attention") &&
         (domain.empty() || domain == "ai.onnx" || domain == "com.microsoft");
}

// A scalar behind nodes that repeat it.
static std::optional<double> spread(Value value, Constants &facts) {
  for (int i = 0; i < 8 && value; ++i) {
    if (auto scalar = facts.scalar(value))
      return scalar;
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || !(node.is("Expand") || node.is("Identity") || node.is("Unsqueeze") ||
                   node.is("Reshape") || node.is("Cast") || node.is("Tile") || node.is("CastLike")))
      return std::nullopt;
    value = node.input(0);
  }
  return std::nullopt;
}

// The node multiplies its operand by a constant: the factor and the operand.
static std::optional<double> factorOf(NodeOp node, Constants &facts, Value &operand) {
  if (!node || node.getInputs().size() != 2 || !(node.is("Mul") || node.is("Div")))
    return std::nullopt;
  for (unsigned i : {0, 1}) {
    if (node.is("Div") && i == 0)
      continue;
    auto c = spread(node.input(i), facts);
    if (!c || facts.isConstant(node.input(1 - i)))
      continue;
    operand = node.input(1 - i);
    return node.is("Div") ? 1.0 / *c : *c;
  }
  return std::nullopt;
}

// The node multiplies its operand by a value that is the same for all keys (one for each head,
// mostly): that value and the operand.
static Value sharedFactor(NodeOp node, Value &operand) {
  if (!node || node.getInputs().size() != 2 || !(node.is("Mul") || node.is("Div")))
    return {};
  for (unsigned i : {1, 0}) {
    Value factor = node.input(i);
    operand = node.input(1 - i);
    if ((node.is("Div") && i == 0) || rankOf(operand) < 3 || rankOf(factor) < 1 ||
        rankOf(factor) > rankOf(operand) || sizeOf(factor, -1) != 1 || sizeOf(operand, -1) == 1)
      continue;
    return factor;
  }
  return {};
}

static Value peelNot(Value condition, bool &negated) {
  while (auto node = condition.getDefiningOp<NodeOp>()) {
    if (node.is("Not"))
      negated = !negated;
    else if (!node.is("Identity") &&
             !(node.is("Cast") && elementOf(node.input(0)) == elementOf(condition)))
      break;
    condition = node.input(0);
  }
  return condition;
}

//===----------------------------------------------------------------------===//
// From the softmax back to the product of queries and keys
//===----------------------------------------------------------------------===//

namespace {
struct Scores {
  Constants &facts;
  int budget = 256;
  std::optional<Reason> failure = std::nullopt;

  struct State {
    Product product;
    double scale = 1.0, softcap = 0.0;
    bool inTanh = false;
    SmallVector<ScoreTerm> terms;
    SmallVector<Value> factors, divisors;
    /// Puts a column beside the scores, or null.
    NodeOp sink;
    /// What the scores beside it are multiplied by further out; 0 if more than that is done to
    /// both.
    double sinkFactor = 1.0;
    /// Fills what it hides with a value that what is added further out can undo, or null.
    NodeOp shallow;
    Nodes nodes;
    int64_t heads = 0;
    int steps = 0;
  };

  void fail(const Twine &text, Operation *at) {
    if (!failure)
      failure = Reason{text.str(), at};
  }

  // value = scale⁻¹-free scores so far; `state.scale` is what it is multiplied by further out.
  std::optional<State> run(Value value, State state) {
    while (--budget > 0) {
      ++state.steps;
      if (auto product = matchProduct(value, facts)) {
        state.scale *= product->alpha;
        state.nodes.insert(product->nodes.begin(), product->nodes.end());
        state.product = std::move(*product);
        return state;
      }
      auto node = value.getDefiningOp<NodeOp>();
      if (!node || facts.isConstant(value)) {
        fail("scores: no product of queries and keys is behind the softmax", node);
        return std::nullopt;
      }
      if (rankOf(value) == 4 && !ShapedType::isDynamic(sizeOf(value, 1)))
        state.heads = sizeOf(value, 1);
      if (Value next = throughOnce(value, false, &state.nodes)) {
        value = next;
        continue;
      }
      Value operand;
      if (auto factor = factorOf(node, facts, operand)) {
        state.nodes.insert(node);
        state.scale *= *factor;
        value = operand;
        continue;
      }
      if (Value factor = sharedFactor(node, operand)) {
        state.nodes.insert(node);
        (node.is("Div") ? state.divisors : state.factors).push_back(factor);
        value = operand;
        continue;
      }
      if (!state.factors.empty() || !state.divisors.empty()) {
        // What follows would have to be multiplied too, and factors of other ranks laid out anew.
        fail("scores: " + Twine(describe(node)) +
                 " stands between the product and a factor of several values",
             node);
        return std::nullopt;
      }
      if (node.is("Add") || node.is("Sub"))
        return sum(node, std::move(state));
      if (node.is("Where")) {
        state.nodes.insert(node);
        if (!masked(node, value, state))
          return std::nullopt;
        continue;
      }
      if (node.is("Concat") && node.getInputs().size() == 2 && !state.sink &&
          (node.integer("axis", 0) == -1 || node.integer("axis", 0) == rankOf(value) - 1) &&
          (sizeOf(node.input(0), -1) == 1) != (sizeOf(node.input(1), -1) == 1)) {
        // A sink: one more score for each row that takes part in the softmax alone.
        state.sink = node;
        state.sinkFactor = state.terms.empty() && !state.inTanh ? state.scale : 0.0;
        state.nodes.insert(node);
        value = node.input(sizeOf(node.input(0), -1) == 1 ? 1 : 0);
        continue;
      }
      if (node.is("Tanh")) {
        // c·tanh(x/c): what was multiplied outside is the cap; what comes inside scales x.
        if (state.inTanh) {
          fail("softcap: two of them", node);
          return std::nullopt;
        }
        state.inTanh = true;
        state.softcap = state.scale;
        state.nodes.insert(node);
        value = node.input(0);
        continue;
      }
      if (node.is("Max") || node.is("Clip")) {
        if (!clamped(node, value, state))
          return std::nullopt;
        continue;
      }
      if (node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze")) {
        state.nodes.insert(node);
        value = node.input(0);
        continue;
      }
      fail("scores: " + Twine(describe(node)) + " stands between the product and the softmax",
           node);
      return std::nullopt;
    }
    return std::nullopt;
  }

  std::optional<State> sum(NodeOp node, State state) {
    state.nodes.insert(node);
    std::optional<State> best;
    for (unsigned i : {0, 1}) {
      if (node.is("Sub") && i == 1)
        break;
      if (facts.isConstant(node.input(i)))
        continue;
      State branch = state;
      if (branch.inTanh) {
        fail("softcap: " + Twine(describe(node)) + " adds to the scores within it", node);
        return std::nullopt;
      }
      // Softmax does not see what is added to all scores of a row alike.
      if (sizeOf(node.input(1 - i), -1) == 1 && sizeOf(node.getResult(0), -1) != 1 &&
          llvm::all_of(branch.terms, [](auto &t) { return t.kind == ScoreTerm::add; })) {
        if (auto result = run(node.input(i), std::move(branch)))
          return result;
        continue;
      }
      ScoreTerm term{ScoreTerm::add, node.input(1 - i)};
      term.factor = node.is("Sub") ? -branch.scale : branch.scale;
      term.rank = rankOf(node.getResult(0));
      term.scores = node.getResult(0);
      branch.terms.push_back(term);
      // The branch that reaches its product in fewer steps is the scores; the other's products make
      // a bias.
      if (auto result = run(node.input(i), std::move(branch)))
        if (!best || result->steps < best->steps)
          best = std::move(result);
    }
    return best;
  }

  bool masked(NodeOp node, Value &value, State &state) {
    for (unsigned i : {1, 2}) {
      auto fill = spread(node.input(3 - i), facts);
      if (!fill || facts.isConstant(node.input(i)))
        continue;
      if (state.inTanh || !(*fill * state.scale <= -1e3)) {
        fail("mask: " + Twine(describe(node)) + " fills with " + std::to_string(*fill) +
                 ", which does not hide a key",
             node);
        return false;
      }
      ScoreTerm term{ScoreTerm::mask, node.input(0)};
      term.negated = i == 2;
      term.value = peelNot(term.value, term.negated);
      term.fill = *fill * state.scale;
      term.rank = rankOf(node.getResult(0));
      term.scores = node.getResult(0);
      // Where a later mask hides all others, a row sees the filled scores after all: as they were
      // filled, while a bias would tell them apart. A lower fill swallows the scores in a sum, too.
      if (!state.terms.empty() && term.fill > -6e4)
        state.shallow = node;
      state.terms.push_back(term);
      value = node.input(i);
      return true;
    }
    fail("mask: " + Twine(describe(node)) + " does not choose between scores and a constant", node);
    return false;
  }

  bool clamped(NodeOp node, Value &value, State &state) {
    double low = -INFINITY;
    Value other;
    if (node.is("Clip")) {
      other = node.input(0);
      if (Value bound = node.input(1)) {
        auto c = spread(bound, facts);
        low = c ? *c : 0.0;
      }
      auto high = node.input(2) ? spread(node.input(2), facts) : std::optional<double>(INFINITY);
      if (!high || *high < 1e3)
        low = 0.0;
    } else {
      for (unsigned i = 0; i < node.getInputs().size() && node.getInputs().size() == 2; ++i)
        if (auto c = spread(node.input(i), facts)) {
          low = *c;
          other = node.input(1 - i);
        }
    }
    if (!other || state.inTanh || !(low * state.scale <= -1e3)) {
      fail("scores: " + Twine(describe(node)) + " bounds the scores", node);
      return false;
    }
    state.nodes.insert(node);
    ScoreTerm term{ScoreTerm::clamp, {}};
    term.fill = low * state.scale;
    term.rank = rankOf(node.getResult(0));
    term.scores = node.getResult(0);
    state.terms.push_back(term);
    value = other;
    return true;
  }
};

//===----------------------------------------------------------------------===//
// From the softmax forward to the product with the values
//===----------------------------------------------------------------------===//

struct Probabilities {
  Constants &facts;
  /// The last column is a sink's, which the values do not have.
  bool sink = false;
  int budget = 64;
  /// Values that equal the probabilities, outermost last; guards and masks met on the way.
  SmallVector<Value> equal = {};
  Nodes nodes = {};
  bool guarded = false;
  struct Mask {
    Value condition;
    bool negated;
    NodeOp node;
  };
  SmallVector<Mask> masks = {};
  std::optional<Product> product = std::nullopt;
  Value output = {};

  bool run(Value p) {
    for (Operation *user : p.getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node || --budget < 0 || node->getNumResults() == 0)
        continue;
      Value result = node->getResult(0);
      if (auto found = matchProduct(result, facts))
        if (llvm::is_contained(equal, found->lhs)) {
          nodes.insert(found->nodes.begin(), found->nodes.end());
          product = std::move(found);
          output = result;
          return true;
        }
      StringRef op = node.getOpType();
      if (node.is("Where")) {
        bool kept = false;
        for (unsigned i : {1, 2}) {
          auto other = spread(node.input(3 - i), facts);
          if (node.input(i) != p || !other || *other != 0.0)
            continue;
          kept = true;
          auto test = node.input(0).getDefiningOp<NodeOp>();
          bool negated = i == 2;
          Value condition = peelNot(node.input(0), negated);
          auto inner = condition.getDefiningOp<NodeOp>();
          if (inner && inner.is("IsNaN") && negated && llvm::is_contained(equal, inner.input(0))) {
            guarded = true;
            nodes.insert(inner);
            if (test != inner)
              nodes.insert(test);
          } else {
            masks.push_back({condition, negated, node});
          }
        }
        if (!kept || !step(node, result))
          continue;
        return true;
      }
      bool same = node.is("Cast") || node.is("Identity") || node.is("Dropout") ||
                  node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze") ||
                  op == "DequantizeLinear";
      bool passing = op == "QuantizeLinear" || node.is("DynamicQuantizeLinear") ||
                     node.is("MatMulInteger") || node.is("Mul") || node.is("QLinearMatMul");
      if (sink && node.is("Slice") && node.input(0) == p) {
        auto starts = facts.integers(node.input(1));
        same |= starts && starts->size() == 1 && (*starts)[0] == 0 && rankOf(result) == rankOf(p) &&
                sizeOf(p, -2) == sizeOf(result, -2);
      }
      if ((same && isFloat(result) && step(node, result)) || (passing && pass(node, result)) ||
          (node.is("Cast") && !llvm::is_contained(equal, p) && pass(node, result)))
        return true;
    }
    return false;
  }
  bool step(NodeOp node, Value result) {
    equal.push_back(result);
    nodes.insert(node);
    if (run(result))
      return true;
    equal.pop_back();
    nodes.remove(node);
    return false;
  }
  bool pass(NodeOp node, Value result) {
    bool fresh = nodes.insert(node);
    if (run(result))
      return true;
    if (fresh)
      nodes.remove(node);
    return false;
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

// Through factors (into `scale`), casts and quantisation.
static Value strip(Value value, double &scale, Nodes &nodes, Constants &facts) {
  while (true) {
    if (Value next = throughOnce(value, false, &nodes)) {
      value = next;
      continue;
    }
    Value operand;
    auto node = value.getDefiningOp<NodeOp>();
    auto factor = node ? factorOf(node, facts, operand) : std::nullopt;
    if (!factor || rankOf(operand) != rankOf(value))
      return value;
    nodes.insert(node);
    scale *= *factor;
    value = operand;
  }
}

// Reshape(Transpose(Reshape(k, [-1, T, D]), [0, 2, 1]), [B, H, D, T]) is k with its last two
// dimensions swapped.
static Value swappedByRegrouping(Value value, Nodes &nodes) {
  auto outer = value.getDefiningOp<NodeOp>();
  auto swap = outer && outer.is("Reshape") ? outer.input(0).getDefiningOp<NodeOp>() : NodeOp();
  auto inner = swap && swap.is("Transpose") ? swap.input(0).getDefiningOp<NodeOp>() : NodeOp();
  if (!inner || !inner.is("Reshape"))
    return {};
  auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(swap.attribute("perm"));
  Value k = inner.input(0);
  if (!perm || perm.asArrayRef() != ArrayRef<int64_t>{0, 2, 1} || rankOf(k) != 4 ||
      rankOf(value) != 4)
    return {};
  auto agree = [](int64_t a, int64_t b) {
    return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
  };
  int64_t d = sizeOf(k, 3);
  if (ShapedType::isDynamic(d) || !agree(sizeOf(inner.getResult(0), 2), d) ||
      !agree(sizeOf(value, 2), d) || !agree(sizeOf(value, 1), sizeOf(k, 1)) ||
      !agree(sizeOf(value, 0), sizeOf(k, 0)) || !agree(sizeOf(value, 3), sizeOf(k, 2)))
    return {};
  nodes.insert(outer);
  nodes.insert(swap);
  nodes.insert(inner);
  return k;
}

static void stripKey(AttentionMatch &match, Value rhs, bool transposed, Constants &facts) {
  Value k = strip(rhs, match.scale, match.nodes, facts);
  int64_t rank = rankOf(k);
  if (!transposed && rank >= 3) {
    // The permutation from what we look at to [.., T, D].
    SmallVector<int64_t> perm;
    for (int64_t i = 0; i < rank; ++i)
      perm.push_back(i);
    std::swap(perm[rank - 1], perm[rank - 2]);
    if (Value direct = swappedByRegrouping(k, match.nodes)) {
      k = direct;
      perm.clear();
    } else if (auto node = k.getDefiningOp<NodeOp>(); node && node.is("Transpose")) {
      if (auto inner = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
          inner && inner.size() == rank && rankOf(node.input(0)) == rank) {
        SmallVector<int64_t> both;
        bool identity = true;
        for (int64_t i = 0; i < rank; ++i) {
          both.push_back(inner[perm[i]]);
          identity &= both.back() == i;
        }
        match.nodes.insert(node);
        k = node.input(0);
        perm = identity ? SmallVector<int64_t>() : both;
      }
    }
    match.keyPermutation = perm;
    if (perm.empty())
      k = strip(k, match.scale, match.nodes, facts);
  }
  match.key = k;
}

Value raise::ungroup(Value value, Constants &facts, Nodes &nodes) {
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || rankOf(value) != 4 || !node.input(0))
    return {};
  int64_t heads = sizeOf(value, 1);
  if (node.is("Gather") && node.integer("axis", 0) == 1) {
    int64_t groups = sizeOf(node.input(0), 1);
    auto indices = facts.integers(node.input(1));
    if (!indices || ShapedType::isDynamic(groups) || groups <= 0 || indices->size() % groups != 0)
      return {};
    for (auto [h, g] : llvm::enumerate(*indices))
      if (g != static_cast<int64_t>(h) / (static_cast<int64_t>(indices->size()) / groups))
        return {};
    nodes.insert(node);
    return node.input(0);
  }
  auto agree = [](int64_t a, int64_t b) {
    return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
  };
  if (node.is("Expand") && rankOf(node.input(0)) == 4 && sizeOf(node.input(0), 1) == 1 &&
      heads != 1) {
    // One key and value for all.
    Type from = node.input(0).getType(), to = value.getType();
    for (int64_t axis : {0, 2, 3})
      if (sizeOf(node.input(0), axis) != sizeOf(value, axis) ||
          (ShapedType::isDynamic(sizeOf(value, axis)) &&
           (onnx::dimName(from, axis).empty() ||
            onnx::dimName(from, axis) != onnx::dimName(to, axis))))
        return {};
    nodes.insert(node);
    return node.input(0);
  }
  auto repeat = node.is("Reshape") ? node.input(0).getDefiningOp<NodeOp>() : NodeOp();
  if (!repeat || !(repeat.is("Expand") || repeat.is("Tile") || repeat.is("Concat")) ||
      rankOf(repeat.getResult(0)) != 5)
    return {};
  if (repeat.is("Concat") &&
      (repeat.integer("axis", 0) != 2 || !llvm::all_equal(repeat.getInputs())))
    return {};
  auto insert = repeat.input(0).getDefiningOp<NodeOp>();
  if (!insert || !(insert.is("Unsqueeze") || insert.is("Reshape")) || rankOf(insert.input(0)) != 4)
    return {};
  Value k = insert.input(0), lifted = insert.getResult(0);
  int64_t groups = sizeOf(k, 1);
  if (ShapedType::isDynamic(groups) || groups <= 0 || sizeOf(lifted, 2) != 1 ||
      sizeOf(lifted, 1) != groups || !agree(sizeOf(repeat.getResult(0), 1), groups) ||
      !agree(sizeOf(value, 3), sizeOf(k, 3)) || ShapedType::isDynamic(heads) || heads % groups != 0)
    return {};
  nodes.insert(node);
  nodes.insert(repeat);
  nodes.insert(insert);
  return k;
}

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

// A [B·H, S, D] operand as the [B, H, S, D] it was regrouped from, else itself. D is axis
// `channels` of the operand: 1 where that is [B·H, D, S].
static Value fourDimensional(Value value, int64_t heads, Nodes &nodes, int64_t channels = 2) {
  auto node = value.getDefiningOp<NodeOp>();
  if (rankOf(value) != 3 || !node || !node.is("Reshape"))
    return value;
  Value source = node.input(0);
  if (rankOf(source) != 4 || sizeOf(source, 1) != heads ||
      ShapedType::isDynamic(sizeOf(source, channels + 1)) ||
      sizeOf(source, channels + 1) != sizeOf(value, channels))
    return value;
  nodes.insert(node);
  return source;
}

// Grouped queries may be stacked along the query axis, [B, H, S, D] as [B, G, (H/G)·S, D], and the
// result taken apart again: the block is over [B, H, S, D], as masks and biases are.
static void unstackQueries(AttentionMatch &match, Constants &facts) {
  auto stack = match.query.getDefiningOp<NodeOp>();
  if (!stack || !stack.is("Reshape") || rankOf(match.query) != 4 || rankOf(stack.input(0)) != 4)
    return;
  Value query = stack.input(0);
  int64_t heads = sizeOf(query, 1), groups = sizeOf(match.query, 1);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) || groups <= 0 ||
      heads == groups || heads % groups != 0 || ShapedType::isDynamic(sizeOf(query, 3)) ||
      sizeOf(query, 3) != sizeOf(match.query, 3))
    return;
  auto keepsBatch = [&](NodeOp reshape) {
    if (auto shape = facts.integers(reshape.input(1)); shape && !shape->empty() && (*shape)[0] == 0)
      return true;
    Value from = reshape.input(0), to = reshape.getResult(0);
    StringRef name = onnx::dimName(from.getType(), 0);
    return ShapedType::isDynamic(sizeOf(from, 0))
               ? !name.empty() && name == onnx::dimName(to.getType(), 0)
               : sizeOf(from, 0) == sizeOf(to, 0);
  };
  NodeOp apart = onlyUser(match.root);
  if (!apart || !apart.is("Reshape") || rankOf(apart.getResult(0)) != 4 ||
      sizeOf(apart.getResult(0), 1) != heads || !keepsBatch(stack) || !keepsBatch(apart) ||
      sizeOf(apart.getResult(0), 3) != sizeOf(match.root, 3))
    return;
  match.nodes.insert(stack);
  match.nodes.insert(apart);
  match.root = apart.getResult(0);
  match.query = strip(query, match.scale, match.nodes, facts);
}

// True if a product of activations is a few nodes behind the value, or ahead of it with what comes
// of the value on its left: what is between is no matter.
static bool nearProduct(Value start, Constants &facts, bool ahead) {
  SmallVector<Value> queue{start};
  llvm::SmallDenseSet<Value, 32> seen{start};
  auto visit = [&](Value value) {
    if (value && seen.size() < 48 && !facts.isConstant(value) && isFloat(value) &&
        seen.insert(value).second)
      queue.push_back(value);
  };
  for (size_t i = 0; i < queue.size(); ++i) {
    if (!ahead) {
      if (matchProduct(queue[i], facts))
        return true;
      auto node = queue[i].getDefiningOp<NodeOp>();
      // A linear map of scores (talking heads) is between, one of rows of tokens is not.
      if (!node || node.is("Softmax") || (rankOf(queue[i]) < 4 && matchLinearCore(queue[i], facts)))
        continue;
      for (Value operand : node.getInputs())
        visit(operand);
      continue;
    }
    for (Operation *user : queue[i].getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node || node.getNumResults() == 0 ||
          (rankOf(node.getResult(0)) < 4 && matchLinearCore(node.getResult(0), facts)))
        continue;
      if (auto product = matchProduct(node.getResult(0), facts)) {
        if (seen.contains(product->lhs))
          return true;
        continue;
      }
      for (Value result : node.getResults())
        visit(result);
    }
  }
  return false;
}

AttentionOutcome raise::matchAttention(NodeOp softmax, Constants &facts) {
  AttentionOutcome outcome;
  Value p = softmax.getResult(0);
  int64_t rank = rankOf(softmax.input(0));
  int64_t axis = softmax.integer("axis", -1);
  auto miss = [&](const Twine &text, Operation *at) {
    outcome.reason = Reason{text.str(), at ? at : softmax.getOperation()};
    return outcome;
  };
  Scores scores{facts};
  auto state = scores.run(softmax.input(0), {});
  Probabilities probabilities{facts, state && state->sink};
  probabilities.equal.push_back(p);
  bool consumed = probabilities.run(p);
  if (!state && !consumed &&
      !(nearProduct(softmax.input(0), facts, false) && nearProduct(p, facts, true)))
    return outcome;
  if (!state)
    return miss(scores.failure ? scores.failure->text
                               : std::string("scores: the way to their product is too long"),
                scores.failure ? scores.failure->at : nullptr);
  if (!consumed)
    return miss("values: no product takes the probabilities of " + Twine(describe(softmax)),
                softmax);
  if (axis != -1 && axis != rank - 1)
    return miss("softmax: along axis " + Twine(axis) + ", not the last", softmax);

  AttentionMatch match;
  match.softmax = softmax;
  match.scores = std::move(state->product);
  match.output = std::move(*probabilities.product);
  match.scale = state->scale;
  match.softcap = state->inTanh ? state->softcap : 0.0;
  match.terms = std::move(state->terms);
  match.factors = std::move(state->factors);
  match.divisors = std::move(state->divisors);
  match.heads = state->heads;
  match.booleanZero = probabilities.guarded;
  match.nodes = std::move(state->nodes);
  match.nodes.insert(probabilities.nodes.begin(), probabilities.nodes.end());
  match.nodes.insert(softmax);
  match.root = probabilities.output;
  if (match.output.transposed)
    return miss("values: " + Twine(describe(match.output.core)) + " transposes them",
                match.output.core);
  if (state->shallow)
    match.opaque = describe(state->shallow) + " hides scores less than what is added to them may";
  if (state->sink) {
    match.sink = state->sink.input(1);
    match.sinkFactor = state->sinkFactor;
    if (sizeOf(match.sink, -1) != 1 || rankOf(match.sink) != 4 || state->sinkFactor == 0.0)
      match.opaque = describe(state->sink) + " puts a sink beside the scores";
  }
  if (match.output.alpha != 1.0)
    match.opaque = "the product with the values is scaled";
  for (auto &mask : probabilities.masks) {
    // Zero after the softmax where the scores were hidden before it: rows without any key.
    bool same = false;
    for (ScoreTerm &term : match.terms)
      if (term.kind == ScoreTerm::mask && term.value == mask.condition &&
          term.negated == mask.negated) {
        same = true;
        term.fill = -INFINITY;
      }
    if (!same)
      return miss("mask: " + Twine(describe(mask.node)) +
                      " hides probabilities whose scores were not hidden",
                  mask.node);
    match.booleanZero = true;
  }

  // Operands.
  match.query = strip(match.scores.lhs, match.scale, match.nodes, facts);
  stripKey(match, match.scores.rhs, match.scores.transposed, facts);
  double valueScale = 1.0;
  Nodes valueNodes;
  match.value = match.output.rhs;
  if (Value plain = strip(match.value, valueScale, valueNodes, facts); valueScale == 1.0) {
    match.value = plain;
    match.nodes.insert(valueNodes.begin(), valueNodes.end());
  }
  int64_t productRank = rankOf(match.scores.core->getResult(0));
  productRank = std::max(productRank, std::max(rankOf(match.query), rankOf(match.scores.rhs)));
  if (productRank == 3) {
    // The result regrouped to [B, H, S, E] tells the heads.
    NodeOp user = onlyUser(match.root);
    bool regrouped = user && user.is("Reshape") && rankOf(user.getResult(0)) == 4 &&
                     user->getBlock() == match.root.getDefiningOp()->getBlock() &&
                     !ShapedType::isDynamic(sizeOf(user.getResult(0), 1));
    // The scores may have been regrouped already, so that the values' product is over heads.
    bool already = match.heads != 0 && rankOf(match.root) == 4;
    if (already ||
        (regrouped && (match.heads == 0 || match.heads == sizeOf(user.getResult(0), 1)))) {
      if (!already) {
        match.heads = sizeOf(user.getResult(0), 1);
        match.nodes.insert(user);
        match.root = user.getResult(0);
      }
      match.query = fourDimensional(match.query, match.heads, match.nodes);
      match.query = strip(match.query, match.scale, match.nodes, facts);
      if (match.keyPermutation.empty()) {
        match.key = fourDimensional(match.key, match.heads, match.nodes);
      } else if (Value source = fourDimensional(match.key, match.heads, match.nodes, 1);
                 source != match.key && match.keyPermutation == SmallVector<int64_t>{0, 2, 1}) {
        // The key is stored transposed: [B, H, D, T].
        match.key = source;
        match.keyPermutation = {0, 1, 3, 2};
      }
      match.value = fourDimensional(match.value, match.heads, match.nodes);
    } else {
      match.opaque = "the heads of the products over [B*H, S, D] are not known";
    }
  } else if (productRank != 4) {
    match.opaque = "the products have rank " + std::to_string(productRank);
  } else {
    Value stacked = match.query;
    unstackQueries(match, facts);
    if (match.query != stacked && (match.sink || !match.factors.empty() || !match.divisors.empty()))
      match.opaque = "grouped queries are stacked beside a sink or a factor of several values";
    for (const ScoreTerm &term : match.terms)
      if (int64_t heads = sizeOf(match.query, 1);
          rankOf(term.scores) == 4 && !ShapedType::isDynamic(heads) &&
          !ShapedType::isDynamic(sizeOf(term.scores, 1)) && sizeOf(term.scores, 1) != heads)
        match.opaque = "a mask is applied to scores of " + std::to_string(sizeOf(term.scores, 1)) +
                       " heads, the queries have " + std::to_string(heads);
  }
  // Keys may be repeated as [B, G, T, D], or as [B, G, D, T] for their product.
  bool across = match.keyPermutation == SmallVector<int64_t>{0, 1, 3, 2};
  if (match.opaque.empty() && (match.keyPermutation.empty() || across)) {
    Nodes more;
    Value k = ungroup(match.key, facts, more), v = ungroup(match.value, facts, more);
    if (k && v && sizeOf(k, 1) == sizeOf(v, 1)) {
      match.nodes.insert(more.begin(), more.end());
      match.value = v;
      if (across)
        stripKey(match, k, false, facts);
      else
        match.key = strip(k, match.scale, match.nodes, facts);
    }
  }
  if (match.sink && (productRank != 4 || (sizeOf(match.sink, 1) != 1 &&
                                          sizeOf(match.sink, 1) != sizeOf(match.query, 1))))
    match.opaque = "a sink's heads are not the queries'";
  for (Value factor : llvm::concat<Value>(match.factors, match.divisors))
    if (productRank != 4 || rankOf(match.query) != 4 || rankOf(factor) > 4 ||
        facts.isConstant(match.query))
      match.opaque = "the scores have a factor of several values that the queries cannot take";
  outcome.match = std::move(match);
  return outcome;
}

// True for a matrix that a choice picks from a stack: a mixture's, not keys or values.
static bool isPicked(Value value, Constants &facts) {
  for (int steps = 0; steps < 8; ++steps) {
    auto node = value.getDefiningOp<NodeOp>();
    if (!node)
      return false;
    if ((node.is("Gather") || node.is("GatherND")) && facts.isConstant(node.input(0)))
      return true;
    if (!(node.is("Transpose") || node.is("Reshape") || node.is("Unsqueeze") ||
          node.is("Squeeze") || node.is("Cast") || node.is("Identity")))
      return false;
    value = node.input(0);
  }
  return false;
}

AttentionOutcome raise::matchUnnormalised(NodeOp node, Constants &facts) {
  AttentionOutcome outcome;
  if (node->getNumResults() != 1 || rankOf(node.getResult(0)) != 4)
    return outcome;
  auto output = matchProduct(node.getResult(0), facts);
  if (!output || output->core != node || output->transposed || isPicked(output->rhs, facts))
    return outcome;
  int64_t heads = sizeOf(node.getResult(0), 1);
  if (ShapedType::isDynamic(heads) || heads < 2)
    return outcome;
  AttentionMatch match;
  NodeOp map;
  SmallVector<Value> queue{output->lhs};
  llvm::SmallDenseSet<Value, 16> seen{output->lhs};
  for (size_t i = 0; i < queue.size(); ++i) {
    Value value = queue[i];
    auto inner = value.getDefiningOp<NodeOp>();
    if (!inner || inner->getBlock() != node->getBlock() || queue.size() > 24)
      return outcome;
    if (auto scores = matchProduct(value, facts)) {
      if (match.scores.core || isPicked(scores->rhs, facts) || rankOf(value) != 4 ||
          sizeOf(value, 1) != heads)
        return outcome;
      match.scores = std::move(*scores);
      continue;
    }
    if (!isElementwise(inner) && !inner.is("Where"))
      return outcome;
    match.nodes.insert(inner);
    bool sum = inner.is("Add") || inner.is("Sub") || inner.is("Mul") || inner.is("Div") ||
               inner.is("Where") || inner.is("Cast") || inner.is("Identity");
    if (!sum && !map)
      map = inner;
    for (Value operand : inner.getInputs())
      if (!isa<NoneType>(operand.getType()) && isFloat(operand) && !facts.isConstant(operand) &&
          rankOf(operand) == 4 && sizeOf(operand, 1) == heads &&
          sizeOf(operand, -1) == sizeOf(value, -1) && seen.insert(operand).second)
        queue.push_back(operand);
  }
  if (!match.scores.core || !map)
    return outcome;
  match.nodes.insert(match.scores.nodes.begin(), match.scores.nodes.end());
  match.nodes.insert(output->nodes.begin(), output->nodes.end());
  match.output = std::move(*output);
  match.root = node.getResult(0);
  match.opaque = "the scores become weights by " + describe(map) + ", not by a softmax";
  outcome.match = std::move(match);
  return outcome;
}
