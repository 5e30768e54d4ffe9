// lower-uoe-to-onnx: the reference meaning of every uoe op in standard ONNX operators. Dense and
// masked, so it saves nothing; it is what fused paths are tested against, the fallback of
// execution, and the export that runs anywhere.
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "passes/lower/Reference.h"

namespace uoe {
#define GEN_PASS_DEF_LOWERUOETOONNXPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct LowerUoeToOnnxPass : uoe::impl::LowerUoeToOnnxPassBase<LowerUoeToOnnxPass> {
  using LowerUoeToOnnxPassBase::LowerUoeToOnnxPassBase;

  void runOnOperation() override {
    opset = onnx::opsetOf(getOperation());
    reference::unrollLoops(getOperation());
    // Inner ops first would visit experts' bodies, which are lowered where they are copied to.
    SmallVector<Operation *> ops;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp, ScoreOp, SelectOp, ExpertsOp>(op)) {
        ops.push_back(op);
        return WalkResult::skip();
      }
      return WalkResult::advance();
    });
    for (Operation *op : ops)
      if (failed(lower(op)))
        return signalPassFailure();
    for (Operation *op : llvm::reverse(dead))
      op->erase();
  }

  LogicalResult lower(Operation *op) {
    if (keepBlocks && isa<FfnOp, AttentionOp, MoeOp>(op))
      return success();
    OpBuilder builder(op);
    NodeBuilder b(builder, op->getLoc(), opset);
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](FfnOp ffn) { return lower(ffn, b); })
        .Case([&](AttentionOp attention) { return lower(attention, b); })
        .Case([&](MoeOp moe) { return lower(moe, b, builder); })
        .Case([&](ScoreOp score) { return lower(score, b); })
        .Case([&](SelectOp select) { return lower(select, b); })
        .Case([&](ExpertsOp experts) { return lower(experts, b, builder); })
        .Default([](Operation *) { return success(); });
  }

  // The result takes the op's (better known) type.
  LogicalResult replace(Operation *op, Value value) {
    if (value.getDefiningOp<onnx::NodeOp>() &&
        (value.use_empty() || !isa<RankedTensorType>(value.getType())))
      value.setType(op->getResult(0).getType());
    op->getResult(0).replaceAllUsesWith(value);
    op->erase();
    return success();
  }

  // `block` is a uoe.ffn or uoe.moe, whose operands are given apart.
  template <typename Block>
  Value ffn(NodeBuilder &b, Block block, Value x, Value up, Value biasUp, Value gate,
            Value biasGate, Value mask, Value down, Value biasDown) {
    Value h = b.biased(b.matmul(x, up), biasUp);
    ArrayAttr function;
    if constexpr (std::is_same_v<Block, FfnOp>)
      function = block.getFunctionAttr();
    if (gate)
      h = b.gated(block.getActivation(), b.biased(b.matmul(x, gate), biasGate), h, block.getLimit(),
                  block.getUpOffset(), function);
    else
      h = b.activation(block.getActivation(), h, function);
    if (mask)
      h = b.mul(h, mask);
    return b.biased(b.matmul(h, down), biasDown);
  }

  LogicalResult lower(FfnOp op, NodeBuilder &b) {
    if (inlineSpelling(op, op.getSpelling()))
      return success();
    return replace(op, ffn(b, op, op.getInput(), op.getUp(), op.getBiasUp(), op.getGate(),
                           op.getBiasGate(), {}, op.getDown(), op.getBiasDown()));
  }

  LogicalResult lower(AttentionOp op, NodeBuilder &b) {
    if (inlineSpelling(op, op.getSpelling()))
      return success();
    Value q = op.getQuery(), k = op.getKey(), v = op.getValue();
    auto qt = dyn_cast<RankedTensorType>(q.getType()), kt = dyn_cast<RankedTensorType>(k.getType());
    // Zero where it is not known: inside experts of different sizes.
    int64_t heads = qt && !qt.isDynamicDim(1) ? qt.getDimSize(1) : 0,
            groups = kt && !kt.isDynamicDim(1) ? kt.getDimSize(1) : 0;
    auto regrouped = [&](Value count) {
      return b.node("Concat", {b.ints({0}), count, b.ints({-1, 0})}, {b.attr("axis", 0)},
                    IntegerType::get(op.getContext(), 64));
    };
    auto grouping = [&](Value of, int64_t count) {
      if (count > 0)
        return b.ints({0, count, -1, 0});
      Value shape = b.node("Shape", {of}, {}, IntegerType::get(op.getContext(), 64));
      return regrouped(b.node("Slice", {shape, b.ints({1}), b.ints({2}), b.ints({0})}));
    };
    bool grouped = heads == 0 || groups == 0 || heads != groups;
    Value byGroup = grouped ? grouping(k, groups) : Value(),
          byHead = grouped ? grouping(q, heads) : Value();
    Value neg = b.scalar(-std::numeric_limits<float>::infinity(), q), zero = b.scalar(0, q);
    Value scores;
    Value kT = b.node("Transpose", {k},
                      {NamedAttribute(StringAttr::get(op.getContext(), "perm"),
                                      DenseI64ArrayAttr::get(op.getContext(), {0, 1, 3, 2}))});
    Value scaled = op.getScale().convertToFloat() == 1.0f
                       ? q
                       : b.mul(q, b.scalar(op.getScale().convertToDouble(), q));
    // Grouped queries: the heads of a group are stacked along the query axis.
    auto fold = [&](Value x) { return grouped ? b.node("Reshape", {x, byGroup}) : x; };
    auto unfold = [&](Value x) { return grouped ? b.node("Reshape", {x, byHead}) : x; };
    scores = unfold(b.matmul(fold(scaled), kT));
    if (float cap = op.getSoftcap().convertToFloat(); cap > 0)
      scores = b.mul(b.node("Tanh", {b.node("Div", {scores, b.scalar(cap, q)})}), b.scalar(cap, q));
    auto mask = [&](Value allowed) {
      scores = b.node("Where", {allowed, scores, neg}, {}, elementTypeOf(q));
    };
    Type i1 = IntegerType::get(op.getContext(), 1);
    if (Value bias = op.getBias()) {
      if (elementTypeOf(bias).isInteger(1))
        mask(bias);
      else
        scores = b.add(scores, bias);
    }
    if (op.getCausal() || op.getWindow() > 0) {
      Type i64 = IntegerType::get(op.getContext(), 64);
      auto length = [&](Value x) {
        Value shape = b.node("Shape", {x}, {}, i64);
        return b.node("Gather", {shape, b.scalarInt(2)});
      };
      Value s = length(q), t = length(k);
      auto range = [&](Value n) { return b.node("Range", {b.scalarInt(0), n, b.scalarInt(1)}); };
      Value last = b.add(b.node("Unsqueeze", {range(s), b.ints({1})}), b.node("Sub", {t, s}));
      Value key = b.node("Unsqueeze", {range(t), b.ints({0})});
      if (op.getCausal())
        mask(b.node("LessOrEqual", {key, last}, {}, i1));
      if (op.getWindow() > 0)
        mask(b.node("Greater", {key, b.node("Sub", {last, b.scalarInt(op.getWindow())})}, {}, i1));
    }
    Value p = b.node("Softmax", {scores}, {b.attr("axis", -1)});
    if (op.getBooleanZero())
      p = b.node("Where", {b.node("IsNaN", {p}, {}, i1), zero, p}, {}, elementTypeOf(q));
    return replace(op, unfold(b.matmul(fold(p), v)));
  }

  // Every expert for every token, weighted by 0 where it was not chosen.
  LogicalResult lower(MoeOp op, NodeBuilder &b, OpBuilder &builder) {
    if (inlineSpelling(op, op.getSpelling()))
      return success();
    auto up = dyn_cast<RankedTensorType>(op.getUp().getType()),
         down = dyn_cast<RankedTensorType>(op.getDown().getType());
    auto scores = dyn_cast<RankedTensorType>(op.getScores().getType());
    if (!up || !down || !scores || up.isDynamicDim(0) || up.isDynamicDim(1))
      return op.emitOpError(
                 "needs known numbers of experts and channels to be spelled in ONNX, found ")
             << op.getUp().getType();
    int64_t experts = up.getDimSize(0);
    auto select = SelectOp::create(builder, op.getLoc(), RoutingType::get(op.getContext(), experts),
                                   Rule::token_topk, op.getScores());
    setChoice(select, op);
    if (failed(lower(select, b)))
      return failure();
    Value x = b.node("Reshape", {op.getInput(), b.ints({1, -1, up.getDimSize(1)})});
    Value w =
        b.node("Reshape", {routings.lookup(select.getRouting()).weight, b.ints({-1, experts})});
    w = b.node("Unsqueeze",
               {b.node("Transpose", {w},
                       {NamedAttribute(StringAttr::get(op.getContext(), "perm"),
                                       DenseI64ArrayAttr::get(op.getContext(), {1, 0}))}),
                b.ints({2})});
    auto rows = [&](Value bias) { return bias ? b.node("Unsqueeze", {bias, b.ints({1})}) : bias; };
    Value y = ffn(b, op, x, op.getUp(), rows(op.getBiasUp()), op.getGate(), rows(op.getBiasGate()),
                  {}, op.getDown(), rows(op.getBiasDown()));
    y = b.node("ReduceSum", {b.mul(y, w), b.ints({0})}, {b.attr("keepdims", 0)});
    Value shape = b.node("Shape", {op.getInput()}, {b.attr("end", -1)},
                         IntegerType::get(op.getContext(), 64));
    shape = b.node("Concat", {shape, b.ints({down.getDimSize(2)})}, {b.attr("axis", 0)},
                   IntegerType::get(op.getContext(), 64));
    return replace(op, b.reshapeTo(y, shape));
  }

  LogicalResult lower(ScoreOp op, NodeBuilder &b) { return replace(op, reference::score(b, op)); }

  LogicalResult lower(SelectOp op, NodeBuilder &b) {
    const reference::Routing *within = nullptr;
    if (op.getWithin() && !(within = routingOf(op.getWithin())))
      return op.emitOpError("lies within a routing that no uoe.select of this function makes");
    reference::Routing routing = reference::select(b, op, within);
    routings[op.getRouting()] = routing;
    dead.push_back(op);
    return success();
  }

  // What a select became, here or as an entry of the runtime that gives it dense.
  const reference::Routing *routingOf(Value value) {
    if (auto dense = value.getDefiningOp<UnrealizedConversionCastOp>();
        dense && dense.getNumOperands() >= 2 && !routings.count(value)) {
      reference::Routing routing;
      auto type = cast<RoutingType>(value.getType());
      routing.weight = dense.getOperand(0);
      routing.chosen = dense.getOperand(1);
      routing.places = dense.getNumOperands() > 2 ? dense.getOperand(2) : Value();
      routing.tokens = type.getTokens();
      routing.experts = type.getExperts();
      routings[value] = routing;
      dead.push_back(dense);
    }
    auto found = routings.find(value);
    return found == routings.end() ? nullptr : &found->second;
  }

  // For each index of the sliced axis its expert.
  static SmallVector<int64_t> owners(ExpertsOp op) {
    SmallVector<int64_t> owner;
    for (auto [expert, size] : llvm::enumerate(op.getSizes()))
      owner.append(size, static_cast<int64_t>(expert));
    return owner;
  }

  // The weights [.., experts] spread over the sliced axis.
  Value spread(ExpertsOp op, NodeBuilder &b, Value weights) {
    if (!weights || llvm::all_of(op.getSizes(), [](int64_t size) { return size == 1; }))
      return weights;
    return b.node("Gather", {weights, b.ints(owners(op))}, {b.attr("axis", -1)});
  }

  // The routing's weights, per token of the op's operands and per expert of the op.
  Value weightsOf(ExpertsOp op, NodeBuilder &b, const reference::Routing &routing) {
    Value weights = routing.weight;
    if (!weights)
      return weights;
    if (std::optional<ArrayRef<int64_t>> slots = op.getSlots()) {
      // Slots of one expert add up.
      auto element = cast<FloatType>(elementTypeOf(weights));
      SmallVector<Attribute> map;
      for (int64_t slot : *slots)
        for (int64_t e = 0; e < op.numExperts(); ++e)
          map.push_back(FloatAttr::get(element, slot == e ? 1.0 : 0.0));
      auto type =
          RankedTensorType::get({static_cast<int64_t>(slots->size()), op.numExperts()}, element);
      weights = b.matmul(weights, b.constant(DenseElementsAttr::get(type, map)));
    }
    if (op.getCombine() == Combine::merge)
      return weights;
    Value tokens = op.getShared().empty() ? op.getSliced()[0] : op.getShared()[0];
    return reference::perToken(b, weights, routing.tokens, tokens);
  }

  LogicalResult lower(ExpertsOp op, NodeBuilder &b, OpBuilder &builder) {
    reference::Routing routing;
    if (op.getRouting()) {
      const reference::Routing *found = routingOf(op.getRouting());
      if (!found)
        return op.emitOpError("has a routing that no uoe.select of this function makes");
      routing = *found;
    }
    // Slots of -1 go nowhere, so with slots there is always a choice.
    if (routing.experts && !routing.weight &&
        (op.getSlots() || op.getGathered() || op.getCombine() == Combine::merge)) {
      auto select = op.getRouting().getDefiningOp<SelectOp>();
      Value s = select.getScores();
      routing.weight = b.add(b.mul(s, b.scalar(0, s)), b.scalar(1, s));
    }
    if (op.getGathered() && !routing.chosen)
      routing.chosen = b.node("Greater", {routing.weight, b.scalar(0, routing.weight)}, {},
                              IntegerType::get(op.getContext(), 1));
    Block &body = op.getBody().front();
    unsigned shared = op.getShared().size();
    auto outer = [&](Value inner) -> Value {
      if (!inner)
        return {};
      unsigned i = cast<BlockArgument>(inner).getArgNumber();
      return i < shared ? op.getShared()[i] : op.getSliced()[i - shared];
    };
    auto copy = [&](ValueRange operands) { return copyBody(op, builder, operands); };
    Value result;
    if (op.getGathered()) {
      FailureOr<Value> sum = reference::gathered(b, op, routing, copy);
      if (failed(sum))
        return failure();
      result = *sum;
    } else if (op.getCombine() == Combine::merge) {
      Value weights = weightsOf(op, b, routing);
      result = isWeightedTensors(op) ? reference::mergedTensors(b, op, weights)
                                     : reference::merged(b, op, weights, copy);
    } else {
      Value weights = weightsOf(op, b, routing);
      switch (unroll ? ExpertBody::Other : classify(op)) {
      case ExpertBody::Ffn: {
        auto f = cast<FfnOp>(body.front());
        result = ffn(b, f, outer(f.getInput()), outer(f.getUp()), outer(f.getBiasUp()),
                     outer(f.getGate()), outer(f.getBiasGate()), spread(op, b, weights),
                     outer(f.getDown()), {});
        break;
      }
      case ExpertBody::Rows: {
        Value x = op.getSliced()[0];
        if (Value mask = spread(op, b, weights))
          x = b.mul(x, mask);
        result = b.matmul(x, op.getSliced()[1]);
        break;
      }
      case ExpertBody::Elementwise: {
        result = copyBody(op, builder, op.getSliced(), /*whole=*/true);
        if (Value mask = spread(op, b, weights))
          result = b.mul(result, mask);
        break;
      }
      case ExpertBody::Product:
      case ExpertBody::Other:
        result = unrolled(op, b, weights, copy);
        break;
      }
    }
    if (op.getSkip() && routing.chosen) {
      Value on = routing.flags;
      if (!on)
        on = b.node("Where", {routing.chosen, b.scalar(1, op.getSkip()), b.scalar(0, op.getSkip())},
                    {}, elementTypeOf(op.getSkip()));
      Value tokens = op.getShared().empty() ? op.getSliced()[0] : op.getShared()[0];
      on = reference::perToken(b, on, routing.tokens, tokens);
      result = b.add(result, b.matmul(b.node("Sub", {b.scalar(1, on), on}), op.getSkip()));
    }
    // Ops of the body were copied with their uoe ops, which are lowered in turn.
    SmallVector<Operation *> inner(copied);
    copied.clear();
    if (failed(replace(op, result)))
      return failure();
    for (Operation *nested : inner)
      if (failed(lower(nested)))
        return failure();
    return success();
  }

  // Expert by expert.
  static Value unrolled(ExpertsOp op, NodeBuilder &b, Value weights,
                        function_ref<Value(ValueRange)> body) {
    SmallVector<Value> parts;
    for (int64_t e = 0; e < op.numExperts(); ++e) {
      Value part = body(reference::expertOperands(b, op, op.getShared(), e));
      if (weights)
        part = b.mul(part, b.slice(weights, -1, e, e + 1));
      parts.push_back(part);
    }
    if (op.getCombine() == Combine::concat)
      return b.node("Concat", parts, {b.attr("axis", -1)});
    Value sum = parts.front();
    for (Value part : ArrayRef(parts).drop_front())
      sum = b.add(sum, part);
    return sum;
  }

  // `whole`: the operands are not sliced, so that the body's types do not hold.
  Value copyBody(ExpertsOp op, OpBuilder &builder, ValueRange operands, bool whole = false) {
    Block &body = op.getBody().front();
    IRMapping map;
    for (auto [arg, value] : llvm::zip(body.getArguments(), operands)) {
      if (!whole && !isa<RankedTensorType>(value.getType()) && value.getDefiningOp<onnx::NodeOp>())
        value.setType(op.getGathered() ? onnx::dropDims(arg.getType()) : arg.getType());
      map.map(arg, value);
    }
    for (Operation &inner : body.without_terminator()) {
      Operation *clone = builder.clone(inner, map);
      // Names of dimensions are those of all tokens, and an expert has some of them.
      for (Value r : clone->getResults())
        if (op.getGathered())
          r.setType(onnx::dropDims(r.getType()));
      for (Value r : clone->getResults())
        if (whole && isa<RankedTensorType>(r.getType()) && isa<onnx::NodeOp>(clone))
          r.setType(UnrankedTensorType::get(elementTypeOf(r)));
      if (isa<FfnOp, AttentionOp, MoeOp, ScoreOp, SelectOp, ExpertsOp>(clone))
        copied.push_back(clone);
    }
    return map.lookup(body.getTerminator()->getOperand(0));
  }

  int64_t opset = 0;
  llvm::DenseMap<Value, reference::Routing> routings;
  SmallVector<Operation *> dead;
  SmallVector<Operation *> copied;
};

} // namespace
