#include "lib/Onnx/Operators/Inference.h"
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

std::optional<int64_t> Facts::count() const {
  if (!ranked)
    return std::nullopt;
  int64_t total = 1;
  for (Dim dim : dims) {
    auto size = dim.constant();
    if (!size || *size < 0 || __builtin_mul_overflow(total, *size, &total))
      return std::nullopt;
  }
  return total;
}

Facts uoe::onnx::factsOf(Type type, DimTable &dims) {
  Facts facts;
  auto shaped = dyn_cast<TensorType>(type);
  if (!shaped) {
    if (!isa<AnyType>(type))
      facts.other = type;
    return facts;
  }
  if (!isa<AnyType>(shaped.getElementType()))
    facts.element = shaped.getElementType();
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return facts;
  facts.ranked = true;
  for (auto [axis, size] : llvm::enumerate(ranked.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      facts.dims.push_back(dims.constant(size));
      continue;
    }
    StringRef name = dimName(type, axis);
    facts.dims.push_back(name.empty() ? dims.anonymous() : dims.named(name));
  }
  return facts;
}

Type uoe::onnx::typeOf(const Facts &facts, DimTable &dims, Type otherwise, bool keepNames) {
  if (facts.other)
    return facts.other;
  MLIRContext *context = otherwise.getContext();
  auto declared = dyn_cast<TensorType>(otherwise);
  if (isa<NoneType>(otherwise) || (!facts.element && !facts.ranked))
    return otherwise;
  Type element = facts.element;
  if (!element)
    element = declared ? declared.getElementType() : Type(AnyType::get(context));
  if (!facts.ranked)
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  bool named = false;
  for (auto [axis, dim] : llvm::enumerate(facts.dims)) {
    std::optional<int64_t> size = dim.constant();
    std::string name = size ? "" : dims.name(dim);
    StringRef old = size ? "" : dimName(otherwise, axis);
    // A name that is not part of the declared type may not be ours to choose, one that is none says
    // nothing.
    if (!old.empty() && (keepNames || name.empty()))
      name = old.str();
    // A negative size is a contradiction at run time only; the type can't say it.
    shape.push_back(size && *size >= 0 ? *size : ShapedType::kDynamic);
    names.push_back(StringAttr::get(context, name));
    named |= !name.empty();
  }
  return RankedTensorType::get(shape, element, named ? DimsAttr::get(context, names) : Attribute());
}

std::optional<SmallVector<int64_t>> uoe::onnx::integersOf(Attribute constant) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(constant);
  if (!dense || !dense.getElementType().isInteger() || dense.getNumElements() > kMaxContents)
    return std::nullopt;
  SmallVector<int64_t> values;
  bool isSigned =
      !dense.getElementType().isInteger(1) && !dense.getElementType().isUnsignedInteger();
  for (const APInt &value : dense.getValues<APInt>())
    values.push_back(isSigned ? value.getSExtValue() : static_cast<int64_t>(value.getZExtValue()));
  return values;
}

//===----------------------------------------------------------------------===//
// Inference
//===----------------------------------------------------------------------===//

Inference::Inference(ModuleOp module, bool diagnose) : diagnose(diagnose) {
  for (auto init : module.getOps<InitializerOp>())
    initializers[init.getSymNameAttr()] = init;
}

InitializerOp Inference::initializer(WeightOp weight) {
  return initializers.lookup(weight.getNameAttr().getAttr());
}

TypedAttr Inference::constant(Value value) {
  if (auto weight = value.getDefiningOp<WeightOp>()) {
    InitializerOp init = initializer(weight);
    return init ? dyn_cast<TypedAttr>(init.getValue()) : TypedAttr();
  }
  return constantOf(value);
}

const DimOrigin *Inference::origin(unsigned atom) {
  auto it = origins.find(atom);
  return it == origins.end() ? nullptr : &it->second;
}

const Facts &Inference::facts(Value value) {
  static const Facts nothing;
  if (!value)
    return nothing;
  auto it = known.find(value);
  if (it != known.end())
    return *it->second;
  // Values that were not walked: constants made since, or declared types of unreached code.
  if (Operation *op = value.getDefiningOp(); op && isa<NodeOp, WeightOp, NoneOp>(op)) {
    bool quiet = failed;
    (void)run(op);
    failed = quiet || failed;
    it = known.find(value);
    if (it != known.end())
      return *it->second;
  }
  adopt(value, Facts());
  return *known.find(value)->second;
}

void Inference::set(Value value, Facts facts) {
  recordOrigins(value, facts);
  auto &slot = known[value];
  if (slot)
    *slot = std::move(facts);
  else
    slot = std::make_unique<Facts>(std::move(facts));
}

void Inference::recordOrigins(Value value, const Facts &facts) {
  // Only arguments of functions outlive rewriting.
  auto argument = dyn_cast<BlockArgument>(value);
  bool lasting = argument && isa_and_nonnull<func::FuncOp>(argument.getOwner()->getParentOp());
  for (auto [axis, dim] : llvm::enumerate(facts.dims))
    if (auto atom = dim.atom())
      origins.try_emplace(*atom,
                          DimOrigin{lasting ? argument : Value(), static_cast<int64_t>(axis)});
}

// Inferred facts and the declared type, brought together. The declared type fills in what inference
// leaves open; where both say something and differ, inference is right.
void Inference::adopt(Value value, Facts inferred, bool trustDeclared) {
  Facts declared = factsOf(value.getType(), dims);
  auto warn = [&](const llvm::Twine &what) {
    Operation *op = value.getDefiningOp();
    if (!diagnose || !op)
      return;
    auto node = dyn_cast<NodeOp>(op);
    op->emitWarning() << (node ? node.getOpType() : op->getName().getStringRef()) << " \""
                      << (node ? node.nodeName() : StringRef()) << "\" declares "
                      << dropDims(value.getType()) << " where " << what.str() << " is inferred";
  };
  if (inferred.other) {
    set(value, std::move(inferred));
    return;
  }
  if (declared.other && !inferred.ranked && !inferred.element) {
    set(value, std::move(declared));
    return;
  }
  if (!inferred.element)
    inferred.element = declared.element;
  else if (declared.element && declared.element != inferred.element) {
    std::string text;
    llvm::raw_string_ostream(text) << "element type " << inferred.element;
    warn(text);
  }
  if (declared.ranked && !inferred.ranked) {
    inferred.ranked = true;
    inferred.dims = declared.dims;
    if (!trustDeclared)
      for (Dim &dim : inferred.dims)
        dim = dims.anonymous();
  } else if (declared.ranked && declared.rank() != inferred.rank()) {
    warn("rank " + llvm::Twine(inferred.rank()));
  } else if (declared.ranked && trustDeclared) {
    for (auto [axis, dim] : llvm::enumerate(inferred.dims)) {
      Dim said = declared.dims[axis];
      auto a = dim.constant(), b = said.constant();
      if (a && b && *a != *b)
        warn("size " + llvm::Twine(*a) + " of axis " + llvm::Twine(axis));
      // What inference can't express, the exporter's own analysis may have known.
      auto atom = dim.atom();
      if (atom && dims.atom(*atom).kind == DimAtom::Anonymous &&
          (b || !dimName(value.getType(), axis).empty()) && !origins.count(*atom))
        dim = said;
      // So may it where ours is an expression for what is an argument's size there: "Max(0, s - 1)
      // + 1" is s unless s is 0, and exporters know that it is not.
      auto named = [&](std::optional<unsigned> symbol) {
        return symbol && dims.atom(*symbol).kind == DimAtom::Named;
      };
      auto symbol = said.atom();
      auto source = symbol ? origins.find(*symbol) : origins.end();
      if (!a && !named(atom) && named(symbol) && source != origins.end() && source->second.value &&
          !(atom && origins.count(*atom)))
        dim = said;
    }
  }
  if (inferred.contents) {
    auto count = inferred.count();
    if (!count || *count != static_cast<int64_t>(inferred.contents->size()))
      inferred.contents.reset();
  }
  // What stands in a branch may never be computed.
  if (isa<func::FuncOp>(value.getParentBlock()->getParentOp()))
    for (Dim dim : inferred.dims)
      dims.noteSize(dim);
  set(value, std::move(inferred));
}

const SmallVector<Dim> *Inference::contents(Value value) {
  if (!value)
    return nullptr;
  facts(value);
  Facts &entry = *known.find(value)->second;
  if (entry.contents)
    return &*entry.contents;
  auto count = entry.count();
  if (!entry.element || !entry.element.isInteger() || !count || *count > kMaxContents)
    return nullptr;
  entry.contents.emplace();
  for (int64_t i = 0; i < *count; ++i) {
    Dim element = dims.anonymous(/*nonNegative=*/entry.element.isInteger(1) ||
                                 entry.element.isUnsignedInteger());
    origins[*element.atom()] = {};
    entry.contents->push_back(element);
  }
  return &*entry.contents;
}

LogicalResult Inference::run(func::FuncOp function) {
  if (function.isExternal())
    return success();
  for (BlockArgument argument : function.getArguments())
    adopt(argument, Facts());
  return run(function.getBody().front());
}

LogicalResult Inference::run(Block &block) {
  for (Operation &op : block)
    if (mlir::failed(run(&op)))
      failed = true;
  return failure(failed);
}

LogicalResult Inference::run(Operation *op) {
  if (auto weight = dyn_cast<WeightOp>(op)) {
    Facts facts = factsOf(weight.getType(), dims);
    InitializerOp init = initializer(weight);
    if (auto values = integersOf(init ? init.getValue() : Attribute())) {
      facts.contents.emplace();
      for (int64_t value : *values)
        facts.contents->push_back(dims.constant(value));
    }
    set(weight, std::move(facts));
    return success();
  }
  auto node = dyn_cast<NodeOp>(op);
  if (!node) {
    for (Value result : op->getResults())
      adopt(result, Facts());
    return success();
  }
  NodeContext context(*this, node);
  const OperatorEntry *entry = OperatorTable::builtin().find(node.getDomain(), node.getOpType());
  LogicalResult status = success();
  if (entry && entry->infer && node.getNumResults() > 0) {
    status = entry->infer(context);
    if (mlir::failed(status))
      context.outputs.assign(node.getNumResults(), Facts());
  } else {
    // Subgraphs of operators we don't know: their arguments are what the model declares.
    for (Region &region : node.getSubgraphs()) {
      for (BlockArgument argument : region.getArguments())
        adopt(argument, Facts(), /*trustDeclared=*/false);
      status = run(region.front());
    }
  }
  for (auto [result, facts] : llvm::zip(node.getResults(), context.outputs))
    adopt(result, std::move(facts));
  return status;
}

//===----------------------------------------------------------------------===//
// NodeContext
//===----------------------------------------------------------------------===//

NodeContext::NodeContext(Inference &analysis, NodeOp node)
    : analysis(analysis), node(node), dims(analysis.dims), version(opsetOf(node, node.getDomain())),
      outputs(node.getNumResults()) {}

const Facts &NodeContext::in(unsigned i) {
  static const Facts nothing;
  Value value = node.input(i);
  return value ? analysis.facts(value) : nothing;
}

Dim NodeContext::size(unsigned i, int64_t axis) {
  const Facts &facts = in(i);
  if (axis < 0)
    axis += facts.rank();
  return facts.ranked && axis >= 0 && axis < facts.rank() ? facts.dims[axis] : unknown();
}

const SmallVector<Dim> *NodeContext::contents(unsigned i) {
  Value value = node.input(i);
  return value ? analysis.contents(value) : nullptr;
}

std::optional<SmallVector<int64_t>> NodeContext::integers(unsigned i) {
  const auto *elements = contents(i);
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> values;
  for (Dim dim : *elements) {
    auto value = dim.constant();
    if (!value)
      return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<SmallVector<int64_t>> NodeContext::list(StringRef attribute) {
  if (auto array = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute(attribute)))
    return SmallVector<int64_t>(array.asArrayRef());
  return std::nullopt;
}

std::optional<SmallVector<int64_t>> NodeContext::integers(StringRef attribute, unsigned i,
                                                          bool &known) {
  known = true;
  if (auto values = list(attribute))
    return values;
  if (!has(i))
    return std::nullopt;
  auto values = integers(i);
  known = values.has_value();
  return values;
}

std::optional<SmallVector<double>> NodeContext::reals(unsigned i) {
  Value value = node.input(i);
  auto dense =
      value ? dyn_cast_or_null<DenseElementsAttr>(analysis.constant(value)) : DenseElementsAttr();
  if (!dense || !isa<FloatType>(dense.getElementType()) || dense.getNumElements() > kMaxContents)
    return std::nullopt;
  SmallVector<double> result;
  for (APFloat element : dense.getValues<APFloat>()) {
    bool lost;
    element.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
    result.push_back(element.convertToDouble());
  }
  return result;
}

void NodeContext::set(unsigned i, Type element, ArrayRef<Dim> shape) {
  if (i >= results())
    return;
  out(i).element = element;
  out(i).ranked = true;
  out(i).dims.assign(shape.begin(), shape.end());
}

void NodeContext::setElement(unsigned i, Type element) {
  if (i < results())
    out(i).element = element;
}

void NodeContext::setRank(unsigned i, Type element, int64_t rank) {
  SmallVector<Dim> shape;
  for (int64_t axis = 0; axis < rank; ++axis)
    shape.push_back(unknown());
  set(i, element, shape);
}

void NodeContext::setLike(unsigned i, unsigned j) {
  setLike(i, j, in(j).element);
}

void NodeContext::setLike(unsigned i, unsigned j, Type element) {
  if (in(j).ranked)
    set(i, element, in(j).dims);
  else
    setElement(i, element);
}

Type NodeContext::elementOf(int64_t dataType) {
  return elementTypeOf(node.getContext(), static_cast<int>(dataType));
}

FailureOr<int64_t> NodeContext::axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return fail("needs an axis in [" + llvm::Twine(-rank) + ", " + llvm::Twine(rank) + "), found " +
                llvm::Twine(axis));
  return axis < 0 ? axis + rank : axis;
}

LogicalResult NodeContext::fail(const llvm::Twine &message) {
  if (!analysis.diagnose)
    return failure();
  InFlightDiagnostic diagnostic = node.emitError();
  diagnostic << node.getOpType() << " \"" << node.nodeName() << "\" " << message.str();
  for (auto [i, operand] : llvm::enumerate(node.getInputs()))
    if (!isa<NoneType>(operand.getType()))
      diagnostic.attachNote() << "operand " << i << " is " << describe(analysis.facts(operand));
  return diagnostic;
}

std::string NodeContext::describe(const Facts &facts) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (facts.other) {
    os << facts.other;
    return text;
  }
  if (facts.element)
    os << facts.element;
  else
    os << "?";
  if (!facts.ranked)
    return text + "[*]";
  os << '[';
  llvm::interleave(
      facts.dims, os,
      [&](Dim dim) {
        if (auto value = dim.constant())
          os << *value;
        else if (std::string name = dims.name(dim); !name.empty())
          os << name;
        else
          os << '?';
      },
      ", ");
  os << ']';
  return text;
}

LogicalResult NodeContext::broadcast(ArrayRef<Dim> a, ArrayRef<Dim> b,
                                     SmallVectorImpl<Dim> &result) {
  SmallVector<Dim> made;
  size_t rank = std::max(a.size(), b.size());
  for (size_t i = 0; i < rank; ++i) {
    Dim x = i + a.size() >= rank ? a[i + a.size() - rank] : dim(1);
    Dim y = i + b.size() >= rank ? b[i + b.size() - rank] : dim(1);
    Dim size = dims.broadcast(x, y);
    if (!size) {
      Facts left, right;
      left.ranked = right.ranked = true;
      left.dims.assign(a.begin(), a.end());
      right.dims.assign(b.begin(), b.end());
      return fail("needs shapes that broadcast, found " + describe(left).substr(1) + " and " +
                  describe(right).substr(1));
    }
    made.push_back(size);
  }
  result.assign(made.begin(), made.end());
  return success();
}

LogicalResult NodeContext::broadcastOperands(unsigned first, unsigned last, Type element) {
  SmallVector<Dim> shape;
  setElement(0, element);
  for (unsigned i = first; i < last; ++i)
    if (!ranked(i))
      return success();
  for (unsigned i = first; i < last; ++i)
    if (failed(broadcast(shape, in(i).dims, shape)))
      return failure();
  set(0, element, shape);
  return success();
}
