// Names of values: the model's own where they are still unique, fresh ones for what passes have
// made.
#include "lib/Onnx/Exporter.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

StringRef uoe::stringIn(DictionaryAttr dictionary, StringRef key) {
  auto value = dictionary ? dyn_cast_if_present<StringAttr>(dictionary.get(key)) : StringAttr();
  return value ? value.getValue() : StringRef();
}

/// An initializer's name in the model.
static StringRef modelName(InitializerOp op) {
  StringRef name = stringIn(op.getFields().value_or(DictionaryAttr()), "name");
  return name.empty() ? op.getSymName() : name;
}

/// Every name that the module gives, so that fresh ones differ from all of them.
void Exporter::collectNames() {
  auto collect = [&](Attribute attr) {
    if (attr)
      attr.walk([&](StringAttr string) { taken.insert(string.getValue()); });
  };
  module.walk([&](Operation *op) {
    if (auto init = dyn_cast<InitializerOp>(op))
      taken.insert(modelName(init));
    else if (auto node = dyn_cast<NodeOp>(op)) {
      if (auto fields = node.getFields()) {
        collect(fields->get("result_names"));
        collect(fields->get("graphs"));
      }
    } else if (auto function = dyn_cast<func::FuncOp>(op)) {
      collect(function.getArgAttrsAttr());
      collect(function.getResAttrsAttr());
    }
  });
}

std::string Exporter::fresh(StringRef base) {
  std::string name = base.empty() ? "value" : base.str();
  for (unsigned i = 1; !taken.insert(name).second; ++i)
    name = (base.empty() ? StringRef("value") : base).str() + "_" + std::to_string(i);
  return name;
}

void Exporter::nameValue(Value value, StringRef wanted, Scope &scope) {
  std::string name = wanted.str();
  bool usable = !name.empty() && !scope.names.count(name);
  // A name may hide one from outside, unless that value is used in here.
  if (usable && scope.parent)
    if (Value outer = scope.parent->find(name))
      for (Operation *user : outer.getUsers())
        usable &= !scope.region->isAncestor(user->getParentRegion());
  if (!usable) {
    std::string base = name;
    if (base.empty())
      if (auto node = value.getDefiningOp<NodeOp>()) {
        base = node.nodeName().empty() ? node.getOpType().str() : node.nodeName().str();
        base += "_out" + std::to_string(cast<OpResult>(value).getResultNumber());
      }
    name = fresh(base);
  }
  scope.names[name] = value;
  names[value] = name;
}

LogicalResult Exporter::nameValues(Block &block, InfoAttrs inputs, InfoAttrs outputs, Scope &scope,
                                   proto::GraphProto &graph) {
  scope.region = block.getParent();
  for (auto [i, argument] : llvm::enumerate(block.getArguments()))
    nameValue(argument, i < inputs.size() ? stringIn(inputs[i], "onnx.name") : StringRef(), scope);
  // One initializer may be read by several onnx.weight, here and in subgraphs.
  for (WeightOp weight : block.getOps<WeightOp>()) {
    auto init = SymbolTable::lookupNearestSymbolFrom<InitializerOp>(weight, weight.getNameAttr());
    if (!init)
      return weight.emitError() << "refers to " << weight.getNameAttr()
                                << ", which is no initializer";
    std::string known;
    for (Scope *s = &scope; s && known.empty(); s = s->parent)
      known = s->weights.lookup(weight.getName());
    if (!known.empty()) {
      names[weight.getResult()] = known;
      continue;
    }
    nameValue(weight.getResult(), modelName(init), scope);
    const std::string &name = scope.weights[weight.getName()] = names[weight.getResult()];
    if (failed(exportInitializer(init, name, graph)))
      return failure();
  }
  // An output's name belongs to the value that is returned, if a node of this graph made it; else
  // an Identity does (see exportGraph), or the name is the value's already.
  Operation *last = block.getTerminator();
  for (auto [i, value] : llvm::enumerate(last->getOperands())) {
    StringRef wanted = i < outputs.size() ? stringIn(outputs[i], "onnx.name") : StringRef();
    if (!wanted.empty() && value.getParentBlock() == &block && value.getDefiningOp<NodeOp>() &&
        !names.count(value) && !scope.names.count(wanted))
      nameValue(value, wanted, scope);
  }
  for (NodeOp node : block.getOps<NodeOp>())
    for (OpResult result : node->getResults())
      if (!isa<NoneType>(result.getType()) && !names.count(result))
        nameValue(result, node.resultName(result.getResultNumber()), scope);
  return success();
}
