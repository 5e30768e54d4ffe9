// ModelProto -> module of onnx ops.
#include "lib/Onnx/Importer.h"
#include "lib/Onnx/Model.h"
#include "llvm/Support/ConvertUTF.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

static bool isUtf8(StringRef text) {
  auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.data());
  return llvm::isLegalUTF8String(&begin, begin + text.size());
}

//===----------------------------------------------------------------------===//
// Fields that many messages have
//===----------------------------------------------------------------------===//

LogicalResult Importer::checkText(StringRef text, StringRef what, Location loc) {
  if (isUtf8(text))
    return success();
  return emitError(loc) << what << " is not UTF-8: \"" << llvm::toHex(text) << "\" in hexadecimal";
}

ProtoAttr Importer::protoAttr(StringRef message, const google::protobuf::MessageLite &proto,
                              Type type) {
  if (!type)
    type = NoneType::get(context);
  return ProtoAttr::get(context, type, message, llvm::toHex(proto.SerializeAsString()));
}

/// Moves metadata with distinct, non-empty keys into a dictionary; others stay where they are.
DictionaryAttr
Importer::takeMetadata(google::protobuf::RepeatedPtrField<proto::StringStringEntryProto> &entries) {
  NamedAttrList dictionary;
  google::protobuf::RepeatedPtrField<proto::StringStringEntryProto> rest;
  for (auto &entry : entries) {
    if (entry.key().empty() || dictionary.get(entry.key()) || !entry.unknown_fields().empty() ||
        !isUtf8(entry.key()))
      *rest.Add() = entry;
    else
      dictionary.append(entry.key(), builder.getStringAttr(entry.value()));
  }
  entries.Swap(&rest);
  return dictionary.empty() ? DictionaryAttr() : dictionary.getDictionary(context);
}

DictionaryAttr
Importer::opsets(const google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto> &imports) {
  NamedAttrList dictionary;
  for (const auto &import : imports) {
    StringRef domain = import.domain().empty() ? StringRef("ai.onnx") : StringRef(import.domain());
    if (failed(checkText(domain, "the domain of an opset import", here())))
      return {};
    if (auto other = cast_if_present<IntegerAttr>(dictionary.get(domain))) {
      if (other.getInt() != import.version()) {
        emitError(here()) << "opset import of \"" << domain << "\" gives versions "
                          << other.getInt() << " and " << import.version();
        return {};
      }
      continue;
    }
    if (domain == "ai.onnx" && import.version() < 1) {
      emitError(here()) << "opset import of \"ai.onnx\" is " << import.version()
                        << ", expected 1 or more";
      return {};
    }
    if (domain == "ai.onnx" && (import.version() > 24 || import.version() < 7) && !warned) {
      emitWarning(here()) << "opset " << import.version()
                          << " of \"ai.onnx\" is outside 7 to 24: its nodes are carried, but what "
                             "they mean may be read wrongly";
      warned = true;
    }
    dictionary.append(domain, builder.getI64IntegerAttr(import.version()));
  }
  return dictionary.getDictionary(context);
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

std::string Importer::freshSymbol(StringRef wanted) {
  std::string name = wanted.str();
  for (unsigned i = 1; name.empty() || !symbols.insert(name).second; ++i)
    name = (wanted + "_" + Twine(i)).str();
  return name;
}

OwningOpRef<ModuleOp> Importer::import() {
  proto::ModelProto &model = skeleton.model;
  OwningOpRef<ModuleOp> module(ModuleOp::create(here()));
  if (!model.has_ir_version() && !model.has_graph()) {
    emitError(here()) << "not an ONNX model: it has neither an IR version nor a graph";
    return {};
  }
  if (!model.has_graph()) {
    emitError(here()) << "the model has no graph";
    return {};
  }
  irVersion = model.ir_version();
  if (irVersion < 1) {
    emitError(here()) << "the model's IR version is " << irVersion << ", expected 1 or more";
    return {};
  }
  // Before IR version 3 models did not import opsets: version 1 of ONNX's own.
  if (irVersion < 3 && model.opset_import().empty())
    model.add_opset_import()->set_version(1);
  DictionaryAttr imports = opsets(model.opset_import());
  if (!imports)
    return {};
  knownOpsets = imports;
  top = module.get();
  module->getOperation()->setAttr("onnx.ir_version", builder.getI64IntegerAttr(irVersion));
  module->getOperation()->setAttr("onnx.opset_import", imports);
  std::pair<const char *, std::string *> texts[] = {
      {"onnx.producer_name", model.mutable_producer_name()},
      {"onnx.producer_version", model.mutable_producer_version()},
      {"onnx.domain", model.mutable_domain()},
      {"onnx.doc_string", model.mutable_doc_string()},
      {"onnx.graph_name", model.mutable_graph()->mutable_name()}};
  for (auto [name, text] : texts) {
    if (failed(checkText(*text, StringRef(name).drop_front(5), here())))
      return {};
    if (!text->empty())
      module->getOperation()->setAttr(name, builder.getStringAttr(*text));
  }
  if (model.has_model_version())
    module->getOperation()->setAttr("onnx.model_version",
                                    builder.getI64IntegerAttr(model.model_version()));
  if (DictionaryAttr metadata = takeMetadata(*model.mutable_metadata_props()))
    module->getOperation()->setAttr("onnx.metadata", metadata);

  symbols.insert(kMainGraph.str());
  if (failed(importFunctions()))
    return {};
  if (failed(importMain(*model.mutable_graph())))
    return {};

  model.clear_ir_version();
  model.clear_opset_import();
  model.clear_producer_name();
  model.clear_producer_version();
  model.clear_domain();
  model.clear_doc_string();
  model.clear_model_version();
  model.clear_graph();
  model.clear_functions();
  if (model.ByteSizeLong())
    module->getOperation()->setAttr("onnx.rest", protoAttr("ModelProto", model));
  return module;
}

LogicalResult Importer::importMain(proto::GraphProto &graph) {
  builder.setInsertionPointToEnd(top.getBody());
  auto function = func::FuncOp::create(here(), kMainGraph, builder.getFunctionType({}, {}));
  // Initializers come first in the module, in the model's order; the graph that uses them follows.
  initializerPoint = nullptr;
  OwningOpRef<func::FuncOp> owner(function);
  Block *block = function.addEntryBlock();
  Scope scope;
  GraphFields fields;
  if (failed(importGraph(graph, *block, scope, fields)))
    return failure();
  builder.setInsertionPointToEnd(block);
  func::ReturnOp::create(builder, here(), fields.results);
  top.push_back(owner.release());
  function.setFunctionType(
      builder.getFunctionType(block->getArgumentTypes(), ValueRange(fields.results).getTypes()));
  for (auto [i, attrs] : llvm::enumerate(fields.inputs))
    function.setArgAttrs(i, attrs);
  for (auto [i, attrs] : llvm::enumerate(fields.outputs))
    function.setResultAttrs(i, attrs);
  for (NamedAttribute attr : fields.graph)
    if (attr.getName() != "name") // the module has it
      function->setAttr(("onnx." + attr.getName().getValue()).str(), attr.getValue());
  return success();
}

LogicalResult Importer::importFunctions() {
  llvm::StringSet<> seen;
  for (proto::FunctionProto &f : *skeleton.model.mutable_functions()) {
    std::string name = (f.domain().empty() ? "" : f.domain() + ".") + f.name() +
                       (f.overload().empty() ? "" : ":" + f.overload());
    Location loc = NameLoc::get(builder.getStringAttr(isUtf8(name) ? name : ""), here());
    if (failed(checkText(name, "the name of a function", loc)) ||
        failed(checkText(f.doc_string(), "a function's doc string", loc)))
      return failure();
    if (f.name().empty())
      return emitError(loc) << "a function has no name";
    if (!seen.insert(name).second)
      return emitError(loc) << "function \"" << name << "\" is defined twice";
    DictionaryAttr imports = opsets(f.opset_import());
    if (!imports)
      return failure();
    if (failed(importFunction(f, name, imports, loc)))
      return failure();
  }
  return success();
}

LogicalResult Importer::importFunction(proto::FunctionProto &f, StringRef name,
                                       DictionaryAttr imports, Location loc) {
  // A function's body is a graph without types or weights of its own.
  proto::GraphProto graph;
  graph.mutable_node()->Swap(f.mutable_node());
  graph.mutable_value_info()->Swap(f.mutable_value_info());
  for (const std::string &input : f.input())
    graph.add_input()->set_name(input);
  for (const std::string &output : f.output())
    graph.add_output()->set_name(output);
  auto function = func::FuncOp::create(loc, freshSymbol(name), builder.getFunctionType({}, {}));
  OwningOpRef<func::FuncOp> owner(function);
  Block *block = function.addEntryBlock();
  Scope scope;
  GraphFields fields;
  std::swap(knownOpsets, imports);
  LogicalResult result = importGraph(graph, *block, scope, fields);
  std::swap(knownOpsets, imports);
  if (failed(result))
    return failure();
  builder.setInsertionPointToEnd(block);
  func::ReturnOp::create(builder, loc, fields.results);
  top.push_back(owner.release());
  function.setFunctionType(
      builder.getFunctionType(block->getArgumentTypes(), ValueRange(fields.results).getTypes()));
  for (auto [i, attrs] : llvm::enumerate(fields.inputs))
    function.setArgAttrs(i, attrs);
  for (auto [i, attrs] : llvm::enumerate(fields.outputs))
    function.setResultAttrs(i, attrs);

  NamedAttrList attributes;
  attributes.append("name", builder.getStringAttr(f.name()));
  attributes.append("domain", builder.getStringAttr(f.domain()));
  if (!f.overload().empty())
    attributes.append("overload", builder.getStringAttr(f.overload()));
  SmallVector<StringRef> names(f.attribute().begin(), f.attribute().end());
  if (!names.empty())
    attributes.append("attributes", builder.getStrArrayAttr(names));
  if (!f.doc_string().empty())
    attributes.append("doc_string", builder.getStringAttr(f.doc_string()));
  if (DictionaryAttr metadata = takeMetadata(*f.mutable_metadata_props()))
    attributes.append("metadata", metadata);
  if (Attribute rest = fields.graph.get("rest"))
    attributes.append("graph_rest", rest);
  f.clear_name();
  f.clear_domain();
  f.clear_overload();
  f.clear_attribute();
  f.clear_doc_string();
  f.clear_input();
  f.clear_output();
  f.clear_opset_import();
  // Defaults of attributes (attribute_proto) stay in the message form.
  if (f.ByteSizeLong())
    attributes.append("rest", protoAttr("FunctionProto", f));
  function->setAttr("onnx.function", attributes.getDictionary(context));
  function->setAttr("onnx.opset_import", imports);
  return success();
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

static OwningOpRef<ModuleOp> readBytes(StringRef bytes, StringRef path, StringRef name,
                                       MLIRContext *context) {
  context->loadDialect<OnnxDialect, func::FuncDialect>();
  Location loc = FileLineColLoc::get(context, name, 0, 0);
  Skeleton skeleton;
  if (llvm::Error error = parseSkeleton(bytes, kSmallTensor, skeleton)) {
    emitError(loc) << llvm::toString(std::move(error));
    return {};
  }
  return Importer(skeleton, bytes, path, loc).import();
}

OwningOpRef<ModuleOp> uoe::readOnnx(StringRef path, MLIRContext *context) {
  auto file = MappedFile::open(path);
  if (!file) {
    emitError(FileLineColLoc::get(context, path, 0, 0)) << llvm::toString(file.takeError());
    return {};
  }
  return readBytes((*file)->bytes(), path, path, context);
}

OwningOpRef<ModuleOp> uoe::readOnnxBuffer(StringRef bytes, StringRef name, MLIRContext *context) {
  return readBytes(bytes, "", name, context);
}

bool uoe::looksLikeOnnx(StringRef bytes) {
  // MLIR's text and bytecode start with printable characters or "ML\xefR"; a ModelProto with the
  // tag of a field of its own, most often ir_version.
  if (bytes.empty())
    return false;
  unsigned char tag = static_cast<unsigned char>(bytes[0]);
  static constexpr unsigned char tags[] = {0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72};
  if (!llvm::is_contained(tags, tag))
    return false;
  // '2', ':', '"', 'B' and 'r' are also text; there, a second byte that is no text decides.
  if (tag != 0x08 && tag != 0x12 && tag != 0x1a && tag != 0x28)
    return bytes.take_front(64).find_if([](char c) { return static_cast<unsigned char>(c) < 9; }) !=
           StringRef::npos;
  return true;
}
