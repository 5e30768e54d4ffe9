// NodeProto -> onnx.node.
#include "lib/Onnx/Importer.h"
#include "llvm/Support/ConvertUTF.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

Location Importer::nodeLoc(const proto::NodeProto &node) const {
  if (node.name().empty())
    return here();
  auto *begin = reinterpret_cast<const llvm::UTF8 *>(node.name().data());
  if (!llvm::isLegalUTF8String(&begin, begin + node.name().size()))
    return here();
  return NameLoc::get(StringAttr::get(context, node.name()), here());
}

LogicalResult Importer::importSubgraph(proto::GraphProto &graph, Region &region, Scope &scope,
                                       SmallVectorImpl<Attribute> &graphs, Location nodeLocation) {
  OpBuilder::InsertionGuard guard(builder);
  Block &block = region.emplaceBlock();
  Scope inner;
  inner.parent = &scope;
  GraphFields fields;
  if (failed(importGraph(graph, block, inner, fields)))
    return failure();
  builder.setInsertionPointToEnd(&block);
  onnx::YieldOp::create(builder, nodeLocation, fields.results);
  auto all = [&](ArrayRef<DictionaryAttr> list) {
    return ArrayAttr::get(context, SmallVector<Attribute>(list.begin(), list.end()));
  };
  fields.graph.set("inputs", all(fields.inputs));
  fields.graph.set("outputs", all(fields.outputs));
  graphs.push_back(fields.graph.getDictionary(context));
  return success();
}

LogicalResult Importer::importNode(proto::NodeProto &node, Scope &scope,
                                   const llvm::StringMap<const proto::ValueInfoProto *> &types) {
  Location at = nodeLoc(node);
  auto fail = [&]() {
    return emitError(at) << "node " << (node.name().empty() ? "" : "\"" + node.name() + "\" ")
                         << "(" << node.op_type() << ") ";
  };
  if (failed(checkText(node.name(), "the name of a node", at)) ||
      failed(checkText(node.op_type(), "the operator of a node", at)) ||
      failed(checkText(node.domain(), "the domain of a node", at)) ||
      failed(checkText(node.doc_string(), "a node's doc string", at)))
    return failure();
  if (node.op_type().empty())
    return fail() << "names no operator";
  StringRef domain = node.domain().empty() ? StringRef("ai.onnx") : StringRef(node.domain());
  if (!knownOpsets.get(domain)) {
    if (domain == "ai.onnx")
      return fail() << "needs ONNX's own operators, of which the model imports no opset";
    if (missingOpsets.insert(domain).second)
      emitWarning(at) << "the model imports no opset of \"" << domain << "\", which node \""
                      << node.name() << "\" (" << node.op_type() << ") uses";
  }

  OperationState state(at, NodeOp::getOperationName());
  for (auto [i, input] : llvm::enumerate(node.input())) {
    if (input.empty()) {
      if (!scope.none)
        scope.none = NoneOp::create(builder, here(), builder.getNoneType());
      state.operands.push_back(scope.none);
      continue;
    }
    Value value = scope.lookup(input);
    if (!value)
      return fail() << "takes \"" << input << "\" as input " << i
                    << ", which no input, initializer or node defines";
    state.operands.push_back(value);
  }

  NamedAttrList values, leftovers, fields;
  SmallVector<StringRef> subgraphNames;
  SmallVector<std::string> names; // owns what subgraphNames points at
  SmallVector<std::pair<proto::GraphProto *, std::string>> subgraphs;
  for (proto::AttributeProto &attribute : *node.mutable_attribute()) {
    std::string name = attribute.name();
    if (failed(checkText(name, "the name of an attribute", at)))
      return failure();
    if (name.empty())
      return fail() << "has an attribute without a name";
    bool subgraph = llvm::any_of(subgraphs, [&](auto &s) {
      return s.second == name || StringRef(s.second).starts_with(name + "[");
    });
    if (values.get(name) || subgraph)
      return fail() << "has attribute \"" << name << "\" twice";
    auto kind = kindOf(attribute);
    bool reference = !attribute.ref_attr_name().empty();
    if (!reference && kind == proto::AttributeProto::GRAPH) {
      if (!attribute.has_g())
        return fail() << "has attribute \"" << name << "\" of kind GRAPH without a graph";
      subgraphs.push_back({attribute.mutable_g(), name});
    } else if (!reference && kind == proto::AttributeProto::GRAPHS && attribute.graphs_size()) {
      for (int i = 0; i < attribute.graphs_size(); ++i)
        subgraphs.push_back({attribute.mutable_graphs(i), name + "[" + std::to_string(i) + "]"});
    } else {
      auto value = attributeFromProto(attribute, tensors, context);
      if (!value)
        return fail() << "attribute \"" << name << "\": " << llvm::toString(value.takeError());
      values.append(name, *value);
      if (attribute.ByteSizeLong())
        leftovers.append(name, protoAttr("AttributeProto", attribute));
    }
  }
  SmallVector<Attribute> graphs;
  for (auto &[graph, name] : subgraphs) {
    names.push_back(name);
    if (failed(importSubgraph(*graph, *state.addRegion(), scope, graphs, at)))
      return failure();
  }
  // The graphs have been taken; what remains of their attributes is kept like that of others.
  for (proto::AttributeProto &attribute : *node.mutable_attribute()) {
    auto kind = kindOf(attribute);
    if (attribute.name().empty() ||
        (kind != proto::AttributeProto::GRAPH && kind != proto::AttributeProto::GRAPHS))
      continue;
    std::string name = attribute.name();
    attribute.clear_name();
    attribute.clear_type();
    attribute.clear_g();
    attribute.clear_graphs();
    if (attribute.ByteSizeLong())
      leftovers.append(name, protoAttr("AttributeProto", attribute));
  }

  SmallVector<StringRef> resultNames;
  SmallVector<Attribute> resultInfo;
  bool hasInfo = false;
  for (const std::string &output : node.output()) {
    if (failed(checkText(output, "the name of a value", at)))
      return failure();
    resultNames.push_back(output);
    Type type = output.empty() ? Type(builder.getNoneType()) : Type(AnyType::get(context));
    Attribute info = builder.getUnitAttr();
    auto known = types.find(output);
    if (!output.empty() && known != types.end()) {
      auto told = valueInfo(*known->second);
      if (failed(told))
        return failure();
      type = told->first;
      if (told->second) {
        info = told->second;
        hasInfo = true;
      }
    }
    resultInfo.push_back(info);
    state.addTypes(type);
  }

  if (!node.name().empty())
    fields.set("name", builder.getStringAttr(node.name()));
  if (!resultNames.empty())
    fields.set("result_names", builder.getStrArrayAttr(resultNames));
  if (hasInfo)
    fields.set("result_info", builder.getArrayAttr(resultInfo));
  if (!graphs.empty())
    fields.set("graphs", builder.getArrayAttr(graphs));
  if (!leftovers.empty())
    fields.set("attributes", leftovers.getDictionary(context));
  if (!node.doc_string().empty())
    fields.set("doc_string", builder.getStringAttr(node.doc_string()));
  if (!node.overload().empty())
    fields.set("overload", builder.getStringAttr(node.overload()));
  if (DictionaryAttr metadata = takeMetadata(*node.mutable_metadata_props()))
    fields.set("metadata", metadata);

  auto &properties = state.getOrAddProperties<NodeOp::Properties>();
  properties.op_type = builder.getStringAttr(node.op_type());
  properties.domain = builder.getStringAttr(node.domain());
  properties.node_attrs = values.getDictionary(context);
  if (!names.empty()) {
    subgraphNames.assign(names.begin(), names.end());
    properties.subgraph_names = builder.getStrArrayAttr(subgraphNames);
  }
  std::vector<std::string> outputs(node.output().begin(), node.output().end());
  node.clear_name();
  node.clear_op_type();
  node.clear_domain();
  node.clear_overload();
  node.clear_doc_string();
  node.clear_input();
  node.clear_output();
  node.clear_attribute();
  if (node.ByteSizeLong())
    fields.set("rest", protoAttr("NodeProto", node));
  if (!fields.empty())
    properties.fields = fields.getDictionary(context);
  Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip(outputs, op->getResults()))
    if (!name.empty())
      scope.values[name] = result;
  return success();
}
