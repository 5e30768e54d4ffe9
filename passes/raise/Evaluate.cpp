#include "passes/raise/Evaluate.h"
#include "lib/Onnx/Operators/Table.h"
#include "runtime/core/Kernel.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

static std::optional<rt::Tensor> tensorOf(TypedAttr value, WeightReader &weights, uint64_t limit) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  auto bytes = type ? bytesOf(type) : std::nullopt;
  if (!bytes || *bytes > limit || isa<StringType>(type.getElementType()))
    return std::nullopt;
  auto data = weights.read(value, 16);
  if (!data) {
    llvm::consumeError(data.takeError());
    return std::nullopt;
  }
  rt::Shape shape(type.getShape().begin(), type.getShape().end());
  auto dtype = static_cast<rt::DType>(dataTypeOf(type.getElementType()));
  if (dtype == rt::DType::None || static_cast<int>(dtype) > static_cast<int>(rt::DType::F4E2M1))
    return std::nullopt;
  auto owner = std::make_shared<std::shared_ptr<const void>>(data->owner);
  // The runtime never writes into storage that it does not own.
  return rt::Tensor(dtype, std::move(shape), const_cast<char *>(data->bytes.data()), owner);
}

static bool addAttribute(NamedAttribute named, rt::Node &node, WeightReader &weights,
                         uint64_t limit) {
  rt::Attribute &out = node.attributes[named.getName().str()];
  Attribute value = named.getValue();
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    out = integer.getInt();
  } else if (auto real = dyn_cast<FloatAttr>(value)) {
    out = static_cast<float>(real.getValueAsDouble());
  } else if (auto text = dyn_cast<StringAttr>(value)) {
    out = text.str();
  } else if (auto ints = dyn_cast<DenseI64ArrayAttr>(value)) {
    out = std::vector<int64_t>(ints.asArrayRef());
  } else if (auto reals = dyn_cast<DenseF32ArrayAttr>(value)) {
    out = std::vector<float>(reals.asArrayRef());
  } else if (auto array = dyn_cast<ArrayAttr>(value)) {
    std::vector<std::string> strings;
    for (Attribute element : array) {
      auto string = dyn_cast<StringAttr>(element);
      if (!string)
        return false;
      strings.push_back(string.str());
    }
    out = std::move(strings);
  } else if (auto typed = dyn_cast<TypedAttr>(value)) {
    auto tensor = tensorOf(typed, weights, limit);
    if (!tensor)
      return false;
    out = std::move(*tensor);
  } else {
    return false;
  }
  return true;
}

std::optional<SmallVector<TypedAttr>> raise::evaluate(NodeOp node, Inference &facts,
                                                      WeightReader &weights, uint64_t limit) {
  const OperatorEntry *entry = OperatorTable::builtin().find(node.getDomain(), node.getOpType());
  StringRef domain = node.getDomain() == "ai.onnx" ? StringRef() : node.getDomain();
  rt::Kernel kernel = rt::KernelTable::builtin().find(domain.str(), node.getOpType().str());
  if (!entry || !entry->deterministic || !kernel || !node.getSubgraphs().empty())
    return std::nullopt;
  // The results' size before any work is done.
  uint64_t total = 0;
  for (Value result : node.getResults()) {
    if (isa<NoneType>(result.getType()))
      continue;
    const Facts &known = facts.facts(result);
    auto count = known.count();
    unsigned bits = known.element ? bitsOf(known.element) : 0;
    if (!count || !bits || *count < 0)
      return std::nullopt;
    total += (static_cast<uint64_t>(*count) * bits + 7) / 8;
  }
  if (total > limit)
    return std::nullopt;
  rt::Node step;
  step.name = node.nodeName().str();
  step.domain = domain.str();
  step.op = node.getOpType().str();
  step.version = static_cast<int>(opsetOf(node, node.getDomain()));
  step.outputs = static_cast<int>(node.getNumResults());
  for (Value result : node.getResults())
    step.outputUsed.push_back(!isa<NoneType>(result.getType()));
  for (NamedAttribute named : node.getNodeAttrs())
    if (!addAttribute(named, step, weights, limit))
      return std::nullopt;
  std::vector<rt::Value> inputs;
  // What is read may be larger than what is made (a row of a table), within reason.
  for (Value operand : node.getInputs()) {
    if (isa<NoneType>(operand.getType())) {
      inputs.emplace_back();
      continue;
    }
    auto tensor = tensorOf(facts.constant(operand), weights, 64 * limit);
    if (!tensor)
      return std::nullopt;
    inputs.emplace_back(std::move(*tensor));
  }
  std::vector<rt::Value> outputs(step.outputs);
  std::any state;
  rt::KernelCall call{step, {}, outputs, std::vector<bool>(inputs.size(), false), state};
  for (rt::Value &input : inputs) {
    step.constants.push_back(input ? &input.tensor : nullptr);
    call.inputs.push_back(&input);
  }
  try {
    kernel(call);
  } catch (const std::exception &) {
    // Execution will report what is wrong, if the node is ever run.
    return std::nullopt;
  }
  SmallVector<TypedAttr> results;
  for (auto [result, value] : llvm::zip(node.getResults(), outputs)) {
    if (isa<NoneType>(result.getType())) {
      results.push_back({});
      continue;
    }
    if (value.kind != rt::Value::Kind::Tensor)
      return std::nullopt;
    const rt::Tensor &tensor = value.tensor;
    Type element = elementTypeOf(node.getContext(), static_cast<int>(tensor.dtype()));
    if (!element || isa<StringType>(element) || tensor.bytes() > limit)
      return std::nullopt;
    auto type = RankedTensorType::get(tensor.shape(), element);
    results.push_back(denseFromRaw(
        type, ArrayRef<char>(static_cast<const char *>(tensor.raw()), tensor.bytes())));
  }
  return results;
}
