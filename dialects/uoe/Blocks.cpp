// Verifiers of raised blocks.
#include "dialects/uoe/Verify.h"

using namespace mlir;
using namespace uoe;

// The terminator of a spelling region yields exactly the op's results.
static bool yieldsResults(Region &region, TypeRange results) {
  YieldOp yield = yieldOf(region);
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
