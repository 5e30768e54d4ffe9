#include "passes/merge/Mixtures.h"
#include "lib/Constants/Evaluate.h"
#include "lib/Conversion/Calibrate.h"
#include "lib/Report/Progress.h"
#include "mlir/IR/IRMapping.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/Lower.h"
#include "passes/raise/Graph.h"

using namespace mlir;
using namespace uoe;
using calibration::FfnWeights;
using calibration::MatrixView;
using calibration::Selection;

std::string uoe::selectionOf(SelectOp select, WeightReader &reader, Selection &selection) {
  if (select.getGroupScores() || select.getWithin() || select.hasCapacity() ||
      select.getThresholds() || (select.getGroups() && !select.getGroupK()) ||
      (select.getGroups() && select.getRule() != Rule::token_topk) ||
      select.getEmpty() != EmptyChoice::none || select.getScaling() != Scaling::none ||
      select.getRouting().getType().getTokens() != 1 || select.getRule() == Rule::top_p ||
      (select.getNormalize() != NormalizeAxis::none &&
       select.getNormalize() != NormalizeAxis::experts))
    return "its choice is by scores of groups, capacities or other rules than all, top-k and "
           "threshold";
  if (Value bias = select.getSelectionBias()) {
    DenseMap<Value, bool> cache;
    if (!isConstantExpression(bias, cache))
      return "what is added to its gates for the choice is no constant";
    FailureOr<rt::Tensor> loaded = evaluateConstant(bias, reader);
    if (failed(loaded) || loaded->dtype() != rt::DType::F32)
      return "what is added to its gates for the choice is no constant of type float";
    selection.bias.assign(loaded->data<float>(), loaded->data<float>() + loaded->size());
  }
  if (std::optional<ArrayRef<int64_t>> groups = select.getGroups()) {
    selection.groups.assign(groups->begin(), groups->end());
    selection.groupK = static_cast<int64_t>(*select.getGroupK());
    selection.groupTop2 = select.getGroupScore() == GroupScore::top2;
  }
  selection.scoring = select.getScoring() == Scoring::softmax   ? Selection::Scoring::Softmax
                      : select.getScoring() == Scoring::sigmoid ? Selection::Scoring::Sigmoid
                                                                : Selection::Scoring::Raw;
  selection.rule = select.getRule() == Rule::token_topk  ? Selection::Rule::TopK
                   : select.getRule() == Rule::threshold ? Selection::Rule::Threshold
                                                         : Selection::Rule::All;
  selection.k = static_cast<int64_t>(select.getK().value_or(1));
  selection.threshold = select.getTau() ? select.getTau()->convertToFloat() : 0;
  selection.temperature = select.getTemperature().convertToFloat();
  selection.normalized = select.getNormalize() == NormalizeAxis::experts;
  selection.unit = select.getWeight() == WeightRule::unit;
  selection.factor = select.getFactor().convertToFloat();
  return {};
}

// Finds the ops of the mixture and loads its weights. Empty, or why it is no mixture that passes
// can change. Failure (a broken weight) has its diagnostic.
static FailureOr<std::string> load(VisitedMixture &m, WeightReader &reader,
                                   DenseMap<Value, bool> &cache) {
  ExpertsOp op = m.experts;
  m.select = op.getRouting().getDefiningOp<SelectOp>();
  if (!m.select)
    return std::string("its routing is no uoe.select");
  if (std::string why = selectionOf(m.select, reader, m.mixture.selection); !why.empty())
    return why;
  for (Operation *user : m.select.getRouting().getUsers()) {
    auto other = dyn_cast<ExpertsOp>(user);
    if (other == op)
      continue;
    if (!other || m.rows || !isWeightedRows(other) || other.getSlots() != op.getSlots())
      return std::string("its routing has other users");
    m.rows = other;
  }
  if (op.getSkip())
    return std::string("it has rows for experts that are skipped");
  Block &body = op.getBody().front();
  auto ffn = cast<FfnOp>(body.front());
  bool ok = true, constant = true;
  m.owners.reserve(6);
  auto tensor = [&](Value value) -> const rt::Tensor * {
    if (!value || !ok || !constant)
      return nullptr;
    if (!isConstantExpression(value, cache)) {
      constant = false;
      return nullptr;
    }
    FailureOr<rt::Tensor> loaded = evaluateConstant(value, reader);
    ok = succeeded(loaded);
    if (!ok)
      return nullptr;
    if (loaded->dtype() != rt::DType::F32) {
      constant = false;
      return nullptr;
    }
    m.owners.push_back(*loaded);
    return &m.owners.back();
  };
  auto outer = [&](Value inner) -> Value {
    return inner ? op.getSliced()[cast<BlockArgument>(inner).getArgNumber() - 1] : Value();
  };
  const rt::Tensor *up = tensor(outer(ffn.getUp())), *gate = tensor(outer(ffn.getGate())),
                   *down = tensor(outer(ffn.getDown())), *biasUp = tensor(outer(ffn.getBiasUp())),
                   *biasGate = tensor(outer(ffn.getBiasGate())),
                   *rows = m.rows ? tensor(m.rows.getSliced()[0]) : nullptr;
  if (!ok)
    return failure();
  if (!constant)
    return std::string("a weight is no constant of type float");
  int64_t begin = 0;
  for (int64_t e = 0; e < op.numExperts(); ++e) {
    int64_t size = op.getSizes()[e];
    auto columns = [&](const rt::Tensor *t) {
      return MatrixView(t->data<float>() + begin, t->dim(0), size, t->dim(1), 1);
    };
    auto part = [&](const rt::Tensor *t) { return t ? t->data<float>() + begin : nullptr; };
    FfnWeights expert;
    expert.gate = columns(gate ? gate : up);
    if (gate)
      expert.up = columns(up);
    expert.gateBias = part(gate ? biasGate : biasUp);
    expert.upBias = gate ? part(biasUp) : nullptr;
    expert.down = MatrixView(down->data<float>() + begin * down->dim(1), size, down->dim(1));
    if (rows)
      expert.downBias = rows->data<float>() + e * rows->dim(1);
    expert.activation = activationOf(ffn);
    if (ffn.getLimit())
      expert.limit = ffn.getLimit()->convertToFloat();
    expert.upOffset = ffn.getUpOffset().convertToFloat();
    m.mixture.experts.push_back(expert);
    begin += size;
  }
  if (op.getSlots())
    m.mixture.slots.assign(op.getSlots()->begin(), op.getSlots()->end());
  return std::string();
}

LogicalResult uoe::visitMixtures(ModuleOp module, StringRef pass, const std::string &path,
                                 int64_t keep, function_ref<LogicalResult(VisitedMixture &)> body) {
  if (path.empty())
    return module.emitError(pass) << " needs a profile of a calibration run";
  std::string error;
  std::shared_ptr<Profile> profile = Profile::open(path, error);
  if (!profile)
    return module.emitError(pass) << ": " << error;
  std::vector<ExpertsOp> ops;
  module.walk([&](ExpertsOp op) {
    if (op->hasAttr("uoe.mixture") && op.getRouting() && classify(op) == ExpertBody::Ffn)
      ops.push_back(op);
  });
  report::Progress progress(pass.str(), std::max<int64_t>(1, static_cast<int64_t>(ops.size())));
  DenseMap<Value, bool> cache;
  for (ExpertsOp op : ops) {
    VisitedMixture m;
    m.experts = op;
    m.name = blockName(op, "moe");
    auto own = op->getAttrOfType<IntegerAttr>("uoe.keep");
    m.keep = own ? own.getInt() : keep;
    m.data.inputs = profile->tokens(inputProbe(m.name));
    m.data.scores = profile->tokens(scoresProbe(m.name));
    auto leave = [&](const Twine &why) {
      op.emitRemark(m.name) << " is left as it is: " << why;
      progress.step();
    };
    if (!m.data.inputs || !m.data.scores) {
      leave("the profile has no '" + inputProbe(m.name) + "' and '" + scoresProbe(m.name) + "'");
      continue;
    }
    if (m.keep < 1)
      return op.emitError(m.name) << ": expected at least 1 expert to keep, found " << m.keep;
    if (m.keep >= op.numExperts()) {
      leave("it has no more than " + Twine(m.keep) + " experts");
      continue;
    }
    WeightReader reader;
    FailureOr<std::string> why = load(m, reader, cache);
    if (failed(why))
      return failure();
    if (!why->empty()) {
      leave(*why);
      continue;
    }
    if (failed(body(m)))
      return failure();
    cache.clear(); // values are gone
    progress.step();
  }
  // What only the experts of before used.
  module.walk([](func::FuncOp function) { raise::removeUnused(function); });
  return success();
}

ExpertsOp uoe::withExperts(ExpertsOp op, ArrayRef<Value> sliced, ArrayRef<int64_t> sizes,
                           Value routing, ArrayRef<int64_t> slots) {
  OpBuilder builder(op);
  auto result = ExpertsOp::create(builder, op.getLoc(), op.getOutput().getType(), op.getShared(),
                                  sliced, routing, Value(), op.getAxes(), sizes, op.getCombine());
  if (!slots.empty())
    result.setSlots(slots);
  IRMapping map;
  op.getBody().cloneInto(&result.getBody(), map);
  // Types of slices may have become the same size, or different ones.
  Block &body = result.getBody().front();
  bool even = llvm::all_equal(sizes);
  for (auto [i, value] : llvm::enumerate(sliced)) {
    auto type = cast<RankedTensorType>(value.getType());
    int64_t axis = op.getAxes()[i];
    SmallVector<int64_t> shape(type.getShape());
    shape[axis] = even ? sizes[0] : ShapedType::kDynamic;
    body.getArgument(op.getShared().size() + i)
        .setType(RankedTensorType::get(shape, type.getElementType()));
  }
  result->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  result->removeDiscardableAttr("uoe.load"); // of the experts of before
  op.getOutput().replaceAllUsesWith(result.getOutput());
  op.erase();
  return result;
}
