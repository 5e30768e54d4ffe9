#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace uoe::rtir;

#include "dialects/rt/Dialect.cpp.inc"
#include "dialects/rt/Enums.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/rt/Ops.cpp.inc"

void RtDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/rt/Ops.cpp.inc"
      >();
}

// An entry computes its results and nothing else.
void CallOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &) {}

LogicalResult CallOp::verify() {
  // (C1)
  size_t names = getRegionNames() ? getRegionNames()->size() : 0;
  if (names != getSubprograms().size())
    return emitOpError("has ") << getSubprograms().size() << " regions but " << names
                               << " region names";
  // (C2)
  for (Region &region : getSubprograms())
    if (!region.hasOneBlock() || region.front().empty() || !isa<YieldOp>(region.front().back()))
      return emitOpError("needs one block that ends in rt.yield in each region");
  return success();
}

void ElementwiseOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &) {}

static bool isLoopType(Type element) {
  return element.isF16() || element.isBF16() || element.isF32() || element.isF64() ||
         element.isSignlessInteger(1) || element.isSignlessInteger(32) ||
         element.isSignlessInteger(64);
}

bool ElementwiseOp::hasRows() {
  return llvm::any_of(getBody().front(), [](Operation &op) { return isa<ReduceOp>(op); });
}

llvm::DenseSet<Value> ElementwiseOp::rowValues() {
  llvm::DenseSet<Value> rows;
  if (!hasRows())
    return rows;
  for (auto [operand, argument] : llvm::zip(getOperands(), getBody().getArguments())) {
    auto type = cast<RankedTensorType>(operand.getType());
    if (type.getRank() == 0 || type.getShape().back() == 1)
      rows.insert(argument);
  }
  for (Operation &op : getBody().front()) {
    if (op.getNumResults() != 1)
      continue;
    bool any = isa<ReduceOp, RowLengthOp>(op), all = true;
    if (!any)
      for (Value operand : op.getOperands()) {
        any |= rows.contains(operand);
        all &= rows.contains(operand) || operand.getDefiningOp<arith::ConstantOp>();
      }
    if (any && all)
      rows.insert(op.getResult(0));
  }
  return rows;
}

/// The same with a last dimension of 1.
static RankedTensorType rowType(RankedTensorType type) {
  SmallVector<int64_t> shape(type.getShape());
  if (!shape.empty())
    shape.back() = 1;
  return RankedTensorType::get(shape, type.getElementType());
}

LogicalResult ElementwiseOp::verify() {
  Block &block = getBody().front();
  // (C1)
  if (block.getNumArguments() != getOperands().size())
    return emitOpError("has ") << getOperands().size() << " operands, but the body takes "
                               << block.getNumArguments();
  for (auto [i, operand] : llvm::enumerate(getOperands()))
    if (cast<RankedTensorType>(operand.getType()).getElementType() !=
        block.getArgument(i).getType())
      return emitOpError("operand ") << i << " has elements of another type than the body's "
                                     << block.getArgument(i).getType();
  // (C2)
  auto yield = block.empty() ? YieldOp() : dyn_cast<YieldOp>(block.back());
  if (!yield)
    return emitOpError("needs a body that ends in rt.yield");
  if (getNumResults() == 0 || yield.getOperands().size() != getNumResults())
    return emitOpError("has ") << getNumResults() << " results, but the body yields "
                               << yield.getOperands().size();
  llvm::DenseSet<Value> rows = rowValues();
  // The loop's shape: of a result, or up to the last dimension where all are row values.
  unsigned whole = 0;
  while (whole + 1 < getNumResults() && rows.contains(yield.getOperand(whole)))
    ++whole;
  auto shape = cast<RankedTensorType>(getResult(whole).getType());
  if (rows.contains(yield.getOperand(whole)) && shape.getRank() > 0) {
    SmallVector<int64_t> dims(shape.getShape());
    dims.back() = ShapedType::kDynamic;
    shape = RankedTensorType::get(dims, shape.getElementType());
  }
  for (auto [i, value] : llvm::enumerate(yield.getOperands())) {
    auto type = cast<RankedTensorType>(getResult(i).getType());
    if (type.getElementType() != value.getType())
      return emitOpError("result ")
             << i << " has elements of another type than the body's " << value.getType();
    // (C5)
    bool isRow = rows.contains(value);
    if (failed(verifyCompatibleShape(type, isRow ? rowType(shape) : shape)) ||
        (isRow && type.getRank() > 0 && type.getShape().back() != 1))
      return emitOpError("has results of different shapes");
  }
  // (C3)
  for (Operation &op : block.without_terminator())
    if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op.getDialect()) &&
        !isa<ReduceOp, RowLengthOp>(op))
      return emitOpError("has '") << op.getName()
                                  << "' in its body; expected ops of arith and math, rt.reduce "
                                     "and rt.row_length alone";
  // (C4)
  for (Type type : llvm::concat<const Type>(getOperandTypes(), getResultTypes()))
    if (!isLoopType(cast<RankedTensorType>(type).getElementType()))
      return emitOpError("has elements of type ")
             << cast<RankedTensorType>(type).getElementType()
             << "; expected f16, bf16, f32, f64, i1, i32 or i64";
  // (C6)
  for (auto [i, operand] : llvm::enumerate(getOperands())) {
    auto type = cast<RankedTensorType>(operand.getType());
    int64_t missing = shape.getRank() - type.getRank();
    bool fits = missing >= 0;
    for (int64_t d = 0; fits && d < type.getRank(); ++d) {
      int64_t own = type.getDimSize(d), whole = shape.getDimSize(missing + d);
      fits = own == 1 || ShapedType::isDynamic(own) || ShapedType::isDynamic(whole) || own == whole;
    }
    if (!fits)
      return emitOpError("operand ")
             << i << " of type " << type << " does not broadcast to " << shape;
  }
  return success();
}
