#include "dialects/uoe/Uoe.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace uoe;

#include "dialects/uoe/Enums.cpp.inc"

#include "dialects/uoe/Dialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/uoe/Types.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/uoe/Attrs.cpp.inc"

// Sizes with runs: [8 x 192, 100].
static ParseResult parseSizes(OpAsmParser &parser, DenseI64ArrayAttr &sizes) {
  SmallVector<int64_t> values;
  auto parseRun = [&]() -> ParseResult {
    int64_t first, size;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseInteger(first))
      return failure();
    if (failed(parser.parseOptionalKeyword("x"))) {
      values.push_back(first);
      return success();
    }
    if (parser.parseInteger(size))
      return failure();
    if (first < 1 || first > (int64_t(1) << 24))
      return parser.emitError(loc, "expected a run of 1 to 2^24 experts");
    values.append(first, size);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseRun))
    return failure();
  sizes = parser.getBuilder().getDenseI64ArrayAttr(values);
  return success();
}

static void printSizes(OpAsmPrinter &p, Operation *, DenseI64ArrayAttr sizes) {
  ArrayRef<int64_t> values = sizes.asArrayRef();
  p << '[';
  for (size_t i = 0; i < values.size();) {
    size_t run = 1;
    while (i + run < values.size() && values[i + run] == values[i])
      ++run;
    p << (i ? ", " : "");
    if (run > 1)
      p << run << " x ";
    p << values[i];
    i += run;
  }
  p << ']';
}

#define GET_OP_CLASSES
#include "dialects/uoe/Ops.cpp.inc"

void UoeDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/uoe/Types.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/uoe/Attrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/uoe/Ops.cpp.inc"
      >();
}

// Two sizes contradict each other only where both are known.
static bool agree(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

static RankedTensorType ranked(Value value) {
  return value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
}

// The terminator of a spelling region yields exactly the op's results.
static bool yieldsResults(Region &region, TypeRange results) {
  if (!region.hasOneBlock() || region.front().empty())
    return false;
  auto yield = dyn_cast<YieldOp>(region.front().back());
  return yield && yield.getOperandTypes() == results;
}

//===----------------------------------------------------------------------===//
// FfnOp
//===----------------------------------------------------------------------===//

LogicalResult FfnOp::verify() {
  auto x = ranked(getInput()), up = ranked(getUp()), gate = ranked(getGate()),
       down = ranked(getDown());
  // (C1)
  if (up && up.getRank() != 2)
    return emitOpError("needs an up matrix of rank 2, found ") << up;
  if (down && down.getRank() != 2)
    return emitOpError("needs a down matrix of rank 2, found ") << down;
  if (up && down && !agree(up.getDimSize(1), down.getDimSize(0)))
    return emitOpError("needs down's rows to be up's columns, found ") << up << " and " << down;
  if (x && up && (x.getRank() == 0 || !agree(x.getShape().back(), up.getDimSize(0))))
    return emitOpError("needs up's rows to be the input's last dimension, found ")
           << x << " and " << up;
  // (C2)
  if (gate && up &&
      (gate.getRank() != 2 || !agree(gate.getDimSize(0), up.getDimSize(0)) ||
       !agree(gate.getDimSize(1), up.getDimSize(1))))
    return emitOpError("needs a gate matrix of up's shape, found ") << gate << " and " << up;
  // (C3)
  for (auto [bias, matrix] :
       {std::pair(ranked(getBiasUp()), up), std::pair(ranked(getBiasGate()), gate),
        std::pair(ranked(getBiasDown()), down)})
    if (bias && matrix && (bias.getRank() != 1 || !agree(bias.getDimSize(0), matrix.getDimSize(1))))
      return emitOpError("needs a bias with one element per column, found ")
             << bias << " for " << matrix;
  // (C4)
  if (!getSpelling().empty() && !yieldsResults(getSpelling(), getOperation()->getResultTypes()))
    return emitOpError("needs a spelling that yields the result");
  // (C5)
  if (getBiasGate() && !getGate())
    return emitOpError("has a bias of a gate but no gate");
  return success();
}

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::verify() {
  // (C1)
  bool any = getQuery() || getKey() || getValue(), all = getQuery() && getKey() && getValue();
  if (any != all)
    return emitOpError("needs query, key and value, or none of them");
  if (!all && getSpelling().empty())
    return emitOpError("without query, key and value needs a spelling");
  // (C2)
  auto q = ranked(getQuery()), k = ranked(getKey()), v = ranked(getValue());
  for (RankedTensorType type : {q, k, v})
    if (type && type.getRank() != 4)
      return emitOpError("needs query, key and value of rank 4, found ") << type;
  if (k && v)
    for (int axis : {0, 1, 2})
      if (!agree(k.getDimSize(axis), v.getDimSize(axis)))
        return emitOpError("needs key and value to agree in batch, heads and length, found ")
               << k << " and " << v;
  if (q && k &&
      (!agree(q.getDimSize(0), k.getDimSize(0)) || !agree(q.getDimSize(3), k.getDimSize(3))))
    return emitOpError("needs query and key to agree in batch and head size, found ")
           << q << " and " << k;
  if (q && k && !q.isDynamicDim(1) && !k.isDynamicDim(1) &&
      (k.getDimSize(1) == 0 || q.getDimSize(1) % k.getDimSize(1) != 0))
    return emitOpError("needs a number of query heads that is a multiple of the key heads', found ")
           << q << " and " << k;
  // (C3)
  if (!getSpelling().empty() && !yieldsResults(getSpelling(), getOperation()->getResultTypes()))
    return emitOpError("needs a spelling that yields the results");
  // (C4)
  if (getBias() && !all)
    return emitOpError("has a bias but no query, key and value");
  return success();
}

//===----------------------------------------------------------------------===//
// MoeOp
//===----------------------------------------------------------------------===//

LogicalResult MoeOp::verify() {
  // (C1)
  bool all = getInput() && getScores() && getUp() && getDown();
  if (!all && (getOperation()->getNumOperands() > 0 || getSpelling().empty()))
    return emitOpError("needs input, scores, up and down, or a spelling and no operand");
  // (C2)
  auto x = ranked(getInput()), s = ranked(getScores()), up = ranked(getUp()),
       gate = ranked(getGate()), down = ranked(getDown());
  if ((up && up.getRank() != 3) || (down && down.getRank() != 3))
    return emitOpError("needs stacked matrices of rank 3, found ") << up << " and " << down;
  if (up && down &&
      (!agree(up.getDimSize(0), down.getDimSize(0)) ||
       !agree(up.getDimSize(2), down.getDimSize(1))))
    return emitOpError("needs up and down to agree in experts and neurons, found ")
           << up << " and " << down;
  if (x && up && (x.getRank() == 0 || !agree(x.getShape().back(), up.getDimSize(1))))
    return emitOpError("needs up's second size to be the input's last, found ")
           << x << " and " << up;
  if (s && up && (s.getRank() == 0 || !agree(s.getShape().back(), up.getDimSize(0))))
    return emitOpError("needs one score per expert, found ") << s << " for " << up;
  if (gate && up &&
      (gate.getRank() != 3 || !agree(gate.getDimSize(0), up.getDimSize(0)) ||
       !agree(gate.getDimSize(1), up.getDimSize(1)) ||
       !agree(gate.getDimSize(2), up.getDimSize(2))))
    return emitOpError("needs a gate of up's shape, found ") << gate << " and " << up;
  // (C3)
  for (auto [bias, matrix] :
       {std::pair(ranked(getBiasUp()), up), std::pair(ranked(getBiasGate()), gate),
        std::pair(ranked(getBiasDown()), down)})
    if (bias && matrix &&
        (bias.getRank() != 2 || !agree(bias.getDimSize(0), matrix.getDimSize(0)) ||
         !agree(bias.getDimSize(1), matrix.getDimSize(2))))
      return emitOpError("needs a bias with one row per expert and one element per column, found ")
             << bias << " for " << matrix;
  // (C4)
  if (!getSpelling().empty() && !yieldsResults(getSpelling(), getOperation()->getResultTypes()))
    return emitOpError("needs a spelling that yields the result");
  // (C5)
  if (static_cast<int64_t>(getK()) < 1 ||
      (up && !up.isDynamicDim(0) && static_cast<int64_t>(getK()) > up.getDimSize(0)))
    return emitOpError("needs k from 1 to the number of experts, found ") << getK();
  return success();
}

//===----------------------------------------------------------------------===//
// ScoreOp, SelectOp
//===----------------------------------------------------------------------===//

LogicalResult ScoreOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType()),
       w = cast<RankedTensorType>(getWeight().getType()),
       s = cast<RankedTensorType>(getScores().getType());
  if (getKind() == ScoreKind::linear) {
    // (C1)
    if (w.getRank() != 2 || x.getRank() == 0 || s.getRank() != x.getRank() ||
        !agree(x.getShape().back(), w.getDimSize(0)) ||
        !agree(s.getShape().back(), w.getDimSize(1)))
      return emitOpError("needs a weight [d, experts] for its input, found ")
             << w << " for " << x << " to " << s;
  } else {
    // (C2)
    if (getBias())
      return emitOpError("of magnitude has no bias");
    if (w.getRank() != 1 || x.getRank() == 0 || s.getRank() != x.getRank() ||
        !agree(x.getShape().back(), w.getDimSize(0)) ||
        !agree(s.getShape().back(), w.getDimSize(0)))
      return emitOpError("needs one weight per channel of its input, found ")
             << w << " for " << x << " to " << s;
  }
  // (C3)
  if (auto b = ranked(getBias()))
    if (b.getRank() != 1 || !agree(b.getDimSize(0), s.getShape().back()))
      return emitOpError("needs one bias per expert, found ") << b;
  return success();
}

LogicalResult SelectOp::verify() {
  auto s = cast<RankedTensorType>(getScores().getType());
  int64_t experts = getRouting().getType().getExperts();
  // (C1)
  if (s.getRank() == 0 || !agree(s.getShape().back(), experts))
    return emitOpError("needs scores for ") << experts << " experts, found " << s;
  // (C2)
  if (getRule() == Rule::token_topk) {
    if (!getK() || *getK() < 1 || *getK() > static_cast<uint64_t>(experts))
      return emitOpError("needs k from 1 to ") << experts << " for token_topk";
  } else if (getK()) {
    return emitOpError("has a k, which only token_topk takes");
  }
  // (C3)
  if (getRule() == Rule::threshold) {
    if (!getTau() || getTau()->isNaN())
      return emitOpError("needs tau, a number, for threshold");
  } else if (getTau()) {
    return emitOpError("has a tau, which only threshold takes");
  }
  // (C4)
  if (getRule() == Rule::all && getEmpty() != EmptyChoice::none)
    return emitOpError("chooses all experts, so no choice is empty");
  return success();
}

//===----------------------------------------------------------------------===//
// ExpertsOp
//===----------------------------------------------------------------------===//

LogicalResult ExpertsOp::verify() {
  // (C1)
  if (getAxes().size() != getSliced().size())
    return emitOpError("needs one axis per sliced operand, found ")
           << getAxes().size() << " for " << getSliced().size();
  for (auto [value, axis] : llvm::zip(getSliced(), getAxes()))
    if (int64_t rank = cast<RankedTensorType>(value.getType()).getRank(); axis < 0 || axis >= rank)
      return emitOpError("has axis ") << axis << " for an operand of rank " << rank;
  // (C2)
  int64_t total = 0;
  for (int64_t size : getSizes()) {
    if (size <= 0)
      return emitOpError("needs positive sizes, found ") << size;
    total += size;
  }
  for (auto [value, axis] : llvm::zip(getSliced(), getAxes()))
    if (auto type = cast<RankedTensorType>(value.getType()); !agree(type.getDimSize(axis), total))
      return emitOpError("has sizes that add up to ")
             << total << ", the sliced dimension is " << type.getDimSize(axis);
  // (C3)
  if (getRouting() && getRouting().getType().getExperts() != numExperts())
    return emitOpError("has ") << numExperts() << " experts, its routing "
                               << getRouting().getType().getExperts();
  // (C4)
  if (!getBody().hasOneBlock() || getBody().front().empty() ||
      !isa<YieldOp>(getBody().front().back()) || getBody().front().back().getNumOperands() != 1)
    return emitOpError("needs a body of one block that yields one tensor");
  Block &block = getBody().front();
  if (block.getNumArguments() != getShared().size() + getSliced().size())
    return emitOpError("needs one body argument per operand, found ") << block.getNumArguments();
  for (auto [value, arg] : llvm::zip(getShared(), block.getArguments()))
    if (value.getType() != arg.getType())
      return emitOpError("passes ")
             << value.getType() << " to a body argument of type " << arg.getType();
  bool even = llvm::all_equal(getSizes());
  for (auto [value, axis, arg] :
       llvm::zip(getSliced(), getAxes(), block.getArguments().drop_front(getShared().size()))) {
    auto whole = cast<RankedTensorType>(value.getType());
    auto part = dyn_cast<RankedTensorType>(arg.getType());
    SmallVector<int64_t> shape(whole.getShape());
    shape[axis] = even && !getSizes().empty() ? getSizes()[0] : ShapedType::kDynamic;
    if (!part || part.getElementType() != whole.getElementType() ||
        part.getShape() != ArrayRef(shape))
      return emitOpError("needs a body argument of type ")
             << RankedTensorType::get(shape, whole.getElementType()) << " for a slice of " << whole
             << ", found " << arg.getType();
  }
  // (C5)
  if (auto skip = ranked(getSkip())) {
    if (!getRouting() || getCombine() != Combine::sum)
      return emitOpError("has skip rows, which need a routing and combine sum");
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
