#include "passes/raise/Graph.h"
#include "lib/Onnx/Operators/Table.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/ScopedHashTable.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

bool raise::isOutput(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); });
}

int64_t Graph::opset(Operation *at) {
  return opsetOf(at);
}

/// Nodes of the model have unique names. A node that rewriting makes is only said to come from one;
/// it takes the name over when it replaces the node (Graph::replace).
static Location derived(Location loc) {
  MLIRContext *context = loc.getContext();
  if (isa<FusedLoc>(loc) || isa<UnknownLoc>(loc))
    return loc;
  return FusedLoc::get({loc}, StringAttr::get(context, "derived"), context);
}

NodeOp Graph::create(Operation *at, StringRef op, ValueRange operands,
                     ArrayRef<NamedAttribute> attributes, StringRef domain, unsigned results) {
  OpBuilder builder(at);
  SmallVector<Type> types(results, AnyType::get(at->getContext()));
  auto node =
      NodeOp::create(builder, derived(at->getLoc()), types, op, operands, attributes, domain);
  (void)facts.run(node.getOperation());
  for (Value result : node.getResults())
    result.setType(typeOf(facts.facts(result), facts.dims, result.getType()));
  return node;
}

Value Graph::none(Operation *at) {
  OpBuilder builder(at);
  return NoneOp::create(builder, derived(at->getLoc()), builder.getNoneType());
}

Value Graph::constant(Operation *at, TypedAttr value) {
  OpBuilder builder(at);
  auto node = NodeOp::create(builder, derived(at->getLoc()), TypeRange{value.getType()}, "Constant",
                             ValueRange{}, {builder.getNamedAttr("value", value)});
  (void)facts.run(node.getOperation());
  return node.getResult(0);
}

Value Graph::integers(Operation *at, ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())},
                                    IntegerType::get(at->getContext(), 64));
  return constant(at, DenseElementsAttr::get(type, values));
}

Value Graph::integer(Operation *at, int64_t value) {
  auto type = RankedTensorType::get({}, IntegerType::get(at->getContext(), 64));
  return constant(at, DenseElementsAttr::get(type, value));
}

Value Graph::scalar(Operation *at, Type element, double value) {
  auto attr = FloatAttr::get(element, value);
  return constant(at, DenseElementsAttr::get(RankedTensorType::get({}, element), attr.getValue()));
}

NamedAttribute Graph::named(StringRef name, Attribute value) {
  return NamedAttribute(StringAttr::get(module.getContext(), name), value);
}
NamedAttribute Graph::attribute(StringRef name, Attribute value) {
  return named(name, value);
}
NamedAttribute Graph::attribute(StringRef name, int64_t value) {
  return named(name, IntegerAttr::get(IntegerType::get(module.getContext(), 64), value));
}
NamedAttribute Graph::attribute(StringRef name, double value) {
  return named(name, FloatAttr::get(Float32Type::get(module.getContext()), value));
}
NamedAttribute Graph::attribute(StringRef name, ArrayRef<int64_t> values) {
  return named(name, DenseI64ArrayAttr::get(module.getContext(), values));
}
NamedAttribute Graph::attribute(StringRef name, StringRef value) {
  return named(name, StringAttr::get(module.getContext(), value));
}

static void setResultName(OpResult result, StringRef name) {
  auto node = cast<NodeOp>(result.getOwner());
  MLIRContext *context = node.getContext();
  NamedAttrList fields(node.getFields().value_or(DictionaryAttr::get(context)));
  SmallVector<Attribute> names;
  for (unsigned i = 0; i < node.getNumResults(); ++i)
    names.push_back(
        StringAttr::get(context, i == result.getResultNumber() ? name : node.resultName(i)));
  fields.set("result_names", ArrayAttr::get(context, names));
  node.setFieldsAttr(fields.getDictionary(context));
}

static StringRef resultName(Value value) {
  auto result = dyn_cast<OpResult>(value);
  auto node = result ? dyn_cast<NodeOp>(result.getOwner()) : NodeOp();
  return node ? node.resultName(result.getResultNumber()) : StringRef();
}

bool Graph::replace(Value old, Value by) {
  assert(old != by && "a value can't replace itself");
  if (isOutput(old)) {
    StringRef name = resultName(old);
    auto result = dyn_cast<OpResult>(by);
    auto node = result ? dyn_cast<NodeOp>(result.getOwner()) : NodeOp();
    // A name or type of dimensions that the model declares for the output stays with it.
    bool taken = !node || isOutput(by) || node->getBlock() != old.getParentBlock();
    if (taken) {
      auto owner = old.getDefiningOp<NodeOp>();
      if (owner && owner.is("Identity") && owner.input(0) == by)
        return false;
      Operation *after = old.getDefiningOp();
      OpBuilder builder(after->getContext());
      builder.setInsertionPointAfter(after);
      auto identity = NodeOp::create(builder, derived(after->getLoc()), TypeRange{old.getType()},
                                     "Identity", ValueRange{by});
      facts.set(identity.getResult(0), facts.facts(by));
      if (!name.empty())
        setResultName(identity->getResult(0), name);
      old.replaceUsesWithIf(identity.getResult(0),
                            [&](OpOperand &use) { return isa<func::ReturnOp>(use.getOwner()); });
    } else {
      if (!name.empty())
        setResultName(result, name);
      // The function's result type names the output's dimensions.
      by.setType(old.getType());
      facts.contents(by);
    }
  }
  old.replaceAllUsesWith(by);
  Operation *from = old.getDefiningOp(), *to = by.getDefiningOp();
  if (from && to && from->use_empty() && isa<FusedLoc>(to->getLoc()) &&
      from->getParentOp() == to->getParentOp())
    to->setLoc(from->getLoc());
  return true;
}

void Graph::setAttribute(NodeOp node, StringRef name, Attribute value) {
  NamedAttrList list(node.getNodeAttrs());
  if (value)
    list.set(name, value);
  else
    list.erase(name);
  node.setNodeAttrsAttr(list.getDictionary(node.getContext()));
}

std::optional<int64_t> Graph::size(Value value, int64_t axis) {
  const Facts &known = facts.facts(value);
  if (axis < 0)
    axis += known.rank();
  if (!known.ranked || axis < 0 || axis >= known.rank())
    return std::nullopt;
  return known.dims[axis].constant();
}

int64_t Graph::rank(Value value) {
  const Facts &known = facts.facts(value);
  return known.ranked ? known.rank() : -1;
}

bool Graph::sameShape(Value a, Value b) {
  const Facts &x = facts.facts(a), &y = facts.facts(b);
  return x.ranked && y.ranked && llvm::equal(x.dims, y.dims);
}

std::optional<SmallVector<int64_t>> Graph::integersOf(Value value) {
  const auto *contents = value ? facts.contents(value) : nullptr;
  if (!contents)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (Dim dim : *contents) {
    auto constant = dim.constant();
    if (!constant)
      return std::nullopt;
    result.push_back(*constant);
  }
  return result;
}

std::optional<double> Graph::scalarOf(Value value) {
  auto dense =
      value ? dyn_cast_or_null<DenseElementsAttr>(facts.constant(value)) : DenseElementsAttr();
  if (!dense || dense.getNumElements() == 0 || (dense.getNumElements() > 1 && !dense.isSplat()))
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType())) {
    APFloat element = *dense.value_begin<APFloat>();
    bool lost;
    element.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
    return element.convertToDouble();
  }
  if (!dense.getElementType().isInteger())
    return std::nullopt;
  APInt element = *dense.value_begin<APInt>();
  return dense.getElementType().isUnsignedInteger() || dense.getElementType().isInteger(1)
             ? static_cast<double>(element.getZExtValue())
             : static_cast<double>(element.getSExtValue());
}

//===----------------------------------------------------------------------===//
// Clean-up
//===----------------------------------------------------------------------===//

static int64_t removeUnusedIn(Block &block) {
  int64_t removed = 0;
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (isa<NodeOp, WeightOp, NoneOp>(op) && op.use_empty()) {
      op.erase();
      ++removed;
      continue;
    }
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        removed += removeUnusedIn(inner);
  }
  return removed;
}

int64_t raise::removeUnused(func::FuncOp function) {
  return function.isExternal() ? 0 : removeUnusedIn(function.getBody().front());
}

void raise::removeUnusedInitializers(ModuleOp module) {
  DenseSet<StringAttr> used;
  auto collect = [&](Attribute attribute) {
    attribute.walk([&](FlatSymbolRefAttr symbol) { used.insert(symbol.getAttr()); });
  };
  SmallVector<InitializerOp> all(module.getOps<InitializerOp>());
  DenseSet<StringAttr> inputNames;
  for (auto function : module.getOps<func::FuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (auto name = function.getArgAttrOfType<StringAttr>(i, "onnx.name"))
        inputNames.insert(name);
  module.walk([&](Operation *op) {
    if (auto weight = dyn_cast<WeightOp>(op))
      used.insert(weight.getNameAttr().getAttr());
    else if (!isa<NodeOp, InitializerOp>(op))
      collect(op->getAttrDictionary());
  });
  for (InitializerOp init : all) {
    auto fields = init.getFields();
    auto name = fields ? fields->getAs<StringAttr>("name") : StringAttr();
    bool isDefault = inputNames.contains(name ? name : init.getSymNameAttr());
    if (!used.contains(init.getSymNameAttr()) && !isDefault)
      init.erase();
  }
}

bool raise::isRepeatable(NodeOp node) {
  const OperatorEntry *entry = OperatorTable::builtin().find(node.getDomain(), node.getOpType());
  return node.getSubgraphs().empty() && entry && entry->deterministic;
}

namespace {
/// A node's identity but for names and places.
struct NodeKeyInfo : DenseMapInfo<Operation *> {
  static bool shareable(Operation *op) {
    if (isa<WeightOp, NoneOp>(op))
      return true;
    auto node = dyn_cast<NodeOp>(op);
    return node && isRepeatable(node);
  }
  static unsigned getHashValue(const Operation *constOp) {
    auto *op = const_cast<Operation *>(constOp);
    if (auto node = dyn_cast<NodeOp>(op))
      return llvm::hash_combine(
          node.getOpTypeAttr(), node.getDomainAttr(), node.getNodeAttrsAttr(),
          llvm::hash_combine_range(node->operand_begin(), node->operand_end()));
    if (auto weight = dyn_cast<WeightOp>(op))
      return llvm::hash_combine(weight.getNameAttr());
    return 0;
  }
  static bool isEqual(const Operation *a, const Operation *b) {
    if (a == b)
      return true;
    if (a == getEmptyKey() || b == getEmptyKey() || a == getTombstoneKey() ||
        b == getTombstoneKey())
      return false;
    auto *x = const_cast<Operation *>(a), *y = const_cast<Operation *>(b);
    if (x->getName() != y->getName())
      return false;
    if (auto node = dyn_cast<NodeOp>(x)) {
      auto other = cast<NodeOp>(y);
      if (node.getOpTypeAttr() != other.getOpTypeAttr() ||
          node.getDomainAttr() != other.getDomainAttr() ||
          node.getNodeAttrsAttr() != other.getNodeAttrsAttr() ||
          node.getNumResults() != other.getNumResults() ||
          !llvm::equal(node->getOperands(), other->getOperands()))
        return false;
      for (auto [r, s] : llvm::zip(node.getResults(), other.getResults()))
        if (isa<NoneType>(r.getType()) != isa<NoneType>(s.getType()))
          return false;
      return true;
    }
    if (auto weight = dyn_cast<WeightOp>(x))
      return weight.getNameAttr() == cast<WeightOp>(y).getNameAttr();
    return true;
  }
};
using Scoped = llvm::ScopedHashTable<Operation *, Operation *, NodeKeyInfo>;
} // namespace

static int64_t shareIn(Block &block, Scoped &seen, Graph &graph) {
  Scoped::ScopeTy scope(seen);
  int64_t removed = 0;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        removed += shareIn(inner, seen, graph);
    if (!NodeKeyInfo::shareable(&op))
      continue;
    if (Operation *same = seen.lookup(&op)) {
      for (auto [result, earlier] : llvm::zip(op.getResults(), same->getResults()))
        graph.replace(result, earlier);
      op.erase();
      ++removed;
      continue;
    }
    seen.insert(&op, &op);
  }
  return removed;
}

int64_t raise::shareEqualNodes(func::FuncOp function, Graph &graph) {
  Scoped seen;
  return function.isExternal() ? 0 : shareIn(function.getBody().front(), seen, graph);
}
