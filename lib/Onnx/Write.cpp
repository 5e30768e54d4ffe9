// ModelProto -> file. A message is written as pieces, of which large tensors' bytes come from their
// files, so that no copy of the model is made.
#include "lib/Files/AtomicFile.h"
#include "lib/Onnx/Exporter.h"
#include "lib/Onnx/Model.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace uoe;

namespace {

/// Serialised bytes in order: own text, then mapped data, and so on.
class Pieces {
public:
  void text(std::string bytes) {
    total += bytes.size();
    if (list.empty() || list.back().data)
      list.push_back({});
    list.back().text += bytes;
  }
  void data(const WeightData &data) {
    total += data.bytes.size();
    list.push_back({{}, &data});
  }
  /// A length-delimited field that holds `inner`.
  void field(int number, Pieces inner) {
    text(tag(number) + varint(inner.total));
    total += inner.total;
    for (Piece &piece : inner.list) {
      if (!piece.data && !list.empty() && !list.back().data)
        list.back().text += piece.text;
      else
        list.push_back(std::move(piece));
    }
  }
  static std::string tag(int number) { return varint(static_cast<uint64_t>(number) << 3 | 2); }
  static std::string varint(uint64_t value) {
    std::string out;
    for (; value > 127; value >>= 7)
      out.push_back(static_cast<char>(value | 128));
    out.push_back(static_cast<char>(value));
    return out;
  }

  struct Piece {
    std::string text;
    const WeightData *data = nullptr;
  };
  std::vector<Piece> list;
  uint64_t total = 0;
};

/// Serialises messages, consuming them.
class Encoder {
public:
  explicit Encoder(const ModelImage &image) : image(image) {}

  Pieces encode(proto::ModelProto &model) {
    std::unique_ptr<proto::GraphProto> owner(model.release_graph());
    google::protobuf::RepeatedPtrField<proto::FunctionProto> functions;
    functions.Swap(model.mutable_functions());
    Pieces out;
    out.text(model.SerializeAsString());
    out.field(7, encode(*owner));
    for (proto::FunctionProto &function : functions)
      out.field(25, encode(function));
    return out;
  }

private:
  Pieces encode(proto::GraphProto &graph) {
    google::protobuf::RepeatedPtrField<proto::NodeProto> nodes;
    google::protobuf::RepeatedPtrField<proto::TensorProto> tensors;
    nodes.Swap(graph.mutable_node());
    tensors.Swap(graph.mutable_initializer());
    Pieces out;
    for (proto::NodeProto &node : nodes)
      out.field(1, encode(node));
    out.text(graph.SerializeAsString());
    for (proto::TensorProto &tensor : tensors)
      out.field(5, encode(tensor));
    return out;
  }

  Pieces encode(proto::FunctionProto &function) {
    google::protobuf::RepeatedPtrField<proto::NodeProto> nodes;
    nodes.Swap(function.mutable_node());
    Pieces out;
    out.text(function.SerializeAsString());
    for (proto::NodeProto &node : nodes)
      out.field(7, encode(node));
    return out;
  }

  Pieces encode(proto::NodeProto &node) {
    Pieces out;
    bool plain = llvm::all_of(node.attribute(), [&](const proto::AttributeProto &a) {
      return !a.has_g() && a.graphs().empty() && !(a.has_t() && image.data.count(&a.t()));
    });
    if (plain) {
      out.text(node.SerializeAsString());
      return out;
    }
    google::protobuf::RepeatedPtrField<proto::AttributeProto> attributes;
    attributes.Swap(node.mutable_attribute());
    out.text(node.SerializeAsString());
    for (proto::AttributeProto &attribute : attributes)
      out.field(5, encode(attribute));
    return out;
  }

  Pieces encode(proto::AttributeProto &attribute) {
    std::unique_ptr<proto::TensorProto> t(attribute.has_t() ? attribute.release_t() : nullptr);
    std::unique_ptr<proto::GraphProto> g(attribute.has_g() ? attribute.release_g() : nullptr);
    google::protobuf::RepeatedPtrField<proto::GraphProto> graphs;
    graphs.Swap(attribute.mutable_graphs());
    Pieces out;
    out.text(attribute.SerializeAsString());
    if (t)
      out.field(5, encode(*t));
    if (g)
      out.field(6, encode(*g));
    for (proto::GraphProto &graph : graphs)
      out.field(11, encode(graph));
    return out;
  }

  Pieces encode(proto::TensorProto &tensor) {
    Pieces out;
    out.text(tensor.SerializeAsString());
    auto data = image.data.find(&tensor);
    if (data != image.data.end() && tensor.data_location() != proto::TensorProto::EXTERNAL) {
      out.text(Pieces::tag(9) + Pieces::varint(data->second.bytes.size()));
      out.data(data->second);
    }
    return out;
  }

  const ModelImage &image;
};

} // namespace

/// Tensors in the order in which they are to lie in the data file.
static void listTensors(proto::GraphProto &graph, ModelImage &image,
                        std::vector<proto::TensorProto *> &out) {
  auto add = [&](proto::TensorProto *tensor) {
    if (image.data.count(tensor))
      out.push_back(tensor);
  };
  for (proto::TensorProto &tensor : *graph.mutable_initializer())
    add(&tensor);
  for (proto::NodeProto &node : *graph.mutable_node())
    for (proto::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        listTensors(*attribute.mutable_g(), image, out);
      for (proto::GraphProto &inner : *attribute.mutable_graphs())
        listTensors(inner, image, out);
    }
}

static void setExternal(proto::TensorProto &tensor, StringRef location, uint64_t offset,
                        uint64_t length) {
  auto entry = [&](const char *key, std::string value) {
    auto *proto = tensor.add_external_data();
    proto->set_key(key);
    proto->set_value(std::move(value));
  };
  tensor.set_data_location(proto::TensorProto::EXTERNAL);
  entry("location", location.str());
  entry("offset", std::to_string(offset));
  entry("length", std::to_string(length));
}

LogicalResult uoe::writeOnnx(ModuleOp module, StringRef path, const WriteOnnxOptions &options) {
  ModelImage image;
  if (failed(Exporter(module, image).run()))
    return failure();
  auto fail = [&](const std::string &error) { return emitError(module.getLoc()) << error; };

  uint64_t total = 0;
  for (auto &[tensor, data] : image.data)
    total += data.bytes.size();
  AtomicFile model(path), data((path + ".data").str());
  bool external = (options.externalData || total > options.inlineLimit) && total > 0;
  if (external) {
    if (!data.open())
      return fail(data.error);
    std::vector<proto::TensorProto *> tensors;
    listTensors(*image.model.mutable_graph(), image, tensors);
    StringRef location = llvm::sys::path::filename(data.path);
    for (proto::TensorProto *tensor : tensors) {
      const WeightData &bytes = image.data[tensor];
      // Pages, as ONNX asks for, but not for tensors that are smaller.
      if (!data.pad(bytes.bytes.size() >= 4096 ? 4096 : 64))
        return fail(data.error);
      setExternal(*tensor, location, data.written, bytes.bytes.size());
      if (!data.write(bytes.bytes))
        return fail(data.error);
    }
  }
  Pieces pieces = Encoder(image).encode(image.model);
  if (pieces.total > INT32_MAX)
    return fail("the model needs " + std::to_string(pieces.total) +
                " bytes beside its external data, protobuf allows " + std::to_string(INT32_MAX));
  if (!model.open())
    return fail(model.error);
  for (const Pieces::Piece &piece : pieces.list)
    if (!model.write(piece.data ? piece.data->bytes
                                : llvm::ArrayRef<char>(piece.text.data(), piece.text.size())))
      return fail(model.error);
  if (external && !data.finish())
    return fail(data.error);
  if (!model.finish())
    return fail(model.error);
  return success();
}
