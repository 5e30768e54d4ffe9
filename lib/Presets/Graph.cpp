#include "lib/Presets/Graph.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "lib/Weights/Seeded.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::presets;

Graph::Graph(MLIRContext *context, StringRef name, uint64_t seed, bool weights)
    : b(context), loc(b.getUnknownLoc()), module(ModuleOp::create(loc)), top(context), seed(seed),
      weights(weights) {
  auto set = [&](StringRef key, Attribute value) { (*module)->setAttr(key, value); };
  set("onnx.ir_version", b.getI64IntegerAttr(11));
  // The first opset that has RMSNormalization and RotaryEmbedding.
  set("onnx.opset_import", b.getDictionaryAttr(b.getNamedAttr("ai.onnx", b.getI64IntegerAttr(23))));
  set("onnx.producer_name", b.getStringAttr("uoe-opt --build"));
  set("onnx.graph_name", b.getStringAttr(name));
  auto names =
      onnx::DimsAttr::get(context, {b.getStringAttr("batch"), b.getStringAttr("sequence")});
  auto type = RankedTensorType::get({kAny, kAny}, b.getI64Type(), names);
  b.setInsertionPointToStart(module->getBody());
  auto function = func::FuncOp::create(b, loc, onnx::kMainGraph, b.getFunctionType(type, {}));
  idsValue = function.addEntryBlock()->getArgument(0);
  b.setInsertionPointToStart(idsValue.getParentBlock());
  // Weights go in front of this, which `finish` erases.
  top.setInsertionPoint(onnx::NoneOp::create(b, loc, b.getNoneType()));
}

Type Graph::named(Type type, ArrayRef<StringRef> dims) {
  SmallVector<StringAttr> names;
  for (StringRef dim : dims)
    names.push_back(b.getStringAttr(dim));
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType(),
                               onnx::DimsAttr::get(b.getContext(), names));
}

Value Graph::input(const std::string &name, ArrayRef<int64_t> shape, ArrayRef<StringRef> dims) {
  inputs.push_back(name);
  return idsValue.getParentBlock()->addArgument(named(floats(shape), dims), loc);
}

void Graph::output(const std::string &name, Value value, ArrayRef<StringRef> dims) {
  outputs.push_back(name);
  value.setType(named(value.getType(), dims));
  outputValues.push_back(value);
}

OwningOpRef<ModuleOp> Graph::finish(Value logits) {
  if (!good)
    return nullptr;
  logits.setType(named(logits.getType(), {"batch", "sequence", ""}));
  outputs.insert(outputs.begin(), "logits");
  outputValues.insert(outputValues.begin(), logits);
  func::ReturnOp::create(b, loc, outputValues);
  top.getInsertionPoint()->erase();
  Block *block = idsValue.getParentBlock();
  auto function = cast<func::FuncOp>(block->getParentOp());
  function.setType(
      b.getFunctionType(block->getArgumentTypes(), ValueRange(outputValues).getTypes()));
  inputs.insert(inputs.begin(), "input_ids");
  for (auto [i, name] : llvm::enumerate(inputs))
    function.setArgAttr(i, "onnx.name", b.getStringAttr(name));
  for (auto [i, name] : llvm::enumerate(outputs))
    function.setResultAttr(i, "onnx.name", b.getStringAttr(name));
  return std::move(module);
}

Value Graph::store(const std::string &name, ArrayRef<int64_t> shape, ArrayRef<float> data) {
  auto type = RankedTensorType::get(shape, b.getF32Type());
  FailureOr<Value> value =
      addInitializer(top, *module, prefix + name, type,
                     {reinterpret_cast<const char *>(data.data()), data.size() * sizeof(float)},
                     WeightWriter::process());
  good &= succeeded(value);
  return succeeded(value) ? *value : filled(name, shape, 0);
}

Value Graph::weight(const std::string &name, ArrayRef<int64_t> shape, double deviation) {
  if (!weights)
    return filled(name, shape, 0);
  std::vector<float> data(static_cast<size_t>(ShapedType::getNumElements(shape)));
  fillUniform(prefix + name, seed, deviation, data);
  return store(name, shape, data);
}

Value Graph::matrix(const std::string &name, int64_t rows, int64_t columns) {
  return weight(name, {rows, columns}, 1 / std::sqrt(static_cast<double>(rows)));
}

Value Graph::filled(const std::string &name, ArrayRef<int64_t> shape, float value) {
  auto type = RankedTensorType::get(shape, b.getF32Type());
  std::string unique = prefix + name;
  OpBuilder begin = OpBuilder::atBlockBegin(module->getBody());
  onnx::InitializerOp::create(begin, loc, b.getStringAttr(unique), TypeAttr::get(type),
                              DenseElementsAttr::get(type, value), DictionaryAttr());
  return onnx::WeightOp::create(top, loc, type, unique);
}

Value Graph::values(const std::string &name, ArrayRef<int64_t> shape, ArrayRef<float> data) {
  return weights ? store(name, shape, data) : filled(name, shape, 0);
}

Value Graph::integers(ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())}, b.getI64Type());
  return node("Constant", {}, type, named("value", DenseElementsAttr::get(type, values)));
}

Value Graph::scalar(TypedAttr value) {
  auto type = RankedTensorType::get({}, value.getType());
  return node("Constant", {}, type, named("value", DenseElementsAttr::get(type, Attribute(value))));
}

Value Graph::node(StringRef op, ValueRange operands, Type type,
                  ArrayRef<NamedAttribute> attributes) {
  return onnx::NodeOp::create(b, loc, TypeRange{type}, op, operands, attributes).getResult(0);
}

void Graph::body(Region &region, ArrayRef<Type> arguments,
                 function_ref<SmallVector<Value>(ValueRange)> fill) {
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Location> locations(arguments.size(), loc);
  Block *block = b.createBlock(&region, region.end(), arguments, locations);
  YieldOp::create(b, loc, fill(block->getArguments()));
}
