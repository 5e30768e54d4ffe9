#include "lib/Constants/Runtime.h"

using namespace mlir;
using namespace uoe;

// The runtime numbers its types as ONNX does.
rt::DType uoe::dtypeOf(Type type) {
  return static_cast<rt::DType>(onnx::dataTypeOf(type));
}

RankedTensorType uoe::tensorTypeOf(const rt::Tensor &tensor, MLIRContext *context) {
  Type element = onnx::elementTypeOf(context, static_cast<int>(tensor.dtype()));
  return element ? RankedTensorType::get(tensor.shape(), element) : RankedTensorType();
}

namespace {

// Keeps a weight's bytes, and gives their pages back: a model is in memory once.
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

llvm::Error refuse(const Twine &text) {
  return llvm::createStringError(text.str());
}

} // namespace

llvm::Expected<rt::Tensor> uoe::readTensor(TypedAttr value, WeightReader &weights) {
  auto data = weights.read(value, 16);
  if (!data)
    return data.takeError();
  rt::DType dtype = dtypeOf(data->type.getElementType());
  if (dtype == rt::DType::None || dtype == rt::DType::String ||
      static_cast<int>(dtype) > static_cast<int>(rt::DType::F4E2M1)) {
    std::string text;
    llvm::raw_string_ostream(text) << "has element type " << data->type.getElementType()
                                   << ", which the runtime does not compute with";
    return refuse(text);
  }
  rt::Shape shape(data->type.getShape().begin(), data->type.getShape().end());
  // The runtime never writes into storage that it does not own.
  void *bytes = const_cast<char *>(data->bytes.data());
  return rt::Tensor(dtype, std::move(shape), bytes, std::make_shared<MappedWeight>(*data));
}

llvm::Expected<std::optional<rt::Attribute>> uoe::readAttribute(Attribute value,
                                                                WeightReader &weights) {
  using Result = std::optional<rt::Attribute>;
  if (auto integer = dyn_cast<IntegerAttr>(value))
    return Result(integer.getInt());
  if (auto real = dyn_cast<FloatAttr>(value))
    return Result(static_cast<float>(real.getValueAsDouble()));
  if (auto text = dyn_cast<StringAttr>(value))
    return Result(text.str());
  if (auto ints = dyn_cast<DenseI64ArrayAttr>(value))
    return Result(std::vector<int64_t>(ints.asArrayRef()));
  if (auto floats = dyn_cast<DenseF32ArrayAttr>(value))
    return Result(std::vector<float>(floats.asArrayRef()));
  if (auto array = dyn_cast<ArrayAttr>(value);
      array && llvm::all_of(array, [](Attribute item) { return isa<StringAttr>(item); })) {
    std::vector<std::string> strings;
    for (Attribute item : array)
      strings.push_back(cast<StringAttr>(item).str());
    return Result(std::move(strings));
  }
  // A type or a sparse tensor: the kernels that need one refuse by themselves.
  if (isa<onnx::ProtoAttr>(value))
    return Result();
  if (isa<ElementsAttr, onnx::FileAttr>(value)) {
    auto tensor = readTensor(cast<TypedAttr>(value), weights);
    if (!tensor)
      return tensor.takeError();
    return Result(std::move(*tensor));
  }
  std::string text;
  llvm::raw_string_ostream(text) << "is of a kind that the runtime does not read: " << value;
  return refuse(text);
}

llvm::Expected<std::vector<rt::Value>> uoe::runNode(onnx::NodeOp node, ArrayRef<rt::Value> inputs,
                                                    WeightReader &weights) {
  StringRef domain = node.getDomain() == "ai.onnx" ? StringRef() : node.getDomain();
  rt::Kernel kernel = rt::KernelTable::builtin().find(domain.str(), node.getOpType().str());
  std::string name = "node '" + node.nodeName().str() + "' (" + node.getOpType().str() + ")";
  if (!kernel)
    return refuse(name + ": the runtime has no kernel for it");
  if (!node.getSubgraphs().empty())
    return refuse(name + ": has subgraphs");
  rt::Node step;
  step.name = node.nodeName().str();
  step.domain = domain.str();
  step.op = node.getOpType().str();
  step.version = static_cast<int>(std::max<int64_t>(onnx::opsetOf(node, domain), 1));
  step.outputs = static_cast<int>(node.getNumResults());
  for (Value result : node.getResults())
    step.outputUsed.push_back(!isa<NoneType>(result.getType()));
  for (NamedAttribute named : node.getNodeAttrs()) {
    auto attribute = readAttribute(named.getValue(), weights);
    if (!attribute)
      return refuse(name + ": attribute '" + named.getName().getValue() + "' " +
                    llvm::toString(attribute.takeError()));
    if (*attribute)
      step.attributes[named.getName().str()] = std::move(**attribute);
  }
  std::vector<rt::Value> operands(inputs.begin(), inputs.end()), outputs(step.outputs);
  std::any state;
  rt::KernelCall call{step, {}, outputs, std::vector<bool>(operands.size(), false), state};
  for (rt::Value &operand : operands) {
    step.constants.push_back(operand.kind == rt::Value::Kind::Tensor ? &operand.tensor : nullptr);
    call.inputs.push_back(&operand);
  }
  try {
    kernel(call);
  } catch (const std::exception &problem) {
    return refuse(name + ": " + problem.what());
  }
  return outputs;
}
