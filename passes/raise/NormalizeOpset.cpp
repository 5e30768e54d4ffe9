// Older spellings of operators become the newest, so that later passes see one form.
#include "dialects/uoe/Uoe.h"
#include "passes/Passes.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_NORMALIZEOPSETPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

/// Rewrites the nodes of one function from opset `from` to the target.
class Normalizer {
public:
  Normalizer(Graph &graph, int64_t from) : graph(graph), from(from) {}

  void run(NodeOp node) {
    if (!node.getDomain().empty() && node.getDomain() != "ai.onnx")
      return;
    StringRef op = node.getOpType();
    if (op == "Squeeze" || op == "Unsqueeze" || op == "ReduceSum")
      move(node, 13, "axes", 1);
    else if (op.starts_with("Reduce"))
      move(node, 18, "axes", 1);
    else if (op == "Reshape")
      move(node, 5, "shape", 1);
    else if (op == "Split")
      split(node);
    else if (op == "Slice")
      slice(node);
    else if (op == "TopK")
      topK(node);
    else if (op == "Clip")
      clip(node);
    else if (op == "Pad")
      pad(node);
    else if (op == "Dropout")
      dropout(node);
    else if (op == "Softmax" || op == "LogSoftmax" || op == "Hardmax")
      softmax(node);
    else if (op == "BatchNormalization")
      batchNorm(node);
    else if (op == "GroupNormalization")
      groupNorm(node);
    else if (op == "Upsample" || op == "Resize")
      resize(node);
    else if (op == "Scatter")
      rename(node, "ScatterElements");
    else if (op == "DFT")
      dft(node);
    else if (op == "GridSample")
      gridSample(node);
    else if (op == "RoiAlign")
      roiAlign(node);
  }

private:
  void rename(NodeOp node, StringRef op) { node.setOpType(op); }
  void drop(NodeOp node, StringRef name) { Graph::setAttribute(node, name, Attribute()); }

  /// Operand i, with absent ones before it.
  void setOperand(NodeOp node, unsigned i, Value value) {
    SmallVector<Value> operands(node.getInputs());
    while (operands.size() <= i)
      operands.push_back(operands.size() == i ? value : graph.none(node));
    operands[i] = value;
    node->setOperands(operands);
  }

  std::optional<SmallVector<int64_t>> list(NodeOp node, StringRef name) {
    if (auto array = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute(name)))
      return SmallVector<int64_t>(array.asArrayRef());
    return std::nullopt;
  }

  /// An INTS attribute becomes operand i.
  void move(NodeOp node, int64_t since, StringRef name, unsigned i) {
    auto values = list(node, name);
    if (from >= since || !values)
      return;
    drop(node, name);
    setOperand(node, i, graph.integers(node, *values));
  }

  void split(NodeOp node) {
    move(node, 13, "split", 1);
    // Equal parts are asked for by number since opset 18.
    if (from < 18 && !node.input(1) && !node.attribute("num_outputs"))
      set(node, graph.attribute("num_outputs", static_cast<int64_t>(node.getNumResults())));
  }

  void set(NodeOp node, NamedAttribute attribute) {
    Graph::setAttribute(node, attribute.getName(), attribute.getValue());
  }

  void slice(NodeOp node) {
    auto starts = list(node, "starts"), ends = list(node, "ends"), axes = list(node, "axes");
    if (from >= 10 || !starts || !ends)
      return;
    for (const char *name : {"starts", "ends", "axes"})
      drop(node, name);
    setOperand(node, 1, graph.integers(node, *starts));
    setOperand(node, 2, graph.integers(node, *ends));
    if (axes)
      setOperand(node, 3, graph.integers(node, *axes));
  }

  void topK(NodeOp node) {
    auto k = dyn_cast_or_null<IntegerAttr>(node.attribute("k"));
    if (from >= 10 || !k)
      return;
    drop(node, "k");
    setOperand(node, 1, graph.integers(node, {k.getInt()}));
  }

  void clip(NodeOp node) {
    Type element = graph.element(node.input(0));
    if (from >= 11 || !isa_and_nonnull<FloatType>(element))
      return;
    const char *names[] = {"min", "max"};
    for (auto [i, name] : llvm::enumerate(names))
      if (auto bound = dyn_cast_or_null<FloatAttr>(node.attribute(name))) {
        drop(node, name);
        APFloat value = bound.getValue();
        bool lost;
        value.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven,
                      &lost);
        // A bound beyond the type's range bounds nothing.
        if (value.isInfinity())
          continue;
        setOperand(node, i + 1,
                   graph.constant(
                       node, DenseElementsAttr::get(RankedTensorType::get({}, element), value)));
      }
  }

  void pad(NodeOp node) {
    Type element = graph.element(node.input(0));
    auto pads = list(node, "pads");
    if (from >= 11 || !pads)
      return;
    double value = node.real("value", 0);
    drop(node, "pads");
    drop(node, "value");
    setOperand(node, 1, graph.integers(node, *pads));
    if (value != 0 && isa_and_nonnull<FloatType>(element))
      setOperand(node, 2, graph.scalar(node, element, value));
  }

  void dropout(NodeOp node) {
    // Before opset 12 the operator did nothing at inference; now it does unless told to train.
    if (from < 12) {
      drop(node, "ratio");
      drop(node, "is_test");
    }
  }

  /// Before opset 13, a tensor was seen as a matrix split at `axis`, 1 by default.
  void softmax(NodeOp node) {
    if (from >= 13)
      return;
    int64_t axis = node.integer("axis", 1), rank = graph.rank(node.input(0));
    if (axis == -1 || (rank >= 0 && (axis == rank - 1))) {
      set(node, graph.attribute("axis", int64_t(-1)));
      return;
    }
    Value x = node.input(0);
    Value shape = graph.make(node, "Shape", {x});
    Value matrix = graph.make(node, "Flatten", {x}, {graph.attribute("axis", axis)});
    Value soft =
        graph.make(node, node.getOpType(), {matrix}, {graph.attribute("axis", int64_t(-1))});
    Value result = graph.make(node, "Reshape", {soft, shape});
    graph.replace(node.getResult(0), result);
  }

  void batchNorm(NodeOp node) {
    if (from >= 14)
      return;
    if (from < 9 && node.integer("spatial", 1) != 1)
      return;
    drop(node, "spatial");
    if (node.getNumResults() == 1)
      return;
    for (Value result : llvm::drop_begin(node.getResults()))
      if (!result.use_empty())
        return;
    auto single = graph.create(
        node, "BatchNormalization", node.getInputs(),
        SmallVector<NamedAttribute>(node.getNodeAttrs().begin(), node.getNodeAttrs().end()));
    graph.replace(node.getResult(0), single.getResult(0));
  }

  /// Scale and bias were one a group before opset 21, now they are one a channel.
  void groupNorm(NodeOp node) {
    auto channels = graph.size(node.input(0), 1);
    int64_t groups = node.integer("num_groups", 0);
    if (from >= 21 || !channels || groups <= 0 || *channels % groups)
      return;
    for (unsigned i : {1, 2}) {
      Value column = graph.make(node, "Unsqueeze", {node.input(i), graph.integers(node, {1})});
      Value wide =
          graph.make(node, "Expand", {column, graph.integers(node, {groups, *channels / groups})});
      setOperand(node, i, graph.make(node, "Reshape", {wide, graph.integers(node, {*channels})}));
    }
  }

  void resize(NodeOp node) {
    bool upsample = node.is("Upsample");
    if (upsample || from == 10) {
      Value scales = node.input(1);
      if (auto list = dyn_cast_or_null<DenseF32ArrayAttr>(node.attribute("scales"))) {
        auto type = RankedTensorType::get({static_cast<int64_t>(list.size())},
                                          Float32Type::get(node.getContext()));
        scales = graph.constant(node, DenseElementsAttr::get(type, list.asArrayRef()));
        drop(node, "scales");
      }
      if (!scales)
        return;
      rename(node, "Resize");
      if (node.string("mode", "nearest") == "bilinear")
        set(node, graph.attribute("mode", StringRef("linear")));
      set(node, graph.attribute("coordinate_transformation_mode", StringRef("asymmetric")));
      set(node, graph.attribute("nearest_mode", StringRef("floor")));
      node->setOperands({node.input(0), graph.none(node), scales});
      return;
    }
    // Opset 11 had no absent operands: an empty tensor stood for one.
    for (unsigned i : {1, 2})
      if (Value operand = node.input(i); operand && graph.size(operand, 0) == int64_t(0))
        node->setOperand(i, graph.none(node));
  }

  void dft(NodeOp node) {
    if (from >= 20)
      return;
    int64_t axis = node.integer("axis", 1);
    drop(node, "axis");
    setOperand(node, 2, graph.integer(node, axis));
  }

  void gridSample(NodeOp node) {
    if (from >= 20)
      return;
    StringRef mode = node.string("mode", "bilinear");
    if (mode == "bilinear" || mode == "bicubic")
      set(node, graph.attribute("mode", mode.drop_front(2)));
  }

  void roiAlign(NodeOp node) {
    if (from < 16 && !node.attribute("coordinate_transformation_mode"))
      set(node, graph.attribute("coordinate_transformation_mode", StringRef("output_half_pixel")));
  }

  Graph &graph;
  int64_t from;
};

struct NormalizeOpset : uoe::impl::NormalizeOpsetPassBase<NormalizeOpset> {
  using Base = uoe::impl::NormalizeOpsetPassBase<NormalizeOpset>;
  using Base::Base;

  /// Nodes that have no form in the target opset that means the same.
  static NodeOp obstacle(Operation *root, int64_t from) {
    NodeOp found;
    root->walk([&](NodeOp node) {
      bool scan = from < 9 && node.is("Scan");
      bool perElement =
          from < 9 && node.is("BatchNormalization") && node.integer("spatial", 1) != 1;
      bool reference = llvm::any_of(node.getNodeAttrs(), [](NamedAttribute attribute) {
        return isa<RefAttr>(attribute.getValue());
      });
      if (scan || perElement || reference)
        found = node;
    });
    return found;
  }

  static void setImport(Operation *holder, int64_t version) {
    NamedAttrList imports(holder->getAttrOfType<DictionaryAttr>("onnx.opset_import"));
    imports.set("ai.onnx", IntegerAttr::get(IntegerType::get(holder->getContext(), 64), version));
    holder->setAttr("onnx.opset_import", imports.getDictionary(holder->getContext()));
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    // Functions with imports of their own are versioned on their own.
    SmallVector<func::FuncOp> shared;
    for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (function->hasAttr("onnx.opset_import"))
        normalize(function, {function});
      else
        shared.push_back(function);
    }
    normalize(module, shared);
  }

  /// PyTorch's exporter gives RotaryEmbedding caches of one row for any batch, which the operator
  /// does not take: they are spread over the batch.
  static bool hasOwnCaches(NodeOp node) {
    return node.is("RotaryEmbedding") && node.input(1) && node.input(2) && !node.input(3);
  }
  void spreadCaches(func::FuncOp function) {
    SmallVector<NodeOp> nodes;
    function.walk([&](NodeOp node) {
      // Gathered attention of our own takes one row for all.
      if (hasOwnCaches(node) && !node->getParentOfType<ExpertsOp>())
        nodes.push_back(node);
    });
    if (nodes.empty())
      return;
    Inference analysis(getOperation());
    (void)analysis.run(function);
    Graph graph(getOperation(), analysis);
    for (NodeOp node : nodes) {
      Value x = node.input(0);
      if (graph.size(x, 0) == 1 || graph.rank(x) < 3)
        continue;
      for (unsigned i : {1, 2}) {
        Value cache = node.input(i);
        if (graph.rank(cache) != 3 || graph.size(cache, 0) != 1)
          continue;
        Value batch =
            graph.make(node, "Shape", {x},
                       {graph.attribute("start", int64_t(0)), graph.attribute("end", int64_t(1))});
        Value shape = graph.make(node, "Concat", {batch, graph.integers(node, {1, 1})},
                                 {graph.attribute("axis", int64_t(0))});
        node->setOperand(i, graph.make(node, "Expand", {cache, shape}));
      }
    }
  }

  void normalize(Operation *holder, ArrayRef<func::FuncOp> functions) {
    int64_t from = opsetOf(holder);
    if (from >= 23)
      for (func::FuncOp function : functions)
        spreadCaches(function);
    if (from == 0 || from >= opset)
      return;
    if (from < 7) {
      holder->emitWarning() << "imports opset " << from
                            << ", expected 7 or later; operators keep their old forms";
      return;
    }
    for (func::FuncOp function : functions)
      if (NodeOp node = obstacle(function, from)) {
        node.emitWarning() << node.getOpType() << " \"" << node.nodeName()
                           << "\" has no form in opset " << opset.getValue() << "; opset " << from
                           << " is kept";
        return;
      }
    ModuleOp module = getOperation();
    SmallVector<std::unique_ptr<Inference>> analyses;
    for (func::FuncOp function : functions) {
      analyses.push_back(std::make_unique<Inference>(module));
      (void)analyses.back()->run(function);
    }
    setImport(holder, opset);
    for (auto [shared, analysis] : llvm::zip(functions, analyses)) {
      func::FuncOp function = shared;
      Graph graph(module, *analysis);
      Normalizer normalizer(graph, from);
      SmallVector<NodeOp> nodes;
      function.walk([&](NodeOp node) { nodes.push_back(node); });
      for (NodeOp node : nodes)
        normalizer.run(node);
      removeUnused(function);
      refineTypes(function, *analysis);
    }
  }
};
} // namespace
