// lower-experts-to-moe: routed feed-forward experts become com.microsoft.MoE, for ONNX Runtime.
//
// The operator takes logits, softmaxes them and keeps the k highest. Logits are therefore the
// logarithms of the weights of the chosen experts (0 where weights are 1) and -1e4 for the others,
// whose weight is then exactly 0 and which ONNX Runtime skips; with normalisation the k weights add
// up to 1, so the result is multiplied by the sum of the weights: any number of experts per token,
// none included.
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/ExpertsExport.h"
#include "passes/raise/Match.h"
#include "passes/raise/PackedMatrix.h"

namespace uoe {
#define GEN_PASS_DEF_LOWEREXPERTSTOMOEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

/// How the operator spells a block's activation.
struct MoeActivation {
  const char *type = nullptr; // null: it cannot
  float alpha = 0;            // of swiglu: G·σ(alpha·G)·L
};

MoeActivation spell(Activation activation, bool gated, bool approximate) {
  if (gated)
    return activation == Activation::silu         ? MoeActivation{"swiglu", 1.0f}
           : activation == Activation::quick_gelu ? MoeActivation{"swiglu", 1.702f}
                                                  : MoeActivation{};
  switch (activation) {
  case Activation::relu:
    return {"relu"};
  case Activation::silu:
    return {"silu"};
  case Activation::identity:
    return {"identity"};
  case Activation::gelu_tanh: // which is what the operator computes on the CPU
    return {"gelu"};
  case Activation::gelu:
    return {approximate ? "gelu" : nullptr};
  default:
    return {};
  }
}

struct LowerExpertsToMoePass : uoe::impl::LowerExpertsToMoePassBase<LowerExpertsToMoePass> {
  using LowerExpertsToMoePassBase::LowerExpertsToMoePassBase;

  void runOnOperation() override {
    SmallVector<ExpertsOp> ops;
    getOperation().walk([&](ExpertsOp op) {
      if (op.getRouting() && classify(op) == ExpertBody::Ffn)
        ops.push_back(op);
    });
    bool any = false;
    for (ExpertsOp op : ops) {
      std::string why;
      if (lower(op, why)) {
        any = true;
        ++lowered;
      } else {
        emitRemark(op.getLoc()) << blockName(op, "experts")
                                << " is not written as com.microsoft.MoE: " << why;
      }
    }
    if (any)
      importContrib();
  }

  void importContrib() {
    Operation *module = getOperation();
    NamedAttrList imports(module->getAttrOfType<DictionaryAttr>("onnx.opset_import"));
    if (imports.get("com.microsoft"))
      return;
    imports.set("com.microsoft", Builder(module).getI64IntegerAttr(1));
    module->setAttr("onnx.opset_import", imports.getDictionary(module->getContext()));
  }

  // True if the operator makes the same choice from the same scores.
  static bool isOwnChoice(SelectOp select) {
    return select.getRule() == Rule::token_topk && select.getScoring() == Scoring::softmax &&
           select.getWeight() == WeightRule::gate &&
           (select.getNormalize() == NormalizeAxis::none ||
            select.getNormalize() == NormalizeAxis::experts) &&
           select.getTemperature().convertToFloat() == 1 &&
           select.getFactor().convertToFloat() == 1 && select.getScaling() == Scaling::none &&
           !select.getSelectionBias() && !select.getGroups() && !select.getWithin() &&
           !select.hasCapacity();
  }

  bool lower(ExpertsOp op, std::string &why) {
    std::optional<RoutedFfn> matched = matchRoutedFfn(op, why);
    if (!matched)
      return false;
    RoutedFfn &ffn = *matched;
    auto fail = [&](const Twine &reason) {
      why = reason.str();
      return false;
    };
    MoeActivation activation =
        spell(ffn.body.getActivation(), static_cast<bool>(ffn.gate), approximate);
    if (!activation.type)
      return fail((ffn.gate ? "a gate with " : "") + stringifyActivation(ffn.body.getActivation()) +
                  " is not among its activations");
    if (ffn.inputs != ffn.outputs)
      return fail("its output is " + Twine(ffn.outputs) + " wide, its input " + Twine(ffn.inputs));
    if (!ffn.unit() && ffn.select.getScoring() == Scoring::raw &&
        ffn.select.getWeight() == WeightRule::gate)
      return fail("weights that are scores may be negative");
    ArrayRef<int64_t> sizes = op.getSizes();
    int64_t width = *llvm::max_element(sizes), neurons = 0;
    for (int64_t size : sizes)
      neurons += size;
    if (static_cast<double>(width * ffn.experts()) > 1.25 * static_cast<double>(neurons))
      return fail("its experts differ too much in size: padded to " + Twine(width) +
                  " neurons they would have " + Twine(width * ffn.experts()) + " instead of " +
                  Twine(neurons));

    // The addition of output biases comes after them, and may come after the experts.
    onnx::NodeOp biased = addedRows(op);
    OpBuilder builder(biased ? biased.getOperation() : op.getOperation());
    NodeBuilder b(builder, op.getLoc(), onnx::opsetOf(op));
    // Neuron j of expert e, or `neurons`, a neuron of zeros, where the expert has fewer.
    SmallVector<int64_t> places;
    int64_t begin = 0;
    for (int64_t size : sizes) {
      for (int64_t j = 0; j < width; ++j)
        places.push_back(j < size ? begin + j : neurons);
      begin += size;
    }
    bool padded = width * ffn.experts() != neurons;
    Value x = ffn.x, up = stack(b, ffn, ffn.up, true, padded, places, width),
          down = stack(b, ffn, ffn.down, false, padded, places, width),
          biasUp = stackBias(b, ffn, ffn.biasUp, padded, places, width), bias = biasUp;
    if (ffn.gate) {
      // Interleaved: gate and up of neuron 0, of neuron 1, ...
      auto interleave = [&](Value gate, Value value, ArrayRef<int64_t> shape) {
        Value both = b.node(
            "Concat",
            {b.node("Unsqueeze", {gate, b.ints({2})}), b.node("Unsqueeze", {value, b.ints({2})})},
            {b.attr("axis", 2)});
        return b.node("Reshape", {both, b.ints(shape)});
      };
      up = interleave(stack(b, ffn, ffn.gate, true, padded, places, width), up,
                      {ffn.experts(), 2 * width, ffn.inputs});
      if (ffn.biasUp || ffn.biasGate) {
        Value gate = stackBias(b, ffn, ffn.biasGate, padded, places, width);
        Value other = gate ? gate : biasUp, zero = b.mul(other, b.scalar(0, other));
        bias = interleave(gate ? gate : zero, biasUp ? biasUp : zero, {ffn.experts(), 2 * width});
      }
    }

    Value chosen = op.getSkip() || ffn.unit() ? routingTensor(builder, ffn, true) : Value(), sum,
          logits;
    int64_t normalize = 1;
    if (!op.getSlots() && isOwnChoice(ffn.select)) {
      logits = ffn.select.getScores();
      normalize = ffn.select.getNormalize() == NormalizeAxis::experts;
    } else {
      Value w = ffn.unit() ? chosen : routingTensor(builder, ffn, false);
      Type i1 = builder.getI1Type(), element = elementTypeOf(w);
      Value log = ffn.unit() ? b.scalar(0, w) : b.node("Log", {w});
      logits =
          b.node("Where", {b.node("Greater", {w, b.scalar(0, w)}, {}, i1), log, b.scalar(-1e4, w)},
                 {}, element);
      sum = b.node("ReduceSum", {w, b.ints({-1})}, {b.attr("keepdims", 1)});
    }
    int64_t k = ffn.select.getRule() == Rule::token_topk
                    ? std::min(static_cast<int64_t>(*ffn.select.getK()), ffn.experts())
                    : ffn.experts();
    int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
    if (rank != 2 && rank != 3)
      x = b.node("Reshape", {x, b.ints({-1, ffn.inputs})});
    if (rank != 2)
      logits = b.node("Reshape", {logits, b.ints({-1, ffn.experts()})});
    SmallVector<NamedAttribute> attrs{
        b.attr("k", k), b.attr("normalize_routing_weights", normalize),
        builder.getNamedAttr("activation_type", builder.getStringAttr(activation.type))};
    if (ffn.gate) {
      attrs.push_back(b.attr("swiglu_fusion", 1));
      attrs.push_back(
          builder.getNamedAttr("activation_alpha", builder.getF32FloatAttr(activation.alpha)));
      attrs.push_back(builder.getNamedAttr("activation_beta", ffn.body.getUpOffsetAttr()));
      if (ffn.body.getLimit())
        attrs.push_back(builder.getNamedAttr("swiglu_limit", ffn.body.getLimitAttr()));
    }
    SmallVector<Value> inputs{x, logits, up, bias ? bias : b.none(), down};
    if (biased)
      inputs.push_back(rowsOf(biased).getSliced()[0]);
    Value y = b.node("MoE", inputs, attrs, elementTypeOf(x), "com.microsoft");
    if (rank != 2 && rank != 3)
      y = b.reshapeTo(y, b.node("Shape", {ffn.x}, {}, builder.getI64Type()));
    if (sum)
      y = b.mul(y, sum);
    if (Value skipped = skippedRows(b, ffn, chosen))
      y = b.add(y, skipped);
    replaceExperts(ffn, y);
    if (biased) { // its rows are in the operator now
      ExpertsOp rows = rowsOf(biased);
      biased.getResult(0).replaceAllUsesWith(y);
      biased.erase();
      rows.erase();
    }
    return true;
  }

  // The experts of a node's operands that are weighted rows.
  static ExpertsOp rowsOf(onnx::NodeOp add) {
    for (Value input : add.getInputs())
      if (auto rows = input.getDefiningOp<ExpertsOp>(); rows && isWeightedRows(rows))
        return rows;
    return {};
  }

  // The addition of the experts' output biases, rows under the same routing; null if there is none.
  static onnx::NodeOp addedRows(ExpertsOp op) {
    if (!op->hasOneUse())
      return {};
    auto add = dyn_cast<onnx::NodeOp>(*op->user_begin());
    ExpertsOp rows = add && add.is("Add") ? rowsOf(add) : ExpertsOp();
    return rows && rows->hasOneUse() && rows.getRouting() == op.getRouting() &&
                   rows.getSlots() == op.getSlots() && rows.numExperts() == op.numExperts()
               ? add
               : onnx::NodeOp();
  }

  // A matrix [d, F] (`columns`) as [experts, width, d], or one [F, d] as [experts, d, width]; zeros
  // where an expert has fewer neurons.
  Value stack(NodeBuilder &b, RoutedFfn &ffn, Value matrix, bool columns, bool padded,
              ArrayRef<int64_t> places, int64_t width) {
    auto perm = [&](ArrayRef<int64_t> order) {
      return NamedAttribute(StringAttr::get(&getContext(), "perm"),
                            DenseI64ArrayAttr::get(&getContext(), order));
    };
    int64_t d = columns ? ffn.inputs : ffn.outputs;
    // The operator takes floats; 16 bits are twice and more what the codes have.
    if (matchPacked(matrix)) {
      OpBuilder builder(ffn.op);
      Value half = raise::makeCast(builder, ffn.op.getLoc(), matrix, builder.getF16Type());
      matrix = raise::makeCast(builder, ffn.op.getLoc(), half, builder.getF32Type());
    }
    Value rows = columns ? b.node("Transpose", {matrix}, {perm({1, 0})}) : matrix;
    if (padded)
      rows = b.node("Gather", {b.node("Pad", {rows, b.ints({0, 0, 1, 0})}), b.ints(places)},
                    {b.attr("axis", 0)});
    Value stacked = b.node("Reshape", {rows, b.ints({ffn.experts(), width, d})});
    return columns ? stacked : b.node("Transpose", {stacked}, {perm({0, 2, 1})});
  }

  Value stackBias(NodeBuilder &b, RoutedFfn &ffn, Value bias, bool padded, ArrayRef<int64_t> places,
                  int64_t width) {
    if (!bias)
      return {};
    if (padded)
      bias = b.node("Gather", {b.node("Pad", {bias, b.ints({0, 1})}), b.ints(places)},
                    {b.attr("axis", 0)});
    return b.node("Reshape", {bias, b.ints({ffn.experts(), width})});
  }
};

} // namespace
