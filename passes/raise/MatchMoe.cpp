#include "passes/raise/Moe.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

bool raise::isFusedMoe(NodeOp node) {
  return node.isContrib("MoE") || node.isContrib("QMoE");
}

//===----------------------------------------------------------------------===//
// The extent of the block
//===----------------------------------------------------------------------===//

// All that depends on the choice up to the first node through which all of it goes: the sum over
// the chosen experts.
static Operation *extent(NodeOp topk, Nodes &nodes) {
  llvm::SmallDenseSet<Operation *, 32> reached{topk};
  // Uses of reached results by nodes that are still to come.
  llvm::SmallDenseMap<Operation *, int64_t, 32> pending;
  int64_t open = 0;
  auto reach = [&](Operation *op) {
    nodes.insert(op);
    int64_t uses = 0;
    for (Value result : op->getResults())
      for (OpOperand &use : result.getUses()) {
        // A use in a subgraph is one by the node that holds it.
        Operation *user = topk->getBlock()->findAncestorOpInBlock(*use.getOwner());
        if (user) {
          ++pending[user];
          ++uses;
        }
      }
    open += uses;
    return uses;
  };
  reach(topk);
  for (Operation *op = topk->getNextNode(); op && nodes.size() < 20000; op = op->getNextNode()) {
    auto it = pending.find(op);
    if (it == pending.end())
      continue;
    open -= it->second;
    if (op->hasTrait<OpTrait::IsTerminator>())
      return nullptr;
    bool last = open == 0;
    int64_t uses = reach(op);
    if (last && uses > 0 && isa<NodeOp>(op) && op->getNumResults() == 1)
      return op;
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Experts by index
//===----------------------------------------------------------------------===//

// The choice picks entries of a constant: Gather(c, choice) along axis 0, or GatherND(c, [..., 1]).
// With `whole`, the constant itself, with a first axis of so many experts. The constant, or null.
static Value pickedConstant(Value value, int64_t rank, int64_t whole, Nodes &within,
                            Constants &facts, Nodes &trail, bool &transposed) {
  // A bias has an axis of size 1 for the tokens there.
  if (whole)
    return rankOf(value) == 3 && sizeOf(value, 0) == whole && facts.isConstant(value) &&
                   (rank == 3 || sizeOf(value, 1) == 1)
               ? value
               : Value();
  while (auto node = value.getDefiningOp<NodeOp>()) {
    if (node.is("Transpose")) {
      auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      if (!perm || perm.asArrayRef() != ArrayRef<int64_t>{0, 2, 1})
        return {};
      transposed = !transposed;
    } else if ((node.is("Gather") && node.integer("axis", 0) == 0) ||
               (node.is("GatherND") && node.integer("batch_dims", 0) == 0)) {
      bool single = node.is("Gather") || sizeOf(node.input(1), -1) == 1;
      if (!single || !within.contains(node) || !facts.isConstant(node.input(0)) ||
          rankOf(node.input(0)) != rank)
        return {};
      trail.insert(node);
      return node.input(0);
    } else if (!(node.is("Cast") || node.is("Identity") ||
                 (rank == 2 && (node.is("Unsqueeze") || node.is("Squeeze"))))) {
      return {};
    }
    trail.insert(node);
    value = node.input(0);
  }
  return {};
}

// The axes whose size is not 1.
static SmallVector<int64_t> proper(Value value) {
  SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < rankOf(value); ++axis)
    if (sizeOf(value, axis) != 1)
      axes.push_back(axis);
  return axes;
}

namespace {
/// The axis of all experts in values of a mixture that runs them all: the first one, [E, T.., c],
/// or behind those of the tokens, [T.., E, c]. Followed through nodes that move and regroup axes,
/// which are listed from the last one to the first.
struct ExpertsAxis {
  int64_t experts;
  /// Values have channels, c; weights have none.
  bool channels;
  SmallVector<std::pair<Value, Value>> crossed = {}; // operand and result

  /// Where the axis is at the end, if it is first or not at the start; none if it is lost.
  std::optional<bool> follow(bool first) const {
    for (auto [from, to] : llvm::reverse(crossed)) {
      auto next = across(from, to, first);
      if (!next)
        return std::nullopt;
      first = *next;
    }
    return first;
  }

  std::optional<bool> across(Value from, Value to, bool first) const {
    auto node = to.getDefiningOp<NodeOp>();
    SmallVector<int64_t> in = proper(from), out = proper(to);
    int64_t tail = channels ? 1 : 0, before = static_cast<int64_t>(in.size()),
            after = static_cast<int64_t>(out.size());
    if (before < tail + 1 || after < tail + 1 ||
        (channels && sizeOf(from, in.back()) != sizeOf(to, out.back())) ||
        sizeOf(from, in[first ? 0 : before - 1 - tail]) != experts)
      return std::nullopt;
    if (!node.is("Transpose"))
      return sizeOf(to, out[first ? 0 : after - 1 - tail]) == experts ? std::optional(first)
                                                                      : std::nullopt;
    auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
    if (!perm)
      return std::nullopt;
    SmallVector<int64_t> order;
    for (int64_t axis : perm.asArrayRef())
      if (sizeOf(from, axis) != 1)
        order.push_back(axis);
    SmallVector<int64_t> moved(in);
    int64_t tokens = before - 1 - tail;
    if (llvm::equal(order, moved))
      return first;
    std::rotate(moved.begin(), moved.begin() + (first ? 1 : tokens), moved.begin() + tokens + 1);
    return llvm::equal(order, moved) ? std::optional(!first) : std::nullopt;
  }
};
} // namespace

// A product with the matrices of all experts side by side, [in, E·out], seen as [T.., E, out] in
// `grouped`.
static bool matchSideBySide(StackedBranch &branch, NodeOp product, Value grouped, int64_t whole,
                            bool sliced, Constants &facts) {
  Value matrix = product.input(1);
  SmallVector<int64_t> axes = proper(grouped);
  int64_t width = sizeOf(matrix, 1), rank = static_cast<int64_t>(axes.size());
  if (rankOf(matrix) != 2 || !facts.isConstant(matrix) || facts.isConstant(product.input(0)) ||
      ShapedType::isDynamic(width) || width % whole != 0 || width == whole || rank < 2 ||
      sizeOf(grouped, axes[rank - 2]) != whole || sizeOf(grouped, axes[rank - 1]) * whole != width)
    return false;
  branch.matrix = matrix;
  branch.sideBySide = true;
  branch.tokens = product.input(0);
  branch.nodes.insert(product);
  if (!sliced)
    branch.size = width / whole;
  return true;
}

// A bias of all experts beside tokens in the first axis: [1, E, out] or [E, out].
static bool isBiasOfSecond(Value value, int64_t whole, Constants &facts) {
  int64_t rank = rankOf(value);
  return facts.isConstant(value) && (rank == 2 || (rank == 3 && sizeOf(value, 0) == 1)) &&
         sizeOf(value, -2) == whole && sizeOf(value, -1) > 1;
}

// `value` as (columns of) the product of chosen matrices with tokens.
static std::optional<StackedBranch> matchStacked(Value value, int64_t whole, Nodes &within,
                                                 Constants &facts) {
  StackedBranch branch;
  branch.value = value;
  bool sliced = false;
  // With `whole`: where the nodes that only regroup begin that stand before what comes next; what
  // was crossed; and a bias, with whether the experts are its first axis, and what was crossed
  // behind it.
  Value grouped = value;
  ExpertsAxis axis{whole, true};
  std::optional<std::pair<bool, size_t>> biased;
  auto placed = [&](bool first) {
    auto end = axis.follow(first);
    branch.expertsFirst = end.value_or(false);
    if (!biased || !end)
      return end.has_value();
    ExpertsAxis before = axis;
    before.crossed.erase(before.crossed.begin(), before.crossed.begin() + biased->second);
    return before.follow(first) == biased->first;
  };
  for (int steps = 0; steps < 16; ++steps) {
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || !within.contains(node))
      return std::nullopt;
    bool regroups = node.is("Squeeze") || node.is("Unsqueeze") || node.is("Reshape");
    if (node.is("MatMul") && whole && matchSideBySide(branch, node, grouped, whole, sliced, facts))
      return placed(false) ? std::optional(branch) : std::nullopt;
    if (whole && !regroups && value != grouped)
      axis.crossed.push_back({value, grouped});
    if (whole && !regroups)
      grouped = node.input(0);
    if (node.is("MatMul")) {
      for (unsigned i : {0, 1}) {
        bool swapped = false;
        Value pick = pickedConstant(node.input(i), 3, whole, within, facts, branch.nodes, swapped);
        if (!pick)
          continue;
        branch.matrix = pick;
        // W·x with a column for the token, or x·W with a row.
        branch.transposed = (i == 0) != swapped;
        branch.tokens = node.input(1 - i);
        branch.nodes.insert(node);
        int64_t columns = sizeOf(branch.matrix, branch.transposed ? 1 : 2);
        if (!sliced)
          branch.size = columns;
        return ShapedType::isDynamic(columns) || (whole && !placed(true)) ? std::nullopt
                                                                          : std::optional(branch);
      }
      return std::nullopt;
    }
    if (node.is("Add")) {
      bool found = false;
      for (unsigned i : {0, 1}) {
        bool swapped = false;
        Value pick = pickedConstant(node.input(i), 2, whole, within, facts, branch.nodes, swapped);
        bool second = !pick && whole && isBiasOfSecond(node.input(i), whole, facts);
        if ((!pick && !second) || branch.bias)
          continue;
        branch.bias = pick ? pick : node.input(i);
        biased = {!second, axis.crossed.size()};
        branch.nodes.insert(node);
        value = grouped = node.input(1 - i);
        found = true;
        break;
      }
      if (!found)
        return std::nullopt;
      continue;
    }
    if (node.is("Split") || node.is("Slice")) {
      // Halves of a packed product; matchBranch's rule for slices, on the last axis.
      Value source = node.input(0);
      int64_t width = sizeOf(source, -1), size = sizeOf(value, -1), rank = rankOf(source);
      if (ShapedType::isDynamic(width) || ShapedType::isDynamic(size))
        return std::nullopt;
      int64_t start = 0;
      if (node.is("Split")) {
        if (int64_t axis = node.integer("axis", 0); axis != -1 && axis != rank - 1)
          return std::nullopt;
        for (Value result : node->getResults()) {
          if (result == value)
            break;
          start += sizeOf(result, -1);
        }
      } else {
        auto starts = facts.integers(node.input(1)),
             axes = node.input(3) ? facts.integers(node.input(3))
                                  : std::optional(SmallVector<int64_t>{0}),
             steps = node.input(4) ? facts.integers(node.input(4))
                                   : std::optional(SmallVector<int64_t>{1});
        if (!starts || !axes || !steps || starts->size() != 1 ||
            ((*axes)[0] != -1 && (*axes)[0] != rank - 1) || (*steps)[0] < 1 ||
            (sliced && (*steps)[0] != 1))
          return std::nullopt;
        branch.step *= (*steps)[0];
        start = (*starts)[0] < 0 ? (*starts)[0] + width : (*starts)[0];
      }
      branch.start += start;
      if (!sliced)
        branch.size = size;
      sliced = true;
    } else if (whole && node.is("Transpose")) {
      axis.crossed.push_back({node.input(0), value});
    } else if (!regroups && !node.is("Cast") && !node.is("Identity")) {
      return std::nullopt;
    }
    branch.nodes.insert(node);
    value = node.input(0);
  }
  return std::nullopt;
}

// Back from the hidden values through elementwise nodes to products of chosen matrices.
static bool traceHidden(Value value, int64_t whole, Nodes &within, Constants &facts,
                        SmallVectorImpl<StackedBranch> &branches,
                        llvm::SmallDenseSet<Value, 8> &seen) {
  if (!seen.insert(value).second || facts.scalar(value))
    return true;
  if (auto branch = matchStacked(value, whole, within, facts)) {
    branches.push_back(std::move(*branch));
    return true;
  }
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || !isElementwise(node) || !within.contains(node) || seen.size() > 64)
    return false;
  for (Value operand : elementwiseOperands(node))
    if (!traceHidden(operand, whole, within, facts, branches, seen))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Weights of the chosen
//===----------------------------------------------------------------------===//

bool raise::isFilled(Value value, double fill, Constants &facts) {
  for (int i = 0; i < 6 && value; ++i) {
    if (auto scalar = facts.scalar(value))
      return *scalar == fill;
    auto node = value.getDefiningOp<NodeOp>();
    if (!node)
      return false;
    if (node.is("ConstantOfShape")) {
      auto elements = dyn_cast_or_null<DenseElementsAttr>(node.attribute("value"));
      return elements ? elements.isSplat() && isa<FloatType>(elements.getElementType()) &&
                            elements.getSplatValue<APFloat>().convertToDouble() == fill
                      : fill == 0.0;
    }
    if (!node.is("Expand") && !node.is("Identity") && !node.is("Cast") && !node.is("Reshape"))
      return false;
    value = node.input(0);
  }
  return false;
}

static bool isLastAxis(NodeOp node, int64_t otherwise) {
  int64_t axis = node.integer("axis", otherwise);
  return axis == -1 || axis == rankOf(node.input(0)) - 1;
}

// True for a reduction along the last axis alone.
static bool reducesLast(NodeOp node, Constants &facts) {
  std::optional<SmallVector<int64_t>> axes;
  if (auto attr = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("axes")))
    axes = SmallVector<int64_t>(attr.asArrayRef());
  else if (node.input(1))
    axes = facts.integers(node.input(1));
  return axes && axes->size() == 1 && ((*axes)[0] == -1 || (*axes)[0] == rankOf(node.input(0)) - 1);
}

// The scores of groups: of `ranked` [.., E] seen as [.., G, E / G] the highest, or the sum of the
// two highest.
static bool matchGroupScores(Value scores, Value ranked, Gating &gating, Constants &facts,
                             Nodes &nodes) {
  auto reduce = scores.getDefiningOp<NodeOp>();
  if (!reduce || !reducesLast(reduce, facts))
    return false;
  Value members = reduce.input(0);
  nodes.insert(reduce);
  if (reduce.is("ReduceMax")) {
    gating.groupScore = GroupScore::max;
  } else {
    auto best = members.getDefiningOp<NodeOp>();
    auto two = best && best.is("TopK") ? facts.integers(best.input(1)) : std::nullopt;
    if (!reduce.is("ReduceSum") || !two || *two != SmallVector<int64_t>{2} ||
        members != best->getResult(0) || !isLastAxis(best, -1) || best.integer("largest", 1) != 1)
      return false;
    gating.groupScore = GroupScore::top2;
    nodes.insert(best);
    members = best.input(0);
  }
  auto regroup = members.getDefiningOp<NodeOp>();
  if (!regroup || !regroup.is("Reshape") || regroup.input(0) != ranked)
    return false;
  nodes.insert(regroup);
  int64_t experts = sizeOf(ranked, -1), size = sizeOf(members, -1);
  if (ShapedType::isDynamic(experts) || ShapedType::isDynamic(size) ||
      sizeOf(members, -2) * size != experts)
    return false;
  for (int64_t e = 0; e < experts; ++e)
    gating.groups.push_back(e / size);
  return true;
}

// What TopK ranks may be -inf for the experts of groups that were not chosen; `ranked` becomes what
// it is for the others. False if something else decides.
static bool peelGroups(Value &ranked, Gating &gating, Constants &facts, Nodes &nodes) {
  auto where = ranked.getDefiningOp<NodeOp>();
  if (!where || !where.is("Where"))
    return true;
  auto isLowest = [&](Value value) {
    auto scalar = facts.scalar(value);
    return scalar && *scalar < -1e30;
  };
  bool kept = isLowest(where.input(2));
  if (!kept && !isLowest(where.input(1)))
    return false;
  Value mask = where.input(0), base = where.input(kept ? 1 : 2);
  nodes.insert(where);
  // From [.., E] over [.., G, E / G] and [.., G, 1] back to [.., G].
  bool spread = false;
  NodeOp scatter;
  for (int steps = 0; steps < 8 && !scatter; ++steps) {
    auto node = mask.getDefiningOp<NodeOp>();
    if (!node)
      return false;
    nodes.insert(node);
    if (node.is("ScatterElements"))
      scatter = node;
    else if (node.is("Not"))
      kept = !kept;
    else if (node.is("Expand") || node.is("Tile")) {
      if (spread || sizeOf(node.input(0), -1) != 1 || sizeOf(mask, -2) != sizeOf(node.input(0), -2))
        return false;
      spread = true;
    } else if (!(node.is("Cast") || node.is("Identity") || node.is("Reshape") ||
                 node.is("Unsqueeze")))
      return false;
    if (!scatter)
      mask = node.input(0);
  }
  auto choice = scatter ? scatter.input(1).getDefiningOp<NodeOp>() : NodeOp();
  auto k = choice && choice.is("TopK") ? facts.integers(choice.input(1)) : std::nullopt;
  auto reduction =
      scatter ? dyn_cast_or_null<StringAttr>(scatter.attribute("reduction")) : StringAttr();
  if (!kept || !k || k->size() != 1 || scatter.input(1) != choice->getResult(1) ||
      !isLastAxis(choice, -1) || choice.integer("largest", 1) != 1 || !isLastAxis(scatter, 0) ||
      (reduction && reduction.getValue() != "none") || !isFilled(scatter.input(0), 0.0, facts) ||
      !isFilled(scatter.input(2), 1.0, facts))
    return false;
  nodes.insert(choice);
  gating.groupK = (*k)[0];
  if (!matchGroupScores(choice.input(0), base, gating, facts, nodes))
    return false;
  int64_t groups = sizeOf(mask, -1);
  ranked = base;
  return groups == gating.groups.back() + 1 &&
         (spread || groups == static_cast<int64_t>(gating.groups.size()));
}

// The weights that the choice's indices pick of all gates (null: of whatever there is), if some
// node does that.
static Value pickedGates(NodeOp topk, Value gates, Nodes &nodes) {
  for (Operation *user : topk->getResult(1).getUsers())
    if (auto node = dyn_cast<NodeOp>(user);
        node && node.is("GatherElements") && isLastAxis(node, 0) &&
        (!gates || node.input(0) == gates) && node.input(1) == topk->getResult(1)) {
      nodes.insert(node);
      return node.getResult(0);
    }
  return {};
}

// What is done to the chosen values before they weigh; `known` becomes true where that is a
// softmax.
static Value followWeights(Value weights, bool &known, Gating &gating, Constants &facts) {
  for (int steps = 0; steps < 6; ++steps) {
    NodeOp next;
    for (Operation *user : weights.getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node)
        continue;
      // Softmax over the chosen logits is softmax over all, divided by the sum of the chosen.
      if (node.is("Softmax") && !known) {
        known = gating.normalized = true;
        next = node;
      } else if (node.is("Div") && node.input(0) == weights) {
        Value sum = node.input(1);
        while (auto inner = sum.getDefiningOp<NodeOp>()) {
          if (inner.is("ReduceSum") && inner.input(0) == weights) {
            gating.normalized = true;
            next = node;
            break;
          }
          if (!(inner.is("Add") || inner.is("Max") || inner.is("Clip") || inner.is("Cast")))
            break;
          sum = inner.input(0);
        }
      } else if (node.is("Mul")) {
        if (auto factor = facts.scalar(node.input(node.input(0) == weights ? 1 : 0))) {
          gating.factor *= *factor;
          next = node;
        }
      } else if (node.is("Cast") && !next) {
        next = node;
      }
    }
    if (!next)
      break;
    weights = next->getResult(0);
  }
  return weights;
}

// How the weights come from the logits. TopK chooses among `softmax(logits)`, `sigmoid(logits)` or
// the logits themselves, perhaps with a bias that the weights do not see, perhaps within the best
// groups. `weights` becomes the value that holds them.
static std::optional<Gating> gatingOf(NodeOp topk, Value &logits, Value &weights, Constants &facts,
                                      Nodes &nodes) {
  Gating gating;
  logits = through(topk.input(0), true);
  Value ranked = topk.input(0);
  if (auto where = ranked.getDefiningOp<NodeOp>(); where && where.is("Where")) {
    if (!peelGroups(ranked, gating, facts, nodes))
      return std::nullopt;
  } else {
    ranked = through(ranked, true, &nodes);
  }
  // sigmoid(logits) + bias.
  if (auto add = ranked.getDefiningOp<NodeOp>(); add && add.is("Add"))
    for (unsigned i : {0, 1}) {
      Value bias = add.input(i);
      auto squash = through(add.input(1 - i), true).getDefiningOp<NodeOp>();
      if (!squash || !(squash.is("Sigmoid") || squash.is("Softmax")) || !facts.isConstant(bias) ||
          sizeOf(bias, -1) != sizeOf(ranked, -1) ||
          !(rankOf(bias) == 1 || (rankOf(bias) == 2 && sizeOf(bias, 0) == 1)))
        continue;
      gating.selectionBias = bias;
      nodes.insert(add);
      ranked = add.input(1 - i);
      break;
    }
  Value gates = through(ranked, true, &nodes);
  auto squash = gates.getDefiningOp<NodeOp>();
  bool softmax = squash && squash.is("Softmax"), sigmoid = squash && squash.is("Sigmoid");
  logits = softmax || sigmoid ? squash.input(0) : gates;
  bool known = softmax || sigmoid;
  if (known) {
    nodes.insert(squash);
    gating.scoring = softmax ? Scoring::softmax : Scoring::sigmoid;
  }
  weights = pickedGates(topk, ranked, nodes);
  if (!weights && ranked != gates)
    weights = pickedGates(topk, gates, nodes);
  if (!weights && gating.selectionBias)
    return std::nullopt;
  if (!weights)
    weights = topk->getResult(0);
  weights = followWeights(weights, known, gating, facts);
  return known ? std::optional(gating) : std::nullopt;
}

// True if nothing is done to the weights of the chosen but to regroup them and to multiply by them.
static bool onlyWeigh(Value weights) {
  SmallVector<Value> queue{weights};
  for (size_t i = 0; i < queue.size() && i < 64; ++i)
    for (Operation *user : queue[i].getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node || node.is("MatMul") || node.is("Einsum") || node.is("Mul") || node.is("Shape"))
        continue;
      bool regroups = node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze") ||
                      node.is("Cast") || node.is("Identity") || node.is("Expand") ||
                      node.is("Transpose") || node.is("Gather") || node.is("GatherND") ||
                      node.is("GatherElements") || node.is("Flatten");
      if (!regroups)
        return false;
      queue.push_back(node.getResult(0));
    }
  return true;
}

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

// Finds the two products with chosen matrices, or with `whole` those of all so many experts, and
// what lies between; a reason if it cannot.
static std::string findExperts(MoeMatch &match, int64_t whole, Nodes &within, Constants &facts) {
  SmallVector<std::pair<NodeOp, StackedBranch>> products;
  for (Operation *op : within)
    if (auto node = dyn_cast<NodeOp>(op); node && node.is("MatMul"))
      if (auto branch = matchStacked(node.getResult(0), whole, within, facts))
        products.push_back({node, std::move(*branch)});
  for (auto &[node, down] : products) {
    SmallVector<StackedBranch> branches;
    llvm::SmallDenseSet<Value, 8> seen;
    // Regrouping before the product does not matter to the activation.
    Value hidden = down.tokens;
    ExpertsAxis axis{whole, true};
    if (down.sideBySide)
      continue;
    while (auto inner = hidden.getDefiningOp<NodeOp>()) {
      if (!(inner.is("Unsqueeze") || inner.is("Squeeze") || inner.is("Reshape") ||
            (whole && inner.is("Transpose"))))
        break;
      axis.crossed.push_back({inner.input(0), hidden});
      hidden = inner.input(0);
    }
    if (!traceHidden(hidden, whole, within, facts, branches, seen) || branches.empty() ||
        branches.size() > 2)
      continue;
    if (whole && (branches.front().expertsFirst != branches.back().expertsFirst ||
                  axis.follow(branches.front().expertsFirst) != true))
      continue;
    if (branches.size() == 1) {
      auto activation = recogniseActivation(hidden, branches[0].value);
      if (!activation || activation->activation == Activation::identity ||
          activation->factor != 1.0)
        continue;
      match.activation = activation->activation;
      match.up = branches[0];
    } else {
      auto gated = recogniseGated(hidden, branches[0].value, branches[1].value);
      if (!gated || gated->factor != 1.0)
        gated = recogniseCutGated(hidden, branches[0].value, branches[1].value);
      if (!gated)
        return "the activation is none that is known";
      match.limit = gated->limit;
      match.upOffset = gated->upOffset;
      match.activation = gated->activation;
      match.up = branches[gated->firstIsGate ? 1 : 0];
      match.gate = branches[gated->firstIsGate ? 0 : 1];
    }
    match.down = down;
    // A bias that follows the down-projection.
    Value after = node.getResult(0);
    for (int steps = 0; steps < 4 && after.hasOneUse(); ++steps) {
      auto user = dyn_cast<NodeOp>(*after.user_begin());
      if (!user || !(user.is("Squeeze") || user.is("Reshape") || user.is("Add")))
        break;
      after = user.getResult(0);
      if (user.is("Add")) {
        if (auto biased = matchStacked(after, whole, within, facts); biased && biased->bias)
          match.down.bias = biased->bias;
        break;
      }
    }
    return {};
  }
  return "no chain of two products with chosen matrices";
}

//===----------------------------------------------------------------------===//
// Choices by rules of their own
//===----------------------------------------------------------------------===//

// True if no element of the value can be below 0.
static bool isNonNegative(Value value, Constants &facts, int depth = 0) {
  if (auto scalar = facts.scalar(value))
    return *scalar >= 0;
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || depth > 16)
    return false;
  if (node.is("Softmax") || node.is("Sigmoid") || node.is("Exp") || node.is("Relu") ||
      node.is("Abs") || node.is("Sqrt"))
    return true;
  auto operand = [&](unsigned i) { return isNonNegative(node.input(i), facts, depth + 1); };
  if (node.is("Concat"))
    return llvm::all_of(node.getInputs(),
                        [&](Value part) { return isNonNegative(part, facts, depth + 1); });
  if (node.is("Mul") || node.is("Div") || node.is("Add"))
    return operand(0) && operand(1);
  if (node.is("Where"))
    return operand(1) && operand(2);
  bool keeps = node.is("GatherElements") || node.is("Gather") || node.is("Cast") ||
               node.is("Identity") || node.is("Reshape") || node.is("Unsqueeze") ||
               node.is("Squeeze") || node.is("Slice") || node.is("Split") || node.is("Transpose") ||
               node.is("ReduceSum") || node.is("ReduceMax") || node.is("Expand");
  bool values = node.is("TopK") && value == node->getResult(0);
  return (keeps || values) && operand(0);
}

// Back through nodes that regroup to a tensor [tokens, k].
static Value perChoice(Value value) {
  for (int steps = 0; steps < 8; ++steps) {
    auto node = value.getDefiningOp<NodeOp>();
    bool flat =
        rankOf(value) != 2 || sizeOf(value, 1) == 1 || ShapedType::isDynamic(sizeOf(value, 1));
    if (!flat || !node ||
        !(node.is("Reshape") || node.is("Unsqueeze") || node.is("Squeeze") || node.is("Cast") ||
          node.is("Identity")))
      break;
    value = node.input(0);
  }
  return value;
}

// The scores of the tokens that `weights` come from: a linear map of the experts' tokens, or of any
// where these are not given.
static Value routerBehind(Value weights, Value tokens, int64_t experts, Constants &facts) {
  SmallVector<Value> queue{weights};
  llvm::SmallDenseSet<Value, 16> seen;
  for (size_t i = 0; i < queue.size() && i < 64; ++i) {
    auto node = queue[i].getDefiningOp<NodeOp>();
    if (!node || !seen.insert(queue[i]).second)
      continue;
    if (rankOf(queue[i]) == 2 && sizeOf(queue[i], 1) == experts)
      if (auto router = matchLinear(queue[i], facts); router && router->out == experts)
        return !tokens || regrouped(router->input) == tokens ? queue[i] : Value();
    for (Value operand : node.getInputs())
      queue.push_back(operand);
  }
  return {};
}

// A choice that no rule of uoe.select says: nodes of the model make indices and weights [tokens,
// k]. The weights, each in its expert's column and 0 elsewhere, are scores of which the k highest
// are chosen. Weights below 0 would not be.
static std::string scatteredChoice(MoeMatch &match, Constants &facts) {
  // What the results of the down-projection are multiplied by.
  Value result = match.down.value, weights;
  for (int steps = 0; steps < 8 && !weights; ++steps) {
    auto user = result.hasOneUse() ? dyn_cast<NodeOp>(*result.user_begin()) : NodeOp();
    if (!user)
      break;
    if (user.is("Mul"))
      weights = user.input(user.input(0) == result ? 1 : 0);
    else if (!(user.is("Squeeze") || user.is("Unsqueeze") || user.is("Reshape") ||
               user.is("Cast") || user.is("Identity") || user.is("Add")))
      break;
    result = user.getResult(0);
  }
  NodeOp pick;
  for (Operation *op : match.down.nodes)
    if (auto node = dyn_cast<NodeOp>(op);
        node && (node.is("Gather") || node.is("GatherND")) && node.input(0) == match.down.matrix)
      pick = node;
  int64_t experts = sizeOf(match.down.matrix, 0);
  if (!weights || !pick || ShapedType::isDynamic(experts))
    return "what weighs the experts' results is not found";
  weights = perChoice(weights);
  Value indices = perChoice(pick.input(1));
  int64_t k = sizeOf(indices, -1);
  if (rankOf(weights) != 2 || rankOf(indices) != 2 || sizeOf(weights, -1) != k ||
      ShapedType::isDynamic(k) || k > experts)
    return "the choice is no indices and weights [tokens, k]";
  if (!isNonNegative(weights, facts))
    return "the weights of the chosen experts may be below 0, by a rule that is not known";
  Value tokens = regrouped(match.up.tokens, &match.nodes);
  Value router = routerBehind(weights, tokens, experts, facts);
  if (!router)
    return "no scores that are a linear map of the tokens are behind the choice";
  match.k = k;
  match.gating = Gating();
  match.gating.scoring = Scoring::raw;
  match.scores = router;
  match.weights = weights;
  match.indices = indices;
  match.input = tokens;
  return {};
}

// The same for experts that are spelled one after the other, chosen by TopK.
static std::string scatteredDispatch(MoeMatch &match, ArrayRef<FfnMatch> blocks, Nodes &within,
                                     Constants &facts) {
  bool known = false;
  Gating steps;
  Value weights = pickedGates(match.topk, Value(), match.nodes);
  weights = followWeights(weights ? weights : match.topk->getResult(0), known, steps, facts);
  if (rankOf(weights) != 2 || !isNonNegative(weights, facts))
    return "the weights of the chosen experts are not a function of their scores that is known, "
           "and may be below 0";
  match.scores = routerBehind(weights, Value(), sizeOf(match.topk.input(0), -1), facts);
  if (!match.scores)
    return "no scores that are a linear map of the tokens are behind the choice";
  match.gating = Gating();
  match.gating.scoring = Scoring::raw;
  match.weights = weights;
  match.indices = match.topk->getResult(1);
  return matchDispatch(match, blocks, weights, within, facts, match.input);
}

// Finds the operands; a reason if it cannot.
static std::string operands(MoeMatch &match, ArrayRef<FfnMatch> blocks, Nodes &within,
                            Constants &facts) {
  Value weights;
  std::optional<Gating> gating;
  if (match.topk.is("TopK"))
    gating = gatingOf(match.topk, match.scores, weights, facts, match.nodes);
  if (gating)
    match.gating = *gating;
  if (!blocks.empty())
    return gating ? matchDispatch(match, blocks, weights, within, facts, match.input)
                  : scatteredDispatch(match, blocks, within, facts);
  if (std::string why = findExperts(match, 0, within, facts); !why.empty())
    return why;
  auto router = gating && onlyWeigh(weights) ? matchLinear(match.scores, facts) : std::nullopt;
  if (!router)
    return scatteredChoice(match, facts);
  // The tokens are what the router read.
  Value source = regrouped(router->input), tokens = regrouped(match.up.tokens, &match.nodes);
  if (source != tokens)
    return "the router and the experts read different values";
  match.input = source;
  return {};
}

//===----------------------------------------------------------------------===//
// All experts for all tokens
//===----------------------------------------------------------------------===//

// Collects what makes `value` of `source`; true if a product with a constant matrix for each of the
// experts is among it.
static bool collectExperts(Value value, Value source, int64_t experts, Constants &facts,
                           Nodes &nodes) {
  SmallVector<Value> queue{value};
  bool product = false;
  for (size_t i = 0; i < queue.size() && i < 256; ++i) {
    auto node = queue[i].getDefiningOp<NodeOp>();
    if (!node || through(queue[i], true) == source || facts.isConstant(queue[i]) ||
        !nodes.insert(node))
      continue;
    for (Value operand : node.getInputs()) {
      product |= node.getOpType().contains("MatMul") && rankOf(operand) == 3 &&
                 sizeOf(operand, 0) == experts && facts.isConstant(operand);
      queue.push_back(operand);
    }
  }
  return product;
}

// The gates, 0 for the experts that were not chosen, weigh the results of all experts, and a sum
// over the experts follows. The sum, or null.
static Operation *weighedSum(Operation *gates, Value source, int64_t experts, Constants &facts,
                             Nodes &nodes) {
  Value value = gates->getResult(0);
  bool weighed = false;
  for (int steps = 0; steps < 12 && value.hasOneUse(); ++steps) {
    auto user = dyn_cast<NodeOp>(*value.user_begin());
    if (!user || user->getNumResults() != 1 || user->getBlock() != gates->getBlock())
      return nullptr;
    nodes.insert(user);
    if (user.is("Mul") && !weighed) {
      Value other = user.input(0) == value ? user.input(1) : user.input(0);
      weighed = collectExperts(other, source, experts, facts, nodes);
      if (!weighed)
        return nullptr;
    } else if (user.is("ReduceSum") && weighed) {
      return user;
    } else if (!(user.is("Reshape") || user.is("Transpose") || user.is("Unsqueeze") ||
                 user.is("Squeeze") || user.is("Cast") || user.is("Identity"))) {
      return nullptr;
    }
    value = user.getResult(0);
  }
  return nullptr;
}

// Whether `tokens` [E, T, d] repeat all tokens for each expert.
static bool repeatsForEach(Value tokens, int64_t experts, Constants &facts) {
  auto node = tokens.getDefiningOp<NodeOp>();
  if (rankOf(tokens) == 2 || (rankOf(tokens) == 3 && sizeOf(tokens, 0) == 1))
    return true; // the product repeats them
  if (!node || rankOf(tokens) != 3 || sizeOf(tokens, 0) != experts)
    return false;
  if (node.is("Expand"))
    return rankOf(node.input(0)) == 2 || sizeOf(node.input(0), 0) == 1;
  auto tile = node.is("Reshape") ? node.input(0).getDefiningOp<NodeOp>() : NodeOp();
  auto repeats = tile && tile.is("Tile") ? facts.integers(tile.input(1)) : std::nullopt;
  return repeats && *repeats == SmallVector<int64_t>{experts, 1};
}

// The operands of a mixture that runs all experts on all tokens, weighs them by `gates` and sums up
// to `sum`; a reason if they cannot be given.
static std::string denseOperands(MoeMatch &match, NodeOp gates, Operation *sum, Value weights,
                                 Constants &facts) {
  StringRef why = "all experts run on all tokens";
  int64_t experts = sizeOf(match.topk.input(0), -1);
  auto reduction = dyn_cast_or_null<StringAttr>(gates.attribute("reduction"));
  if (!gates.is("ScatterElements") || !isLastAxis(gates, 0) || rankOf(gates.getResult(0)) != 2 ||
      (reduction && reduction.getValue() != "none") || !isFilled(gates.input(0), 0.0, facts) ||
      gates.input(1) != match.topk->getResult(1) || gates.input(2) != weights)
    return (why + ", weighed by none that is known").str();
  // [T, E] becomes [E, T, ..], and the experts' axis stays the first one up to the sum.
  bool first = false, channels = false;
  for (Value value = gates.getResult(0);;) {
    auto user = cast<NodeOp>(*value.user_begin());
    if (user == sum) {
      auto axes = facts.integers(user.input(1));
      if (!axes || *axes != SmallVector<int64_t>{0} || !first)
        return (why + ", summed along another axis").str();
      break;
    }
    Value result = user.getResult(0);
    if (user.is("Mul")) {
      channels = true;
    } else {
      auto next = ExpertsAxis{experts, channels}.across(value, result, first);
      if (!next)
        return (why + ", in an order that is not known").str();
      first = *next;
    }
    value = result;
  }
  if (std::string reason = findExperts(match, experts, match.nodes, facts); !reason.empty())
    return (why + ": " + reason).str();
  if (regrouped(match.up.tokens) != regrouped(matchLinear(match.scores, facts)->input) ||
      !(match.up.sideBySide || repeatsForEach(match.up.tokens, experts, facts)))
    return (why + ", not in the order of the router's").str();
  return {};
}

static std::optional<MoeMatch> denseMixture(NodeOp topk, int64_t k, Operation *end,
                                            const Nodes &within, Constants &facts) {
  MoeMatch match;
  match.topk = topk;
  match.k = k;
  match.nodes.insert(within.begin(), within.end());
  Value weights;
  auto gating = gatingOf(topk, match.scores, weights, facts, match.nodes);
  auto router = matchLinear(match.scores, facts);
  if (!router || !isa<NodeOp>(end) || end->getNumResults() != 1)
    return std::nullopt;
  match.input = through(router->input, true);
  Operation *sum = weighedSum(end, match.input, sizeOf(topk.input(0), -1), facts, match.nodes);
  if (!sum)
    return std::nullopt;
  match.root = sum->getResult(0);
  match.opaque = "all experts run on all tokens";
  if (gating) {
    match.gating = *gating;
    match.opaque = denseOperands(match, cast<NodeOp>(end), sum, weights, facts);
  }
  return match;
}

// The input becomes the form of the tokens that has the result's rank.
static void fitRanks(MoeMatch &match, Constants &facts) {
  if (!match.opaque.empty() || rankOf(match.root) == rankOf(match.input))
    return;
  // The nearest form of the tokens with the result's rank, on the way to the router.
  Value form = matchLinear(match.scores, facts)->input;
  for (; form != match.input; form = form.getDefiningOp<NodeOp>().input(0))
    if (rankOf(form) == rankOf(match.root)) {
      match.input = form;
      return;
    }
  // Or on the way to the experts, before anything repeats them.
  Value found;
  for (form = match.up.tokens; form && form != match.input;) {
    auto node = form.getDefiningOp<NodeOp>();
    if (!node)
      break;
    if (node.is("Expand") || node.is("Tile"))
      found = Value();
    else if (rankOf(form) == rankOf(match.root) && !found)
      found = form;
    form = node.input(0);
  }
  if (found && form == match.input)
    match.input = found;
  else if (rankOf(match.root) == 2 && match.experts.empty() &&
           !ShapedType::isDynamic(sizeOf(match.input, -1)))
    match.flattens = true;
  else
    match.opaque = "tokens and result have different ranks";
}

// Takes the sum over the chosen, if it is still to come, and its regrouping to the tokens' shape
// into the block.
static void joinSum(MoeMatch &match, Constants &facts, bool summed = false) {
  // The choice's effects may join before the sum over the chosen: where they are weighted.
  auto follow = [&](auto accept) {
    SmallVector<NodeOp> crossed;
    Value value = match.root;
    while (value.hasOneUse() && crossed.size() < 6) {
      auto user = dyn_cast<NodeOp>(*value.user_begin());
      if (!user || user->getBlock() != match.topk->getBlock() || user->getNumResults() != 1 ||
          user.input(0) != value)
        return;
      bool regroups = user.is("Reshape") || user.is("Squeeze") || user.is("Unsqueeze") ||
                      user.is("Cast") || user.is("Identity");
      if (!regroups && !user.is("ReduceSum"))
        return;
      crossed.push_back(user);
      value = user.getResult(0);
      if (accept(user)) {
        match.nodes.insert(crossed.begin(), crossed.end());
        match.root = value;
        return;
      }
    }
  };
  if (!summed)
    follow([](NodeOp node) { return node.is("ReduceSum"); });
  // The sum's casts and its regrouping to the tokens' shape belong to the block.
  if (match.input && rankOf(match.root) != rankOf(match.input))
    follow([&](NodeOp node) {
      return rankOf(node.getResult(0)) == rankOf(match.input) &&
             elementOf(node.getResult(0)) == elementOf(match.input) &&
             mayAgree(node.getResult(0), match.input, rankOf(match.input));
    });
  fitRanks(match, facts);
}

// Experts chosen one at a time, by ArgMax (sparse mixers choose twice).
static MoeOutcome oneAtATime(NodeOp argmax, Constants &facts) {
  MoeOutcome outcome;
  int64_t rank = rankOf(argmax.input(0)), axis = argmax.integer("axis", 0);
  if (axis != -1 && axis != rank - 1)
    return outcome;
  Nodes within;
  Operation *end = extent(argmax, within);
  int64_t picked = 0, choices = 0, blocks = 0;
  for (Operation *op : within) {
    auto node = dyn_cast<NodeOp>(op);
    if (!node || node->getNumResults() == 0)
      continue;
    choices += node.is("ArgMax");
    picked += (node.is("Gather") || node.is("GatherND")) && rankOf(node.input(0)) >= 3 &&
              facts.isConstant(node.input(0));
    if (end)
      blocks += matchFfn(node, facts, true).match.has_value();
  }
  if (picked < 2 && blocks < 2)
    return outcome;
  if (!end || end->getNumResults() != 1 || !isFloat(end->getResult(0))) {
    outcome.reason = Reason{"extent: no node through which all of the choice's effects go", argmax};
    return outcome;
  }
  MoeMatch match;
  match.topk = argmax;
  match.k = choices;
  match.root = end->getResult(0);
  match.nodes.insert(within.begin(), within.end());
  match.opaque = picked >= 2 ? operands(match, {}, within, facts)
                             : "experts are chosen by " + describe(argmax) +
                                   ", one after the other, and spelled one by one";
  joinSum(match, facts);
  outcome.match = std::move(match);
  return outcome;
}

MoeOutcome raise::matchMoe(NodeOp topk, Constants &facts) {
  if (topk.is("ArgMax"))
    return oneAtATime(topk, facts);
  MoeOutcome outcome;
  auto k = facts.integers(topk.input(1));
  int64_t rank = rankOf(topk.input(0)), axis = topk.integer("axis", -1);
  if (!k || k->size() != 1 || (axis != -1 && axis != rank - 1))
    return outcome;
  Nodes within;
  Operation *end = extent(topk, within);
  // A mixture: the choice picks constant matrices, or feeds several feed-forward blocks.
  int64_t picked = 0, blocks = 0;
  Operation *evidence = nullptr;
  Nodes traced;
  std::vector<FfnMatch> experts;
  for (Operation *op : within) {
    auto node = dyn_cast<NodeOp>(op);
    if (!node)
      continue;
    if ((node.is("Gather") || node.is("GatherND")) && rankOf(node.input(0)) >= 3 &&
        facts.isConstant(node.input(0))) {
      ++picked;
      evidence = evidence ? evidence : op;
    }
    if (end && node->getNumResults() > 0) {
      if (auto ffn = matchFfn(node, facts, true).match) {
        experts.push_back(std::move(*ffn));
        ++blocks;
        evidence = evidence ? evidence : op;
      }
    }
    // Experts that were traced for a fixed choice meet the choice's weights.
    for (Value operand : node.getInputs()) {
      auto outer = operand.getDefiningOp<NodeOp>();
      if (!end || !outer || within.contains(outer) || outer->getBlock() != topk->getBlock())
        continue;
      if (auto ffn = matchFfn(outer, facts).match; ffn && ffn->root == operand) {
        ++blocks;
        evidence = evidence ? evidence : op;
        traced.insert(ffn->nodes.begin(), ffn->nodes.end());
      }
    }
  }
  if (picked < 2 && blocks < 2) {
    if (!end)
      return outcome;
    outcome.match = denseMixture(topk, (*k)[0], end, within, facts);
    if (outcome.match)
      joinSum(*outcome.match, facts, true);
    int64_t maps = llvm::count_if(within, [&](Operation *op) {
      return op->getNumResults() && matchLinearCore(op->getResult(0), facts);
    });
    if (!outcome.match && maps > 1)
      outcome.reason = Reason{"experts: the choice decides what " + std::to_string(maps) +
                                  " linear maps read, in no form that is known",
                              topk};
    return outcome;
  }
  if (!end) {
    outcome.reason =
        Reason{"extent: no node through which all of the choice's effects go", evidence};
    return outcome;
  }
  MoeMatch match;
  match.topk = topk;
  match.k = (*k)[0];
  match.root = end->getResult(0);
  if (picked >= 2 || !experts.empty())
    match.opaque =
        operands(match, picked >= 2 ? ArrayRef<FfnMatch>() : ArrayRef(experts), within, facts);
  else
    match.opaque = "experts are spelled one by one, for a choice that was fixed";
  match.nodes.insert(within.begin(), within.end());
  match.nodes.insert(traced.begin(), traced.end());
  joinSum(match, facts);
  outcome.match = std::move(match);
  return outcome;
}
