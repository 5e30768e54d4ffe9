// lower-uoe-to-rt: blocks, experts and biased products become calls of fused runtime entries
// (domain "uoe"), where there is one.
#include "dialects/rt/Rt.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "passes/lower/AttentionExperts.h"
#include "passes/lower/CascadeBlock.h"
#include "passes/lower/Heads.h"
#include "passes/lower/Reference.h"
#include "passes/raise/PackedMatrix.h"
#include <map>

namespace uoe {
#define GEN_PASS_DEF_LOWERUOETORTPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

static bool isF32(Value value) {
  return !value || elementTypeOf(value).isF32();
}

static Value noneIfNull(OpBuilder &builder, Location loc, Value value) {
  return value ? value : Value(onnx::NoneOp::create(builder, loc, builder.getNoneType()));
}

static rtir::CallOp call(OpBuilder &builder, Location loc, StringRef entry,
                         ArrayRef<Value> operands, ArrayRef<NamedAttribute> params,
                         TypeRange results) {
  SmallVector<Value> all;
  for (Value operand : operands)
    all.push_back(noneIfNull(builder, loc, operand));
  return rtir::CallOp::create(builder, loc, results, "uoe", entry, 1, all,
                              builder.getDictionaryAttr(params), ArrayAttr(), 0u);
}

// Quantised and half-precision spellings have kernels of their own, which read fewer bytes than the
// fused float entries.
static bool isFloatSpelling(Region &spelling) {
  return !spelling
              .walk([](onnx::NodeOp node) {
                StringRef op = node.getOpType();
                bool quantised = op.contains("Quantize") || op.contains("Integer") ||
                                 op.contains("NBits") || op.starts_with("QLinear") || op == "Cast";
                return quantised ? WalkResult::interrupt() : WalkResult::advance();
              })
              .wasInterrupted();
}

// True if `value` is Transpose(x, [0, 2, 1, 3]) of rank 4; then `value` becomes x.
static bool peelHeadTranspose(Value &value) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !swapsHeads(node))
    return false;
  value = node.getInputs()[0];
  return true;
}

namespace {

struct LowerUoeToRtPass : uoe::impl::LowerUoeToRtPassBase<LowerUoeToRtPass> {
  using LowerUoeToRtPassBase::LowerUoeToRtPassBase;

  void runOnOperation() override {
    lowerHeads();
    SmallVector<Operation *> blocks, products;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, ExpertsOp>(op)) {
        blocks.push_back(op);
        return isa<ExpertsOp>(op) ? WalkResult::skip() : WalkResult::advance();
      }
      return WalkResult::advance();
    });
    // From the last to the first: a consumer is fused before its producers are looked at.
    for (Operation *op : llvm::reverse(blocks))
      llvm::TypeSwitch<Operation *>(op)
          .Case([&](FfnOp ffn) { lower(ffn); })
          .Case([&](AttentionOp attention) { lower(attention); })
          .Case([&](ExpertsOp experts) { lower(experts); });
    SmallVector<ScoreOp> scores;
    getOperation().walk([&](ScoreOp score) { scores.push_back(score); });
    for (ScoreOp score : scores)
      lower(score);
    getOperation().walk([&](onnx::NodeOp node) {
      if (node.is("MatMul") && !node->getParentOfType<FfnOp>() &&
          !node->getParentOfType<AttentionOp>())
        products.push_back(node);
    });
    for (Operation *product : products)
      fuseProduct(cast<onnx::NodeOp>(product));
    castRoutings();
    eraseDead();
  }

  // Cosines: what normalises the rows and a product with few columns are each too small for calls
  // of their own.
  void lower(ScoreOp op) {
    auto weights = op.getWeights();
    if (op.getKind() != ScoreKind::cosine || op.getOver() != Over::token || op.getPrevious() ||
        op.use_empty() || !isF32(op.getInput()) ||
        !llvm::all_of(weights, [&](Value w) { return isF32(w) && isWeight(w); }))
      return;
    OpBuilder builder(op);
    Value project = weights.size() > 1 ? weights[0] : Value();
    auto fused = call(builder, op.getLoc(), "Cosine", {op.getInput(), project, weights.back()}, {},
                      op->getResultTypes());
    replace(op, fused);
  }

  void lower(FfnOp op) {
    if (op.getFunction())
      return;
    for (Value operand : op->getOperands())
      if (!isF32(operand))
        return;
    if (!isFloatSpelling(op.getSpelling()) ||
        !llvm::all_of(op->getOperands().drop_front(), [&](Value v) { return isWeight(v); }))
      return;
    OpBuilder builder(op);
    SmallVector<Value> operands{op.getInput(),  op.getUp(),       op.getGate(),    op.getDown(),
                                op.getBiasUp(), op.getBiasGate(), op.getBiasDown()};
    SmallVector<NamedAttribute> params{
        named("activation", static_cast<int64_t>(op.getActivation()))};
    addCut(params, op);
    SmallVector<Value> behind = packMatrices(builder, op.getLoc(), operands, 1, params);
    params.push_back(peelWeights(operands));
    operands.append(behind);
    auto fused = call(builder, op.getLoc(), "Ffn", operands, params, op->getResultTypes());
    replace(op, fused);
  }

  static void addCut(SmallVectorImpl<NamedAttribute> &params, FfnOp ffn) {
    Builder builder(ffn.getContext());
    if (ffn.getLimit())
      params.push_back(builder.getNamedAttr("limit", ffn.getLimitAttr()));
    if (!ffn.getUpOffset().isZero())
      params.push_back(builder.getNamedAttr("up_offset", ffn.getUpOffsetAttr()));
  }

  void lower(AttentionOp op) {
    if (!op.getQuery() || !isF32(op.getQuery()) || !isF32(op.getKey()) || !isF32(op.getValue()) ||
        op->getNumResults() != 1 || !isFloatSpelling(op.getSpelling()))
      return;
    if (Value bias = op.getBias(); bias && !isF32(bias) && !elementTypeOf(bias).isInteger(1))
      return;
    OpBuilder builder(op);
    Value q = op.getQuery(), k = op.getKey(), v = op.getValue();
    SmallVector<NamedAttribute> params{
        builder.getNamedAttr("scale", op.getScaleAttr()),
        named("causal", op.getCausal()),
        named("window", op.getWindow()),
        builder.getNamedAttr("softcap", op.getSoftcapAttr()),
        named("boolean_zero", op.getBooleanZero()),
        named("q_bshd", peelHeadTranspose(q)),
        named("k_bshd", peelHeadTranspose(k)),
        named("v_bshd", peelHeadTranspose(v)),
    };
    // The result's transposition back to [B, S, H, D] is absorbed where it is the only use.
    Operation *target = op;
    bool transposed = false;
    if (op->getResult(0).hasOneUse())
      if (auto user = dyn_cast<onnx::NodeOp>(*op->getResult(0).user_begin());
          user && swapsHeads(user)) {
        transposed = true;
        target = user;
      }
    params.push_back(named("y_bshd", transposed));
    auto fused = call(builder, op.getLoc(), "Attention", {q, k, v, op.getBias()}, params,
                      target->getResultTypes());
    target->replaceAllUsesWith(fused.getResults());
    if (target != op)
      target->erase();
    op->erase();
  }

  void lower(ExpertsOp op) {
    if (!op.getRouting())
      return;
    if (AttentionExperts heads = matchAttentionExperts(op))
      return lower(op, heads);
    if (CascadeBlock block = matchCascade(op))
      return lower(op, block);
    if (classify(op) == ExpertBody::Product)
      return lowerProducts(op);
    if (classify(op) == ExpertBody::Other)
      return lowerRows(op);
    if (classify(op) != ExpertBody::Ffn)
      return;
    auto select = op.getRouting().getDefiningOp<SelectOp>();
    Block &body = op.getBody().front();
    auto ffn = cast<FfnOp>(body.front());
    if (ffn.getFunction())
      return;
    unsigned shared = op.getShared().size();
    auto outer = [&](Value inner) -> Value {
      if (!inner)
        return {};
      unsigned i = cast<BlockArgument>(inner).getArgNumber();
      return i < shared ? op.getShared()[i] : op.getSliced()[i - shared];
    };
    for (Value operand : ffn->getOperands())
      if (!isF32(outer(operand)) || (operand != ffn.getInput() && !isWeight(outer(operand))))
        return;
    // Gathered or not: a block sees each token alone.
    if (!select || (op.getSkip() && !isWeight(op.getSkip())))
      return;
    const Lists *lists = routeOf(select);
    if (!lists)
      return;
    OpBuilder builder(op);
    SmallVector<NamedAttribute> params{
        named("activation", static_cast<int64_t>(ffn.getActivation())),
        named("tokens", select.getRouting().getType().getTokens()),
        builder.getNamedAttr("sizes", op.getSizesAttr()),
    };
    addCut(params, ffn);
    if (op.getSlots())
      params.push_back(builder.getNamedAttr("slots", op.getSlotsAttr()));
    if (op.getShard()) // for distribute-experts
      params.push_back(builder.getNamedAttr("shard", op.getShardAttr()));
    SmallVector<Value> operands{outer(ffn.getInput()),
                                lists->offsets,
                                lists->ids,
                                lists->weights,
                                outer(ffn.getUp()),
                                outer(ffn.getGate()),
                                outer(ffn.getDown()),
                                outer(ffn.getBiasUp()),
                                outer(ffn.getBiasGate()),
                                Value(),
                                op.getSkip()};
    SmallVector<Value> behind;
    if (!op.getShard()) // ranks take parts of floats
      behind = packMatrices(builder, op.getLoc(), operands, 4, params);
    finish(op, "Experts", operands, params, behind);
  }

  // Matrices up, gate and down, operands from `first` on, that are packed: their codes take their
  // place, what is returned (scales and zero points of each of the three) follows the other
  // operands, and `packed` tells bits and block of each, 0 of floats. Nothing if all are floats.
  SmallVector<Value> packMatrices(OpBuilder &builder, Location loc, MutableArrayRef<Value> operands,
                                  unsigned first, SmallVectorImpl<NamedAttribute> &params) {
    SmallVector<Value> behind;
    SmallVector<int64_t> formats;
    for (Value &matrix : operands.slice(first, 3)) {
      std::optional<PackedMatrix> m = matchPacked(matrix);
      PackedParts parts = m ? partsOf(builder, loc, *m) : PackedParts();
      if (m)
        matrix = parts.codes;
      behind.append({parts.scales, parts.zeros});
      formats.append({m ? m->bits : 0, m ? m->block : 0});
    }
    if (llvm::all_of(formats, [](int64_t x) { return x == 0; }))
      return {};
    params.push_back(builder.getNamedAttr("packed", builder.getDenseI64ArrayAttr(formats)));
    return behind;
  }

  // Heads on their own tokens.
  void lower(ExpertsOp op, AttentionExperts &heads) {
    auto select = op.getRouting().getDefiningOp<SelectOp>();
    Value weights[] = {heads.q, heads.k, heads.v, heads.o, heads.biasQ, heads.biasK, heads.biasV};
    for (Value weight : weights)
      if (weight && (!isF32(weight) || !isWeight(weight)))
        return;
    for (Value value : {heads.x, heads.cosines, heads.sines})
      if (!isF32(value))
        return;
    if (heads.bias && !isF32(heads.bias) && !elementTypeOf(heads.bias).isInteger(1))
      return;
    const Lists *lists = select ? routeOf(select) : nullptr;
    if (!lists)
      return;
    AttentionOp attention = heads.attention;
    Builder builder(op.getContext());
    SmallVector<NamedAttribute> params{
        builder.getNamedAttr("scale",
                             builder.getF32FloatAttr(static_cast<float>(
                                 heads.scale * double(attention.getScale().convertToFloat())))),
        named("causal", attention.getCausal()),
        named("window", attention.getWindow()),
        builder.getNamedAttr("softcap", attention.getSoftcapAttr()),
        named("boolean_zero", attention.getBooleanZero()),
        named("experts", op.numExperts()),
        named("heads", heads.heads),
        named("kv_heads", heads.kvHeads),
    };
    if (heads.cosines) {
      params.push_back(named("rotated", heads.rotated));
      params.push_back(named("interleaved", heads.interleaved));
      params.push_back(named("compacted_tables", heads.compactedTables));
    }
    if (heads.bias)
      params.push_back(named("compacted_bias", heads.compactedBias));
    finish(op, "GatheredAttention",
           {heads.x, lists->offsets, lists->ids, lists->weights, heads.q, heads.k, heads.v, heads.o,
            heads.biasQ, heads.biasK, heads.biasV, heads.cosines, heads.sines, heads.bias},
           params);
  }

  // The op, and an addition to its result, as a call; `behind` follows that.
  void finish(ExpertsOp op, StringRef entry, SmallVector<Value> operands,
              SmallVector<NamedAttribute> params, ArrayRef<Value> behind = {}) {
    params.push_back(peelWeights(operands));
    auto [add, other] = matchAdd(op);
    if (add || !behind.empty())
      operands.push_back(other);
    llvm::append_range(operands, behind);
    Operation *last = add ? add.getOperation() : op.getOperation();
    OpBuilder builder(last);
    auto fused = call(builder, op.getLoc(), entry, operands, params, last->getResultTypes());
    last->replaceAllUsesWith(fused.getResults());
    if (add)
      add.erase();
    op.erase();
  }

  SmallVector<NamedAttribute> productParams(ExpertsOp op, int64_t heads, int64_t tokens) {
    SmallVector<NamedAttribute> params{named("axis", op.getAxes()[0]),
                                       named("experts", op.numExperts() * heads)};
    if (heads > 1)
      params.push_back(named("heads", heads));
    if (op.getSlots())
      params.push_back(Builder(op.getContext()).getNamedAttr("slots", op.getSlotsAttr()));
    params.push_back(named("tokens", tokens));
    return params;
  }

  // Experts with another body, such as MoE++'s copies and constants: expert by expert, on the
  // tokens that chose it.
  void lowerRows(ExpertsOp op) {
    auto select = op.getRouting().getDefiningOp<SelectOp>();
    if (!select || op.takesValid() || op.getSkip() || !isRowwise(op) || !isF32(op.getOutput()))
      return;
    Value x = op.getShared()[0];
    auto isRank = [&](Value v) {
      return cast<RankedTensorType>(v.getType()).getRank() == op.getOutput().getType().getRank();
    };
    if (!isF32(x) || !isRank(x) ||
        !llvm::all_of(op.getShared().drop_front(), [&](Value v) { return isWeight(v); }) ||
        !llvm::all_of(op.getSliced(), [&](Value v) { return isWeight(v); }))
      return;
    const Lists *lists = routeOf(select);
    if (!lists)
      return;
    auto [add, other] = matchAdd(op);
    Operation *last = add ? add.getOperation() : op.getOperation();
    OpBuilder builder(last);
    NodeBuilder b(builder, op.getLoc(), onnx::opsetOf(op));
    const int64_t tokens = select.getRouting().getType().getTokens();
    auto xType = cast<RankedTensorType>(x.getType());
    auto list = [&](Type element) {
      return RankedTensorType::get({ShapedType::kDynamic}, element);
    };
    SmallVector<int64_t> shape(xType.getShape().size(), 1);
    shape[shape.size() - 2] = ShapedType::kDynamic;
    shape.back() = xType.getShape().back();
    Value y = other;
    for (int64_t e = 0; e < op.numExperts(); ++e) {
      SmallVector<NamedAttribute> params{named("expert", e), named("tokens", tokens)};
      if (op.getSlots())
        params.push_back(builder.getNamedAttr("slots", op.getSlotsAttr()));
      auto rows = call(builder, op.getLoc(), "Rows",
                       {x, lists->offsets, lists->ids, lists->weights}, params,
                       {RankedTensorType::get(shape, xType.getElementType()),
                        list(builder.getI64Type()), list(builder.getF32Type())});
      SmallVector<Value> shared(op.getShared());
      shared[0] = rows.getResult(0);
      Value part = copyRows(builder, op, reference::expertOperands(b, op, shared, e));
      y = call(builder, op.getLoc(), "AddRows", {y, part, rows.getResult(1), rows.getResult(2), x},
               {}, last->getResultTypes())
              .getResult(0);
    }
    last->replaceAllUsesWith(ValueRange{y});
    if (add)
      add.erase();
    op.erase();
  }

  // The body on some rows of the tokens: how many is not known.
  static Value copyRows(OpBuilder &builder, ExpertsOp op, ArrayRef<Value> operands) {
    Block &body = op.getBody().front();
    IRMapping map;
    for (auto [arg, value] : llvm::zip(body.getArguments(), operands)) {
      if (!isa<RankedTensorType>(value.getType()))
        Value(value).setType(arg.getType());
      map.map(arg, value);
    }
    DenseSet<Value> rows{operands[0]};
    for (Operation &inner : body.without_terminator()) {
      Operation *clone = builder.clone(inner, map);
      if (llvm::none_of(clone->getOperands(), [&](Value v) { return rows.contains(v); }))
        continue;
      for (Value result : clone->getResults()) {
        auto type = cast<RankedTensorType>(result.getType());
        SmallVector<int64_t> shape(type.getRank(), ShapedType::kDynamic);
        shape.back() = type.getShape().back();
        result.setType(RankedTensorType::get(shape, type.getElementType()));
        rows.insert(result);
      }
    }
    return map.lookup(body.getTerminator()->getOperand(0));
  }

  // Experts that are one matrix.
  void lowerProducts(ExpertsOp op) {
    auto select = op.getRouting().getDefiningOp<SelectOp>();
    Value x = op.getShared()[0], matrices = op.getSliced()[0];
    Value bias = op.getSliced().size() > 1 ? op.getSliced()[1] : Value();
    for (Value weight : op.getSliced())
      if (!isF32(weight) || !isWeight(weight))
        return;
    if (!isF32(x) || op.getSkip() || !select)
      return;
    if (const Lists *lists = routeOf(select))
      finish(op, "Products", {x, lists->offsets, lists->ids, lists->weights, matrices, bias},
             productParams(op, 1, select.getRouting().getType().getTokens()));
  }

  // Heads of one-matrix experts as one product of scores, one choice and one call: a head alone is
  // too small to be worth a call of its own.
  void lowerHeads() {
    SmallVector<onnx::NodeOp> joins;
    getOperation().walk([&](onnx::NodeOp node) {
      if (node.is("Concat") || node.is("Add"))
        joins.push_back(node);
    });
    DenseSet<Operation *> gone;
    while (!joins.empty()) {
      onnx::NodeOp join = joins.pop_back_val();
      Heads heads = gone.contains(join) ? Heads() : matchHeads(join);
      if (heads.experts.empty())
        continue;
      bool fits = isF32(heads.experts[0].getShared()[0]);
      for (size_t i = 0; i < heads.experts.size(); ++i)
        for (Value weight :
             {Value(heads.experts[i].getSliced()[0]), Value(heads.score(i).getBias()),
              Value(heads.score(i).getWeights()[0])})
          fits &= !weight || (isF32(weight) && isWeight(weight));
      if (!fits)
        continue;
      gone.insert(heads.sums.begin(), heads.sums.end());
      // Their inputs may be the results of other heads.
      Value x = lower(heads);
      if (auto inputs = x.getDefiningOp<onnx::NodeOp>(); inputs && inputs.is("Concat"))
        joins.push_back(inputs);
    }
  }

  // Weights joined along an axis, once for all layers that share them, right after the last of
  // them.
  Value sideBySide(ArrayRef<Value> parts, int64_t axis) {
    std::vector<void *> key;
    for (Value part : parts)
      key.push_back(part.getAsOpaquePointer());
    Value &all = joined[{axis, key}];
    if (all)
      return all;
    Operation *last = parts[0].getDefiningOp();
    for (Value part : parts)
      if (DominanceInfo().properlyDominates(last, part.getDefiningOp()))
        last = part.getDefiningOp();
    OpBuilder builder(last->getContext());
    builder.setInsertionPointAfter(last);
    auto type = cast<RankedTensorType>(parts[0].getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[axis] *= static_cast<int64_t>(parts.size());
    NodeBuilder b(builder, last->getLoc(), onnx::opsetOf(last));
    all = b.node("Concat", parts, {b.attr("axis", axis)});
    all.setType(RankedTensorType::get(shape, type.getElementType()));
    return all;
  }

  // Gives the call's input.
  Value lower(Heads &heads) {
    ExpertsOp first = heads.experts[0];
    const auto count = static_cast<int64_t>(heads.experts.size());
    OpBuilder builder(heads.join);
    NodeBuilder b(builder, heads.join.getLoc(), onnx::opsetOf(heads.join));
    auto together = [&](int64_t axis, function_ref<Value(size_t)> part) {
      SmallVector<Value> parts;
      for (size_t i = 0; i < heads.experts.size(); ++i)
        parts.push_back(part(i));
      return parts[0] ? sideBySide(parts, axis) : Value();
    };
    ScoreOp score = heads.score(0);
    auto row = cast<RankedTensorType>(score.getScores().getType());
    SmallVector<int64_t> shape(row.getShape());
    shape.back() *= count;
    Value scores = ScoreOp::create(
        builder, score.getLoc(), RankedTensorType::get(shape, row.getElementType()),
        ScoreKind::linear, score.getInput(),
        ValueRange{together(1, [&](size_t i) { return heads.score(i).getWeights()[0]; })},
        together(0, [&](size_t i) { return heads.score(i).getBias(); }));
    Lists lists = makeRoute(builder, heads.select(0), scores, count, {});
    Value matrices =
        together(first.getAxes()[0], [&](size_t i) { return heads.experts[i].getSliced()[0]; });
    Value x = first.getAxes()[0] == 1 ? first.getShared()[0] : joinInputs(b, heads);
    SmallVector<Value> operands{x, lists.offsets, lists.ids, lists.weights, matrices};
    auto params = productParams(first, count, 1);
    params.push_back(peelWeights(operands));
    auto fused =
        call(builder, first.getLoc(), "Products", operands, params, heads.join->getResultTypes());
    heads.join->replaceAllUsesWith(fused.getResults());
    heads.join.erase();
    for (onnx::NodeOp sum : heads.sums)
      sum.erase();
    for (ExpertsOp experts : heads.experts) {
      Operation *input = experts.getShared()[0].getDefiningOp();
      experts.erase();
      // What gathered a head is a second reader of the attention, which absorbs only one.
      if (isa_and_present<onnx::NodeOp>(input) && input->use_empty())
        input->erase();
    }
    return x;
  }

  // The result of experts under this routing of tokens, or a sum of such.
  static bool isOfRouting(Value value, TypedValue<RoutingType> routing) {
    if (auto experts = value.getDefiningOp<ExpertsOp>())
      return experts.getCombine() == Combine::sum && experts.getRouting() == routing &&
             routing.getType().getTokens() == 1;
    auto add = value.getDefiningOp<onnx::NodeOp>();
    return add && add.is("Add") &&
           llvm::all_of(add.getInputs(), [&](Value v) { return isOfRouting(v, routing); });
  }

  // The addition that alone reads the experts' result, and what it adds: their input, or results of
  // other experts under the same routing. Such operands have the shape of the result.
  static std::pair<onnx::NodeOp, Value> matchAdd(ExpertsOp op) {
    Value y = op.getOutput();
    if (!y.hasOneUse())
      return {};
    auto add = dyn_cast<onnx::NodeOp>(*y.user_begin());
    if (!add || !add.is("Add") || add->getBlock() != op->getBlock())
      return {};
    Value other = add.getInputs()[add.getInputs()[0] == y ? 1 : 0];
    if (other.getType() != y.getType() || !isF32(other))
      return {};
    bool alike = other == op.getShared()[0] || isOfRouting(other, op.getRouting());
    return alike ? std::pair(add, other) : std::pair<onnx::NodeOp, Value>();
  }

  // A select as an entry of the runtime, made once for all that read it; null where a type has no
  // entry.
  struct Lists {
    Value offsets, ids, weights; // weights are null where all are 1
    Operation *route = nullptr;
  };
  const Lists *routeOf(SelectOp op) {
    auto [entry, fresh] = routes.try_emplace(op);
    if (!fresh)
      return entry->second.route ? &entry->second : nullptr;
    for (Value operand : {Value(op.getScores()), Value(op.getThresholds()),
                          Value(op.getSelectionBias()), Value(op.getGroupScores())})
      if (!isF32(operand))
        return nullptr;
    Lists within;
    if (op.getWithin()) {
      auto outer = op.getWithin().getDefiningOp<SelectOp>();
      const Lists *found = outer ? routeOf(outer) : nullptr;
      if (!found)
        return nullptr;
      within = *found;
    }
    OpBuilder builder(op);
    return &(routes[op] = makeRoute(builder, op, op.getScores(), 1, within));
  }

  // The call for op's choice from `scores`, those of several heads side by side.
  Lists makeRoute(OpBuilder &builder, SelectOp op, Value scores, int64_t heads,
                  const Lists &within) {
    SmallVector<Value> inputs{
        scores,         op.getThresholds(), op.getSelectionBias(), op.getGroupScores(),
        within.offsets, within.ids};
    SmallVector<NamedAttribute> params{
        named("rule", static_cast<int64_t>(op.getRule())),
        named("tokens", op.getRouting().getType().getTokens()),
    };
    auto integer = [&](StringRef name, int64_t value) {
      if (value)
        params.push_back(named(name, value));
    };
    auto real = [&](StringRef name, std::optional<APFloat> value, float otherwise) {
      if (value && value->convertToFloat() != otherwise)
        params.push_back(
            builder.getNamedAttr(name, builder.getF32FloatAttr(value->convertToFloat())));
    };
    integer("scoring", static_cast<int64_t>(op.getScoring()));
    integer("heads", heads > 1 ? heads : 0);
    integer("k", op.getK().value_or(0));
    integer("group_k", op.getGroupK().value_or(0));
    integer("group_score", static_cast<int64_t>(op.getGroupScore()));
    integer("empty", static_cast<int64_t>(op.getEmpty()));
    integer("normalize", static_cast<int64_t>(op.getNormalize()));
    integer("capacity", op.getCapacity().value_or(0));
    integer("capacity_takers", op.getCapacityTakers());
    integer("padding", static_cast<int64_t>(op.getPadding()));
    integer("weight", static_cast<int64_t>(op.getWeight()));
    integer("scaling", static_cast<int64_t>(op.getScaling()));
    real("tau", op.getTau(), 0);
    real("p", op.getP(), 1);
    real("temperature", op.getTemperature(), 1);
    real("group_temperature", op.getGroupTemperature(), 1);
    real("capacity_share", op.getCapacityShare(), 0);
    real("factor", op.getFactor(), 1);
    if (op.getGroups())
      params.push_back(builder.getNamedAttr("groups", op.getGroupsAttr()));
    if (op.getWithin())
      params.push_back(named("within_tokens", op.getWithin().getType().getTokens()));
    auto list = [&](Type element) {
      return RankedTensorType::get({ShapedType::kDynamic}, element);
    };
    Type i64 = builder.getI64Type(), f32 = builder.getF32Type(), none = builder.getNoneType();
    bool unit = op.getWeight() == WeightRule::unit && op.getScaling() == Scaling::none &&
                op.getFactor().convertToFloat() == 1;
    auto rows = cast<RankedTensorType>(scores.getType());
    SmallVector<Type> results{list(i64), list(builder.getI32Type()), unit ? none : list(f32), rows,
                              rows.clone(builder.getI1Type())};
    if (op.hasCapacity()) {
      SmallVector<int64_t> places(rows.getShape());
      places[places.size() - 2] = ShapedType::kDynamic;
      results.push_back(RankedTensorType::get(places, i64));
    }
    auto route = call(builder, op.getLoc(), "Route", inputs, params, results);
    return {route.getResult(0), route.getResult(1), unit ? Value() : route.getResult(2), route};
  }

  // Readers without a fused entry take a routing dense. A plain threshold is as cheap in operators.
  void castRoutings() {
    SmallVector<SelectOp> selects;
    getOperation().walk([&](SelectOp op) { selects.push_back(op); });
    for (SelectOp op : selects) {
      bool read =
          llvm::any_of(op->getUsers(), [](Operation *user) { return isa<ExpertsOp>(user); });
      bool simple =
          choosesPlainly(op) && op.getRule() != Rule::token_topk && op.getRule() != Rule::top_p;
      const Lists *lists = read && !simple ? routeOf(op) : nullptr;
      if (!lists)
        continue;
      OpBuilder builder(op);
      auto dense = UnrealizedConversionCastOp::create(builder, op.getLoc(), op->getResultTypes(),
                                                      lists->route->getResults().drop_front(3));
      op.getRouting().replaceUsesWithIf(
          dense.getResult(0), [](OpOperand &use) { return isa<ExpertsOp>(use.getOwner()); });
    }
  }

  void lower(ExpertsOp op, const CascadeBlock &block) {
    SmallVector<Value> operands = block.operands();
    for (Value operand : operands)
      if (!isF32(operand) || (operand && operand != block.x && !isWeight(operand)))
        return;
    OpBuilder builder(op);
    auto real = [&](StringRef name, float value) {
      return builder.getNamedAttr(name, builder.getF32FloatAttr(value));
    };
    SmallVector<NamedAttribute> params{named("activation", static_cast<int64_t>(block.activation)),
                                       real("gate_threshold", block.gate.by.tau),
                                       real("active_threshold", block.active.tau),
                                       real("up_threshold", block.up.by.tau),
                                       real("down_threshold", block.last.tau),
                                       peelWeights(operands)};
    replace(op, call(builder, op.getLoc(), "Cascade", operands, params, op->getResultTypes()));
  }

  // Matrices given as Transpose(constant) are passed as they lie; bit i of the attribute tells it
  // of operand i.
  NamedAttribute peelWeights(MutableArrayRef<Value> operands) {
    int64_t bits = 0;
    for (auto [i, operand] : llvm::enumerate(operands)) {
      Value matrix = operand && isWeight(operand) ? transposedMatrix(operand) : Value();
      if (!matrix)
        continue;
      operand = matrix;
      bits |= int64_t(1) << i;
    }
    return named("transposed", bits);
  }

  static RankedTensorType matrixOf(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.getRank() == 2 && type.hasStaticShape() ? type : RankedTensorType();
  }

  // MatMul(x, weight), with the bias that is added to it if there is one, becomes one product with
  // an epilogue. x has rank 2 or more.
  void fuseProduct(onnx::NodeOp product) {
    Value x = product.getInputs()[0], w = product.getInputs()[1], bias;
    RankedTensorType type = matrixOf(w);
    auto xType = dyn_cast<RankedTensorType>(x.getType());
    if (!type || !isWeight(w) || !isF32(w) || isWeight(x) || !xType || xType.getRank() < 2)
      return;
    onnx::NodeOp last = product;
    if (product->hasOneUse()) {
      auto add = dyn_cast<onnx::NodeOp>(*product->user_begin());
      if (add && add.is("Add")) {
        Value other = add.getInputs()[add.getInputs()[0] == product.getResult(0) ? 1 : 0];
        auto biasType = dyn_cast<RankedTensorType>(other.getType());
        if (biasType && biasType.getRank() == 1 && biasType.getDimSize(0) == type.getDimSize(1) &&
            isWeight(other)) {
          bias = other;
          last = add;
        }
      }
    }
    OpBuilder builder(last);
    SmallVector<Value> operands{x, w, bias};
    NamedAttribute transposed = peelWeights(operands);
    replace(last, call(builder, product.getLoc(), "Linear", operands, {transposed},
                       last->getResultTypes()));
  }

  NamedAttribute named(StringRef name, int64_t value) {
    Builder builder(&getContext());
    return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
  }

  void replace(Operation *op, rtir::CallOp fused) {
    op->replaceAllUsesWith(fused.getResults());
    op->erase();
  }

  // A value that is computed from constants alone, so that it is evaluated once, at load.
  bool isWeight(Value value) {
    auto known = weightCache.find(value);
    if (known != weightCache.end())
      return known->second;
    Operation *op = value.getDefiningOp();
    bool result = op && (isa<onnx::WeightOp>(op) || isa<onnx::NoneOp>(op));
    if (auto node = dyn_cast_or_null<onnx::NodeOp>(op))
      result = node.getSubgraphs().empty() &&
               llvm::all_of(node.getInputs(), [&](Value v) { return isWeight(v); });
    return weightCache[value] = result;
  }

  // What only the fused ops used: transpositions, scores, layouts of weights.
  void eraseDead() {
    SmallVector<Operation *> ops;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<onnx::NodeOp, onnx::WeightOp, onnx::NoneOp, ScoreOp, SelectOp, ExpertsOp>(op))
        ops.push_back(op);
      // Experts go with their bodies.
      return isa<ExpertsOp>(op) ? WalkResult::skip() : WalkResult::advance();
    });
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty())
        op->erase();
  }

  DenseMap<Value, bool> weightCache;
  std::map<Operation *, Lists> routes; // pointers to entries stay valid
  std::map<std::pair<int64_t, std::vector<void *>>, Value> joined;
};

} // namespace
