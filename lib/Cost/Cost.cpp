#include "lib/Cost/Cost.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Constants/Evaluate.h"
#include "lib/Onnx/Operators/Inference.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace uoe;
using onnx::Dim;
using onnx::Facts;

Bounds Cost::total() const {
  Bounds sum;
  for (const auto &[part, range] : multiplyAdds)
    sum += range;
  return sum;
}

namespace {

/// What a routing chooses.
struct Choice {
  Bounds experts;  // of one row
  int64_t all = 0; // slots
};

class Meter {
public:
  Meter(ModuleOp module, const std::map<std::string, int64_t> &dims)
      : module(module), inference(module) {
    cost.dims = dims;
  }

  FailureOr<Cost> measure();

private:
  // Sizes.
  double size(Dim dim);
  double atom(unsigned index);
  std::optional<SmallVector<double>> shape(Value value);
  double elements(Value value);
  /// Rows [..., n]: elements over the last dimension.
  double rows(Value value);
  double last(Value value);
  double bytes(Value value);

  // Walks. `times` is how often the code runs, as a range for experts.
  void block(Block &block, const Bounds &times);
  void op(Operation *op, const Bounds &times);
  void node(onnx::NodeOp node, const Bounds &times);
  void ffn(FfnOp op, const Bounds &times);
  void attention(AttentionOp op, const Bounds &times);
  void moe(MoeOp op, const Bounds &times);
  void score(ScoreOp op, const Bounds &times);
  void experts(ExpertsOp op, const Bounds &times);
  void recur(RecurOp op, const Bounds &times);
  void spelling(Region &region, const Bounds &times);
  Choice choice(SelectOp op);
  /// Sets what is known of results that ONNX's own rules know nothing of.
  void resultLike(Value result, Value like, std::optional<Dim> lastDim = std::nullopt);
  void bind(Value argument, Value operand) { inference.set(argument, inference.facts(operand)); }

  void count(StringRef part, double multiplyAdds, const Bounds &times) {
    cost.multiplyAdds[part.str()] += Bounds(multiplyAdds) * times;
  }
  void uncounted(StringRef name, StringRef why) {
    auto &entry = cost.uncounted[name.str()];
    ++entry.first;
    entry.second = why.str();
  }

  // Parameters.
  void weights();
  void useWeights(Value value, const Bounds &share);

  void findMeasured();
  double peak(Block &block);
  double inner(Operation *op);

  ModuleOp module;
  onnx::Inference inference;
  Cost cost;
  DenseMap<Value, bool> constants;
  DenseMap<Value, Choice> choices;
  llvm::StringMap<Bounds> shares; // of an initializer's elements, that a token uses
  llvm::StringSet<> lookedUp, multiplied;
  DenseMap<Operation *, double> measured;   // parts of a cascade: the cost that its last op carries
  DenseMap<Operation *, double> innerBytes; // that a block takes besides its operands and results
};

} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

double Meter::atom(unsigned index) {
  const onnx::DimAtom &atom = inference.dims.atom(index);
  using Kind = onnx::DimAtom;
  auto both = [&](auto function) { return function(size(atom.left), size(atom.right)); };
  switch (atom.kind) {
  case Kind::Named: {
    auto found = cost.dims.find(atom.name);
    if (found != cost.dims.end())
      return static_cast<double>(found->second);
    cost.dims[atom.name] = 1;
    cost.assumed.push_back(atom.name);
    return 1;
  }
  case Kind::FloorDiv:
    return both([](double a, double b) { return b == 0 ? 0 : std::floor(a / b); });
  case Kind::Mod:
    return both([](double a, double b) { return b == 0 ? 0 : a - b * std::floor(a / b); });
  case Kind::Max:
    return both([](double a, double b) { return std::max(a, b); });
  case Kind::Min:
    return both([](double a, double b) { return std::min(a, b); });
  case Kind::Broadcast:
    return both([](double a, double b) { return a == 1 ? b : a; });
  case Kind::Anonymous:
    break;
  }
  return std::nan("");
}

double Meter::size(Dim dim) {
  auto sum = static_cast<double>(dim->constant);
  for (const onnx::DimNode::Term &term : dim->terms) {
    auto product = static_cast<double>(term.coefficient);
    for (unsigned index : term.atoms)
      product *= atom(index);
    sum += product;
  }
  return sum;
}

std::optional<SmallVector<double>> Meter::shape(Value value) {
  const Facts &facts = inference.facts(value);
  if (!facts.ranked)
    return std::nullopt;
  SmallVector<double> sizes;
  for (Dim dim : facts.dims) {
    sizes.push_back(size(dim));
    if (std::isnan(sizes.back()))
      return std::nullopt;
  }
  return sizes;
}

double Meter::elements(Value value) {
  auto sizes = shape(value);
  if (!sizes)
    return std::nan("");
  double product = 1;
  for (double size : *sizes)
    product *= size;
  return product;
}

double Meter::last(Value value) {
  const Facts &facts = inference.facts(value);
  return facts.ranked && facts.rank() > 0 ? size(facts.dims.back()) : std::nan("");
}

double Meter::rows(Value value) {
  auto sizes = shape(value);
  if (!sizes || sizes->empty())
    return std::nan("");
  double product = 1;
  for (double size : ArrayRef(*sizes).drop_back())
    product *= size;
  return product;
}

double Meter::bytes(Value value) {
  const Facts &facts = inference.facts(value);
  double n = elements(value);
  if (std::isnan(n) || !facts.element)
    return 0;
  return n * onnx::bitsOf(facts.element) / 8;
}

void Meter::resultLike(Value result, Value like, std::optional<Dim> lastDim) {
  Facts facts = inference.facts(like);
  facts.contents.reset();
  if (lastDim && !facts.dims.empty())
    facts.dims.back() = *lastDim;
  if (auto type = dyn_cast<TensorType>(result.getType()))
    facts.element = type.getElementType();
  inference.set(result, std::move(facts));
}

// Pairs of a query and a key that it sees, of s queries that end where t keys end.
static double pairs(double s, double t, bool causal, int64_t window) {
  double most = window > 0 ? std::min(t, static_cast<double>(window)) : t;
  if (!causal)
    return s * most;
  // The queries that see a key see first, first + 1, ... t of them, and at most `most`.
  double first = std::max(1.0, t - s + 1);
  auto triangle = [](double n) { return n * (n + 1) / 2; };
  return first > most ? (t - first + 1) * most
                      : triangle(most) - triangle(first - 1) + (t - most) * most;
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void Meter::node(onnx::NodeOp node, const Bounds &times) {
  (void)inference.run(node);
  auto need = [&](double value) {
    if (std::isnan(value))
      uncounted(node.getOpType(), "a size is not known");
    else
      count(node.is("Conv") || node.is("ConvTranspose") ? "convolutions" : "products", value,
            times);
  };
  auto is = [&](std::initializer_list<StringRef> names) {
    return llvm::is_contained(names, node.getOpType());
  };
  Value out = node->getNumResults() ? node->getResult(0) : Value();
  if (is({"MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "MatMulIntegerToFloat",
          "DynamicQuantizeMatMul"})) {
    bool transposed = node.integer("transA", 0) != 0;
    auto sizes = shape(node.input(0));
    double inner = !sizes || sizes->empty()          ? std::nan("")
                   : transposed && sizes->size() > 1 ? (*sizes)[sizes->size() - 2]
                                                     : sizes->back();
    need(elements(out) * inner);
  } else if (node.is("Gemm")) {
    auto sizes = shape(node.input(0));
    need(!sizes || sizes->size() != 2
             ? std::nan("")
             : elements(out) * (*sizes)[node.integer("transA", 0) ? 0 : 1]);
  } else if (node.isContrib("MatMulNBits")) {
    need(elements(out) * static_cast<double>(node.integer("K", 0)));
  } else if (is({"Conv", "ConvInteger", "QLinearConv", "FusedConv"})) {
    // Each output element reads a kernel [channels/group, ...].
    auto kernel = shape(node.input(node.is("QLinearConv") ? 3 : 1));
    need(kernel && !kernel->empty()
             ? elements(out) * elements(node.input(node.is("QLinearConv") ? 3 : 1)) /
                   kernel->front()
             : std::nan(""));
  } else if (node.is("ConvTranspose")) {
    auto kernel = shape(node.input(1));
    need(kernel && !kernel->empty()
             ? elements(node.input(0)) * elements(node.input(1)) / kernel->front()
             : std::nan(""));
  } else if (is({"LSTM", "GRU", "RNN"})) {
    // W [directions, gates·H, I] and R [directions, gates·H, H], once for each step and sample.
    auto x = shape(node.input(0));
    need(x && x->size() == 3
             ? (*x)[0] * (*x)[1] * (elements(node.input(1)) + elements(node.input(2)))
             : std::nan(""));
  } else if (node.is("Einsum")) {
    // Every index of the equation runs once for two operands; three may be taken in pairs.
    StringRef equation = node.string("equation", "");
    std::map<char, double> indices;
    auto [terms, result] = equation.split("->");
    SmallVector<StringRef> names;
    terms.split(names, ',');
    double product = names.size() == 2 ? 1 : std::nan("");
    for (auto [i, name] : llvm::enumerate(names)) {
      std::string letters;
      for (char c : name)
        if (std::isalpha(c))
          letters += c;
      auto sizes = shape(node.input(i));
      if (!sizes || sizes->size() != letters.size())
        product = std::nan("");
      else
        for (auto [letter, size] : llvm::zip(letters, *sizes))
          indices[letter] = size;
    }
    for (const auto &[letter, size] : indices)
      product *= size;
    need(product);
  } else if (node.isContrib("GroupQueryAttention") || node.isContrib("Attention")) {
    // The second holds the projections of queries, keys and values as well.
    bool projects = node.isContrib("Attention");
    if (projects)
      need(rows(node.input(0)) * elements(node.input(1)));
    auto x = shape(out);
    Value past = node.input(projects ? 4 : 3);
    auto cached = past ? shape(past) : std::nullopt;
    if (!x || x->size() != 3 || (past && !cached))
      return uncounted(node.getOpType(), "a size is not known");
    double length = (*x)[1] + (cached ? (*cached)[cached->size() - 2] : 0);
    bool causal = !projects || node.integer("unidirectional", 0) != 0;
    double seen =
        pairs((*x)[1], length, causal, std::max<int64_t>(0, node.integer("local_window_size", 0)));
    count("attention", (*x)[0] * seen * (*x)[2] * 2, times);
  } else if (is({"Attention", "MultiHeadAttention", "PackedAttention", "PackedMultiHeadAttention",
                 "DecoderMaskedMultiHeadAttention", "SparseAttention", "QAttention", "MoE", "QMoE",
                 "DeformConv", "QGemm", "LinearAttention"})) {
    uncounted(node.getOpType(), "a fused operator that was not raised");
  } else if (node.is("If")) {
    // One of the branches runs: the dearer one is counted.
    std::map<std::string, Bounds> before = cost.multiplyAdds, dearest;
    double most = -1;
    for (Region &region : node.getSubgraphs()) {
      cost.multiplyAdds.clear();
      block(region.front(), times);
      if (cost.total().most > most)
        most = cost.total().most, dearest = cost.multiplyAdds;
    }
    cost.multiplyAdds = std::move(before);
    for (const auto &[part, range] : dearest)
      cost.multiplyAdds[part] += range;
  } else if (!node.getSubgraphs().empty()) {
    uncounted(node.getOpType(), "its number of rounds is not known");
  } else if (!node.getDomain().empty() && node.getDomain() != "ai.onnx" &&
             node.getDomain() != "com.microsoft") {
    uncounted((node.getDomain() + "." + node.getOpType()).str(), "an operator of another domain");
  }
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

void Meter::spelling(Region &region, const Bounds &times) {
  if (!region.empty())
    block(region.front(), times);
}

void Meter::ffn(FfnOp op, const Bounds &times) {
  Dim outputs = inference.facts(op.getDown()).dims.empty()
                    ? inference.dims.anonymous()
                    : inference.facts(op.getDown()).dims.back();
  resultLike(op.getOutput(), op.getInput(), outputs);
  double n = rows(op.getInput());
  double matrices = elements(op.getUp()) + elements(op.getDown());
  if (op.getGate())
    matrices += elements(op.getGate());
  if (std::isnan(n * matrices))
    return uncounted("uoe.ffn", "a size is not known");
  innerBytes[op] = 4 * n * last(op.getUp()) * (op.getGate() ? 2 : 1);
  count(op->getParentOfType<ExpertsOp>() ? "experts" : "feed-forward", n * matrices, times);
}

void Meter::attention(AttentionOp op, const Bounds &times) {
  if (!op.getQuery()) {
    spelling(op.getSpelling(), times);
    for (auto [result, yielded] :
         llvm::zip(op.getResults(), op.getSpelling().front().getTerminator()->getOperands()))
      inference.set(result, inference.facts(yielded));
    return;
  }
  const Facts &v = inference.facts(op.getValue());
  if (v.ranked && !v.dims.empty())
    resultLike(op.getResult(0), op.getQuery(), v.dims.back());
  auto q = shape(op.getQuery()), k = shape(op.getKey()), values = shape(op.getValue());
  if (!q || !k || !values || q->size() != 4)
    return uncounted("uoe.attention", "a size is not known");
  double seen = pairs((*q)[2], (*k)[2], op.getCausal(), static_cast<int64_t>(op.getWindow()));
  count("attention", (*q)[0] * (*q)[1] * seen * ((*q)[3] + (*values)[3]), times);
}

void Meter::moe(MoeOp op, const Bounds &times) {
  if (!op.getInput()) {
    spelling(op.getSpelling(), times);
    return;
  }
  auto down = shape(op.getDown()), up = shape(op.getUp());
  resultLike(op.getOutput(), op.getInput(),
             down ? std::optional(inference.facts(op.getDown()).dims.back()) : std::nullopt);
  double n = rows(op.getInput());
  if (!down || !up || std::isnan(n))
    return uncounted("uoe.moe", "a size is not known");
  double experts = up->front();
  double matrices = elements(op.getUp()) + elements(op.getDown());
  if (op.getGate())
    matrices += elements(op.getGate());
  auto k = static_cast<double>(op.getK());
  innerBytes[op] = 4 * n * k * up->back() * (op.getGate() ? 2 : 1);
  for (Value value :
       {op.getUp(), op.getGate(), op.getDown(), op.getBiasUp(), op.getBiasGate(), op.getBiasDown()})
    useWeights(value, k / experts * times.most);
  count("experts", n * matrices / experts * k, times);
}

void Meter::score(ScoreOp op, const Bounds &times) {
  auto type = cast<RankedTensorType>(op.getScores().getType());
  Dim experts = inference.dims.constant(type.getShape().back());
  // Rows of patches and samples are fewer, but every token is scored.
  if (op.getOver() == Over::token)
    resultLike(op.getScores(), op.getInput(), experts);
  else if (op.getOver() == Over::patch) {
    Facts facts = inference.facts(op.getInput());
    if (facts.rank() >= 2) {
      auto patch = static_cast<int64_t>(op.getPatch().value_or(1));
      Dim &length = facts.dims[facts.dims.size() - 2];
      length =
          inference.dims.floorDiv(inference.dims.add(length, inference.dims.constant(patch - 1)),
                                  inference.dims.constant(patch));
      facts.dims.back() = experts;
    }
    inference.set(op.getScores(), facts);
  } else {
    Facts facts = inference.facts(op.getInput());
    if (facts.rank() >= 2) {
      facts.dims.pop_back();
      facts.dims.back() = experts;
    }
    inference.set(op.getScores(), facts);
  }
  if (measured.count(op))
    return; // counted with its cascade
  double n = op.getOver() == Over::sample ? rows(op.getScores()) : rows(op.getInput());
  double matrices = 0;
  for (Value w : op.getWeights())
    if (inference.facts(w).rank() == 2 || op.getKind() == ScoreKind::magnitude)
      matrices += elements(w);
  if (op.getMix())
    matrices += elements(op.getMix());
  if (std::isnan(n * matrices))
    return uncounted("uoe.score", "a size is not known");
  count("router", n * matrices, times);
}

Choice Meter::choice(SelectOp op) {
  Choice result;
  result.all = op.numExperts();
  auto n = static_cast<double>(result.all);
  switch (op.getRule()) {
  case Rule::all:
    result.experts = n;
    break;
  case Rule::token_topk:
    result.experts = static_cast<double>(op.getK().value_or(0));
    break;
  case Rule::threshold:
    result.experts = {op.getEmpty() == EmptyChoice::none ? 0.0 : 1.0, n};
    break;
  case Rule::top_p:
    result.experts = {1, n};
    break;
  }
  if (op.getWithin()) {
    auto coarse = choices.find(op.getWithin());
    double most = coarse == choices.end() ? n : coarse->second.experts.most;
    result.experts = {0, std::min(result.experts.most, most)};
  }
  if (op.hasCapacity()) {
    // An expert takes at most c of the rows of a sample: c·n/rows experts a row.
    auto sizes = shape(op.getScores());
    double length = sizes && sizes->size() >= 2 ? (*sizes)[sizes->size() - 2] : 1, c = length;
    if (op.getCapacity())
      c = std::min(c, static_cast<double>(*op.getCapacity()));
    if (op.getCapacityShare())
      c = std::min(c, std::max(1.0, std::floor(op.getCapacityShare()->convertToFloat() * length)));
    double room = length > 0 ? c * n / length : 0;
    // How the rows' choices fall on the experts is data; padding fills what is left.
    bool full = op.getPadding() == Padding::token && !op.getCapacityTakers();
    double least =
        full || op.getRule() == Rule::all ? room : std::min(result.experts.least, c / length);
    result.experts = {std::min(least, room), full ? room : std::min(result.experts.most, room)};
  }
  return result;
}

void Meter::experts(ExpertsOp op, const Bounds &times) {
  Block &body = op.getBody().front();
  auto n = static_cast<double>(op.numExperts());
  // The share of the experts that a row uses, and how often the body runs in full.
  Bounds share = 1.0;
  SelectOp select;
  if (op.getRouting()) {
    select = op.getRouting().getDefiningOp<SelectOp>();
    auto found = choices.find(op.getRouting());
    auto all = static_cast<double>(op.getRouting().getType().getExperts());
    Bounds chosen = found == choices.end() ? Bounds(0, all) : found->second.experts;
    double served = all;
    if (auto slots = op.getSlots())
      served = static_cast<double>(llvm::count_if(*slots, [](int64_t slot) { return slot >= 0; }));
    // Of the chosen slots, those that are served here: which they are is data.
    share = {std::max(0.0, chosen.least - (all - served)) / n, std::min(chosen.most, served) / n};
    share.least = std::min(share.least, 1.0);
    share.most = std::min(share.most, served / n);
  }
  if (auto active = op->getAttrOfType<FloatAttr>("uoe.active")) {
    // Of all neurons of the block, those of its core included.
    auto core = op->getAttrOfType<IntegerAttr>("uoe.core_size");
    double fixed = core ? static_cast<double>(core.getInt()) : 0, routed = 0;
    for (int64_t size : op.getSizes())
      routed += static_cast<double>(size);
    share = std::clamp((active.getValueAsDouble() * (fixed + routed) - fixed) / routed, 0.0, 1.0);
  }
  auto step = measured.find(op);
  if (step != measured.end())
    share = step->second;
  Bounds parts = share;
  if (op.getCombine() == Combine::merge)
    parts = 1.0; // the body reads no tokens and runs once for each expert
  for (auto [argument, value] : llvm::zip(body.getArguments(), op.getShared()))
    bind(argument, value);
  if (op.getGathered()) {
    // Every expert runs on c tokens of each sample.
    for (auto [i, value] : llvm::enumerate(op.getShared())) {
      BlockArgument argument = body.getArgument(i);
      Facts facts = inference.facts(value);
      auto sizes = shape(value);
      if (select && sizes && sizes->size() > 1 && facts.rank() > 1) {
        double length = (*sizes)[1], c = length;
        if (select.getCapacity())
          c = std::min(c, static_cast<double>(*select.getCapacity()));
        if (select.getCapacityShare())
          c = std::min(
              c, std::max(1.0, std::floor(select.getCapacityShare()->convertToFloat() * length)));
        facts.dims[1] = inference.dims.constant(static_cast<int64_t>(c));
        if (op.isPair(static_cast<int64_t>(i)))
          facts.dims[2] = facts.dims[1];
      }
      inference.set(argument, facts);
    }
    if (op.takesValid()) {
      Facts facts = inference.facts(body.getArgument(0));
      facts.dims.resize(std::min<size_t>(2, facts.dims.size()));
      facts.element = IntegerType::get(op.getContext(), 1);
      inference.set(body.getArguments().back(), facts);
    }
    parts = 1.0;
  }
  for (Value value : op.getSliced())
    useWeights(value, share);
  // Experts of one size cost the same.
  std::map<int64_t, double> bySize;
  for (int64_t size : op.getSizes())
    ++bySize[size];
  for (auto [expertSize, many] : bySize) {
    for (auto [i, value] : llvm::enumerate(op.getSliced())) {
      Facts facts = inference.facts(value);
      facts.contents.reset();
      facts.dims[op.getAxes()[i]] = inference.dims.constant(expertSize);
      inference.set(body.getArgument(op.getShared().size() + i), facts);
    }
    double before = innerBytes.lookup(op);
    std::map<std::string, Bounds> outside;
    std::swap(outside, cost.multiplyAdds);
    block(body, times * parts * Bounds(many));
    // Whatever the body is made of, it belongs to the experts.
    std::swap(outside, cost.multiplyAdds);
    if (step != measured.end())
      outside.clear();
    for (const auto &[part, range] : outside)
      cost.multiplyAdds[part == "attention" ? part : "experts"] += range;
    // Results are added up as they come.
    double hidden = peak(body) - bytes(body.getTerminator()->getOperand(0));
    innerBytes[op] = before + std::max(0.0, hidden) * parts.most * many;
  }
  Value yielded = body.getTerminator()->getOperand(0);
  // A row for each expert that is not chosen.
  if (op.getSkip() && !std::isnan(rows(yielded) * elements(op.getSkip())))
    count("experts", rows(yielded) * elements(op.getSkip()),
          times * Bounds(1 - share.most, 1 - share.least));
  if (auto work = op->getAttrOfType<FloatAttr>("uoe.multiply_adds"); work && step != measured.end())
    count("experts", rows(op.getSliced()[0]) * work.getValueAsDouble() * step->second, times);
  const Facts &part = inference.facts(yielded);
  if (op.getCombine() == Combine::merge) {
    double merged = rows(op.getRouting().getDefiningOp<SelectOp>()
                             ? op.getRouting().getDefiningOp<SelectOp>().getScores()
                             : Value());
    double product = merged * n * elements(yielded);
    if (std::isnan(product))
      return uncounted("uoe.experts", "a size is not known");
    count("experts", product, times);
    Facts facts = inference.facts(select.getScores());
    facts.dims.pop_back();
    facts.dims.append(part.dims.begin(), part.dims.end());
    inference.set(op.getOutput(), facts);
  } else if (op.getCombine() == Combine::concat) {
    auto width = cast<RankedTensorType>(op.getOutput().getType()).getShape().back();
    resultLike(op.getOutput(), yielded,
               ShapedType::isDynamic(width) ? inference.dims.anonymous()
                                            : inference.dims.constant(width));
  } else if (!op.getShared().empty() && op.getGathered() && !part.dims.empty()) {
    resultLike(op.getOutput(), op.getShared()[0], part.dims.back());
  } else {
    resultLike(op.getOutput(), yielded);
  }
}

void Meter::recur(RecurOp op, const Bounds &times) {
  Block &body = op.getBody().front();
  size_t carried = op.getInit().size();
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    if (i < carried) {
      bind(argument, op.getInit()[i]);
      continue;
    }
    Facts facts = inference.facts(op.getEach()[i - carried]);
    facts.contents.reset();
    if (!facts.dims.empty())
      facts.dims.erase(facts.dims.begin());
    inference.set(argument, facts);
  }
  auto rounds = static_cast<int64_t>(op.getTimes());
  block(body, times * Bounds(static_cast<double>(rounds)));
  innerBytes[op] = peak(body);
  for (auto [i, result] : llvm::enumerate(op.getResults())) {
    Facts facts = inference.facts(body.getTerminator()->getOperand(i));
    if (i >= carried)
      facts.dims.insert(facts.dims.begin(), inference.dims.constant(rounds));
    inference.set(result, facts);
  }
}

void Meter::op(Operation *operation, const Bounds &times) {
  if (auto op = dyn_cast<onnx::NodeOp>(operation)) {
    if (op->getNumResults() > 0 && isConstantExpression(op->getResult(0), constants))
      return void(inference.run(op));
    return node(op, times);
  }
  if (auto op = dyn_cast<FfnOp>(operation))
    return ffn(op, times);
  if (auto op = dyn_cast<AttentionOp>(operation))
    return attention(op, times);
  if (auto op = dyn_cast<MoeOp>(operation))
    return moe(op, times);
  if (auto op = dyn_cast<ScoreOp>(operation))
    return score(op, times);
  if (auto op = dyn_cast<SelectOp>(operation))
    return void(choices[op.getRouting()] = choice(op));
  if (auto op = dyn_cast<ExpertsOp>(operation))
    return experts(op, times);
  if (auto op = dyn_cast<RecurOp>(operation))
    return recur(op, times);
  (void)inference.run(operation);
}

void Meter::block(Block &block, const Bounds &times) {
  for (Operation &operation : block.without_terminator())
    op(&operation, times);
}

//===----------------------------------------------------------------------===//
// Parameters and memory
//===----------------------------------------------------------------------===//

// The initializers behind an operand of experts are used for this share.
void Meter::useWeights(Value value, const Bounds &share) {
  while (Operation *source = value ? value.getDefiningOp() : nullptr) {
    if (auto weight = dyn_cast<onnx::WeightOp>(source)) {
      auto [entry, fresh] = shares.try_emplace(weight.getName(), share);
      if (!fresh)
        entry->second = {std::max(entry->second.least, share.least),
                         std::max(entry->second.most, share.most)};
      return;
    }
    value = source->getNumOperands() ? source->getOperand(0) : Value();
  }
}

void Meter::weights() {
  // How often a loop runs, for weights of which every round may use others.
  module.walk([&](onnx::WeightOp weight) {
    onnx::InitializerOp init = inference.initializer(weight);
    auto type = init ? dyn_cast<RankedTensorType>(init.getType()) : RankedTensorType();
    if (!type || !type.hasStaticShape() || !onnx::bitsOf(type.getElementType()) ||
        type.getElementType().isInteger(64) || type.getElementType().isInteger(32))
      return;
    StringRef name = weight.getName();
    for (OpOperand &use : weight.getResult().getUses()) {
      auto node = dyn_cast<onnx::NodeOp>(use.getOwner());
      bool table = node && node.is("Gather") && use.getOperandNumber() == 0 &&
                   node.integer("axis", 0) == 0 && type.getRank() == 2 &&
                   !isConstantExpression(node.getInputs()[1], constants);
      (table ? lookedUp : multiplied).insert(name);
    }
  });
  llvm::StringSet<> seen;
  module.walk([&](onnx::WeightOp weight) {
    StringRef name = weight.getName();
    if (!(lookedUp.contains(name) || multiplied.contains(name)) || !seen.insert(name).second)
      return;
    auto type = cast<RankedTensorType>(inference.initializer(weight).getType());
    auto n = static_cast<double>(type.getNumElements());
    cost.parameters += n;
    cost.weightBytes += n * onnx::bitsOf(type.getElementType()) / 8;
    Bounds share = 1.0;
    if (!multiplied.contains(name)) {
      cost.embedding += n;
      share = 1 / static_cast<double>(type.getDimSize(0));
    } else if (auto found = shares.find(name); found != shares.end()) {
      share = found->second;
      // Every round of a loop may choose others.
      if (auto loop = dyn_cast_or_null<RecurOp>([&]() -> Operation * {
            for (Operation *user : weight.getResult().getUsers())
              if (auto parent = user->getParentOfType<RecurOp>())
                return parent;
            return nullptr;
          }()))
        share.most = std::min(1.0, share.most * static_cast<double>(loop.getTimes()));
    }
    cost.active += Bounds(n) * share;
  });
}

double Meter::inner(Operation *op) {
  return innerBytes.lookup(op);
}

// A cascade is several ops, of which the last carries what was measured of all.
void Meter::findMeasured() {
  DenseSet<Operation *> seen;
  module.walk([&](ExpertsOp last) {
    auto recipe = last->getAttrOfType<StringAttr>("uoe.recipe");
    auto share = last->getAttrOfType<FloatAttr>("uoe.cost");
    if (!recipe || recipe.getValue() != "cascade" || !share)
      return;
    SmallVector<Operation *> work{last};
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      if (isa<ExpertsOp>(op) || isa<ScoreOp>(op))
        measured.try_emplace(op, share.getValueAsDouble());
      for (Value operand : op->getOperands()) {
        Operation *source = operand.getDefiningOp();
        auto score = dyn_cast_or_null<ScoreOp>(source);
        // The block before ends in an op with a name of its own.
        bool inside = isa_and_nonnull<onnx::NodeOp, SelectOp, ExpertsOp>(source)
                          ? !source->hasAttr("name")
                          : score && score.getKind() == ScoreKind::magnitude;
        if (inside && seen.insert(source).second)
          work.push_back(source);
      }
    }
  });
}

// The most bytes of results alive at one time in a block, of those that depend on inputs.
double Meter::peak(Block &block) {
  DenseMap<Operation *, double> dying; // bytes that are freed after an op
  double live = 0, most = 0;
  for (Operation &op : block.without_terminator()) {
    double results = 0;
    for (Value result : op.getResults()) {
      if (isa<onnx::WeightOp>(op) || isConstantExpression(result, constants) ||
          !isa<TensorType>(result.getType()))
        continue;
      double size = bytes(result);
      results += size;
      // The last op of this block that reads it, itself or in a region.
      Operation *lastUser = &op;
      for (Operation *user : result.getUsers())
        if (Operation *here = block.findAncestorOpInBlock(*user);
            here && lastUser->isBeforeInBlock(here))
          lastUser = here;
      dying[lastUser] += size;
    }
    live += results;
    most = std::max(most, live + inner(&op));
    live -= dying.lookup(&op);
  }
  return most;
}

FailureOr<Cost> Meter::measure() {
  auto graph = module.lookupSymbol<func::FuncOp>(onnx::kMainGraph);
  if (!graph || graph.isExternal())
    return module.emitError("cost: there is no @") << onnx::kMainGraph << " to measure", failure();
  // Inputs without a name for a size get one, so that it is assumed like the others.
  std::map<std::string, bool> known;
  for (BlockArgument argument : graph.getArguments()) {
    Facts facts = onnx::factsOf(argument.getType(), inference.dims);
    for (auto [axis, dim] : llvm::enumerate(facts.dims)) {
      if (dim.constant())
        continue;
      std::string name = onnx::dimName(argument.getType(), axis).str();
      if (name.empty()) {
        auto given = graph.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "onnx.name");
        name = (given ? given.str() : "arg" + std::to_string(argument.getArgNumber())) + "_" +
               std::to_string(axis);
        dim = inference.dims.named(name);
      }
      known[name] = true;
    }
    inference.set(argument, facts);
  }
  for (const auto &[name, value] : cost.dims)
    if (!known.count(name)) {
      std::string names;
      for (const auto &[other, used] : known)
        names += (names.empty() ? "" : ", ") + other;
      return module.emitError("cost: no input has a dimension '")
                 << name << "'; there are " << (names.empty() ? "none" : names),
             failure();
    }
  for (BlockArgument argument : graph.getArguments())
    if (auto sizes = shape(argument); sizes && sizes->size() == 2 && cost.tokens == 0 &&
                                      inference.facts(argument).element.isInteger(64))
      cost.tokens = (*sizes)[0] * (*sizes)[1];
  findMeasured();
  block(graph.getBody().front(), 1.0);
  weights();
  cost.activationBytes = peak(graph.getBody().front());
  return cost;
}

FailureOr<Cost> uoe::measureCost(ModuleOp module, const std::map<std::string, int64_t> &dims) {
  return Meter(module, dims).measure();
}
