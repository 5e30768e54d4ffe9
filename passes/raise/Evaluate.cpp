#include "passes/raise/Evaluate.h"
#include "lib/Constants/Runtime.h"
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

// Whether the value is a tensor of at most `limit` bytes, told before anything is read.
static bool isSmall(Attribute value, uint64_t limit) {
  auto typed = dyn_cast_or_null<TypedAttr>(value);
  auto type = typed ? dyn_cast<RankedTensorType>(typed.getType()) : RankedTensorType();
  auto bytes = type ? bytesOf(type) : std::nullopt;
  return bytes && *bytes <= limit && !isa<StringType>(type.getElementType());
}

std::optional<SmallVector<TypedAttr>> raise::evaluate(NodeOp node, Inference &facts,
                                                      WeightReader &weights, uint64_t limit) {
  const OperatorEntry *entry = OperatorTable::builtin().find(node.getDomain(), node.getOpType());
  if (!entry || !entry->deterministic || !node.getSubgraphs().empty())
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
  for (NamedAttribute named : node.getNodeAttrs())
    if (isa<ElementsAttr, FileAttr>(named.getValue()) && !isSmall(named.getValue(), limit))
      return std::nullopt;
  std::vector<rt::Value> inputs;
  // What is read may be larger than what is made (a row of a table), within reason.
  for (Value operand : node.getInputs()) {
    if (isa<NoneType>(operand.getType())) {
      inputs.emplace_back();
      continue;
    }
    TypedAttr value = facts.constant(operand);
    if (!isSmall(value, 64 * limit))
      return std::nullopt;
    auto tensor = readTensor(value, weights);
    if (!tensor) {
      llvm::consumeError(tensor.takeError());
      return std::nullopt;
    }
    inputs.emplace_back(std::move(*tensor));
  }
  auto outputs = runNode(node, inputs, weights);
  if (!outputs) {
    // Execution will report what is wrong, if the node is ever run.
    llvm::consumeError(outputs.takeError());
    return std::nullopt;
  }
  SmallVector<TypedAttr> results;
  for (auto [result, value] : llvm::zip(node.getResults(), *outputs)) {
    if (isa<NoneType>(result.getType())) {
      results.push_back({});
      continue;
    }
    if (value.kind != rt::Value::Kind::Tensor)
      return std::nullopt;
    const rt::Tensor &tensor = value.tensor;
    RankedTensorType type = tensorTypeOf(tensor, node.getContext());
    if (!type || isa<StringType>(type.getElementType()) || tensor.bytes() > limit)
      return std::nullopt;
    results.push_back(denseFromRaw(
        type, ArrayRef<char>(static_cast<const char *>(tensor.raw()), tensor.bytes())));
  }
  return results;
}
