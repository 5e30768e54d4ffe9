#include "dialects/rt/Rt.h"

using namespace mlir;
using namespace uoe::rtir;

#include "dialects/rt/Dialect.cpp.inc"

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
