#include "lib/Proof/Provenance.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace uoe;

std::string Provenance::describe(int64_t number) const {
  return "element " + std::to_string(elementOf(number)) + " of '" + nameOf(weightOf(number)) + "'";
}

rt::Tensor Provenance::number(const Key &key, const std::string &name, const rt::Shape &shape) {
  int64_t elements = rt::elementCount(shape);
  auto [it, fresh] = known.try_emplace(key, static_cast<int64_t>(leaves.size()));
  if (fresh)
    leaves.push_back({name, elements, rt::Tensor()});
  rt::Tensor numbers(rt::DType::I64, shape);
  for (int64_t i = 0; i < elements; ++i)
    numbers.data<int64_t>()[i] = it->second * kSpan + i;
  return numbers;
}

rt::Tensor Provenance::trace(const rt::Tensor &content, const std::string &name) {
  rt::Tensor plain = content;
  if (content.dtype() == rt::DType::F32) {
    // Zeros of both signs multiply alike.
    plain = rt::Tensor(rt::DType::F32, content.shape());
    for (int64_t i = 0, count = content.size(); i < count; ++i)
      plain.data<float>()[i] = content.data<float>()[i] + 0.0f;
  }
  StringRef bytes(static_cast<const char *>(plain.raw()), plain.bytes());
  std::string key = rt::describe(content) + " " + std::to_string(llvm::xxh3_64bits(bytes));
  rt::Tensor numbers = number({key, nullptr}, name, content.shape());
  if (numbers.size() > 0)
    leaves[weightOf(numbers.data<int64_t>()[0])].content = plain;
  return numbers;
}

uint64_t Provenance::valueOf(int64_t weight, int64_t element) const {
  const rt::Tensor &content = leaves[weight].content;
  size_t width = rt::bytesOf(content.dtype(), 1);
  const char *bytes = static_cast<const char *>(content.raw());
  return llvm::xxh3_64bits(StringRef(bytes + static_cast<size_t>(element) * width, width));
}

// Operators whose results are elements of their first operand (of all operands: Concat).
static bool movesElements(onnx::NodeOp node) {
  static const llvm::StringSet<> names = {"Transpose", "Reshape",   "Slice",   "Gather",
                                          "Squeeze",   "Unsqueeze", "Flatten", "Identity",
                                          "Expand",    "Split",     "Concat"};
  return (node.getDomain().empty() || node.getDomain() == "ai.onnx") &&
         names.contains(node.getOpType());
}

// A cast to a wider float type changes no value.
static bool onlyWidens(onnx::NodeOp node) {
  auto from = dyn_cast<TensorType>(node.getInputs()[0].getType());
  auto to = dyn_cast<TensorType>(node.getResult(0).getType());
  auto a = from ? dyn_cast<FloatType>(from.getElementType()) : FloatType();
  auto b = to ? dyn_cast<FloatType>(to.getElementType()) : FloatType();
  return a && b && (a == b || (a.getWidth() < b.getWidth() && (b.isF32() || b.isF64())));
}

FailureOr<rt::Tensor> Provenance::trace(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return emitError(value.getLoc(), "an input of the model stands where a weight is expected"),
           failure();
  if (auto weight = dyn_cast<onnx::WeightOp>(op)) {
    auto init =
        SymbolTable::lookupNearestSymbolFrom<onnx::InitializerOp>(weight, weight.getNameAttr());
    auto type = init ? dyn_cast<RankedTensorType>(init.getType()) : RankedTensorType();
    if (!type || !type.hasStaticShape())
      return weight.emitOpError("has no elements that could be told apart"), failure();
    return number({weight.getName().str(), init.getValue().getAsOpaquePointer()},
                  weight.getName().str(), rt::Shape(type.getShape()));
  }
  auto node = dyn_cast<onnx::NodeOp>(op);
  if (!node)
    return op->emitOpError("is no part of a weight"), failure();
  auto valueType = dyn_cast<RankedTensorType>(value.getType());
  if (Attribute content = node.is("Constant") ? node.attribute("value") : Attribute();
      content && valueType && valueType.hasStaticShape())
    return number({"Constant", content.getAsOpaquePointer()},
                  node.nodeName().empty() ? "Constant" : node.nodeName().str(),
                  rt::Shape(valueType.getShape()));
  if (node.is("Cast") && onlyWidens(node))
    return trace(node.getInputs()[0]);
  if (!movesElements(node)) {
    FailureOr<rt::Tensor> content = evaluateConstant(value, weights);
    if (failed(content))
      return failure();
    return trace(*content, ("result of " + node.getOpType() + " " + node.nodeName()).str());
  }
  std::vector<rt::Value> inputs;
  for (auto [i, operand] : llvm::enumerate(node.getInputs())) {
    if (isa<NoneType>(operand.getType())) {
      inputs.emplace_back();
      continue;
    }
    FailureOr<rt::Tensor> tensor =
        i == 0 || node.is("Concat") ? trace(operand) : evaluateConstant(operand, weights);
    if (failed(tensor))
      return failure();
    inputs.emplace_back(*tensor);
  }
  auto results = runNode(node, inputs, weights);
  if (!results)
    return node.emitError("cannot be followed: ") << llvm::toString(results.takeError()), failure();
  return (*results)[cast<OpResult>(value).getResultNumber()].tensor;
}
