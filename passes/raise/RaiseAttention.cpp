// raise-attention: subgraphs that are scaled dot-product attention, and operators that hold one,
// become uoe.attention.
#include "passes/Passes.h"
#include "passes/raise/Attention.h"
#include <cmath>
#include <map>

namespace uoe {
#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

namespace {
// Masks are shared by the layers of a model, and so are the biases made of them.
using MaskKey = std::tuple<Block *, const void *, bool, double, const void *, int64_t>;

struct Raiser {
  Constants &facts;
  std::map<MaskKey, Value> masks;

  // A bias of the products' own layout from one that applies at another rank.
  Value atRank4(OpBuilder &builder, Location loc, const AttentionMatch &match,
                const ScoreTerm &term, Value bias) {
    int64_t rank = rankOf(bias);
    if (term.rank == 3 && match.heads > 0) {
      // [B·H or 1, S, T]; a bias of lower rank broadcasts as it is.
      if (rank < 3)
        return bias;
      Value lifted = makeUnsqueeze(builder, loc, bias, 0);
      return sizeOf(bias, 0) == 1
                 ? lifted
                 : makeReshape(builder, loc, lifted, {ShapedType::kDynamic, match.heads, 0, 0});
    }
    if (term.rank == 5) {
      // The batch is windows of images, [images, windows, H, S, T]: spread the bias over the
      // images.
      SmallVector<int64_t> sizes;
      for (int64_t axis = 1; axis < 5; ++axis)
        sizes.push_back(sizeOf(term.scores, axis));
      if (rank != 5 || rankOf(match.query) != 4 || llvm::any_of(sizes, [](int64_t size) {
            return ShapedType::isDynamic(size) || size == 0;
          }))
        return {};
      Type i64 = builder.getI64Type();
      Value shape = makeNode(builder, loc, "Shape", match.query, RankedTensorType::get({1}, i64),
                             {builder.getNamedAttr("end", builder.getI64IntegerAttr(1)),
                              builder.getNamedAttr("start", builder.getI64IntegerAttr(0))});
      Value images = makeNode(builder, loc, "Div", {shape, makeIntegers(builder, loc, {sizes[0]})},
                              shape.getType());
      Value all = makeNode(builder, loc, "Concat", {images, makeIntegers(builder, loc, sizes)},
                           RankedTensorType::get({5}, i64),
                           builder.getNamedAttr("axis", builder.getI64IntegerAttr(0)));
      SmallVector<int64_t> full{ShapedType::kDynamic};
      full.append(sizes);
      Value spread = makeNode(builder, loc, "Expand", {bias, all},
                              RankedTensorType::get(full, elementOf(bias)));
      return makeReshape(builder, loc, spread,
                         {ShapedType::kDynamic, sizes[1], sizes[2], sizes[3]});
    }
    return term.rank <= 4 && rank <= 4 ? bias : Value();
  }

  // What is added to the scores, all terms in one; null if there are none. False if a term cannot
  // be laid out.
  bool makeBias(OpBuilder &builder, Location loc, const AttentionMatch &match, Type element,
                Value &bias) {
    for (const ScoreTerm &term : llvm::reverse(match.terms)) {
      if (term.kind == ScoreTerm::add) {
        Value value =
            atRank4(builder, loc, match, term, makeScaled(builder, loc, term.value, term.factor));
        if (!value)
          return false;
        value = makeCast(builder, loc, value, element);
        bias = bias ? makeBinary(builder, loc, "Add", bias, value) : value;
      } else if (term.kind == ScoreTerm::clamp) {
        if (bias)
          bias = makeNode(builder, loc, "Max", {bias, makeScalar(builder, loc, element, term.fill)},
                          bias.getType());
      } else {
        Value mask = makeMask(builder, loc, match, term, element);
        if (!mask)
          return false;
        bias = bias ? makeBinary(builder, loc, "Add", bias, mask) : mask;
      }
    }
    return true;
  }

  Value makeMask(OpBuilder &builder, Location loc, const AttentionMatch &match,
                 const ScoreTerm &term, Type element) {
    MaskKey key{builder.getBlock(), term.value.getAsOpaquePointer(), term.negated,
                term.fill,          element.getAsOpaquePointer(),    term.rank};
    Value &known = masks[key];
    if (known)
      return known;
    Value zero = makeScalar(builder, loc, element, 0.0),
          fill = makeScalar(builder, loc, element, term.fill);
    auto type = cast<RankedTensorType>(term.value.getType());
    type = RankedTensorType::get(type.getShape(), element, type.getEncoding());
    Value mask = term.negated ? makeNode(builder, loc, "Where", {term.value, fill, zero}, type)
                              : makeNode(builder, loc, "Where", {term.value, zero, fill}, type);
    return known = atRank4(builder, loc, match, term, mask);
  }

  // One more entry of the given value at the end of an axis.
  Value pad(OpBuilder &builder, Location loc, Value value, int64_t axis, double entry) {
    int64_t rank = rankOf(value);
    SmallVector<int64_t> shape(cast<RankedTensorType>(value.getType()).getShape()),
        pads(2 * rank, 0);
    if (!ShapedType::isDynamic(shape[axis]))
      ++shape[axis];
    pads[rank + axis] = 1;
    return makeNode(builder, loc, "Pad",
                    {value, makeIntegers(builder, loc, pads),
                     makeScalar(builder, loc, elementOf(value), entry)},
                    RankedTensorType::get(shape, elementOf(value)));
  }

  // A sink as one more key and value of zeros, whose score the bias gives: [.., T] becomes
  // [.., T + 1]. False if the bias is one number for all keys.
  bool addSink(OpBuilder &builder, Location loc, const AttentionMatch &match, Type element,
               Value &key, Value &value, Value &bias) {
    if (bias && (rankOf(bias) < 1 || sizeOf(bias, -1) == 1))
      return false;
    // True for the last key.
    int64_t keys = sizeOf(key, 2);
    Value zero = makeScalar(builder, loc, element, 0.0);
    Value count =
        makeNode(builder, loc, "Shape", key, RankedTensorType::get({1}, builder.getI64Type()),
                 {builder.getNamedAttr("end", builder.getI64IntegerAttr(3)),
                  builder.getNamedAttr("start", builder.getI64IntegerAttr(2))});
    Value others =
        makeNode(builder, loc, "Expand", {zero, count}, RankedTensorType::get({keys}, element));
    Value last = makeCast(builder, loc, pad(builder, loc, others, 0, 1.0), builder.getI1Type());
    Value sink = match.sink;
    while (auto node = sink.getDefiningOp<NodeOp>()) {
      if (!node.is("Expand") || rankOf(node.input(0)) != 4 || sizeOf(node.input(0), -1) != 1)
        break;
      sink = node.input(0);
    }
    sink = makeCast(builder, loc, makeScaled(builder, loc, sink, match.sinkFactor), element);
    SmallVector<int64_t> shape(cast<RankedTensorType>(sink.getType()).getShape());
    shape.back() = ShapedType::isDynamic(keys) ? keys : keys + 1;
    sink =
        makeNode(builder, loc, "Where", {last, sink, zero}, RankedTensorType::get(shape, element));
    bias =
        bias ? makeBinary(builder, loc, "Add", pad(builder, loc, bias, rankOf(bias) - 1, 0.0), sink)
             : sink;
    key = pad(builder, loc, key, 2, 0.0);
    value = pad(builder, loc, value, 2, 0.0);
    return true;
  }

  // An operand as [B, H, S, D] in the products' element type.
  Value operand(OpBuilder &builder, Location loc, const AttentionMatch &match, Value value,
                Type element) {
    if (rankOf(value) == 3)
      value = makeReshape(builder, loc, makeUnsqueeze(builder, loc, value, 0),
                          {ShapedType::kDynamic, match.heads, 0, 0});
    return makeCast(builder, loc, value, element);
  }

  void raise(AttentionMatch &match) {
    Operation *last = match.root.getDefiningOp();
    OpBuilder builder(last);
    Location loc = blockLoc(last);
    Type element = elementOf(match.root);
    Value query, key, value, bias;
    if (match.opaque.empty() && element) {
      query = operand(builder, loc, match, match.query, element);
      for (Value factor : match.factors)
        query = makeBinary(builder, loc, "Mul", query, makeCast(builder, loc, factor, element));
      for (Value divisor : match.divisors)
        query = makeBinary(builder, loc, "Div", query, makeCast(builder, loc, divisor, element));
      key = match.key;
      if (!match.keyPermutation.empty())
        key = makeTranspose(builder, loc, key, match.keyPermutation);
      key = operand(builder, loc, match, key, element);
      value = operand(builder, loc, match, match.value, element);
      auto agree = [](int64_t a, int64_t b) {
        return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
      };
      int64_t heads = sizeOf(query, 1), groups = sizeOf(key, 1);
      bool fits = rankOf(query) == 4 && rankOf(key) == 4 && rankOf(value) == 4 &&
                  agree(sizeOf(query, 0), sizeOf(key, 0)) &&
                  agree(sizeOf(query, 3), sizeOf(key, 3)) &&
                  agree(sizeOf(key, 0), sizeOf(value, 0)) && agree(groups, sizeOf(value, 1)) &&
                  agree(sizeOf(key, 2), sizeOf(value, 2)) &&
                  (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) ||
                   (groups > 0 && heads % groups == 0));
      if (!fits)
        match.opaque = "query, key and value do not agree in heads, batch or length";
      else if (!makeBias(builder, loc, match, element, bias))
        match.opaque = "a mask or bias cannot be laid out as [B, H, S, T]";
      else if (match.sink && !addSink(builder, loc, match, element, key, value, bias))
        match.opaque = "a bias beside a sink is the same for all keys";
      if (!match.opaque.empty())
        query = key = value = bias = Value();
    }
    auto attention = AttentionOp::create(
        builder, loc, TypeRange(match.root.getType()), query, key, value, bias,
        llvm::APFloat(static_cast<float>(match.scale)), false, 0,
        llvm::APFloat(static_cast<float>(match.softcap)), match.booleanZero, StringAttr());
    outline(movable(match.nodes, match.root), match.root, attention.getSpelling(),
            attention->getResults());
  }

  // ONNX's Attention over [B, H, S, D] without cache has the block's own operands.
  bool plain(NodeOp node, double &scale) {
    if (node.getDomain() == "com.microsoft" || node.getInputs().size() > 6 || node.input(4) ||
        node.input(5))
      return false;
    for (unsigned i : {0, 1, 2})
      if (rankOf(node.input(i)) != 4)
        return false;
    for (unsigned i = 1; i < node->getNumResults(); ++i)
      if (!node->getResult(i).use_empty())
        return false;
    Value q = node.input(0), k = node.input(1), v = node.input(2);
    int64_t d = sizeOf(q, 3), h = sizeOf(q, 1), g = sizeOf(k, 1);
    if (ShapedType::isDynamic(h) || ShapedType::isDynamic(g) || g == 0 || h % g != 0 ||
        sizeOf(v, 1) != g || !mayAgree(k, v, 3))
      return false;
    // The operator aligns a causal mask with the first key, the block with the last.
    if (node.integer("is_causal", 0)) {
      bool same = (!ShapedType::isDynamic(sizeOf(q, 2)) && sizeOf(q, 2) == sizeOf(k, 2)) ||
                  (!onnx::dimName(q.getType(), 2).empty() &&
                   onnx::dimName(q.getType(), 2) == onnx::dimName(k.getType(), 2));
      if (!same)
        return false;
    }
    scale = node.real("scale", 0.0);
    if (scale == 0.0 && ShapedType::isDynamic(d))
      return false;
    if (scale == 0.0)
      scale = 1.0 / std::sqrt(static_cast<double>(d));
    return true;
  }

  void raiseFused(NodeOp node) {
    OpBuilder builder(node);
    double scale = 1.0;
    Nodes nodes;
    nodes.insert(node);
    AttentionOp attention;
    StringAttr name = builder.getStringAttr(
        node.getDomain().empty() ? node.getOpType().str()
                                 : (node.getDomain() + "." + node.getOpType()).str());
    SmallVector<Value> results(node->getResults().begin(), node->getResults().end());
    if (plain(node, scale) && node->getNumResults() == 1) {
      Value key = node.input(1), value = node.input(2);
      Nodes more;
      Value k = ungroup(key, facts, more), v = ungroup(value, facts, more);
      if (k && v && sizeOf(k, 1) == sizeOf(v, 1)) {
        key = k;
        value = v;
        nodes.insert(more.begin(), more.end());
      }
      attention = AttentionOp::create(
          builder, blockLoc(node), node->getResultTypes(), node.input(0), key, value, node.input(3),
          llvm::APFloat(static_cast<float>(scale)), node.integer("is_causal", 0) != 0, 0,
          llvm::APFloat(static_cast<float>(node.real("softcap", 0.0))),
          /*boolean_zero=*/node.input(3) != nullptr, name);
    } else {
      attention = AttentionOp::create(builder, blockLoc(node), node->getResultTypes(), Value(),
                                      Value(), Value(), Value(), llvm::APFloat(1.0f), false, 0,
                                      llvm::APFloat(0.0f), false, name);
    }
    outline(movable(nodes, results), results, attention.getSpelling(), attention->getResults());
  }
};

struct RaiseAttentionPass : uoe::impl::RaiseAttentionPassBase<RaiseAttentionPass> {
  using RaiseAttentionPassBase::RaiseAttentionPassBase;
  void runOnOperation() override {
    Constants facts;
    SmallVector<NodeOp> nodes;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp>(op))
        return WalkResult::skip();
      if (auto node = dyn_cast<NodeOp>(op); node && (node.is("Softmax") || isFusedAttention(node)))
        nodes.push_back(node);
      return WalkResult::advance();
    });
    Raiser raiser{facts, {}};
    for (NodeOp node : nodes) {
      if (isFusedAttention(node)) {
        raiser.raiseFused(node);
        ++numRaised;
        continue;
      }
      AttentionOutcome outcome = matchAttention(node, facts);
      if (outcome.match) {
        raiser.raise(*outcome.match);
        ++numRaised;
        if (!outcome.match->opaque.empty() && remarks)
          emitRemark(node.getLoc()) << "attention without operands: " << outcome.match->opaque;
      } else if (outcome.reason && remarks) {
        emitRemark(outcome.reason->at ? outcome.reason->at->getLoc() : node.getLoc())
            << "not attention: " << outcome.reason->text;
      }
    }
    raiseUnnormalised(raiser, facts);
    numberLayers(getOperation());
  }

  /// What is left: weights that are no softmax.
  void raiseUnnormalised(Raiser &raiser, Constants &facts) {
    SmallVector<NodeOp> products;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp>(op))
        return WalkResult::skip();
      if (auto node = dyn_cast<NodeOp>(op))
        products.push_back(node);
      return WalkResult::advance();
    });
    for (NodeOp node : products) {
      if (node->getParentOfType<AttentionOp>())
        continue;
      AttentionOutcome outcome = matchUnnormalised(node, facts);
      if (!outcome.match)
        continue;
      if (remarks)
        emitRemark(node.getLoc()) << "attention without operands: " << outcome.match->opaque;
      raiser.raise(*outcome.match);
      ++numRaised;
    }
  }
};
} // namespace
