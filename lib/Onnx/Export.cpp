// Module of onnx ops -> ModelProto.
#include "dialects/onnx/Onnx.h"
#include "lib/Onnx/Exporter.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

static int64_t integerIn(DictionaryAttr dictionary, StringRef key, int64_t otherwise) {
  auto value = dictionary ? dyn_cast_if_present<IntegerAttr>(dictionary.get(key)) : IntegerAttr();
  return value ? value.getInt() : otherwise;
}

static Attribute in(DictionaryAttr dictionary, StringRef key) {
  return dictionary ? dictionary.get(key) : Attribute();
}

void Exporter::exportMetadata(
    Attribute metadata, google::protobuf::RepeatedPtrField<proto::StringStringEntryProto> &out) {
  if (auto dictionary = dyn_cast_if_present<DictionaryAttr>(metadata))
    for (NamedAttribute entry : dictionary)
      if (auto value = dyn_cast<StringAttr>(entry.getValue())) {
        auto *proto = out.Add();
        proto->set_key(entry.getName().str());
        proto->set_value(value.getValue().str());
      }
}

LogicalResult
Exporter::exportOpsets(DictionaryAttr imports,
                       google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto> &out) {
  for (NamedAttribute import : imports) {
    auto version = dyn_cast<IntegerAttr>(import.getValue());
    if (!version)
      return module.emitError() << "opset import of " << import.getName()
                                << " needs an integer, found " << import.getValue();
    auto *proto = out.Add();
    proto->set_domain(import.getName() == "ai.onnx" ? "" : import.getName().str());
    proto->set_version(version.getInt());
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Tensors and values
//===----------------------------------------------------------------------===//

bool Exporter::tensorToProto(TypedAttr value, proto::TensorProto &tensor) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  int element = type ? dataTypeOf(type.getElementType()) : 0;
  if (!element || !type.hasStaticShape()) {
    tensorError = "has a type that ONNX does not have";
    return false;
  }
  tensor.set_data_type(element);
  for (int64_t dim : type.getShape())
    tensor.add_dims(dim);
  if (auto strings = dyn_cast<DenseStringElementsAttr>(value)) {
    for (StringRef string : strings.getValues<StringRef>())
      tensor.add_string_data(string.str());
    return true;
  }
  llvm::Expected<WeightData> data = reader.read(value, 1);
  if (!data) {
    tensorError = llvm::toString(data.takeError());
    return false;
  }
  if (data->bytes.size() <= kSmallTensor)
    tensor.set_raw_data(data->bytes.data(), data->bytes.size());
  else
    image.data[&tensor] = *data;
  return true;
}

LogicalResult Exporter::exportInitializer(InitializerOp op, StringRef name,
                                          proto::GraphProto &graph) {
  DictionaryAttr fields = op.getFields().value_or(DictionaryAttr());
  if (auto sparse = dyn_cast<ProtoAttr>(op.getValue())) {
    auto *proto = graph.add_sparse_initializer();
    if (sparse.getMessage() != "SparseTensorProto" || !proto->ParseFromString(sparse.serialised()))
      return op.emitError() << "holds a " << sparse.getMessage()
                            << " that can't be read, expected a SparseTensorProto";
    proto->mutable_values()->set_name(name.str());
    return success();
  }
  auto value = dyn_cast<TypedAttr>(op.getValue());
  auto *tensor = graph.add_initializer();
  if (!value || !tensorToProto(value, *tensor))
    return op.emitError() << "initializer \"" << name << "\" can't be written: " << tensorError;
  tensor->set_name(name.str());
  if (auto input = dyn_cast_if_present<IntegerAttr>(in(fields, "input"))) {
    proto::ValueInfoProto &info = oldInputs[input.getInt()];
    auto told = dyn_cast_if_present<ProtoAttr>(in(fields, "input_info"));
    if (!told || told.getType() != value.getType() || !info.ParseFromString(told.serialised()))
      typeToProto(value.getType(), *info.mutable_type());
    info.set_name(name.str());
  }
  if (!mergeRest(in(fields, "rest"), *tensor))
    return op.emitError() << "has broken fields";
  return success();
}

LogicalResult Exporter::exportInfo(Value value, StringRef name, Attribute kept,
                                   proto::ValueInfoProto &info) {
  // What the model said holds as long as no pass has changed the type.
  auto proto = dyn_cast_if_present<ProtoAttr>(kept);
  if (proto && proto.getType() == value.getType() && info.ParseFromString(proto.serialised())) {
    info.set_name(name.str());
    return success();
  }
  info.Clear();
  info.set_name(name.str());
  if (isa<AnyType>(value.getType()))
    return success();
  if (!typeToProto(value.getType(), *info.mutable_type()))
    return emitError(value.getLoc()) << "value \"" << name << "\" has type " << value.getType()
                                     << ", which ONNX does not have";
  return success();
}

//===----------------------------------------------------------------------===//
// Graphs and nodes
//===----------------------------------------------------------------------===//

LogicalResult Exporter::exportNode(NodeOp node, Scope &scope, proto::GraphProto &graph,
                                   const llvm::StringSet<> &outputs) {
  proto::NodeProto &proto = *graph.add_node();
  DictionaryAttr fields = node.getFields().value_or(DictionaryAttr());
  StringRef name = node.nodeName();
  if (!name.empty())
    proto.set_name(name.str());
  proto.set_op_type(node.getOpType().str());
  if (!node.getDomain().empty())
    proto.set_domain(node.getDomain().str());
  domains.insert(node.getDomain().empty() ? "ai.onnx" : node.getDomain());
  if (StringRef overload = stringIn(fields, "overload"); !overload.empty())
    proto.set_overload(overload.str());
  if (StringRef doc = stringIn(fields, "doc_string"); !doc.empty())
    proto.set_doc_string(doc.str());
  exportMetadata(in(fields, "metadata"), *proto.mutable_metadata_props());

  for (Value input : node.getInputs()) {
    if (isa<NoneType>(input.getType())) {
      proto.add_input("");
      continue;
    }
    auto known = names.find(input);
    if (known == names.end())
      return node.emitError() << "takes a value that no node, initializer or input gives";
    proto.add_input(known->second);
  }
  auto infos = dyn_cast_if_present<ArrayAttr>(in(fields, "result_info"));
  for (auto [i, result] : llvm::enumerate(node.getResults())) {
    if (isa<NoneType>(result.getType())) {
      proto.add_output("");
      continue;
    }
    const std::string &output = names[result];
    proto.add_output(output);
    Attribute kept = infos && i < infos.size() ? infos[i] : Attribute();
    if (outputs.contains(output) ||
        (isa<AnyType>(result.getType()) && !isa_and_present<ProtoAttr>(kept)))
      continue;
    if (failed(exportInfo(result, output, kept, *graph.add_value_info())))
      return failure();
  }

  auto leftovers = dyn_cast_if_present<DictionaryAttr>(in(fields, "attributes"));
  auto tensor = [&](TypedAttr value, proto::TensorProto &out) { return tensorToProto(value, out); };
  for (NamedAttribute attribute : node.getNodeAttrs()) {
    auto *out = proto.add_attribute();
    out->set_name(attribute.getName().str());
    tensorError = "has no ONNX form";
    if (!attributeToProto(attribute.getValue(), *out, tensor))
      return node.emitError() << "attribute \"" << attribute.getName().getValue()
                              << "\" = " << attribute.getValue()
                              << " can't be written: " << tensorError;
    if (!mergeRest(in(leftovers, attribute.getName()), *out))
      return node.emitError() << "has broken fields";
  }
  auto graphs = dyn_cast_if_present<ArrayAttr>(in(fields, "graphs"));
  proto::AttributeProto *list = nullptr; // of GRAPHS
  for (auto [i, region] : llvm::enumerate(node.getSubgraphs())) {
    StringRef whole = cast<StringAttr>((*node.getSubgraphNames())[i]).getValue();
    auto [attribute, index] = whole.split('[');
    proto::GraphProto *inner;
    if (index.empty()) {
      auto *out = proto.add_attribute();
      out->set_name(whole.str());
      out->set_type(proto::AttributeProto::GRAPH);
      inner = out->mutable_g();
      if (!mergeRest(in(leftovers, whole), *out))
        return node.emitError() << "has broken fields";
    } else {
      if (!list || list->name() != attribute) {
        list = proto.add_attribute();
        list->set_name(attribute.str());
        list->set_type(proto::AttributeProto::GRAPHS);
        if (!mergeRest(in(leftovers, attribute), *list))
          return node.emitError() << "has broken fields";
      }
      inner = list->add_graphs();
    }
    auto innerFields =
        graphs && i < graphs.size() ? dyn_cast<DictionaryAttr>(graphs[i]) : DictionaryAttr();
    auto dictionaries = [&](StringRef key) {
      SmallVector<DictionaryAttr> result;
      if (auto array = dyn_cast_if_present<ArrayAttr>(in(innerFields, key)))
        for (Attribute element : array)
          result.push_back(dyn_cast<DictionaryAttr>(element));
      return result;
    };
    Scope innerScope;
    innerScope.parent = &scope;
    if (failed(exportGraph(region.front(), innerFields, dictionaries("inputs"),
                           dictionaries("outputs"), innerScope, *inner)))
      return failure();
  }
  if (!mergeRest(in(fields, "rest"), proto))
    return node.emitError() << "has broken fields";
  return success();
}

/// Drops entries of value_info from `first` on, which are as the model had them, where the graph
/// says otherwise by now.
static void dropStaleInfo(proto::GraphProto &graph, int first) {
  if (first == graph.value_info_size())
    return;
  llvm::StringSet<> described;
  for (int i = 0; i < first; ++i)
    described.insert(graph.value_info(i).name());
  llvm::StringMap<const proto::TensorProto *> tensors;
  for (const auto &tensor : graph.initializer())
    tensors[tensor.name()] = &tensor;
  auto stale = [&](const proto::ValueInfoProto &info) {
    if (described.contains(info.name()))
      return true;
    const proto::TensorProto *tensor = tensors.lookup(info.name());
    if (!tensor || !info.type().has_tensor_type())
      return false;
    const auto &type = info.type().tensor_type();
    bool same = type.elem_type() == tensor->data_type() &&
                (!type.has_shape() || type.shape().dim_size() == tensor->dims_size());
    for (int i = 0; same && type.has_shape() && i < tensor->dims_size(); ++i)
      same = !type.shape().dim(i).has_dim_value() ||
             type.shape().dim(i).dim_value() == tensor->dims(i);
    return !same;
  };
  auto &infos = *graph.mutable_value_info();
  int kept = first;
  for (int i = first; i < infos.size(); ++i)
    if (!stale(infos.Get(i)))
      infos.SwapElements(kept++, i);
  infos.DeleteSubrange(kept, infos.size() - kept);
}

/// Before IR version 4 initializers are among the inputs.
void Exporter::listOldInputs(proto::GraphProto &graph) {
  std::map<int64_t, proto::ValueInfoProto> listed;
  std::swap(listed, oldInputs);
  if (irVersion >= 4)
    return;
  auto &inputs = *graph.mutable_input();
  for (auto &[index, info] : listed) {
    *inputs.Add() = info;
    for (int i = inputs.size() - 1; i > index; --i)
      inputs.SwapElements(i, i - 1);
  }
}

LogicalResult Exporter::exportGraph(Block &block, DictionaryAttr fields, InfoAttrs inputs,
                                    InfoAttrs outputs, Scope &scope, proto::GraphProto &graph) {
  if (StringRef name = stringIn(fields, "name"); !name.empty())
    graph.set_name(name.str());
  if (StringRef doc = stringIn(fields, "doc_string"); !doc.empty())
    graph.set_doc_string(doc.str());
  exportMetadata(in(fields, "metadata"), *graph.mutable_metadata_props());
  for (Operation &op : block)
    if (!isa<NodeOp, NoneOp, WeightOp, onnx::YieldOp, func::ReturnOp>(op))
      return op.emitOpError("has no ONNX form: lower it to onnx.node before export");
  if (failed(nameValues(block, inputs, outputs, scope, graph)))
    return failure();
  for (auto [i, argument] : llvm::enumerate(block.getArguments())) {
    DictionaryAttr attrs = i < inputs.size() ? inputs[i] : DictionaryAttr();
    const std::string &name = names[argument];
    if (failed(exportInfo(argument, name, in(attrs, "onnx.value_info"), *graph.add_input())))
      return failure();
    if (auto symbol = dyn_cast_if_present<FlatSymbolRefAttr>(in(attrs, "onnx.default"))) {
      auto init = module.lookupSymbol<InitializerOp>(symbol.getAttr());
      if (!init)
        return module.emitError() << "input \"" << name << "\" has default " << symbol
                                  << ", which is no initializer";
      if (failed(exportInitializer(init, name, graph)))
        return failure();
    }
  }

  // Outputs: as the values are called, or through an Identity.
  llvm::StringSet<> outputNames;
  SmallVector<std::pair<std::string, std::string>> identities;
  for (auto [i, value] : llvm::enumerate(block.getTerminator()->getOperands())) {
    DictionaryAttr attrs = i < outputs.size() ? outputs[i] : DictionaryAttr();
    auto known = names.find(value);
    if (known == names.end())
      return block.getTerminator()->emitError()
             << "returns a value that no node, initializer or input gives";
    std::string name = stringIn(attrs, "onnx.name").str();
    if (name.empty())
      name = known->second;
    if (name != known->second) {
      if (scope.names.count(name))
        name = fresh(name);
      scope.names[name] = value;
      identities.push_back({known->second, name});
    }
    outputNames.insert(name);
    if (failed(exportInfo(value, name, in(attrs, "onnx.value_info"), *graph.add_output())))
      return failure();
  }
  for (Operation &op : block) {
    if (isa<NoneOp, WeightOp>(op) || op.hasTrait<OpTrait::IsTerminator>())
      continue;
    if (failed(exportNode(cast<NodeOp>(op), scope, graph, outputNames)))
      return failure();
  }
  for (auto &[from, to] : identities) {
    auto *identity = graph.add_node();
    identity->set_op_type("Identity");
    identity->add_input(from);
    identity->add_output(to);
    domains.insert("ai.onnx");
  }
  int own = graph.value_info_size();
  if (!mergeRest(in(fields, "rest"), graph))
    return module.emitError() << "has broken fields of a graph";
  dropStaleInfo(graph, own);
  listOldInputs(graph);
  return success();
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

static void argAttrs(func::FuncOp function, SmallVectorImpl<DictionaryAttr> &inputs,
                     SmallVectorImpl<DictionaryAttr> &outputs) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    inputs.push_back(function.getArgAttrDict(i));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    outputs.push_back(function.getResultAttrDict(i));
}

LogicalResult Exporter::exportFunction(func::FuncOp function) {
  auto attributes = function->getAttrOfType<DictionaryAttr>("onnx.function");
  auto imports = function->getAttrOfType<DictionaryAttr>("onnx.opset_import");
  proto::FunctionProto &proto = *image.model.add_functions();
  proto.set_name(stringIn(attributes, "name").str());
  proto.set_domain(stringIn(attributes, "domain").str());
  if (StringRef overload = stringIn(attributes, "overload"); !overload.empty())
    proto.set_overload(overload.str());
  if (StringRef doc = stringIn(attributes, "doc_string"); !doc.empty())
    proto.set_doc_string(doc.str());
  exportMetadata(in(attributes, "metadata"), *proto.mutable_metadata_props());
  if (auto list = dyn_cast_if_present<ArrayAttr>(in(attributes, "attributes")))
    for (Attribute element : list)
      if (auto name = dyn_cast<StringAttr>(element))
        proto.add_attribute(name.getValue().str());
  if (imports && failed(exportOpsets(imports, *proto.mutable_opset_import())))
    return failure();
  SmallVector<DictionaryAttr> inputs, outputs;
  argAttrs(function, inputs, outputs);
  Scope scope;
  proto::GraphProto graph;
  NamedAttrList fields;
  if (Attribute rest = in(attributes, "graph_rest"))
    fields.set("rest", rest);
  if (failed(exportGraph(function.getBody().front(), fields.getDictionary(context), inputs, outputs,
                         scope, graph)))
    return failure();
  if (graph.initializer_size() || graph.sparse_initializer_size())
    return function.emitError() << "is an ONNX function and can't hold initializers";
  for (const auto &input : graph.input())
    proto.add_input(input.name());
  for (const auto &output : graph.output())
    proto.add_output(output.name());
  proto.mutable_node()->Swap(graph.mutable_node());
  proto.mutable_value_info()->Swap(graph.mutable_value_info());
  if (!mergeRest(in(attributes, "rest"), proto))
    return function.emitError() << "has broken fields";
  return success();
}

LogicalResult Exporter::run() {
  proto::ModelProto &model = image.model;
  auto string = [&](StringRef key) { return stringIn(module->getAttrDictionary(), key).str(); };
  irVersion = integerIn(module->getAttrDictionary(), "onnx.ir_version", 10);
  if (std::string value = string("onnx.producer_name"); !value.empty())
    model.set_producer_name(value);
  if (std::string value = string("onnx.producer_version"); !value.empty())
    model.set_producer_version(value);
  if (std::string value = string("onnx.domain"); !value.empty())
    model.set_domain(value);
  if (std::string value = string("onnx.doc_string"); !value.empty())
    model.set_doc_string(value);
  if (auto version = module->getAttrOfType<IntegerAttr>("onnx.model_version"))
    model.set_model_version(version.getInt());
  exportMetadata(module->getAttr("onnx.metadata"), *model.mutable_metadata_props());

  // Initializers that passes have made are no inputs, which is allowed from IR version 4 on.
  module.walk([&](InitializerOp op) {
    if (!in(op.getFields().value_or(DictionaryAttr()), "input"))
      irVersion = std::max<int64_t>(irVersion, 4);
  });
  collectNames();
  func::FuncOp mainFunction;
  for (Operation &op : *module.getBody()) {
    if (isa<InitializerOp>(op))
      continue;
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function || function.isExternal() || !function.getBody().hasOneBlock())
      return op.emitError() << "has no ONNX form: expected initializers and functions of one block";
    if (function->hasAttr("onnx.function")) {
      if (failed(exportFunction(function)))
        return failure();
    } else if (mainFunction) {
      return function.emitError() << "has no ONNX form: @" << mainFunction.getSymName()
                                  << " is the graph, and this function lacks onnx.function";
    } else {
      mainFunction = function;
    }
  }
  if (!mainFunction)
    return module.emitError() << "has no function to write as the model's graph";
  // Only the graph's own domains count for the model's imports.
  llvm::StringSet<> functionDomains;
  std::swap(domains, functionDomains);
  SmallVector<DictionaryAttr> inputs, outputs;
  argAttrs(mainFunction, inputs, outputs);
  NamedAttrList fields;
  if (std::string name = string("onnx.graph_name"); !name.empty())
    fields.set("name", StringAttr::get(context, name));
  for (StringRef key : {"doc_string", "metadata", "rest"})
    if (Attribute value = mainFunction->getAttr(("onnx." + key).str()))
      fields.set(key, value);
  Scope scope;
  if (failed(exportGraph(mainFunction.getBody().front(), fields.getDictionary(context), inputs,
                         outputs, scope, *model.mutable_graph())))
    return failure();
  if (!model.graph().has_name())
    model.mutable_graph()->set_name("main_graph"); // the standard demands one

  auto imports = module->getAttrOfType<DictionaryAttr>("onnx.opset_import");
  if (imports && failed(exportOpsets(imports, *model.mutable_opset_import())))
    return failure();
  for (auto &domain : domains)
    if (domain.getKey() == "com.microsoft" && (!imports || !imports.get(domain.getKey()))) {
      auto *import = model.add_opset_import();
      import->set_domain(domain.getKey().str());
      import->set_version(1);
    }
  model.set_ir_version(irVersion);
  if (!mergeRest(module->getAttr("onnx.rest"), model))
    return module.emitError() << "has broken fields";
  return success();
}
