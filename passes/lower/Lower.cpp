#include "passes/lower/Lower.h"
#include "dialects/uoe/Function.h"
#include "passes/raise/Match.h"
#include "passes/raise/PackedMatrix.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace uoe;

Type uoe::elementTypeOf(Value value) {
  auto tensor = dyn_cast<TensorType>(value.getType());
  return tensor ? tensor.getElementType() : Type(onnx::AnyType::get(value.getContext()));
}

Value NodeBuilder::node(StringRef op, ValueRange operands, ArrayRef<NamedAttribute> attrs,
                        Type element, StringRef domain) {
  if (!element)
    element = elementTypeOf(operands.front());
  return onnx::NodeOp::create(builder, loc, TypeRange{UnrankedTensorType::get(element)}, op,
                              operands, attrs, domain)
      .getResult(0);
}

ResultRange NodeBuilder::nodes(StringRef op, ValueRange operands, TypeRange results,
                               ArrayRef<NamedAttribute> attrs) {
  return onnx::NodeOp::create(builder, loc, results, op, operands, attrs).getResults();
}

Value NodeBuilder::constant(DenseElementsAttr value) {
  return onnx::NodeOp::create(builder, loc, TypeRange{value.getType()}, "Constant", ValueRange{},
                              {builder.getNamedAttr("value", value)})
      .getResult(0);
}

Value NodeBuilder::ints(ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())}, builder.getI64Type());
  return constant(DenseElementsAttr::get(type, values));
}

Value NodeBuilder::scalarInt(int64_t value) {
  return constant(DenseElementsAttr::get(RankedTensorType::get({}, builder.getI64Type()), value));
}

Value NodeBuilder::scalar(double value, Value like) {
  Type element = elementTypeOf(like);
  if (!isa<FloatType>(element))
    element = builder.getF32Type();
  auto type = RankedTensorType::get({}, element);
  return constant(DenseElementsAttr::get(type, Attribute(builder.getFloatAttr(element, value))));
}

Value NodeBuilder::none() {
  return onnx::NoneOp::create(builder, loc, builder.getNoneType());
}

NamedAttribute NodeBuilder::attr(StringRef name, int64_t value) {
  return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
}

Value NodeBuilder::reshapeTo(Value value, Value shape) {
  if (version < 14)
    return node("Reshape", {value, shape});
  return node("Reshape", {value, shape}, {attr("allowzero", 1)});
}

bool uoe::choosesPlainly(SelectOp select) {
  return select.getScoring() == Scoring::raw && !select.getSelectionBias() && !select.getGroups() &&
         !select.getWithin() && select.getTemperature().convertToFloat() == 1 &&
         select.getNormalize() == NormalizeAxis::none && !select.hasCapacity() &&
         select.getWeight() == WeightRule::unit && select.getFactor().convertToFloat() == 1 &&
         select.getScaling() == Scaling::none && select.getRouting().getType().getTokens() == 1;
}

bool uoe::swapsHeads(onnx::NodeOp node) {
  auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
  return node.is("Transpose") && perm && perm.asArrayRef() == ArrayRef<int64_t>{0, 2, 1, 3};
}

Value uoe::transposedMatrix(Value value) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.is("Transpose"))
    return {};
  auto type = dyn_cast<RankedTensorType>(node.getInputs()[0].getType());
  auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
  if (!type || type.getRank() != 2 || (perm && perm.asArrayRef() != ArrayRef<int64_t>{1, 0}))
    return {};
  return node.getInputs()[0];
}

Value NodeBuilder::matmul(Value a, Value b) {
  std::optional<PackedMatrix> m = matchPacked(b);
  if (!m || !elementTypeOf(a).isF32())
    return node("MatMul", {a, b});
  PackedParts parts = partsOf(builder, loc, *m);
  Value codes =
      raise::makeReshape(builder, loc, parts.codes, {m->n(), m->blocks(), m->block * m->bits / 8});
  SmallVector<Value> operands{a, codes, parts.scales};
  if (parts.zeros)
    operands.push_back(parts.zeros);
  return node(
      "MatMulNBits", operands,
      {attr("K", m->k), attr("N", m->n()), attr("bits", m->bits), attr("block_size", m->block)}, {},
      "com.microsoft");
}

Value NodeBuilder::slice(Value value, int64_t axis, int64_t begin, int64_t end) {
  if (std::optional<PackedMatrix> m = matchPacked(value)) {
    if (axis == 1 || axis == -1)
      return makePacked(builder, loc,
                        takeColumns(*m, llvm::to_vector(llvm::seq(begin, std::min(end, m->n())))));
    if (std::optional<PackedMatrix> rows = takeRows(builder, loc, *m, begin, std::min(end, m->k)))
      return makePacked(builder, loc, *rows);
  }
  return node("Slice", {value, ints({begin}), ints({end}), ints({axis})});
}

// The steps of a function in postfix order.
static Value apply(NodeBuilder &b, ArrayAttr function, Value x) {
  SmallVector<Value> stack;
  Type condition = IntegerType::get(function.getContext(), 1);
  for (Attribute step : function) {
    if (auto constant = dyn_cast<FloatAttr>(step)) {
      stack.push_back(b.scalar(constant.getValueAsDouble(), x));
      continue;
    }
    StringRef name = cast<StringAttr>(step);
    if (name == "x") {
      stack.push_back(x);
      continue;
    }
    const ScalarOperator &op = *scalarOperator(name);
    SmallVector<Value> operands(ArrayRef(stack).take_back(op.operands));
    stack.pop_back_n(op.operands);
    stack.push_back(b.node(name, operands, {}, op.condition ? condition : elementTypeOf(x)));
  }
  return stack.back();
}

Value NodeBuilder::activation(Activation activation, Value x, ArrayAttr function) {
  switch (activation) {
  case Activation::identity:
    return x;
  case Activation::relu:
    return node("Relu", {x});
  case Activation::relu_squared: {
    Value r = node("Relu", {x});
    return mul(r, r);
  }
  case Activation::gelu:
    if (version >= 20)
      return node("Gelu", {x});
    return mul(mul(x, scalar(0.5, x)),
               add(node("Erf", {mul(x, scalar(0.70710678118654752, x))}), scalar(1, x)));
  case Activation::gelu_tanh: {
    if (version >= 20)
      return node("Gelu", {x},
                  {builder.getNamedAttr("approximate", builder.getStringAttr("tanh"))});
    Value cube = mul(mul(x, x), mul(x, scalar(0.044715, x)));
    Value inner = mul(add(x, cube), scalar(0.79788456080286536, x));
    return mul(mul(x, scalar(0.5, x)), add(node("Tanh", {inner}), scalar(1, x)));
  }
  case Activation::silu:
    return mul(x, node("Sigmoid", {x}));
  case Activation::quick_gelu:
    return mul(x, node("Sigmoid", {mul(x, scalar(1.702, x))}));
  case Activation::tanh:
    return node("Tanh", {x});
  case Activation::sigmoid:
    return node("Sigmoid", {x});
  case Activation::custom:
    return apply(*this, function, x);
  }
  return x;
}

Value NodeBuilder::gated(Activation act, Value gate, Value up, std::optional<APFloat> limit,
                         const APFloat &upOffset, ArrayAttr function) {
  if (limit) {
    Value most = scalar(limit->convertToFloat(), gate);
    gate = node("Min", {gate, most});
    up = node("Max", {node("Min", {up, most}), scalar(-limit->convertToFloat(), up)});
  }
  if (!upOffset.isZero())
    up = add(up, scalar(upOffset.convertToFloat(), up));
  return mul(activation(act, gate, function), up);
}

void uoe::setChoice(SelectOp select, MoeOp moe) {
  select.setK(moe.getK());
  select.setScoring(moe.getScoring());
  if (moe.getNormalized())
    select.setNormalize(NormalizeAxis::experts);
  select.setWeight(WeightRule::gate);
  if (Value bias = moe.getSelectionBias())
    select.getSelectionBiasMutable().assign(bias);
  select.setGroupsAttr(moe.getGroupsAttr());
  select.setGroupKAttr(moe.getGroupKAttr());
  select.setGroupScore(moe.getGroupScore());
  select.setFactor(moe.getFactor());
}

bool uoe::inlineSpelling(Operation *block, Region &spelling) {
  if (spelling.empty())
    return false;
  Block &body = spelling.front();
  Operation *yield = body.getTerminator();
  SmallVector<Value> results(yield->getOperands());
  yield->erase();
  block->getBlock()->getOperations().splice(Block::iterator(block), body.getOperations());
  block->replaceAllUsesWith(results);
  block->erase();
  return true;
}

static bool isElementwise(onnx::NodeOp node) {
  static const llvm::StringSet<> names{"Add", "Sub",  "Mul", "Div",     "Relu", "Gelu", "Tanh",
                                       "Erf", "Sqrt", "Neg", "Sigmoid", "Abs",  "Pow",  "Swish"};
  return node.getDomain().empty() && names.contains(node.getOpType()) && node.getNumResults() == 1;
}

// MatMul(shared, sliced matrix), or that plus a sliced vector.
static bool isProduct(ExpertsOp experts) {
  Block &body = experts.getBody().front();
  auto args = body.getArguments();
  auto product = dyn_cast<onnx::NodeOp>(body.front());
  if (!product || !product.is("MatMul") || experts.getCombine() != Combine::sum ||
      experts.getShared().size() != 1 || args.size() < 2 || args.size() > 3 ||
      experts.takesValid() || product.getInputs()[0] != args[0] ||
      product.getInputs()[1] != args[1] || !llvm::all_equal(experts.getSizes()))
    return false;
  auto rank = [&](unsigned i) {
    return cast<RankedTensorType>(experts.getSliced()[i].getType()).getRank();
  };
  if (rank(0) != 2 || cast<RankedTensorType>(args[0].getType()).getRank() < 2)
    return false;
  Value result = body.getTerminator()->getOperand(0);
  if (args.size() == 2)
    return result == product.getResult(0) && llvm::hasSingleElement(body.without_terminator());
  auto add = result.getDefiningOp<onnx::NodeOp>();
  bool biased = add && add.is("Add") && llvm::is_contained(add.getInputs(), product.getResult(0)) &&
                llvm::is_contained(add.getInputs(), args[2]);
  return biased && rank(1) == 1 && experts.getAxes()[0] == 1 &&
         llvm::range_size(body.without_terminator()) == 2;
}

ExpertBody uoe::classify(ExpertsOp experts) {
  Block &body = experts.getBody().front();
  auto yield = cast<YieldOp>(body.getTerminator());
  auto args = body.getArguments();
  unsigned shared = experts.getShared().size();
  if (isProduct(experts))
    return ExpertBody::Product;
  if (experts.getCombine() == Combine::sum && llvm::hasSingleElement(body.without_terminator())) {
    Operation *only = &body.front();
    if (yield.getOperand(0) != only->getResult(0))
      return ExpertBody::Other;
    if (auto ffn = dyn_cast<FfnOp>(only)) {
      auto axisOf = [&](Value value) -> int64_t {
        auto arg = dyn_cast_if_present<BlockArgument>(value);
        return arg && arg.getArgNumber() >= shared ? experts.getAxes()[arg.getArgNumber() - shared]
                                                   : -1;
      };
      bool input = shared == 1 && ffn.getInput() == args[0];
      bool matrices = axisOf(ffn.getUp()) == 1 && axisOf(ffn.getDown()) == 0 &&
                      (!ffn.getGate() || axisOf(ffn.getGate()) == 1);
      bool biases = (!ffn.getBiasUp() || axisOf(ffn.getBiasUp()) == 0) &&
                    (!ffn.getBiasGate() || axisOf(ffn.getBiasGate()) == 0) && !ffn.getBiasDown();
      return input && matrices && biases && ffn.getSpelling().empty() ? ExpertBody::Ffn
                                                                      : ExpertBody::Other;
    }
    if (auto node = dyn_cast<onnx::NodeOp>(only)) {
      if (!node.is("MatMul") || shared != 0 || args.size() != 2 || node.getInputs()[0] != args[0] ||
          node.getInputs()[1] != args[1])
        return ExpertBody::Other;
      int64_t rank = cast<RankedTensorType>(experts.getSliced()[0].getType()).getRank();
      int64_t weightRank = cast<RankedTensorType>(experts.getSliced()[1].getType()).getRank();
      return experts.getAxes()[0] == rank - 1 && weightRank == 2 && experts.getAxes()[1] == 0
                 ? ExpertBody::Rows
                 : ExpertBody::Other;
    }
    return ExpertBody::Other;
  }
  if (experts.getCombine() == Combine::concat && shared == 0) {
    int64_t rank = experts.getOutput().getType().getRank();
    for (auto [value, axis] : llvm::zip(experts.getSliced(), experts.getAxes()))
      if (cast<RankedTensorType>(value.getType()).getRank() != rank || axis != rank - 1)
        return ExpertBody::Other;
    for (Operation &op : body.without_terminator())
      if (auto node = dyn_cast<onnx::NodeOp>(op); !node || !isElementwise(node))
        return ExpertBody::Other;
    return ExpertBody::Elementwise;
  }
  return ExpertBody::Other;
}

bool uoe::isRowwise(ExpertsOp experts) {
  Block &body = experts.getBody().front();
  if (experts.getShared().empty() || experts.getCombine() != Combine::sum ||
      experts.getOutput().getType().getRank() < 2)
    return false;
  const int64_t rank = raise::rankOf(body.getArgument(0));
  llvm::SmallPtrSet<void *, 8> rows{body.getArgument(0).getAsOpaquePointer()};
  auto isRows = [&](Value value) { return rows.contains(value.getAsOpaquePointer()); };
  // One row for all: only its last dimension may be more than 1.
  auto isOne = [&](Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.getRank() <= rank &&
           (type.getRank() < 2 ||
            llvm::all_of(type.getShape().drop_back(), [](int64_t size) { return size == 1; }));
  };
  auto isLast = [&](onnx::NodeOp node) {
    int64_t axis = node.integer("axis", -1);
    return axis == -1 || axis == rank - 1;
  };
  for (Operation &op : body.without_terminator()) {
    if (llvm::none_of(op.getOperands(), isRows))
      continue;
    auto node = dyn_cast<onnx::NodeOp>(op);
    ValueRange others = ValueRange(op.getOperands()).drop_front();
    bool fits = isRows(op.getOperand(0)) && llvm::none_of(others, isRows);
    if (node && isElementwise(node))
      fits = llvm::all_of(op.getOperands(), [&](Value v) { return isRows(v) || isOne(v); });
    else if (node && node.is("MatMul"))
      fits &= raise::rankOf(others[0]) == 2;
    else if (node)
      fits &= isLast(node) && (node.is("Softmax") || node.is("Split") ||
                               node.is("LayerNormalization") || node.is("RMSNormalization"));
    else
      fits &= isa<FfnOp>(op);
    for (Value result : op.getResults()) {
      fits &= raise::rankOf(result) == rank;
      rows.insert(result.getAsOpaquePointer());
    }
    if (!fits)
      return false;
  }
  return isRows(body.getTerminator()->getOperand(0));
}

bool uoe::isWeightedTensors(ExpertsOp experts) {
  if (experts.getCombine() != Combine::merge || experts.getSliced().size() != 1 ||
      experts.getAxes()[0] != 0 ||
      llvm::any_of(experts.getSizes(), [](int64_t size) { return size != 1; }))
    return false;
  auto whole = dyn_cast<RankedTensorType>(experts.getSliced()[0].getType());
  Block &body = experts.getBody().front();
  Value result = body.getTerminator()->getOperand(0);
  auto node = result.getDefiningOp<onnx::NodeOp>();
  auto part = dyn_cast<RankedTensorType>(result.getType());
  // A slice [1, shape...] without its first dimension has its elements in the same order.
  return whole && whole.hasStaticShape() && whole.getNumElements() > 0 && node &&
         (node.is("Reshape") || node.is("Squeeze")) && part && part.getRank() >= 1 &&
         part.getShape() == whole.getShape().drop_front() &&
         node.getInputs()[0] == body.getArgument(0);
}

bool uoe::isWeightedRows(ExpertsOp experts) {
  return isWeightedTensors(experts) &&
         cast<RankedTensorType>(experts.getSliced()[0].getType()).getRank() == 2;
}
