#include "ModelInfo.h"
#include "dialects/onnx/Onnx.h"
#include "lib/Execution/Model.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "runtime/core/DType.h"
#include "runtime/core/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <map>

using namespace mlir;

namespace uoe {

/// ONNX's spelling of a type, with the names of symbolic dimensions.
static std::string spell(Type type) {
  std::string text;
  llvm::raw_string_ostream out(text);
  auto tensor = dyn_cast<TensorType>(type);
  int number = tensor ? onnx::dataTypeOf(tensor.getElementType()) : 0;
  if (!number) {
    out << type;
    return text;
  }
  if (number <= static_cast<int>(rt::DType::F4E2M1))
    out << rt::nameOf(static_cast<rt::DType>(number));
  else
    out << tensor.getElementType();
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return text + "[*]";
  out << '[';
  for (auto [axis, size] : llvm::enumerate(ranked.getShape())) {
    out << (axis ? "," : "");
    if (!ShapedType::isDynamic(size))
      out << size;
    else if (llvm::StringRef name = onnx::dimName(type, axis); !name.empty())
      out << name;
    else
      out << '?';
  }
  out << ']';
  return text;
}

static std::string portName(DictionaryAttr attrs) {
  auto name = attrs ? attrs.getAs<StringAttr>("onnx.name") : StringAttr();
  return name ? name.str() : std::string();
}

ModelInfo modelInfo(const std::string &path) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  loadModelDialects(context);
  std::string errors;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return success();
    llvm::raw_string_ostream out(errors);
    out << (errors.empty() ? "" : "\n");
    if (!isa<UnknownLoc>(diagnostic.getLocation()))
      out << diagnostic.getLocation() << ": ";
    diagnostic.print(out);
    return success();
  });
  OwningOpRef<ModuleOp> module = readModel(path, context);
  if (!module)
    rt::fail(errors.empty() ? path + ": cannot be loaded" : errors);

  ModelInfo info;
  ModuleOp top = *module;
  if (auto producer = top->getAttrOfType<StringAttr>("onnx.producer_name"))
    info.producer = producer.str();
  if (auto version = top->getAttrOfType<StringAttr>("onnx.producer_version"))
    info.producer += (info.producer.empty() ? "" : " ") + version.str();
  if (auto opsets = top->getAttrOfType<DictionaryAttr>("onnx.opset_import"))
    for (NamedAttribute entry : opsets)
      if (auto version = dyn_cast<IntegerAttr>(entry.getValue()))
        info.opsets.push_back({entry.getName().str(), version.getInt()});
  if (auto graph = top.lookupSymbol<func::FuncOp>(onnx::kMainGraph)) {
    for (unsigned i = 0; i < graph.getNumArguments(); ++i)
      info.inputs.push_back(
          {portName(graph.getArgAttrDict(i)), spell(graph.getArgumentTypes()[i])});
    for (unsigned i = 0; i < graph.getNumResults(); ++i)
      info.outputs.push_back(
          {portName(graph.getResultAttrDict(i)), spell(graph.getResultTypes()[i])});
  }
  std::map<std::string, int64_t> counts;
  top.walk([&](Operation *op) {
    if (auto initializer = dyn_cast<onnx::InitializerOp>(op)) {
      ++info.initializers;
      auto value = dyn_cast<TypedAttr>(initializer.getValue());
      auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
      if (type && type.hasStaticShape() && onnx::bitsOf(type.getElementType())) {
        info.parameters += type.getNumElements();
        info.parameterBytes += static_cast<int64_t>(onnx::bytesOf(type).value_or(0));
      }
      return;
    }
    std::string name;
    if (auto node = dyn_cast<onnx::NodeOp>(op))
      name =
          (node.getDomain().empty() ? "" : node.getDomain().str() + ".") + node.getOpType().str();
    else if (!isa<onnx::OnnxDialect>(op->getDialect()) && op->getParentOfType<func::FuncOp>() &&
             !op->hasTrait<OpTrait::IsTerminator>())
      name = op->getName().getStringRef().str();
    if (name.empty())
      return;
    ++counts[name];
    ++info.nodes;
  });
  info.operators.assign(counts.begin(), counts.end());
  std::stable_sort(info.operators.begin(), info.operators.end(),
                   [](const auto &a, const auto &b) { return a.second > b.second; });
  return info;
}

} // namespace uoe
