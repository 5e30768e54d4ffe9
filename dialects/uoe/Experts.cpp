// Verifier of uoe.experts.
#include "dialects/uoe/Verify.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace uoe;

// Names of dimensions, which the encoding holds, are no part of what the body has to agree with.
static bool sameShape(Type found, RankedTensorType expected) {
  auto type = dyn_cast<RankedTensorType>(found);
  return type && type.getShape() == expected.getShape() &&
         type.getElementType() == expected.getElementType();
}

// The type of an expert's part of an operand.
static RankedTensorType sliceType(ExpertsOp op, RankedTensorType whole, int64_t axis) {
  ArrayRef<int64_t> sizes = op.getSizes();
  SmallVector<int64_t> shape(whole.getShape());
  shape[axis] = llvm::all_equal(sizes) && !sizes.empty() ? sizes[0] : ShapedType::kDynamic;
  return RankedTensorType::get(shape, whole.getElementType());
}

// The type of a shared operand's tokens that an expert sees.
static RankedTensorType sharedType(ExpertsOp op, int64_t i) {
  RankedTensorType whole = ranked(op.getShared()[i]);
  if (!op.getGathered())
    return whole;
  SmallVector<int64_t> shape(whole.getShape());
  shape[1] = ShapedType::kDynamic;
  if (op.isPair(i))
    shape[2] = ShapedType::kDynamic;
  return RankedTensorType::get(shape, whole.getElementType());
}

static LogicalResult verifyBody(ExpertsOp op) {
  if (!op.getBody().hasOneBlock() || op.getBody().front().empty() ||
      !isa<YieldOp>(op.getBody().front().back()) ||
      op.getBody().front().back().getNumOperands() != 1)
    return op.emitOpError("needs a body of one block that yields one tensor");
  Block &block = op.getBody().front();
  size_t operands = op.getShared().size() + op.getSliced().size();
  size_t count = block.getNumArguments();
  if (count != operands && !(op.getGathered() && count == operands + 1))
    return op.emitOpError("needs one body argument per operand, found ") << count;
  auto arguments = block.getArguments();
  for (auto [i, arg] : llvm::enumerate(arguments.take_front(op.getShared().size())))
    if (RankedTensorType type = sharedType(op, static_cast<int64_t>(i));
        !sameShape(arg.getType(), type))
      return op.emitOpError("passes ") << type << " to a body argument of type " << arg.getType();
  for (auto [value, axis, arg] :
       llvm::zip(op.getSliced(), op.getAxes(), arguments.drop_front(op.getShared().size())))
    if (RankedTensorType type = sliceType(op, ranked(value), axis); !sameShape(arg.getType(), type))
      return op.emitOpError("needs a body argument of type ")
             << type << " for a slice of " << ranked(value) << ", found " << arg.getType();
  if (op.takesValid()) {
    auto type = ranked(arguments.back());
    if (!type || type.getRank() != 2 || !type.getElementType().isInteger(1))
      return op.emitOpError("needs flags of valid places [batch, places] of i1, found ")
             << arguments.back().getType();
  }
  return success();
}

void ExpertsOp::build(OpBuilder &builder, OperationState &state, Type output, ValueRange shared,
                      ValueRange sliced, Value routing, Value skip, ArrayRef<int64_t> axes,
                      ArrayRef<int64_t> sizes, Combine combine) {
  build(builder, state, output, shared, sliced, routing, skip, builder.getDenseI64ArrayAttr(axes),
        builder.getDenseI64ArrayAttr(sizes), CombineAttr::get(builder.getContext(), combine),
        UnitAttr(), DenseI64ArrayAttr(), DenseI64ArrayAttr(), DenseI64ArrayAttr(),
        DenseI64ArrayAttr());
}

// `listed`, the attribute `name`: numbers of shared operands of gathered experts.
static LogicalResult verifyListed(ExpertsOp op, StringRef name,
                                  std::optional<ArrayRef<int64_t>> listed) {
  if (!listed)
    return success();
  if (!op.getGathered())
    return op.emitOpError("has ") << name << ", which needs gathered tokens";
  llvm::SmallSet<int64_t, 8> seen;
  for (int64_t i : *listed)
    if (i < 0 || i >= static_cast<int64_t>(op.getShared().size()) || !seen.insert(i).second)
      return op.emitOpError("lists ") << i << " in " << name << ", which numbers its "
                                      << op.getShared().size() << " shared operands, each once";
  return success();
}

LogicalResult ExpertsOp::verify() {
  // (C1)
  if (getAxes().size() != getSliced().size())
    return emitOpError("needs one axis per sliced operand, found ")
           << getAxes().size() << " for " << getSliced().size();
  for (auto [value, axis] : llvm::zip(getSliced(), getAxes()))
    if (int64_t rank = ranked(value).getRank(); axis < 0 || axis >= rank)
      return emitOpError("has axis ") << axis << " for an operand of rank " << rank;
  // (C2)
  int64_t total = 0;
  for (int64_t size : getSizes()) {
    if (size <= 0)
      return emitOpError("needs positive sizes, found ") << size;
    total += size;
  }
  for (auto [value, axis] : llvm::zip(getSliced(), getAxes()))
    if (auto type = ranked(value); !agree(type.getDimSize(axis), total))
      return emitOpError("has sizes that add up to ")
             << total << ", the sliced dimension is " << type.getDimSize(axis);
  // (C3)
  int64_t slots = getSlots() ? static_cast<int64_t>(getSlots()->size()) : numExperts();
  if (getRouting() && getRouting().getType().getExperts() != slots)
    return emitOpError("has ") << slots << (getSlots() ? " slots" : " experts") << ", its routing "
                               << getRouting().getType().getExperts();
  // (C7)
  if (std::optional<ArrayRef<int64_t>> map = getSlots()) {
    if (!getRouting() || getCombine() == Combine::concat)
      return emitOpError("has slots, which need a routing and combine sum or merge");
    for (int64_t expert : *map)
      if (expert < -1 || expert >= numExperts())
        return emitOpError("has a slot for expert ")
               << expert << ", which is none of -1 to " << numExperts() - 1;
  }
  // (C8)
  if (getGathered()) {
    if (!getRouting() || getRouting().getType().getTokens() != 1 || getCombine() != Combine::sum ||
        getSkip())
      return emitOpError("gathers, which needs a routing of tokens, combine sum, and no skip rows");
    if (getShared().empty() ||
        llvm::any_of(getShared(), [](Value value) { return ranked(value).getRank() < 2; }))
      return emitOpError("gathers along axis 1, which needs shared operands of rank 2 or more");
    auto select = getRouting().getDefiningOp<SelectOp>();
    if (select && !select.hasCapacity())
      return emitOpError("gathers the same number of tokens for each expert, which needs a select "
                         "with a capacity; capacity_takers is as many as there are");
  }
  // (C9)
  if (getCombine() == Combine::merge && (!getRouting() || !getShared().empty()))
    return emitOpError("merges, which needs a routing and no shared operands");
  if (std::optional<ArrayRef<int64_t>> ranks = getShard()) {
    // (C10)
    if (static_cast<int64_t>(ranks->size()) != numExperts())
      return emitOpError("needs a rank for each of its ")
             << numExperts() << " experts, found " << ranks->size();
    for (auto [expert, rank] : llvm::enumerate(*ranks))
      if (rank < 0)
        return emitOpError("places expert ") << expert << " on rank " << rank;
    // (C11)
    if (!getRouting() || getCombine() != Combine::sum || getGathered())
      return emitOpError("has shard, which needs a routing, combine sum, and no gathered tokens");
  }
  // (C12)
  if (failed(verifyListed(*this, "pairs", getPairs())))
    return failure();
  if (std::optional<ArrayRef<int64_t>> pairs = getPairs())
    for (int64_t i : *pairs)
      if (auto type = ranked(getShared()[i]);
          type.getRank() < 3 || !agree(type.getDimSize(1), type.getDimSize(2)))
        return emitOpError("has something for each pair of tokens, which is [batch, tokens, "
                           "tokens, ...], found ")
               << type;
  // (C13)
  if (failed(verifyListed(*this, "compacted", getCompacted())))
    return failure();
  if (getCompacted() && getCompacted()->size() == getShared().size())
    return emitOpError("has compacted operands only, and no tokens to gather");
  // (C4)
  if (failed(verifyBody(*this)))
    return failure();
  // (C5)
  if (auto skip = ranked(getSkip())) {
    if (!getRouting() || getCombine() != Combine::sum || getSlots())
      return emitOpError("has skip rows, which need a routing, combine sum and no slots");
    if (skip.getRank() != 2 || !agree(skip.getDimSize(0), numExperts()) ||
        !agree(skip.getDimSize(1), getOutput().getType().getShape().back()))
      return emitOpError("needs a skip row of the result's width per expert, found ") << skip;
  }
  // (C6)
  WalkResult outside = getBody().walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (!getBody().isAncestor(operand.getParentRegion()))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  if (outside.wasInterrupted())
    return emitOpError("has a body that uses values from outside; pass them as operands");
  return success();
}
