// promote-half: models of float16 or bfloat16 are computed in float32. Their kernels would round
// after every operator, and fused entries know float32 only; weights are cast, which loading does
// once, and are packed in 16 bits all the same. Inputs and outputs keep their types.
#include "dialects/onnx/Onnx.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Constants/Evaluate.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_PROMOTEHALFPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

static constexpr int64_t kFloat = 1, kFloat16 = 10, kBFloat16 = 16;

static bool isHalf(Type type) {
  auto tensor = dyn_cast<TensorType>(type);
  return tensor && (tensor.getElementType().isF16() || tensor.getElementType().isBF16());
}

// ONNX's number of a 16-bit float type.
static int64_t numberOf(Type type) {
  return cast<TensorType>(type).getElementType().isF16() ? kFloat16 : kBFloat16;
}

static Type widened(Type type) {
  if (isHalf(type))
    return cast<TensorType>(type).clone(Float32Type::get(type.getContext()));
  return type;
}

static Value cast(OpBuilder &builder, Location loc, Value value, Type type, int64_t to) {
  return onnx::NodeOp::create(builder, loc, TypeRange{type}, "Cast", {value},
                              {builder.getNamedAttr("to", builder.getI64IntegerAttr(to))})
      .getResult(0);
}

namespace {

struct PromoteHalfPass : uoe::impl::PromoteHalfPassBase<PromoteHalfPass> {
  using PromoteHalfPassBase::PromoteHalfPassBase;

  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>(onnx::kMainGraph);
    if (!main || !safe(main))
      return;
    Block &body = main.getBody().front();
    SmallVector<onnx::NodeOp> nodes;
    SmallVector<Operation *> blocks;
    SmallVector<onnx::WeightOp> weights;
    main.walk([&](Operation *op) {
      if (auto node = dyn_cast<onnx::NodeOp>(op))
        nodes.push_back(node);
      else if (isa<UoeDialect>(op->getDialect()))
        blocks.push_back(op);
      else if (auto weight = dyn_cast<onnx::WeightOp>(op); weight && isHalf(weight.getType()))
        weights.push_back(weight);
    });
    constants.clear();
    for (onnx::NodeOp node : nodes)
      promote(node);
    for (Operation *block : blocks)
      for (Value result : block->getResults())
        result.setType(widened(result.getType()));
    for (onnx::WeightOp weight : weights) {
      // Just before its first reader: loading then holds few weights in both types at once.
      Operation *first = nullptr;
      for (OpOperand &use : weight->getUses()) {
        Operation *user = takesRows(use) ? nullptr : body.findAncestorOpInBlock(*use.getOwner());
        if (user && (!first || user->isBeforeInBlock(first)))
          first = user;
      }
      if (!first)
        continue;
      OpBuilder builder(first);
      widen(builder, weight.getResult());
    }
    OpBuilder builder = OpBuilder::atBlockBegin(&body);
    for (BlockArgument argument : body.getArguments())
      if (isHalf(argument.getType()))
        widen(builder, argument);
    main.walk([&](Operation *op) {
      if (op == main)
        return;
      for (Region &region : op->getRegions())
        for (BlockArgument argument : region.getArguments())
          argument.setType(widened(argument.getType()));
    });
    // Results leave in their own type.
    Operation *end = body.getTerminator();
    builder.setInsertionPoint(end);
    for (auto [operand, type] : llvm::zip(end->getOpOperands(), main.getResultTypes()))
      if (isHalf(type) && !isHalf(operand.get().getType()))
        operand.set(cast(builder, end->getLoc(), operand.get(), type, numberOf(type)));
  }

  // Only models whose half-precision values all have types that are known: an operator of an
  // unknown type may be anything.
  static bool safe(func::FuncOp main) {
    bool any = false, known = true;
    main.walk([&](Operation *op) {
      for (Type type : op->getResultTypes()) {
        auto tensor = dyn_cast<TensorType>(type);
        any |= isHalf(type);
        known &= tensor ? !isa<onnx::AnyType>(tensor.getElementType())
                        : isa<NoneType>(type) || isa<UoeDialect>(op->getDialect());
      }
      // Operators whose result depends on the storage itself.
      if (auto node = dyn_cast<onnx::NodeOp>(op))
        known &= !node.is("BitCast") && !node.getDomain().starts_with("com.microsoft.q");
    });
    return any && known;
  }

  void widen(OpBuilder &builder, Value value) {
    Value wide = cast(builder, value.getLoc(), value, widened(value.getType()), kFloat);
    value.replaceUsesWithIf(wide, [&](OpOperand &use) {
      return use.getOwner() != wide.getDefiningOp() && !takesRows(use);
    });
  }

  // Rows of a table are cast, not the table: embeddings stay as small as they are.
  static bool takesRows(OpOperand &use) {
    auto node = dyn_cast<onnx::NodeOp>(use.getOwner());
    return node && node.is("Gather") && use.getOperandNumber() == 0 &&
           use.get().getDefiningOp<onnx::WeightOp>() && isHalf(use.get().getType());
  }

  DenseMap<Value, bool> constants; // whether a value is one

  void promote(onnx::NodeOp node) {
    // A constant that is rounded to 16 bits stays rounded.
    bool rounds = node.is("Cast") && isHalf(node.getResult(0).getType()) &&
                  isConstantExpression(node.getInputs()[0], constants);
    if (rounds || (node.is("Gather") && takesRows(node->getOpOperand(0)))) {
      OpBuilder builder(node.getContext());
      builder.setInsertionPointAfter(node);
      return widen(builder, node.getResult(0));
    }
    Type before; // of the last result of 16 bits
    for (Value result : node.getResults()) {
      if (isHalf(result.getType()))
        before = result.getType();
      result.setType(widened(result.getType()));
    }
    OpBuilder builder(node.getContext());
    NamedAttrList attributes(node.getNodeAttrs());
    for (StringRef name : {"to", "dtype", "output_dtype", "stash_type"})
      if (before && node.integer(name, 0) == numberOf(before))
        attributes.set(name, builder.getI64IntegerAttr(kFloat));
    // Constants in attributes: Constant, ConstantOfShape.
    if (auto value = dyn_cast_or_null<DenseFPElementsAttr>(attributes.get("value"));
        value && (value.getElementType().isF16() || value.getElementType().isBF16()))
      attributes.set(
          "value", DenseElementsAttr(value.mapValues(builder.getF32Type(), [](const APFloat &half) {
            APFloat wide = half;
            bool lost;
            wide.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lost);
            return wide.bitcastToAPInt();
          })));
    else if (isa_and_nonnull<onnx::FileAttr>(attributes.get("value")) && before) {
      // Too large to convert here: cast behind it.
      Value result = node.getResult(0);
      result.setType(before);
      builder.setInsertionPointAfter(node);
      widen(builder, result);
    }
    node.setNodeAttrsAttr(attributes.getDictionary(node.getContext()));
  }
};

} // namespace
