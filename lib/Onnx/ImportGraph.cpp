// A graph, a subgraph or a function's body -> a block.
#include "lib/Onnx/Importer.h"
#include <queue>

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

/// How a node is called in messages: its name and operator.
static std::string title(const proto::NodeProto &node) {
  return (node.name().empty() ? "" : "\"" + node.name() + "\" ") + "(" + node.op_type() + ")";
}

FailureOr<std::pair<Type, ProtoAttr>> Importer::valueInfo(const proto::ValueInfoProto &value) {
  if (failed(checkText(value.name(), "the name of a value", here())))
    return failure();
  auto type = typeFromProto(value.type(), context);
  if (!type)
    return emitError(here()) << "value \"" << value.name()
                             << "\": " << llvm::toString(type.takeError());
  proto::ValueInfoProto again;
  again.set_name(value.name());
  if (value.has_type() && !typeToProto(*type, *again.mutable_type()))
    return emitError(here()) << "value \"" << value.name() << "\" has type " << *type
                             << ", which can't be written";
  ProtoAttr rest;
  if (again.SerializeAsString() != value.SerializeAsString())
    rest = protoAttr("ValueInfoProto", value, *type);
  return std::make_pair(*type, rest);
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

/// Names that a node uses: its inputs, and what its subgraphs take from outside.
static void usedNames(const proto::NodeProto &node, llvm::function_ref<void(StringRef)> use) {
  for (const std::string &input : node.input())
    if (!input.empty())
      use(input);
  auto visit = [&](const proto::GraphProto &graph) {
    llvm::StringSet<> own;
    for (const auto &value : graph.input())
      own.insert(value.name());
    for (const auto &tensor : graph.initializer())
      own.insert(tensor.name());
    for (const auto &sparse : graph.sparse_initializer())
      own.insert(sparse.values().name());
    for (const auto &inner : graph.node())
      for (const std::string &output : inner.output())
        own.insert(output);
    auto outer = [&](StringRef name) {
      if (!own.contains(name))
        use(name);
    };
    for (const auto &inner : graph.node())
      usedNames(inner, outer);
    for (const auto &output : graph.output())
      outer(output.name());
  };
  for (const auto &attribute : node.attribute()) {
    if (attribute.has_g())
      visit(attribute.g());
    for (const auto &graph : attribute.graphs())
      visit(graph);
  }
}

LogicalResult Importer::sortNodes(proto::GraphProto &graph, const Scope &scope,
                                  SmallVectorImpl<int> &order) {
  llvm::StringMap<int> producers;
  for (auto [i, node] : llvm::enumerate(graph.node()))
    for (const std::string &output : node.output()) {
      if (output.empty())
        continue;
      if (scope.values.count(output))
        return emitError(nodeLoc(node)) << "node " << title(node) << " defines \"" << output
                                        << "\", which is an input or initializer already";
      auto [at, isNew] = producers.try_emplace(output, i);
      if (!isNew)
        return emitError(nodeLoc(node))
               << "node " << title(node) << " defines \"" << output << "\", which node "
               << title(graph.node(at->second)) << " defines already";
    }
  // A name that nobody defines is left to the importer of the node, which says so.
  int count = graph.node_size();
  std::vector<SmallVector<int, 4>> users(count);
  std::vector<int> waiting(count, 0);
  bool sorted = true;
  for (auto [i, node] : llvm::enumerate(graph.node()))
    usedNames(node, [&, i = static_cast<int>(i)](StringRef name) {
      auto producer = producers.find(name);
      if (producer == producers.end())
        return;
      users[producer->second].push_back(i);
      ++waiting[i];
      sorted &= producer->second < i;
    });
  order.reserve(count);
  if (sorted) {
    for (int i = 0; i < count; ++i)
      order.push_back(i);
    return success();
  }
  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  for (int i = 0; i < count; ++i)
    if (!waiting[i])
      ready.push(i);
  while (!ready.empty()) {
    int i = ready.top();
    ready.pop();
    order.push_back(i);
    for (int user : users[i])
      if (!--waiting[user])
        ready.push(user);
  }
  if (static_cast<int>(order.size()) == count)
    return success();
  // Walk back along what is waited for until a node comes again: that is a cycle.
  std::vector<int> waitsFor(count, -1), visited(count, 0);
  for (int i = 0; i < count; ++i)
    for (int user : users[i])
      if (waiting[i] > 0 && waiting[user] > 0)
        waitsFor[user] = i;
  int at = 0;
  while (waiting[at] == 0)
    ++at;
  while (!visited[at]) {
    visited[at] = 1;
    at = waitsFor[at];
  }
  InFlightDiagnostic diagnostic = emitError(nodeLoc(graph.node(at)));
  diagnostic << "the graph has a cycle: node " << title(graph.node(at));
  int shown = 1;
  for (int i = waitsFor[at]; i != at; i = waitsFor[i])
    if (++shown <= 8)
      diagnostic << " needs " << title(graph.node(i));
  if (shown > 8)
    diagnostic << " ... (" << shown << " nodes)";
  return diagnostic << " needs " << title(graph.node(at));
}

//===----------------------------------------------------------------------===//
// Initializers, inputs, outputs
//===----------------------------------------------------------------------===//

LogicalResult Importer::importInitializers(proto::GraphProto &graph, Block &block, Scope &scope,
                                           const llvm::StringMap<int> &inputs,
                                           llvm::StringMap<Attribute> &defaults) {
  llvm::StringSet<> seen;
  auto add = [&](const std::string &name, llvm::Expected<TypedAttr> value,
                 NamedAttrList fields) -> LogicalResult {
    if (failed(checkText(name, "the name of an initializer", here())))
      return failure();
    if (name.empty())
      return emitError(here()) << "an initializer has no name";
    if (!value)
      return emitError(here()) << "initializer \"" << name
                               << "\": " << llvm::toString(value.takeError());
    if (!seen.insert(name).second)
      return emitError(here()) << "initializer \"" << name << "\" is defined twice";
    std::string symbol = freshSymbol(name);
    if (symbol != name)
      fields.set("name", builder.getStringAttr(name));
    // Before IR version 4 every initializer had to be among the inputs as well, which said nothing
    // about it.
    auto input = inputs.find(name);
    bool fixed = irVersion < 4;
    if (input != inputs.end() && fixed) {
      fields.set("input", builder.getI64IntegerAttr(input->second));
      auto info = valueInfo(graph.input(input->second));
      if (failed(info))
        return failure();
      if (info->second || info->first != value->getType())
        fields.set("input_info",
                   protoAttr("ValueInfoProto", graph.input(input->second), value->getType()));
    }
    OpBuilder::InsertionGuard guard(builder);
    if (initializerPoint)
      builder.setInsertionPointAfter(initializerPoint);
    else
      builder.setInsertionPointToEnd(top.getBody());
    auto initializer = InitializerOp::create(
        builder, here(), builder.getStringAttr(symbol), TypeAttr::get(value->getType()), *value,
        fields.empty() ? DictionaryAttr() : fields.getDictionary(context));
    initializerPoint = initializer;
    auto reference = FlatSymbolRefAttr::get(context, symbol);
    if (input != inputs.end() && !fixed) {
      defaults[name] = reference;
      return success();
    }
    builder.setInsertionPointToEnd(&block);
    scope.values[name] = WeightOp::create(builder, here(), value->getType(), reference);
    return success();
  };
  for (proto::TensorProto &tensor : *graph.mutable_initializer()) {
    std::string name = tensor.name();
    llvm::Expected<TypedAttr> value = tensors.read(tensor);
    NamedAttrList fields;
    if (value) {
      TensorReader::clearTaken(tensor);
      tensor.clear_name();
      if (tensor.ByteSizeLong())
        fields.set("rest", protoAttr("TensorProto", tensor));
    }
    if (failed(add(name, std::move(value), fields)))
      return failure();
  }
  for (proto::SparseTensorProto &sparse : *graph.mutable_sparse_initializer())
    if (failed(add(sparse.values().name(), tensors.read(sparse), {})))
      return failure();
  return success();
}

LogicalResult Importer::importInputs(proto::GraphProto &graph, Block &block, Scope &scope,
                                     const llvm::StringMap<Attribute> &defaults,
                                     GraphFields &fields) {
  for (const proto::ValueInfoProto &input : graph.input()) {
    if (scope.values.count(input.name())) // an initializer of an old model
      continue;
    auto info = valueInfo(input);
    if (failed(info))
      return failure();
    NamedAttrList attrs;
    attrs.set("onnx.name", builder.getStringAttr(input.name()));
    if (info->second)
      attrs.set("onnx.value_info", info->second);
    if (Attribute value = defaults.lookup(input.name()))
      attrs.set("onnx.default", value);
    scope.values[input.name()] = block.addArgument(info->first, here());
    fields.inputs.push_back(attrs.getDictionary(context));
  }
  return success();
}

LogicalResult Importer::importOutputs(proto::GraphProto &graph, Scope &scope, GraphFields &fields) {
  for (const proto::ValueInfoProto &output : graph.output()) {
    auto info = valueInfo(output);
    if (failed(info))
      return failure();
    Value value = scope.lookup(output.name());
    if (!value)
      return emitError(here()) << "output \"" << output.name()
                               << "\" is defined by no input, initializer or node of graph \""
                               << graph.name() << "\"";
    NamedAttrList attrs;
    attrs.set("onnx.name", builder.getStringAttr(output.name()));
    if (info->second || info->first != value.getType())
      attrs.set("onnx.value_info", protoAttr("ValueInfoProto", output, value.getType()));
    fields.outputs.push_back(attrs.getDictionary(context));
    fields.results.push_back(value);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Graph
//===----------------------------------------------------------------------===//

LogicalResult Importer::importGraph(proto::GraphProto &graph, Block &block, Scope &scope,
                                    GraphFields &fields) {
  if (failed(checkText(graph.name(), "the name of a graph", here())) ||
      failed(checkText(graph.doc_string(), "a graph's doc string", here())))
    return failure();
  llvm::StringMap<int> inputs;
  for (auto [i, input] : llvm::enumerate(graph.input())) {
    if (input.name().empty())
      return emitError(here()) << "input " << i << " of graph \"" << graph.name()
                               << "\" has no name";
    if (!inputs.try_emplace(input.name(), i).second)
      return emitError(here()) << "input \"" << input.name() << "\" is defined twice";
  }
  llvm::StringMap<Attribute> defaults;
  if (failed(importInitializers(graph, block, scope, inputs, defaults)) ||
      failed(importInputs(graph, block, scope, defaults, fields)))
    return failure();

  // What a value's own entry says goes to its type; an output's entry speaks for it before
  // value_info does.
  llvm::StringMap<const proto::ValueInfoProto *> types;
  for (const auto &output : graph.output())
    types.try_emplace(output.name(), &output);
  llvm::StringSet<> produced;
  for (const auto &node : graph.node())
    for (const std::string &output : node.output())
      produced.insert(output);
  google::protobuf::RepeatedPtrField<proto::ValueInfoProto> otherInfo;
  for (const auto &value : graph.value_info())
    if (!produced.contains(value.name()) || value.name().empty())
      *otherInfo.Add() = value;
    else
      types.try_emplace(value.name(), &value);

  SmallVector<int> order;
  if (failed(sortNodes(graph, scope, order)))
    return failure();
  for (int i : order) {
    builder.setInsertionPointToEnd(&block);
    if (failed(importNode(*graph.mutable_node(i), scope, types)))
      return failure();
  }
  if (failed(importOutputs(graph, scope, fields)))
    return failure();

  if (!graph.name().empty())
    fields.graph.set("name", builder.getStringAttr(graph.name()));
  if (!graph.doc_string().empty())
    fields.graph.set("doc_string", builder.getStringAttr(graph.doc_string()));
  if (DictionaryAttr metadata = takeMetadata(*graph.mutable_metadata_props()))
    fields.graph.set("metadata", metadata);
  graph.mutable_value_info()->Swap(&otherInfo);
  graph.clear_node();
  graph.clear_name();
  graph.clear_doc_string();
  graph.clear_initializer();
  graph.clear_sparse_initializer();
  graph.clear_input();
  graph.clear_output();
  if (graph.ByteSizeLong())
    fields.graph.set("rest", protoAttr("GraphProto", graph));
  return success();
}
