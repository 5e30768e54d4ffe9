// decompose-ffn: a dense feed-forward block becomes the sum of n experts, each a slice of its
// neurons. Exact: with every expert on the result is the dense one up to the order of summation
// (Union of Experts, arXiv 2503.02495, section on equivalent decomposition).
#include "dialects/uoe/Uoe.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"

namespace uoe {
#define GEN_PASS_DEF_DECOMPOSEFFNPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

SmallVector<int64_t> uoe::evenSizes(int64_t total, int64_t parts) {
  SmallVector<int64_t> sizes(parts, total / parts);
  for (int64_t i = 0; i < total % parts; ++i)
    ++sizes[i];
  return sizes;
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
  YieldOp::create(inner, loc, expert.getOutput());
  return experts;
}

Value uoe::addBias(OpBuilder &builder, Location loc, Value value, Value bias) {
  if (!bias)
    return value;
  return onnx::NodeOp::create(builder, loc, TypeRange{value.getType()}, "Add", {value, bias})
      .getResult(0);
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
    for (FfnOp ffn : blocks)
      if (failed(decompose(ffn)))
        return signalPassFailure();
  }

  // The partition of a block: its own attributes first, then the pass's options.
  LogicalResult partition(FfnOp ffn, int64_t width, SmallVector<int64_t> &order,
                          SmallVector<int64_t> &sizes) {
    if (auto attr = ffn->getAttrOfType<DenseI64ArrayAttr>("uoe.permutation"))
      order = SmallVector<int64_t>(attr.asArrayRef());
    if (auto attr = ffn->getAttrOfType<DenseI64ArrayAttr>("uoe.sizes"))
      sizes = SmallVector<int64_t>(attr.asArrayRef());
    else
      sizes = evenSizes(width, std::min<int64_t>(experts, width));
    int64_t total = 0;
    for (int64_t size : sizes) {
      if (size <= 0)
        return ffn.emitError("needs positive expert sizes, found ") << size;
      total += size;
    }
    if (total != width)
      return ffn.emitError("has expert sizes that add up to ")
             << total << ", the block has " << width << " neurons";
    if (!order.empty() && static_cast<int64_t>(order.size()) != width)
      return ffn.emitError("has a permutation of ")
             << order.size() << " neurons, the block has " << width;
    SmallVector<bool> seen(width);
    for (int64_t neuron : order) {
      if (neuron < 0 || neuron >= width)
        return ffn.emitError("has a permutation with neuron ") << neuron << " of " << width;
      if (std::exchange(seen[neuron], true))
        return ffn.emitError("has a permutation with neuron ") << neuron << " twice";
    }
    return success();
  }

  LogicalResult decompose(FfnOp ffn) {
    auto up = dyn_cast<RankedTensorType>(ffn.getUp().getType());
    std::string name = blockName(ffn, "ffn");
    // Products with packed weights may round their activations; a routed form departs from the
    // dense one anyway, this one must not.
    bool rounds = ffn.getSpelling()
                      .walk([](onnx::NodeOp node) {
                        bool found =
                            node.isContrib("MatMulNBits") && node.integer("accuracy_level", 0) == 4;
                        return found ? WalkResult::interrupt() : WalkResult::advance();
                      })
                      .wasInterrupted();
    if (rounds || quantisesActivations(ffn.getSpelling())) {
      ffn.emitRemark(name) << " is left dense: it quantises its activations, so that a sum of "
                              "experts would not equal it";
      return success();
    }
    if (!up || up.isDynamicDim(1)) {
      ffn.emitRemark(name) << " is left dense: its number of neurons is not known";
      return success();
    }
    if (experts < 1)
      return ffn.emitError("needs at least one expert, found ") << experts;
    SmallVector<int64_t> order, sizes;
    if (failed(partition(ffn, up.getDimSize(1), order, sizes)))
      return failure();
    OpBuilder builder(ffn);
    FailureOr<ExpertsOp> split = splitFfn(builder, ffn, order, sizes, {}, {}, {});
    if (failed(split))
      return failure();
    for (StringRef attr : {"name", "layer"})
      if (Attribute value = ffn->getAttr(attr))
        (*split)->setAttr(attr, value);
    Value result = addBias(builder, ffn.getLoc(), split->getOutput(), ffn.getBiasDown());
    ++decomposed;
    if (keepDense) {
      ffn.getResult().replaceAllUsesWith(result);
      builder.setInsertionPointAfter(ffn);
      ProbeOp::create(builder, ffn.getLoc(), name + ":dense", ffn.getResult());
      ProbeOp::create(builder, ffn.getLoc(), name + ":experts", result);
      return success();
    }
    ffn.getResult().replaceAllUsesWith(result);
    ffn.erase();
    return success();
  }
};

} // namespace
