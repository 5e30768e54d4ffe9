#include "lib/Execution/Translate.h"
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"

using namespace mlir;
using namespace uoe;

namespace {

class Translator {
public:
  Translator(WeightReader &weights, const codegen::HostKernels &generated, Operation *root)
      : weights(weights), generated(generated), symbols(root) {}

  FailureOr<std::shared_ptr<rt::Program>> block(Block &body, ArrayRef<std::string> inputNames,
                                                ArrayRef<std::string> outputNames) {
    Scope scope;
    scope.program = std::make_shared<rt::Program>();
    scope.outer = current;
    scope.body = &body;
    current = &scope;
    LogicalResult ok = fill(scope, body, inputNames, outputNames);
    current = scope.outer;
    if (failed(ok))
      return failure();
    return scope.program;
  }

private:
  struct Scope {
    std::shared_ptr<rt::Program> program;
    DenseMap<Value, int> slots;
    Scope *outer = nullptr;
    Block *body = nullptr;
  };

  int define(Scope &scope, Value value) {
    int slot = scope.program->slots++;
    scope.slots[value] = slot;
    return slot;
  }

  // The slot of a value in the scope, captured from the enclosing scopes if it is not of this one.
  int slotOf(Scope &scope, Value value) {
    if (isa<NoneType>(value.getType()))
      return -1;
    auto known = scope.slots.find(value);
    if (known != scope.slots.end())
      return known->second;
    assert(scope.outer && "use before definition passes no verifier");
    int there = slotOf(*scope.outer, value);
    int here = define(scope, value);
    scope.program->captures.emplace_back(here, there);
    return here;
  }

  LogicalResult fill(Scope &scope, Block &body, ArrayRef<std::string> inputNames,
                     ArrayRef<std::string> outputNames) {
    rt::Program &program = *scope.program;
    for (BlockArgument argument : body.getArguments()) {
      program.inputSlots.push_back(define(scope, argument));
      unsigned i = argument.getArgNumber();
      program.inputNames.push_back(i < inputNames.size() ? inputNames[i] : "");
    }
    for (Operation &op : body.without_terminator()) {
      LogicalResult ok =
          llvm::TypeSwitch<Operation *, LogicalResult>(&op)
              .Case([&](onnx::NoneOp) { return success(); })
              .Case([&](onnx::WeightOp weight) { return constant(scope, weight); })
              .Case([&](rtir::CallOp call) { return step(scope, call); })
              .Case([&](rtir::ElementwiseOp group) { return step(scope, group); })
              .Case([&](ProbeOp probe) { return step(scope, probe); })
              .Default([](Operation *other) {
                return other->emitOpError("is not part of a runtime program; run pass "
                                          "lower-to-rt first");
              });
      if (failed(ok))
        return failure();
    }
    for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
      program.outputSlots.push_back(slotOf(scope, value));
      program.outputNames.push_back(i < outputNames.size() ? outputNames[i] : "");
    }
    return success();
  }

  LogicalResult constant(Scope &scope, onnx::WeightOp weight) {
    auto init = symbols.lookupNearestSymbolFrom<onnx::InitializerOp>(weight, weight.getNameAttr());
    auto value = init ? dyn_cast<TypedAttr>(init.getValue()) : TypedAttr();
    if (!value)
      return weight.emitOpError("refers to an initializer without a value the runtime can read");
    llvm::Expected<rt::Tensor> loaded = readTensor(value, weights);
    if (!loaded)
      return weight.emitOpError("cannot be read: ") << llvm::toString(loaded.takeError());
    scope.program->constants.emplace_back(define(scope, weight.getResult()), *loaded);
    return success();
  }

  static std::string nodeName(Operation *op) {
    auto named = dyn_cast<NameLoc>(op->getLoc());
    return named ? named.getName().str() : std::string();
  }

  LogicalResult step(Scope &scope, rtir::CallOp call) {
    rt::Program::Step step;
    step.node.name = nodeName(call);
    step.node.domain = call.getDomain().str();
    step.node.op = call.getEntry().str();
    step.node.version = static_cast<int>(call.getVersion());
    step.node.outputs = static_cast<int>(call.getNumResults());
    for (Value operand : call.getOperands())
      step.inputs.push_back(slotOf(scope, operand));
    for (NamedAttribute named : call.getParams()) {
      auto attribute = readAttribute(named.getValue(), weights);
      if (!attribute)
        return call.emitOpError("has attribute '") << named.getName().getValue() << "', which "
                                                   << llvm::toString(attribute.takeError());
      if (*attribute)
        step.node.attributes[named.getName().str()] = std::move(**attribute);
    }
    for (auto [i, region] : llvm::enumerate(call.getSubprograms())) {
      auto inner = block(region.front(), {}, {});
      if (failed(inner))
        return failure();
      step.node.attributes[cast<StringAttr>((*call.getRegionNames())[i]).str()] =
          std::shared_ptr<const rt::Program>(*inner);
    }
    for (Value result : call.getResults())
      step.outputs.push_back(
          isa<NoneType>(result.getType()) || result.use_empty() ? -1 : define(scope, result));
    scope.program->steps.push_back(std::move(step));
    return success();
  }

  LogicalResult step(Scope &scope, rtir::ElementwiseOp group) {
    rt::Program::Step step;
    step.node.name = nodeName(group);
    step.node.domain = "uoe";
    step.node.op = "Elementwise";
    step.node.version = 1;
    step.node.outputs = static_cast<int>(group.getNumResults());
    step.node.generated = generated.kernels.lookup(group);
    if (!step.node.generated)
      return group.emitOpError("has no generated kernel");
    step.node.attributes["rank"] = cast<RankedTensorType>(group.getResult(0).getType()).getRank();
    for (Value operand : group.getOperands())
      step.inputs.push_back(slotOf(scope, operand));
    for (Value result : group.getResults())
      step.outputs.push_back(define(scope, result));
    scope.program->steps.push_back(std::move(step));
    return success();
  }

  LogicalResult step(Scope &scope, ProbeOp probe) {
    rt::Program::Step step;
    step.keep = true;
    step.node.name = probe.getName().str();
    step.node.domain = "uoe";
    step.node.op = kProbeEntry;
    step.node.version = 1;
    step.node.outputs = 1;
    step.node.attributes["name"] = probe.getName().str();
    step.inputs.push_back(slotOf(scope, probe.getInput()));
    step.outputs.push_back(-1);
    scope.program->steps.push_back(std::move(step));
    return success();
  }

private:
  WeightReader &weights;
  const codegen::HostKernels &generated;
  struct Symbols {
    explicit Symbols(Operation *root) {
      if (auto module = dyn_cast<ModuleOp>(root))
        for (auto init : module.getOps<onnx::InitializerOp>())
          table[init.getSymNameAttr()] = init;
    }
    template <typename T> T lookupNearestSymbolFrom(Operation *, FlatSymbolRefAttr name) {
      return table.lookup(name.getAttr());
    }
    DenseMap<StringAttr, onnx::InitializerOp> table;
  } symbols;
  Scope *current = nullptr;
};

} // namespace

FailureOr<std::shared_ptr<rt::Program>>
uoe::translateToProgram(func::FuncOp function, WeightReader &weights,
                        const codegen::HostKernels &generated) {
  if (!function.getBody().hasOneBlock())
    return function.emitOpError("needs a body of one block to run");
  std::vector<std::string> inputs, outputs;
  auto name = [](DictionaryAttr attrs) {
    auto text = attrs ? attrs.getAs<StringAttr>("onnx.name") : StringAttr();
    return text ? text.str() : std::string();
  };
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    inputs.push_back(name(function.getArgAttrDict(i)));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    outputs.push_back(name(function.getResultAttrDict(i)));
  Translator translator(weights, generated, function->getParentOfType<ModuleOp>());
  return translator.block(function.getBody().front(), inputs, outputs);
}
