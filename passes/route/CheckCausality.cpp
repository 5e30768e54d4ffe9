// check-causality: a choice that depends on later tokens, or on other samples, has no place in a
// model whose attention is causal: what it computes for a prompt is not what decoding computes.
#include "dialects/uoe/Uoe.h"
#include "passes/Passes.h"
#include "passes/route/Route.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace uoe {
#define GEN_PASS_DEF_CHECKCAUSALITYPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

// What in an op looks ahead, and what to write instead.
struct LookAhead {
  std::string what, change;
};

} // namespace

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

// True if a mask is made by comparing positions of queries and keys, or cut along a diagonal.
static bool isTriangular(Value mask) {
  SmallVector<Value> work{mask};
  llvm::SmallPtrSet<Operation *, 32> seen;
  while (!work.empty()) {
    auto node = work.pop_back_val().getDefiningOp<onnx::NodeOp>();
    if (!node || !seen.insert(node).second)
      continue;
    if (node.is("Trilu"))
      return true;
    if (node.is("LessOrEqual") || node.is("Less") || node.is("Greater") ||
        node.is("GreaterOrEqual")) {
      // Positions are ranges, each along an axis of its own.
      auto ranges = [](Value value) {
        for (int i = 0; i < 16 && value; ++i) {
          auto from = value.getDefiningOp<onnx::NodeOp>();
          if (!from)
            return false;
          if (from.is("Range"))
            return true;
          value = from.getInputs().empty() ? Value() : from.getInputs()[0];
        }
        return false;
      };
      if (node.getInputs().size() == 2 && ranges(node.getInputs()[0]) &&
          ranges(node.getInputs()[1]))
        return true;
    }
    if (auto elements = dyn_cast_or_null<DenseElementsAttr>(onnx::constantOf(node.getResult(0)))) {
      // A constant [.., n, n] that differs above its diagonal from what it is below.
      auto type = cast<RankedTensorType>(elements.getType());
      int64_t n = type.getRank() >= 2 ? type.getShape().back() : 0;
      if (n < 2 || elements.isSplat() || type.getDimSize(type.getRank() - 2) != n)
        continue;
      auto values = elements.getValues<Attribute>();
      bool lower = true;
      Attribute on = values[0], off = values[1];
      for (int64_t i = 0; i < n && lower; ++i)
        for (int64_t j = 0; j < n && lower; ++j)
          lower = values[i * n + j] == (j <= i ? on : off);
      if (lower && on != off)
        return true;
      continue;
    }
    llvm::append_range(work, node.getInputs());
  }
  return false;
}

// An operator that holds a causal attention.
static bool isCausalNode(onnx::NodeOp node) {
  if (!node.getOpType().ends_with("Attention"))
    return false;
  return node.getOpType() == "GroupQueryAttention" || node.integer("is_causal", 0) != 0 ||
         node.integer("unidirectional", 0) != 0;
}

static bool isCausal(AttentionOp attention) {
  if (attention.getCausal() || (attention.getBias() && isTriangular(attention.getBias())))
    return true;
  bool causal = false;
  attention.getSpelling().walk([&](onnx::NodeOp node) {
    causal |= isCausalNode(node);
    // A mask that is no operand of the block.
    if (!attention.getQuery() && node.is("Softmax"))
      causal |= isTriangular(node.getInputs()[0]);
  });
  return causal;
}

//===----------------------------------------------------------------------===//
// Choices
//===----------------------------------------------------------------------===//

// Everything in a selection that depends on later tokens or other samples.
static SmallVector<LookAhead> lookAhead(SelectOp op) {
  SmallVector<LookAhead> found;
  if (op.isCausal())
    return found;
  auto add = [&](const Twine &what, const Twine &change) {
    found.push_back({what.str(), change.str()});
  };
  auto score = op.getScores().getDefiningOp<ScoreOp>();
  int64_t tokens = op.getRouting().getType().getTokens();
  Over over = score ? score.getOver() : Over::token;
  StringRef byToken = "score over token, where each token chooses for itself";
  if (over == Over::sample || over == Over::sample_mean || tokens == 0)
    add((over == Over::sample_mean ? "over sample_mean: the scores are a mean over"
                                   : "over sample: the scores are made of") +
            Twine(" all tokens of a sample"),
        byToken);
  else if (tokens > 1 || (over == Over::patch && *score.getPatch() > 1))
    add("over patch: a token's experts depend on the mean score of the " +
            Twine(tokens > 1 ? tokens : static_cast<int64_t>(*score.getPatch())) +
            " tokens of its patch, later ones included",
        "use patches of 1 token, or " + byToken);
  // A share of all rows leaves none out.
  bool limited = op.getCapacity() || op.getCapacityTakers() ||
                 (op.getCapacityShare() && op.getCapacityShare()->convertToFloat() < 1);
  if (limited && op.getPadding() == Padding::token)
    add("padding token: which tokens fill an expert depends on how many later ones chose it",
        "remove the capacity and its padding");
  if (limited) {
    StringRef name = op.getCapacity()        ? "capacity"
                     : op.getCapacityShare() ? "capacity_share"
                                             : "capacity_takers";
    if (op.getRule() == Rule::all)
      add(name + ": each expert chooses its tokens among all of a sample (expert choice), so that "
                 "a later token takes an earlier one's place",
          "let tokens choose: rule token_topk, threshold or top_p without a capacity");
    else
      add(name + ": an expert drops the tokens of the lowest gates of a sample, so that a later "
                 "token takes an earlier one's place",
          "remove " + name);
  }
  if (op.getNormalize() == NormalizeAxis::tokens)
    add("normalize tokens: gates are divided by a sum over the tokens of the sample",
        "normalize over experts");
  if (op.getNormalize() == NormalizeAxis::batch)
    add("normalize batch: gates are divided by a sum over the samples of the batch, so that what a "
        "sample gets depends on what it is batched with",
        "normalize over experts");
  // A selection of this function says so itself.
  if (op.getWithin() && op.getWithin().getType().getTokens() != 1 &&
      !op.getWithin().getDefiningOp<SelectOp>())
    add("within: the experts that are eligible were chosen by " +
            Twine(op.getWithin().getType().perSample() ? "the whole sample" : "a patch of tokens"),
        "choose within a routing of single tokens");
  return found;
}

// Gathered tokens see each other; without a causal mask the later ones as well.
static SmallVector<LookAhead> lookAhead(ExpertsOp op) {
  SmallVector<LookAhead> found;
  bool open = false;
  if (op.getGathered())
    op.getBody().walk([&](AttentionOp inner) { open |= !isCausal(inner) && !inner.getBias(); });
  if (open)
    found.push_back({"gathered: attention over an expert's tokens lets each see later ones",
                     "make the attention in the body causal; gathered tokens keep their order"});
  return found;
}

namespace {

struct CheckCausalityPass : uoe::impl::CheckCausalityPassBase<CheckCausalityPass> {
  using CheckCausalityPassBase::CheckCausalityPassBase;

  void runOnOperation() override {
    if (severity != "error" && severity != "warning") {
      getOperation().emitError("check-causality: severity is error or warning, found ") << severity;
      return signalPassFailure();
    }
    bool failed = false;
    getOperation().walk([&](func::FuncOp function) { failed |= check(function); });
    if (failed)
      signalPassFailure();
    markAllAnalysesPreserved();
  }

  // True if there is an error.
  bool check(func::FuncOp function) {
    Operation *causal = nullptr;
    SmallVector<std::pair<Operation *, SmallVector<LookAhead>>> found;
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (auto attention = dyn_cast<AttentionOp>(op)) {
        if (!causal && isCausal(attention))
          causal = op;
        // Its spelling says the same again.
        return WalkResult::skip();
      }
      if (auto node = dyn_cast<onnx::NodeOp>(op); node && !causal && isCausalNode(node))
        causal = op;
      if (auto select = dyn_cast<SelectOp>(op))
        found.push_back({op, lookAhead(select)});
      if (auto experts = dyn_cast<ExpertsOp>(op))
        found.push_back({op, lookAhead(experts)});
      return WalkResult::advance();
    });
    if (!causal && !assumeCausal)
      return false;
    bool any = false;
    for (auto &[op, reasons] : found)
      for (const LookAhead &reason : reasons) {
        any = true;
        ++numFound;
        InFlightDiagnostic diagnostic = severity == "error" ? op->emitError() : op->emitWarning();
        diagnostic << op->getName()
                   << " looks ahead in a model whose attention is causal: " << reason.what << "; "
                   << reason.change;
        if (causal)
          diagnostic.attachNote(causal->getLoc()) << "causal attention is here";
      }
    return any && severity == "error";
  }
};

} // namespace
