// decompose-ffn: a dense feed-forward block becomes the sum of n experts, each a slice of its
// neurons. Exact: with every expert on the result is the dense one up to the order of summation
// (Union of Experts, arXiv 2503.02495, section on equivalent decomposition).
#include "dialects/uoe/Uoe.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/decompose/Slicer.h"
#include "passes/raise/PackedMatrix.h"

namespace uoe {
#define GEN_PASS_DEF_DECOMPOSEFFNPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

void uoe::leaveDense(Operation *block, StringRef name, const Twine &why) {
  block->emitRemark(name) << " is left dense: " << why;
  block->setAttr(kLeftDense, StringAttr::get(block->getContext(), why));
}

void uoe::copyName(Operation *block, Operation *experts) {
  for (StringRef attr : {"name", "layer"})
    if (Attribute value = block->getAttr(attr))
      experts->setAttr(attr, value);
  bool told =
      experts->getRegion(0)
          .walk([](Operation *op) {
            return isa<FfnOp, AttentionOp>(op) ? WalkResult::interrupt() : WalkResult::advance();
          })
          .wasInterrupted();
  if (!told)
    experts->setAttr(kBlockKind, StringAttr::get(block->getContext(),
                                                 isa<AttentionOp>(block) ? "attention" : "ffn"));
}

bool uoe::quantisesActivations(Region &spelling) {
  return spelling
      .walk([](onnx::NodeOp node) {
        StringRef op = node.getOpType();
        bool quantises = op == "QuantizeLinear" || op == "DynamicQuantizeLinear" ||
                         op.contains("Integer") || op.starts_with("QLinear") ||
                         op == "DynamicQuantizeMatMul";
        return quantises ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

SmallVector<FfnOp> uoe::denseBlocks(ModuleOp module) {
  SmallVector<FfnOp> blocks;
  module.walk([&](FfnOp ffn) {
    if (!ffn->getParentOfType<ExpertsOp>() && !ffn->hasAttr("uoe.core"))
      blocks.push_back(ffn);
  });
  return blocks;
}

std::string uoe::blockName(Operation *op, StringRef kind) {
  if (auto name = op->getAttrOfType<StringAttr>("name"))
    return name.str();
  if (auto layer = op->getAttrOfType<IntegerAttr>("layer"))
    return ("layer." + Twine(layer.getInt()) + "." + kind).str();
  return kind.str();
}

Value uoe::reorder(OpBuilder &builder, Location loc, Value value, ArrayRef<int64_t> order,
                   int64_t axis) {
  if (!value)
    return {};
  if (std::optional<PackedMatrix> packed = axis == 1 ? matchPacked(value) : std::nullopt)
    return makePacked(builder, loc, takeColumns(*packed, order));
  auto type = cast<RankedTensorType>(value.getType());
  auto indices = DenseElementsAttr::get(
      RankedTensorType::get({static_cast<int64_t>(order.size())}, builder.getI64Type()), order);
  Value constant = onnx::NodeOp::create(builder, loc, TypeRange{indices.getType()}, "Constant",
                                        ValueRange{}, {builder.getNamedAttr("value", indices)})
                       .getResult(0);
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = order.size();
  return onnx::NodeOp::create(
             builder, loc, TypeRange{RankedTensorType::get(shape, type.getElementType())}, "Gather",
             {value, constant}, {builder.getNamedAttr("axis", builder.getI64IntegerAttr(axis))})
      .getResult(0);
}

FailureOr<ExpertsOp> uoe::splitFfn(OpBuilder &builder, FfnOp ffn, ArrayRef<int64_t> order,
                                   ArrayRef<int64_t> sizes, Value routing, Value skip, Value down) {
  Location loc = ffn.getLoc();
  if (!down)
    down = ffn.getDown();
  SmallVector<Value> sliced;
  SmallVector<int64_t> axes;
  auto add = [&](Value value, int64_t axis, bool inOrder = false) {
    if (!value)
      return;
    sliced.push_back(order.empty() || inOrder ? value
                                              : uoe::reorder(builder, loc, value, order, axis));
    axes.push_back(axis);
  };
  add(ffn.getUp(), 1);
  add(ffn.getGate(), 1);
  add(down, 0, down != ffn.getDown());
  add(ffn.getBiasUp(), 0);
  add(ffn.getBiasGate(), 0);
  for (Value value : sliced)
    if (!isa<RankedTensorType>(value.getType()))
      return ffn.emitError("cannot be split: the shape of a weight is not known"), failure();
  if (!isa<RankedTensorType>(ffn.getInput().getType()) ||
      !isa<RankedTensorType>(ffn.getOutput().getType()))
    return ffn.emitError("cannot be split: the rank of its input or output is not known"),
           failure();

  auto experts =
      ExpertsOp::create(builder, loc, ffn.getOutput().getType(), ValueRange{ffn.getInput()}, sliced,
                        routing, skip, axes, sizes, Combine::sum);
  bool even = llvm::all_equal(sizes);
  Block *body = new Block;
  experts.getBody().push_back(body);
  Value x = body->addArgument(ffn.getInput().getType(), loc);
  SmallVector<Value> parts;
  for (auto [value, axis] : llvm::zip(sliced, axes)) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[axis] = even ? sizes[0] : ShapedType::kDynamic;
    parts.push_back(body->addArgument(RankedTensorType::get(shape, type.getElementType()), loc));
  }
  unsigned next = 0;
  Value up = parts[next++], gate = ffn.getGate() ? parts[next++] : Value(),
        partDown = parts[next++];
  Value biasUp = ffn.getBiasUp() ? parts[next++] : Value(),
        biasGate = ffn.getBiasGate() ? parts[next++] : Value();
  OpBuilder inner = OpBuilder::atBlockEnd(body);
  auto expert = FfnOp::create(inner, loc, ffn.getOutput().getType(), ffn.getActivationAttr(), x, up,
                              gate, partDown, biasUp, biasGate, Value());
  expert.setLimitAttr(ffn.getLimitAttr());
  expert.setUpOffset(ffn.getUpOffset());
  expert.setFunctionAttr(ffn.getFunctionAttr());
  YieldOp::create(inner, loc, expert.getOutput());
  return experts;
}

Value uoe::addBias(OpBuilder &builder, Location loc, Value value, Value bias) {
  if (!bias)
    return value;
  return onnx::NodeOp::create(builder, loc, TypeRange{value.getType()}, "Add", {value, bias})
      .getResult(0);
}

void uoe::eraseUnused(Operation *op) {
  llvm::SetVector<Operation *> work;
  work.insert(op);
  while (!work.empty()) {
    Operation *next = work.pop_back_val();
    if (!next->use_empty() || !isa<onnx::NodeOp, AttentionOp, FfnOp>(next))
      continue;
    llvm::SetVector<Value> operands(next->operand_begin(), next->operand_end());
    for (Region &region : next->getRegions())
      region.walk([&](Operation *nested) {
        operands.insert(nested->operand_begin(), nested->operand_end());
      });
    SmallVector<Operation *> producers;
    for (Value operand : operands)
      if (Operation *producer = operand.getDefiningOp();
          producer && producer->getParentRegion() == next->getParentRegion())
        producers.push_back(producer);
    next->erase();
    work.insert(producers.begin(), producers.end());
  }
}

namespace {

struct DecomposeFfnPass : uoe::impl::DecomposeFfnPassBase<DecomposeFfnPass> {
  using DecomposeFfnPassBase::DecomposeFfnPassBase;

  void runOnOperation() override {
    SmallVector<FfnOp> blocks;
    getOperation().walk([&](FfnOp ffn) {
      if (!ffn->getParentOfType<ExpertsOp>())
        blocks.push_back(ffn);
    });
    std::optional<PermutationFile> file;
    try {
      if (!permutation.empty())
        file.emplace(permutation);
    } catch (const std::exception &problem) {
      getOperation().emitError(problem.what());
      return signalPassFailure();
    }
    PartitionOptions options{"neurons", experts, ArrayRef<int64_t>(sizes), file ? &*file : nullptr};
    for (auto [index, ffn] : llvm::enumerate(blocks))
      if (failed(decompose(ffn, index, options)))
        return signalPassFailure();
  }

  LogicalResult decompose(FfnOp ffn, size_t index, const PartitionOptions &options) {
    std::string name = blockName(ffn, "ffn");
    auto up = dyn_cast<RankedTensorType>(ffn.getUp().getType());
    if (!up || up.isDynamicDim(1)) {
      leaveDense(ffn, name, "its number of neurons is not known");
      return success();
    }
    if (experts < 1)
      return ffn.emitError("needs at least one expert, found ") << experts;
    FailureOr<Partition> partition = partitionOf(ffn, name, index, up.getDimSize(1), options);
    if (failed(partition))
      return failure();
    if (quantisesActivations(ffn.getSpelling())) {
      splitSpelling(ffn, name, up.getDimSize(1), *partition);
      return success();
    }
    if (mayRound(ffn.getSpelling()))
      ffn.emitRemark(name) << ": the experts' products are exact, where the model's may round "
                              "their inputs to 8 bits (accuracy_level 4)";
    OpBuilder builder(ffn);
    FailureOr<ExpertsOp> split =
        splitFfn(builder, ffn, partition->order, partition->sizes, {}, {}, {});
    if (failed(split))
      return failure();
    copyName(ffn, *split);
    Value result = addBias(builder, ffn.getLoc(), split->getOutput(), ffn.getBiasDown());
    ++decomposed;
    ffn.getResult().replaceAllUsesWith(result);
    if (!keepDense) {
      ffn.erase();
      return success();
    }
    builder.setInsertionPointAfter(ffn);
    ProbeOp::create(builder, ffn.getLoc(), name + ":dense", ffn.getResult());
    ProbeOp::create(builder, ffn.getLoc(), name + ":experts", result);
    return success();
  }

  // Products with packed weights may round their inputs; their meaning is the exact product.
  static bool mayRound(Region &spelling) {
    return spelling
        .walk([](onnx::NodeOp node) {
          bool found = node.isContrib("MatMulNBits") && node.integer("accuracy_level", 0) == 4;
          return found ? WalkResult::interrupt() : WalkResult::advance();
        })
        .wasInterrupted();
  }

  // A block that quantises its activations is split as the model spells it, so that every number is
  // rounded as it was.
  void splitSpelling(FfnOp ffn, const std::string &name, int64_t width,
                     const Partition &partition) {
    OpBuilder builder(ffn);
    IRMapping map;
    SmallVector<Operation *> cloned;
    for (Operation &op : ffn.getSpelling().front().without_terminator())
      cloned.push_back(builder.clone(op, map));
    Value result = map.lookupOrDefault(ffn.getSpelling().front().getTerminator()->getOperand(0));
    auto dense = [&](const Twine &why) {
      leaveDense(ffn, name, why);
      for (Operation *op : llvm::reverse(cloned))
        op->erase();
    };
    raise::Constants facts;
    auto down = raise::matchLinear(result, facts);
    auto product = down ? dyn_cast_or_null<onnx::NodeOp>(down->core) : onnx::NodeOp();
    if (!product || !isProjection(product, facts))
      return dense("it quantises its activations, and its last product is none that could be "
                   "split");
    builder.setInsertionPoint(product);
    Slicer slicer(builder, ffn.getLoc(), width, partition, facts);
    int64_t last = raise::rankOf(product.input(0)) - 1;
    SplitProduct split = splitProduct(product, {last}, slicer, facts);
    if (!split) {
      slicer.undo();
      return dense(slicer.reason);
    }
    for (ExpertsOp stage : slicer.stages())
      copyName(ffn, stage);
    copyName(ffn, split.experts);
    ++decomposed;
    product.getResult(0).replaceAllUsesWith(split.result);
    ffn.getResult().replaceAllUsesWith(result);
    ffn.erase();
    if (keepDense) {
      builder.setInsertionPointAfter(product);
      ProbeOp::create(builder, product.getLoc(), name + ":dense", product.getResult(0));
      ProbeOp::create(builder, product.getLoc(), name + ":experts", split.result);
      return;
    }
    slicer.replaceMixed();
    eraseUnused(product);
  }
};

} // namespace
