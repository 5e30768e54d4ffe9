#include "lib/Codegen/Body.h"
#include "dialects/rt/Rt.h"
#include "lib/Codegen/Math.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::codegen;

static bool isHalf(Type type) {
  return type.isF16() || type.isBF16();
}

Type BodyEmitter::memoryType(Type element) {
  if (element.isInteger(1))
    return IntegerType::get(element.getContext(), 8);
  return isHalf(element) ? IntegerType::get(element.getContext(), 16) : element;
}

Type BodyEmitter::vectorOf(Type element) const {
  return width ? Type(VectorType::get({width}, element)) : element;
}

Type BodyEmitter::valueType(Type element) const {
  return vectorOf(isHalf(element) ? IntegerType::get(element.getContext(), 16) : element);
}

Value BodyEmitter::fromMemory(Location loc, Value loaded, Type element) {
  if (!element.isInteger(1))
    return loaded;
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(loaded.getType()));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, loaded, zero);
}

Value BodyEmitter::toMemory(Location loc, Value value, Type element) {
  if (!element.isInteger(1))
    return value;
  return arith::ExtUIOp::create(builder, loc, vectorOf(builder.getI8Type()), value);
}

void BodyEmitter::emit(Operation &op, IRMapping &values) {
  Location loc = op.getLoc();
  Value result;
  auto in = [&](unsigned i) { return values.lookup(op.getOperand(i)); };
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto value = cast<TypedAttr>(constant.getValue());
    if (isHalf(value.getType()))
      value = builder.getIntegerAttr(builder.getI16Type(),
                                     cast<FloatAttr>(value).getValue().bitcastToAPInt());
    if (width)
      value = DenseElementsAttr::get(cast<VectorType>(vectorOf(value.getType())), Attribute(value));
    result = arith::ConstantOp::create(builder, loc, value);
  } else if (isa<math::ExpOp>(op)) {
    result = expandExp(builder, loc, in(0));
  } else if (isa<math::LogOp>(op)) {
    result = expandLog(builder, loc, in(0));
  } else if (isa<math::TanhOp>(op)) {
    result = expandTanh(builder, loc, in(0));
  } else if (isa<math::ErfOp>(op)) {
    result = expandErf(builder, loc, in(0));
  } else if (isa<arith::ExtFOp>(op) && isHalf(op.getOperand(0).getType())) {
    result = op.getOperand(0).getType().isF16() ? expandHalfToFloat(builder, loc, in(0))
                                                : expandBfloatToFloat(builder, loc, in(0));
  } else if (isa<arith::TruncFOp>(op) && isHalf(op.getResult(0).getType())) {
    result = op.getResult(0).getType().isF16() ? expandFloatToHalf(builder, loc, in(0))
                                               : expandFloatToBfloat(builder, loc, in(0));
  } else {
    OperationState state(loc, op.getName());
    for (Value operand : op.getOperands())
      state.operands.push_back(values.lookup(operand));
    state.addTypes(valueType(op.getResult(0).getType()));
    state.addAttributes(op.getAttrs());
    result = builder.create(state)->getResult(0);
  }
  values.map(op.getResult(0), result);
}

int64_t codegen::costOf(Block &body) {
  int64_t cost = static_cast<int64_t>(body.getNumArguments());
  for (Operation &op : body.without_terminator()) {
    if (isa<arith::ConstantOp>(op))
      continue;
    cost += isa<math::ExpOp, math::LogOp>(op)                      ? 20
            : isa<math::TanhOp, math::ErfOp>(op)                   ? 40
            : isa<arith::DivFOp, arith::DivSIOp, math::SqrtOp>(op) ? 6
                                                                   : 1;
  }
  return cost;
}
