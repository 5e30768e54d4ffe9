// read-as-onnxruntime: what ONNX Runtime's optimised graph computes on an x86 processor without
// VNNI, where that is not what ONNX says. The rules are those of its graph optimiser as observed;
// docs/execution.md explains them.
#include "passes/Passes.h"
#include "passes/raise/Canonicalize.h"

namespace uoe {
#define GEN_PASS_DEF_READASONNXRUNTIMEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

/// Whether an element type is ONNX's uint8 (or int8).
bool isByte(Type element, bool isSigned) {
  return element && element.isInteger(8) && element.isUnsignedInteger() != isSigned;
}

/// What a DequantizeLinear reads, with one scale and zero point for all (activations), or any
/// (weights).
struct Quantised {
  NodeOp dequantise;
  Value data, scale, zero; // zero may be null
};

struct Reader {
  Graph &graph;
  int64_t products = 0, softmaxes = 0, epsilons = 0;

  std::optional<Quantised> quantised(Value value) {
    NodeOp node = producer(value, "DequantizeLinear");
    if (!node)
      return std::nullopt;
    return Quantised{node, node.input(0), node.input(1), node.input(2)};
  }

  /// The zero point of a per-tensor quantisation moved from int8 to uint8.
  Value shifted(NodeOp at, Value zero) {
    auto dense = zero ? dyn_cast_or_null<DenseElementsAttr>(graph.facts.constant(zero))
                      : DenseElementsAttr();
    if (!dense || dense.getNumElements() != 1)
      return {};
    int64_t value = (*dense.value_begin<APInt>()).getSExtValue();
    auto type =
        RankedTensorType::get({}, IntegerType::get(at.getContext(), 8, IntegerType::Unsigned));
    return graph.constant(
        at, DenseElementsAttr::get(type, APInt(8, static_cast<uint64_t>(value + 128))));
  }

  /// Whether weights have one scale, or one per slice of this axis.
  bool scaledAlong(Quantised weight, int64_t axis) {
    int64_t rank = graph.rank(weight.data);
    return perTensor(weight.scale) || (weight.dequantise.integer("axis", 1) + rank) % rank == axis;
  }

  bool perTensor(Value scale) { return graph.facts.facts(scale).count() == 1; }

  struct Activation {
    Value data, scale, zero;
  };

  /// An activation as uint8: stored so by the model, or as int8 with one reader, which is read as
  /// uint8 then.
  std::optional<Activation> activation(NodeOp at, Value value) {
    auto from = quantised(value);
    if (!from || !perTensor(from->scale))
      return std::nullopt;
    Type element = graph.element(from->data);
    if (isByte(element, false))
      return Activation{from->data, from->scale, from->zero};
    NodeOp quantise = producer(from->data, "QuantizeLinear");
    if (!isByte(element, true) || !quantise || isOutput(from->data) || !from->data.hasOneUse() ||
        !value.hasOneUse())
      return std::nullopt;
    Value zero = shifted(at, quantise.input(2));
    if (!zero)
      return std::nullopt;
    return Activation{
        graph.make(at, "QuantizeLinear", {quantise.input(0), quantise.input(1), zero}),
        quantise.input(1), zero};
  }

  /// The QuantizeLinear that alone reads `value`, if its result is uint8 or can be read so.
  struct Requantised {
    NodeOp quantise;
    Value zero; // of uint8
    bool wasSigned = false;
  };
  std::optional<Requantised> requantised(Value value) {
    if (isOutput(value) || !value.hasOneUse())
      return std::nullopt;
    auto node = dyn_cast<NodeOp>(*value.getUsers().begin());
    if (!node || !node.is("QuantizeLinear") || node.input(0) != value || !node.input(2) ||
        !perTensor(node.input(1)))
      return std::nullopt;
    Value result = node.getResult(0);
    if (isByte(graph.element(result), false))
      return Requantised{node, node.input(2), false};
    if (!isByte(graph.element(result), true) || isOutput(result) || !result.hasOneUse())
      return std::nullopt;
    auto reader = dyn_cast<NodeOp>(*result.getUsers().begin());
    if (!reader || !reader.is("DequantizeLinear") || !reader.getResult(0).hasOneUse())
      return std::nullopt;
    Value zero = shifted(node, node.input(2));
    if (!zero)
      return std::nullopt;
    return Requantised{node, zero, true};
  }

  /// The uint8 tensor `value` in place of what `to` made.
  void deliver(Requantised to, Value value) {
    if (!to.wasSigned) {
      graph.replace(to.quantise.getResult(0), value);
      return;
    }
    auto reader = cast<NodeOp>(*to.quantise.getResult(0).getUsers().begin());
    graph.replace(reader.getResult(0),
                  graph.make(reader, "DequantizeLinear", {value, reader.input(1), to.zero}));
  }

  NamedAttribute saturating() { return graph.attribute("saturating", int64_t(1)); }

  /// An int8 operand that stays int8: weights, and activations that are not read as uint8.
  bool staysSigned(const std::optional<Quantised> &operand, Value real) {
    if (!operand || !operand->zero || !isByte(graph.element(operand->data), true))
      return false;
    return graph.facts.constant(operand->data) || !(operand->data.hasOneUse() && real.hasOneUse() &&
                                                    producer(operand->data, "QuantizeLinear"));
  }

  bool fuseMatMul(NodeOp node) {
    auto weight = quantised(node.input(1));
    if (!staysSigned(weight, node.input(1)) ||
        !(perTensor(weight->scale) || (graph.rank(weight->data) == 2 && scaledAlong(*weight, 1))))
      return false;
    Value result = node.getResult(0);
    auto to = requantised(result);
    // A quantised result whose type can't be uint8 keeps the product in float.
    if (!to && llvm::any_of(result.getUsers(), [](Operation *user) {
          auto reader = dyn_cast<NodeOp>(user);
          return reader && reader.is("QuantizeLinear");
        }))
      return false;
    auto a = activation(node, node.input(0));
    if (!a || !a->zero)
      return false;
    if (!to) {
      Value product =
          graph.make(node, "MatMulIntegerToFloat",
                     {a->data, weight->data, a->scale, weight->scale, a->zero, weight->zero},
                     {saturating()}, "com.microsoft");
      return graph.replace(result, product);
    }
    Value product = graph.make(to->quantise, "QLinearMatMul",
                               {a->data, a->scale, a->zero, weight->data, weight->scale,
                                weight->zero, to->quantise.input(1), to->zero},
                               {saturating()});
    deliver(*to, product);
    return true;
  }

  bool fuseGemm(NodeOp node) {
    auto weight = quantised(node.input(1));
    if (!weight || !weight->zero || !isByte(graph.element(weight->data), true) ||
        !graph.facts.constant(weight->data) || graph.rank(weight->data) != 2 ||
        !scaledAlong(*weight, node.integer("transB", 0) ? 0 : 1))
      return false;
    Value bias = node.input(2);
    auto biasFrom = bias ? quantised(bias) : std::nullopt;
    if (bias && (!biasFrom || !graph.element(biasFrom->data) ||
                 !graph.element(biasFrom->data).isSignlessInteger(32) || node.real("beta", 1) != 1))
      return false;
    auto to = requantised(node.getResult(0));
    auto a = to ? activation(node, node.input(0)) : std::nullopt;
    if (!a || !a->zero)
      return false;
    Value none = graph.none(node);
    Value product =
        graph.make(to->quantise, "QGemm",
                   {a->data, a->scale, a->zero, weight->data, weight->scale, weight->zero,
                    biasFrom ? biasFrom->data : none, to->quantise.input(1), to->zero},
                   {graph.attribute("alpha", node.real("alpha", 1)),
                    graph.attribute("transA", node.integer("transA", 0)),
                    graph.attribute("transB", node.integer("transB", 0)), saturating()},
                   "com.microsoft");
    deliver(*to, product);
    return true;
  }

  bool fuseConv(NodeOp node) {
    auto weight = quantised(node.input(1));
    if (!weight || !weight->zero || !isByte(graph.element(weight->data), true) ||
        !graph.facts.constant(weight->data) || !scaledAlong(*weight, 0))
      return false;
    Value bias = node.input(2);
    auto biasFrom = bias ? quantised(bias) : std::nullopt;
    if (bias && (!biasFrom || !graph.element(biasFrom->data) ||
                 !graph.element(biasFrom->data).isSignlessInteger(32)))
      return false;
    auto to = requantised(node.getResult(0));
    auto x = to ? activation(node, node.input(0)) : std::nullopt;
    if (!x || !x->zero)
      return false;
    SmallVector<Value> operands = {x->data,
                                   x->scale,
                                   x->zero,
                                   weight->data,
                                   weight->scale,
                                   weight->zero,
                                   to->quantise.input(1),
                                   to->zero};
    if (biasFrom)
      operands.push_back(biasFrom->data);
    SmallVector<NamedAttribute> attributes(node.getNodeAttrs().begin(), node.getNodeAttrs().end());
    attributes.push_back(saturating());
    deliver(*to, graph.make(to->quantise, "QLinearConv", operands, attributes));
    return true;
  }

  /// Its uint8 softmax divides in units of 1 / floor(1 / scale).
  bool fuseSoftmax(NodeOp node) {
    int64_t rank = graph.rank(node.input(0)), axis = node.integer("axis", -1);
    if (axis != -1 && (rank < 1 || axis != rank - 1))
      return false;
    auto to = requantised(node.getResult(0));
    auto x = to ? activation(node, node.input(0)) : std::nullopt;
    if (!x || !x->zero)
      return false;
    Value result =
        graph.make(to->quantise, "QLinearSoftmax",
                   {x->data, x->scale, x->zero, to->quantise.input(1), to->zero},
                   {graph.attribute("axis", int64_t(-1)), graph.attribute("opset", int64_t(13))},
                   "com.microsoft");
    deliver(*to, result);
    return true;
  }

  /// The epsilon of a normalisation that is spelled in float16 is not read; 1e-5 is used.
  bool setEpsilon(NodeOp root) {
    NodeOp add = producer(root.input(0), "Add");
    if (!add)
      return false;
    for (unsigned i : {0, 1}) {
      Value epsilon = add.input(i);
      Type element = graph.element(epsilon);
      if (!element || !element.isF16() || !graph.scalarOf(epsilon) ||
          !producer(withoutCasts(graph, add.input(1 - i)), "ReduceMean"))
        continue;
      Value replacement = graph.scalar(add, element, 1e-5);
      if (graph.scalarOf(replacement) == graph.scalarOf(epsilon))
        return false;
      add->setOperand(i, replacement);
      return true;
    }
    return false;
  }

  void read(NodeOp node) {
    if (node.is("MatMul")) {
      products += fuseMatMul(node);
    } else if (node.is("Gemm")) {
      products += fuseGemm(node);
    } else if (node.is("Conv")) {
      products += fuseConv(node);
    } else if (node.is("Softmax")) {
      softmaxes += fuseSoftmax(node);
    } else if (node.is("Sqrt")) {
      epsilons += setEpsilon(node);
    } else if (node.is("MatMulInteger") || node.is("QLinearMatMul") || node.is("ConvInteger") ||
               node.is("QLinearConv") || node.isContrib("MatMulIntegerToFloat") ||
               node.isContrib("DynamicQuantizeMatMul") || node.isContrib("QGemm")) {
      Graph::setAttribute(node, "saturating", saturating().getValue());
      ++products;
    }
  }
};

struct ReadAsOnnxRuntime : uoe::impl::ReadAsOnnxRuntimePassBase<ReadAsOnnxRuntime> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    int64_t products = 0, softmaxes = 0, epsilons = 0;
    for (auto function : module.getOps<func::FuncOp>()) {
      Inference analysis(module);
      (void)analysis.run(function);
      Graph graph(module, analysis);
      Reader reader{graph};
      SmallVector<NodeOp> nodes;
      function.walk([&](NodeOp node) { nodes.push_back(node); });
      for (NodeOp node : nodes) // shared biases come through these
        if (node.is("Identity") && !isOutput(node.getResult(0)))
          graph.replace(node.getResult(0), node.input(0));
      for (NodeOp node : nodes)
        reader.read(node);
      products += reader.products;
      softmaxes += reader.softmaxes;
      epsilons += reader.epsilons;
      removeUnused(function);
      refineTypes(function, analysis);
    }
    SmallVector<std::string> found;
    auto say = [&](int64_t count, StringRef what) {
      if (count > 0)
        found.push_back(std::to_string(count) + " " + what.str());
    };
    say(products, "products of uint8 by int8 that saturate at 16 bits");
    say(softmaxes, "softmax in units of 1 / floor(1 / scale)");
    say(epsilons, "float16 normalisations with an epsilon of 1e-5");
    SmallVector<Attribute> texts;
    for (const std::string &text : found)
      texts.push_back(StringAttr::get(module.getContext(), text));
    if (!texts.empty())
      module->setAttr("uoe.deviations", ArrayAttr::get(module.getContext(), texts));
  }
};
} // namespace
