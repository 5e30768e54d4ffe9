#include "lib/Execution/Translate.h"
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"

using namespace mlir;
using namespace uoe;

// The runtime numbers its types as ONNX does.
rt::DType uoe::dtypeOf(Type type) {
  return static_cast<rt::DType>(onnx::dataTypeOf(type));
}

namespace {

// Keeps a weight's bytes; when the last tensor over them goes, say after packing, so do their
// pages: a model is in memory once.
struct MappedWeight {
  explicit MappedWeight(const WeightData &data)
      : owner(data.owner), file(data.file), offset(data.offset), length(data.bytes.size()) {}
  ~MappedWeight() {
    if (file)
      file->advise(offset, length, MappedFile::Advice::DontNeed);
  }
  std::shared_ptr<const void> owner;
  std::shared_ptr<const MappedFile> file;
  uint64_t offset, length;
};

class Translator {
public:
  Translator(WeightReader &weights, Operation *root) : weights(weights), symbols(root) {}

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

  FailureOr<rt::Tensor> tensor(Operation *op, TypedAttr value) {
    auto data = weights.read(value, 16);
    if (!data)
      return op->emitError("cannot read the constant: ") << llvm::toString(data.takeError());
    rt::DType dtype = dtypeOf(data->type.getElementType());
    if (dtype == rt::DType::None || dtype == rt::DType::String)
      return op->emitError("has a constant of element type ")
             << data->type.getElementType() << ", which the runtime does not compute with";
    rt::Shape shape(data->type.getShape().begin(), data->type.getShape().end());
    // The runtime never writes into storage that it does not own.
    void *bytes = const_cast<char *>(data->bytes.data());
    return rt::Tensor(dtype, std::move(shape), bytes, std::make_shared<MappedWeight>(*data));
  }

  LogicalResult constant(Scope &scope, onnx::WeightOp weight) {
    auto init = symbols.lookupNearestSymbolFrom<onnx::InitializerOp>(weight, weight.getNameAttr());
    auto value = init ? dyn_cast<TypedAttr>(init.getValue()) : TypedAttr();
    if (!value)
      return weight.emitOpError("refers to an initializer without a value the runtime can read");
    FailureOr<rt::Tensor> loaded = tensor(weight, value);
    if (failed(loaded))
      return failure();
    scope.program->constants.emplace_back(define(scope, weight.getResult()), *loaded);
    return success();
  }

  LogicalResult attribute(rtir::CallOp call, NamedAttribute named, rt::Node &node) {
    std::string name = named.getName().str();
    Attribute value = named.getValue();
    rt::Attribute out;
    if (auto integer = dyn_cast<IntegerAttr>(value)) {
      out = integer.getInt();
    } else if (auto real = dyn_cast<FloatAttr>(value)) {
      out = static_cast<float>(real.getValueAsDouble());
    } else if (auto text = dyn_cast<StringAttr>(value)) {
      out = text.str();
    } else if (auto ints = dyn_cast<DenseI64ArrayAttr>(value)) {
      out = std::vector<int64_t>(ints.asArrayRef());
    } else if (auto floats = dyn_cast<DenseF32ArrayAttr>(value)) {
      out = std::vector<float>(floats.asArrayRef());
    } else if (auto array = dyn_cast<ArrayAttr>(value);
               array && llvm::all_of(array, [](Attribute a) { return isa<StringAttr>(a); })) {
      std::vector<std::string> strings;
      for (Attribute item : array)
        strings.push_back(cast<StringAttr>(item).str());
      out = std::move(strings);
    } else if (isa<ElementsAttr, onnx::FileAttr>(value)) {
      FailureOr<rt::Tensor> loaded = tensor(call, cast<TypedAttr>(value));
      if (failed(loaded))
        return failure();
      out = *loaded;
    } else if (isa<onnx::ProtoAttr>(value)) {
      return success(); // a type or a sparse tensor: the kernels that need one refuse by themselves
    } else {
      return call.emitOpError("has attribute '")
             << name << "' of a kind that the runtime does not read: " << value;
    }
    node.attributes[name] = std::move(out);
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
    for (NamedAttribute named : call.getParams())
      if (failed(attribute(call, named, step.node)))
        return failure();
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

  // A probe has no result; it becomes an entry whose output keeps it alive.
  LogicalResult step(Scope &scope, ProbeOp probe) {
    rt::Program::Step step;
    step.node.name = probe.getName().str();
    step.node.domain = "uoe";
    step.node.op = kProbeEntry;
    step.node.version = 1;
    step.node.outputs = 1;
    step.node.attributes["name"] = probe.getName().str();
    step.inputs.push_back(slotOf(scope, probe.getInput()));
    int slot = scope.program->slots++;
    step.outputs.push_back(slot);
    probeSlots.push_back(slot);
    scope.program->steps.push_back(std::move(step));
    return success();
  }

public:
  std::vector<int> probeSlots;

private:
  WeightReader &weights;
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

FailureOr<std::shared_ptr<rt::Program>> uoe::translateToProgram(func::FuncOp function,
                                                                WeightReader &weights) {
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
  Translator translator(weights, function->getParentOfType<ModuleOp>());
  auto program = translator.block(function.getBody().front(), inputs, outputs);
  if (failed(program))
    return failure();
  for (int slot : translator.probeSlots) {
    (*program)->outputSlots.push_back(slot);
    (*program)->outputNames.push_back("");
  }
  return program;
}
