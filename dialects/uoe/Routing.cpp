// Verifiers of uoe.score, uoe.select and uoe.recur.
#include "dialects/uoe/Verify.h"
#include <cmath>

using namespace mlir;
using namespace uoe;

//===----------------------------------------------------------------------===//
// ScoreOp
//===----------------------------------------------------------------------===//

void ScoreOp::build(OpBuilder &builder, OperationState &state, Type scores, ScoreKind kind,
                    Value input, ValueRange weights, Value bias) {
  build(builder, state, scores, kind, input, weights, bias, Value(), Value(), ActivationAttr(),
        DenseI64ArrayAttr(), Over::token, IntegerAttr());
}

// One or two matrices [d, columns] of the same shape.
static LogicalResult verifyPair(ScoreOp op, RankedTensorType input, int64_t width) {
  auto weights = op.getWeights();
  if (weights.empty() || weights.size() > 2)
    return op.emitOpError("needs one or two weights, found ") << weights.size();
  auto first = ranked(weights[0]), last = ranked(weights.back());
  for (RankedTensorType w : {first, last})
    if (w.getRank() != 2 || !agree(w.getDimSize(0), width) ||
        !agree(w.getDimSize(1), first.getDimSize(1)))
      return op.emitOpError("needs weights of one shape [d, columns] for ")
             << input << ", found " << w;
  return success();
}

LogicalResult ScoreOp::verify() {
  auto x = ranked(getInput()), s = ranked(getScores());
  auto weights = getWeights();
  auto weight = [&](size_t i) { return ranked(weights[i]); };
  // (C9)
  bool patches = getOver() == Over::patch, wholes = getOver() == Over::sample;
  if (patches != getPatch().has_value() || (patches && static_cast<int64_t>(*getPatch()) < 1))
    return emitOpError("needs a patch of at least 1 token with 'over patch', and only there");
  if (x.getRank() == 0 || (getOver() != Over::token && x.getRank() < 3))
    return emitOpError("over ") << stringifyOver(getOver()) << " needs an input ["
                                << (getOver() == Over::token ? "" : "batch, tokens, ")
                                << "d], found " << x;
  bool sample = wholes || getOver() == Over::sample_mean;
  if (s.getRank() != x.getRank() - (sample ? 1 : 0))
    return emitOpError("needs scores of rank ")
           << x.getRank() - (sample ? 1 : 0) << " for " << x << ", found " << s;
  // (C10)
  int64_t d = x.getShape().back(), n = s.getShape().back();
  if (wholes) {
    int64_t length = x.getDimSize(x.getRank() - 2);
    if (ShapedType::isDynamic(length))
      return emitOpError("over sample needs a known number of tokens, found ")
             << x << "; use sample_mean where it varies";
    d = ShapedType::isDynamic(d) ? d : d * length;
  }
  // (C5), (C7): what goes with what
  bool activated = getKind() == ScoreKind::mlp || getKind() == ScoreKind::activation;
  if (getKind() == ScoreKind::mlp && !getActivation())
    return emitOpError("of kind mlp needs an activation");
  if (getActivation() == Activation::custom)
    return emitOpError("needs an activation with a name");
  if (!activated && getActivation())
    return emitOpError("of kind ") << stringifyScoreKind(getKind()) << " takes no activation";
  if (getKind() != ScoreKind::activation && getSizes())
    return emitOpError("of kind ") << stringifyScoreKind(getKind()) << " takes no sizes";
  auto counted = [&](size_t count) -> LogicalResult {
    if (weights.size() != count)
      return emitOpError("of kind ") << stringifyScoreKind(getKind()) << " needs " << count
                                     << " weights, found " << weights.size();
    return success();
  };
  auto matrix = [&](RankedTensorType w, int64_t rows, int64_t columns) {
    return w.getRank() == 2 && agree(w.getDimSize(0), rows) && agree(w.getDimSize(1), columns);
  };
  switch (getKind()) {
  case ScoreKind::linear:
    // (C1)
    if (failed(counted(1)))
      return failure();
    if (!matrix(weight(0), d, n))
      return emitOpError("needs a weight [d, experts] for its input, found ")
             << weight(0) << " for " << x << " to " << s;
    break;
  case ScoreKind::magnitude:
    // (C2)
    if (failed(counted(1)))
      return failure();
    if (getBias() || getPrevious() || getOver() != Over::token)
      return emitOpError("of magnitude has no bias and no previous scores, and is over tokens");
    if (weight(0).getRank() != 1 || !agree(d, weight(0).getDimSize(0)) || !agree(n, d))
      return emitOpError("needs one weight per channel of its input, found ")
             << weight(0) << " for " << x << " to " << s;
    break;
  case ScoreKind::cosine:
    // (C4)
    if (weights.size() != 1 && weights.size() != 2)
      return emitOpError("of kind cosine needs experts' directions, and a projection before them "
                         "if there is one; found ")
             << weights.size() << " weights";
    if (getBias())
      return emitOpError("of cosine has no bias");
    if (weights.size() == 1 ? !matrix(weight(0), d, n)
                            : !matrix(weight(0), d, ShapedType::kDynamic) ||
                                  !matrix(weight(1), weight(0).getDimSize(1), n))
      return emitOpError("needs directions [d, experts], or [d, e] and [e, experts], found ")
             << weights.getTypes() << " for " << x << " to " << s;
    break;
  case ScoreKind::mlp:
    // (C5)
    if (failed(counted(3)))
      return failure();
    if (!matrix(weight(0), d, ShapedType::kDynamic) || weight(1).getRank() != 1 ||
        !agree(weight(1).getDimSize(0), weight(0).getDimSize(1)) ||
        !matrix(weight(2), weight(0).getDimSize(1), n))
      return emitOpError("needs weights [d, h], [h], [h, experts], found ")
             << weights.getTypes() << " for " << x << " to " << s;
    break;
  case ScoreKind::mass:
    // (C6)
    if (failed(verifyPair(*this, x, d)))
      return failure();
    if (int64_t columns = weight(0).getDimSize(1); !ShapedType::isDynamic(columns) &&
                                                   !ShapedType::isDynamic(n) &&
                                                   (n == 0 || columns % n != 0 || columns == 0))
      return emitOpError("needs a multiple of ")
             << n << " columns, the same number for each expert, found " << weight(0);
    break;
  case ScoreKind::activation:
    // (C7)
    if (failed(verifyPair(*this, x, d)))
      return failure();
    if (std::optional<ArrayRef<int64_t>> sizes = getSizes()) {
      int64_t total = 0;
      for (int64_t size : *sizes) {
        if (size < 1)
          return emitOpError("needs positive sizes, found ") << size;
        total += size;
      }
      if (!agree(n, static_cast<int64_t>(sizes->size())) || !agree(total, weight(0).getDimSize(1)))
        return emitOpError("has ") << sizes->size() << " sizes that add up to " << total
                                   << ", for scores " << s << " and weights " << weight(0);
    } else if (!agree(n, weight(0).getDimSize(1))) {
      return emitOpError("without sizes has one expert per column, found ")
             << weight(0) << " to " << s;
    }
    break;
  }
  // (C3)
  if (auto b = ranked(getBias()))
    if (b.getRank() != 1 || !agree(b.getDimSize(0), n))
      return emitOpError("needs one bias per expert, found ") << b;
  // (C8)
  if (bool(getPrevious()) != bool(getMix()))
    return emitOpError("needs a matrix for its previous scores");
  if (auto previous = ranked(getPrevious()); previous) {
    if (previous.getRank() != s.getRank() ||
        !matrix(ranked(getMix()), previous.getShape().back(), n))
      return emitOpError("needs a matrix [m, experts] for previous scores of m experts, found ")
             << ranked(getMix()) << " for " << previous << " to " << s;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// SelectOp
//===----------------------------------------------------------------------===//

void SelectOp::build(OpBuilder &builder, OperationState &state, Type routing, Rule rule,
                     Value scores) {
  state.addOperands(scores);
  state.addTypes(routing);
  Properties &properties = state.getOrAddProperties<Properties>();
  properties.operandSegmentSizes = {1, 0, 0, 0, 0};
  properties.rule = RuleAttr::get(builder.getContext(), rule);
}

int64_t SelectOp::numGroups() {
  int64_t count = 0;
  if (std::optional<ArrayRef<int64_t>> groups = getGroups())
    for (int64_t group : *groups)
      count = std::max(count, group + 1);
  return count;
}

bool SelectOp::isCausal() {
  // A share of all rows leaves none out.
  bool limited = getCapacity() || getCapacityTakers() ||
                 (getCapacityShare() && getCapacityShare()->convertToFloat() < 1);
  if (limited || getNormalize() == NormalizeAxis::tokens ||
      getNormalize() == NormalizeAxis::batch || getRouting().getType().getTokens() != 1)
    return false;
  return !getWithin() || getWithin().getType().getTokens() == 1;
}

LogicalResult SelectOp::verify() {
  auto s = ranked(getScores());
  int64_t experts = numExperts();
  // (C1)
  if (s.getRank() == 0 || !agree(s.getShape().back(), experts))
    return emitOpError("needs scores for ") << experts << " experts, found " << s;
  // (C8)
  FailureOr<SmallVector<int64_t>> members = SmallVector<int64_t>();
  if (std::optional<ArrayRef<int64_t>> map = getGroups())
    members = groupSizes(*this, *map, experts);
  if (failed(members))
    return failure();
  const auto groups = static_cast<int64_t>(members->size());
  // (C9)
  if ((getGroupK() || getGroupScores()) && !getGroups())
    return emitOpError(
        "has group_k or group_scores but no groups; say which group each expert is in");
  if (getGroupK() && (*getGroupK() < 1 || *getGroupK() > static_cast<uint64_t>(groups)))
    return emitOpError("needs group_k from 1 to ") << groups << ", found " << *getGroupK();
  if (auto g = ranked(getGroupScores())) {
    if (g.getRank() != s.getRank() || !agree(g.getShape().back(), groups))
      return emitOpError("needs scores for ") << groups << " groups, found " << g;
    if (getScoring() != Scoring::softmax)
      return emitOpError("with scores of groups needs scoring softmax");
  }
  // (C2)
  if (getRule() == Rule::token_topk) {
    int64_t most = getGroupK() ? smallestGroups(*members, *getGroupK()) : experts;
    if (!getK() || *getK() < 1 || *getK() > static_cast<uint64_t>(most))
      return emitOpError("needs k from 1 to ") << most << " for token_topk";
  } else if (getK()) {
    return emitOpError("has a k, which only token_topk takes");
  }
  // (C3)
  if (getRule() == Rule::threshold) {
    if (getTau().has_value() == bool(getThresholds()) || (getTau() && getTau()->isNaN()))
      return emitOpError("needs tau, a number, for threshold, or thresholds of the experts");
    if (auto t = ranked(getThresholds());
        t && (t.getRank() != 1 || !agree(t.getDimSize(0), experts)))
      return emitOpError("needs one threshold per expert, found ") << t;
  } else if (getTau() || getThresholds()) {
    return emitOpError("has a tau, which only threshold takes");
  }
  // (C4)
  if (getRule() == Rule::all && getEmpty() != EmptyChoice::none)
    return emitOpError("chooses all experts, so no choice is empty");
  // (C5)
  if (getRule() == Rule::top_p) {
    if (!getP() || !(getP()->convertToFloat() > 0) || getP()->convertToFloat() > 1)
      return emitOpError("needs p above 0 and at most 1 for top_p");
    if (getScoring() != Scoring::softmax)
      return emitOpError("adds up gates for top_p, which needs scoring softmax");
  } else if (getP()) {
    return emitOpError("has a p, which only top_p takes");
  }
  // (C6)
  if (!(getTemperature().convertToFloat() > 0) || !(getGroupTemperature().convertToFloat() > 0))
    return emitOpError("needs positive temperatures");
  // (C7)
  if (getTau() && getTau()->isInfinity() && !getTau()->isNegative())
    return emitOpError("has tau inf, which no gate exceeds; give a finite tau");
  if (getTau() && !getSelectionBias() && getTau()->convertToFloat() >= 1) {
    auto score = getScores().getDefiningOp<ScoreOp>();
    bool cosines = getScoring() == Scoring::raw && score && score.getKind() == ScoreKind::cosine &&
                   !score.getPrevious() && getTemperature().convertToFloat() >= 1;
    if (getScoring() != Scoring::raw || cosines)
      return emitOpError("has tau ")
             << getTau()->convertToFloat()
             << ", which no gate exceeds: gates are at most 1; give a tau below 1";
  }
  // (C10)
  if (auto b = ranked(getSelectionBias()))
    if (b.getRank() != 1 || !agree(b.getDimSize(0), experts))
      return emitOpError("needs one selection bias per expert, found ") << b;
  // (C11)
  if (getCapacity() && static_cast<int64_t>(*getCapacity()) < 1)
    return emitOpError("needs a capacity of at least 1, found ")
           << static_cast<int64_t>(*getCapacity());
  if (getCapacityShare() &&
      (!(getCapacityShare()->convertToFloat() > 0) || getCapacityShare()->convertToFloat() > 1))
    return emitOpError("needs a capacity_share above 0 and at most 1");
  if (getPadding() == Padding::token && !hasCapacity())
    return emitOpError("pads with tokens, which needs a capacity");
  // (C12)
  if ((hasCapacity() || getNormalize() == NormalizeAxis::tokens) && s.getRank() < 2)
    return emitOpError("among rows of a sample needs scores [rows, experts], found ") << s;
  if (getNormalize() == NormalizeAxis::batch && s.getRank() < 3)
    return emitOpError("over the batch needs scores [batch, rows, experts], found ") << s;
  // (C13)
  if (getWithin() && getWithin().getType().getExperts() != experts)
    return emitOpError("chooses among ")
           << experts << " experts within a routing over " << getWithin().getType().getExperts();
  // (C14)
  if (auto score = getScores().getDefiningOp<ScoreOp>()) {
    Over over = score.getOver();
    int64_t tokens = over == Over::token   ? 1
                     : over == Over::patch ? static_cast<int64_t>(*score.getPatch())
                                           : 0;
    if (auto routing = RoutingType::get(getContext(), experts, tokens);
        routing != getRouting().getType())
      return emitOpError("has scores over ") << stringifyOver(over) << ", which choose " << routing
                                             << ", found " << getRouting().getType();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// RecurOp
//===----------------------------------------------------------------------===//

LogicalResult RecurOp::verify() {
  int64_t times = static_cast<int64_t>(getTimes());
  // (C1)
  if (times < 1)
    return emitOpError("needs times of at least 1, found ") << times;
  // (C2)
  SmallVector<Type> arguments(getInit().getTypes());
  for (Value value : getEach()) {
    auto type = ranked(value);
    if (type.getRank() == 0 || !agree(type.getDimSize(0), times))
      return emitOpError("needs one row for each of ") << times << " iterations, found " << type;
    arguments.push_back(RankedTensorType::get(type.getShape().drop_front(), type.getElementType()));
  }
  // (C3)
  if (!getBody().hasOneBlock() || getBody().front().getArgumentTypes() != TypeRange(arguments))
    return emitOpError("needs a body of one block with arguments ") << arguments;
  // (C5)
  if (getOutputs().empty() || getOutputs().size() < getInit().size())
    return emitOpError("needs a result for each of ")
           << getInit().size() << " carried values, found " << getOutputs().size();
  // (C4)
  YieldOp yield = yieldOf(getBody());
  if (!yield || yield.getNumOperands() != getOutputs().size())
    return emitOpError("needs a body that yields ") << getOutputs().size() << " values";
  for (auto [i, value, result] : llvm::enumerate(yield.getOperands(), getOutputs())) {
    Type expected = result.getType();
    if (i < getInit().size()) {
      if (expected != getInit()[i].getType())
        return emitOpError("carries ") << getInit()[i].getType() << " to a result of " << expected;
    } else {
      auto stacked = ranked(result);
      if (stacked.getRank() == 0 || !agree(stacked.getDimSize(0), times))
        return emitOpError("needs ") << times << " rows in a stacked result, found " << stacked;
      expected = RankedTensorType::get(stacked.getShape().drop_front(), stacked.getElementType());
    }
    if (value.getType() != expected)
      return emitOpError("needs a body that yields ") << expected << ", found " << value.getType();
  }
  return success();
}
