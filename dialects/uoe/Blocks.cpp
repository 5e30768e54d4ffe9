// Verifiers of raised blocks.
#include "dialects/uoe/Function.h"
#include "dialects/uoe/Verify.h"

using namespace mlir;
using namespace uoe;

// The terminator of a spelling region yields exactly the op's results.
static bool yieldsResults(Region &region, TypeRange results) {
  YieldOp yield = yieldOf(region);
  return yield && yield.getOperandTypes() == results;
}

// What cuts the hidden values: a limit, and an offset of the linear part.
template <typename Op> static LogicalResult verifyCut(Op op) {
  bool cut = op.getLimit() || !op.getUpOffset().isZero();
  if (cut && op->getNumOperands() > 0 && !op.getGate())
    return op.emitOpError("has a limit or an up_offset, which need a gate");
  if (op.getLimit() && !(op.getLimit()->convertToFloat() > 0))
    return op.emitOpError("needs a limit above 0, found ") << op.getLimit()->convertToFloat();
  if (!op.getUpOffset().isFinite())
    return op.emitOpError("needs a finite up_offset");
  return success();
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
  // (C6)
  if (failed(verifyCut(*this)))
    return failure();
  // (C7)
  if ((getActivation() == Activation::custom) != static_cast<bool>(getFunction()))
    return emitOpError("needs a function exactly where its activation is custom");
  // (C8)
  std::string error;
  if (getFunction() && !ScalarFunction::parse(*getFunction(), error))
    return emitOpError("has a function that is none: ") << error;
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
  // (C6)
  int64_t experts = up ? up.getDimSize(0) : ShapedType::kDynamic;
  if (auto b = ranked(getSelectionBias());
      b && (b.getRank() != 1 || !agree(b.getDimSize(0), experts)))
    return emitOpError("needs one selection bias per expert, found ") << b;
  // (C7)
  if (getGroups().has_value() != getGroupK().has_value())
    return emitOpError("needs groups and group_k together");
  int64_t most = experts;
  if (std::optional<ArrayRef<int64_t>> groups = getGroups()) {
    FailureOr<SmallVector<int64_t>> members = groupSizes(*this, *groups, experts);
    if (failed(members))
      return failure();
    if (*getGroupK() < 1 || *getGroupK() > members->size())
      return emitOpError("needs group_k from 1 to ")
             << members->size() << ", found " << static_cast<int64_t>(*getGroupK());
    most = smallestGroups(*members, *getGroupK());
  }
  // (C5)
  if (static_cast<int64_t>(getK()) < 1 ||
      (!ShapedType::isDynamic(experts) && static_cast<int64_t>(getK()) > experts))
    return emitOpError("needs k from 1 to the number of experts, found ") << getK();
  if (!ShapedType::isDynamic(most) && static_cast<int64_t>(getK()) > most)
    return emitOpError("needs k of at most the ")
           << most << " experts of its smallest group_k groups, found " << getK();
  // (C8)
  if (failed(verifyCut(*this)))
    return failure();
  // (C9)
  if (getActivation() == Activation::custom)
    return emitOpError("needs an activation with a name");
  return success();
}
