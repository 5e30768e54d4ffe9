#include "Proto.h"
#include "lib/Files/AtomicFile.h"
#include "onnx-data.pb.h"
#include <cstring>
#include <fstream>
#include <set>

namespace uoe {
namespace pb = uoe::proto;
using rt::DType;

namespace {
struct Reader {
  const std::string &path;

  template <typename... Parts> [[noreturn]] void bad(const Parts &...parts) const {
    rt::fail("'", path, "': ", parts...);
  }

  template <typename T, typename Field>
  void narrow(rt::Tensor &tensor, const Field &field, int64_t perElement = 1) const {
    int64_t count = tensor.size() * perElement;
    if (field.size() != count)
      bad("shape ", rt::toString(tensor.shape()), " needs ", count, " values, found ",
          field.size());
    T *data = static_cast<T *>(tensor.raw());
    for (int64_t i = 0; i < count; ++i)
      data[i] = static_cast<T>(field.Get(static_cast<int>(i)));
  }

  rt::Tensor tensor(const pb::TensorProto &proto) const {
    if (proto.has_data_location() && proto.data_location() == pb::TensorProto::EXTERNAL)
      bad("external data is not supported in test data");
    rt::Shape shape(proto.dims().begin(), proto.dims().end());
    int64_t count = 1;
    for (int64_t dim : shape)
      if (dim < 0 || (dim && __builtin_mul_overflow(count, dim, &count)))
        bad("invalid shape ", rt::toString(shape));
    int type = proto.data_type();
    if (type <= 0 || type > static_cast<int>(DType::F4E2M1) ||
        type == static_cast<int>(DType::String))
      bad("element type ", type == 8 ? "string" : std::to_string(type).c_str(),
          " is not supported");
    DType dtype = static_cast<DType>(type);
    // Checked before anything is allocated: the shape is only a claim.
    size_t needed = rt::bytesOf(dtype, rt::elementCount(shape));
    if (proto.has_raw_data() ? proto.raw_data().size() != needed
                             : needed / 16 > proto.ByteSizeLong())
      bad("shape ", rt::toString(shape), " of ", rt::nameOf(dtype), " needs ", needed,
          " bytes, found ", proto.has_raw_data() ? proto.raw_data().size() : proto.ByteSizeLong());
    rt::Tensor result(dtype, shape);
    if (proto.has_raw_data()) {
      if (needed)
        std::memcpy(result.raw(), proto.raw_data().data(), needed);
      return result;
    }
    switch (dtype) {
    case DType::F32:
      narrow<float>(result, proto.float_data());
      break;
    case DType::C64:
      narrow<float>(result, proto.float_data(), 2);
      break;
    case DType::F64:
      narrow<double>(result, proto.double_data());
      break;
    case DType::C128:
      narrow<double>(result, proto.double_data(), 2);
      break;
    case DType::I64:
      narrow<int64_t>(result, proto.int64_data());
      break;
    case DType::U64:
      narrow<uint64_t>(result, proto.uint64_data());
      break;
    case DType::U32:
      narrow<uint32_t>(result, proto.uint64_data());
      break;
    case DType::I32:
      narrow<int32_t>(result, proto.int32_data());
      break;
    case DType::I16:
    case DType::U16:
    case DType::F16:
    case DType::BF16:
      narrow<uint16_t>(result, proto.int32_data());
      break;
    case DType::U4:
    case DType::I4:
    case DType::F4E2M1: { // one byte, two elements, a value
      rt::Tensor bytes(DType::U8, {static_cast<int64_t>(needed)});
      narrow<uint8_t>(bytes, proto.int32_data());
      if (needed)
        std::memcpy(result.raw(), bytes.raw(), needed);
      break;
    }
    default:
      narrow<uint8_t>(result, proto.int32_data());
      break;
    }
    return result;
  }

  rt::Value sequence(const pb::SequenceProto &proto) const {
    if (proto.sparse_tensor_values_size() || proto.sequence_values_size() ||
        proto.map_values_size() || proto.optional_values_size())
      bad("only sequences of tensors are supported");
    rt::Value value;
    value.kind = rt::Value::Kind::Sequence;
    for (const pb::TensorProto &element : proto.tensor_values())
      value.sequence.push_back(tensor(element));
    return value;
  }

  rt::Value optional(const pb::OptionalProto &proto) const {
    if (proto.has_tensor_value())
      return tensor(proto.tensor_value());
    if (proto.has_sequence_value())
      return sequence(proto.sequence_value());
    if (proto.has_sparse_tensor_value() || proto.has_map_value() || proto.has_optional_value())
      bad("only optional tensors and sequences of tensors are supported");
    return {};
  }

  template <typename Proto> Proto parse() const {
    Proto proto;
    if (!proto.ParseFromString(readFile(path)))
      bad("not a valid ", proto.GetTypeName().substr(10)); // without "uoe.proto."
    return proto;
  }
};

PortKind kindOf(const pb::TypeProto &type) {
  if (type.has_sequence_type())
    return PortKind::Sequence;
  if (!type.has_optional_type())
    return PortKind::Tensor;
  return type.optional_type().elem_type().has_sequence_type() ? PortKind::OptionalSequence
                                                              : PortKind::Optional;
}

struct Scanner {
  ModelScan result;

  void element(int type) {
    if (type == pb::TensorProto::FLOAT16 || type == pb::TensorProto::BFLOAT16)
      result.half = true;
    if (type == pb::TensorProto::INT4 || type == pb::TensorProto::UINT4)
      result.quantized = true;
  }
  void type(const pb::TypeProto &type) {
    if (type.has_tensor_type())
      element(type.tensor_type().elem_type());
  }
  void node(const pb::NodeProto &node) {
    static const std::set<std::string> quantizing = {
        "MatMulNBits",          "GatherBlockQuantized", "QMoE",
        "MatMulInteger",        "ConvInteger",          "QuantizeLinear",
        "DequantizeLinear",     "QLinearMatMul",        "QLinearConv",
        "DynamicQuantizeLinear"};
    if (quantizing.count(node.op_type()) ||
        (node.domain() == "com.microsoft" && node.op_type().rfind("QLinear", 0) == 0))
      result.quantized = true;
    for (const pb::AttributeProto &attribute : node.attribute()) {
      if (node.op_type() == "Cast" && attribute.name() == "to")
        element(static_cast<int>(attribute.i()));
      if (attribute.has_t())
        element(attribute.t().data_type());
      if (attribute.has_g())
        graph(attribute.g());
      for (const pb::GraphProto &inner : attribute.graphs())
        graph(inner);
    }
  }
  void graph(const pb::GraphProto &graph) {
    for (const pb::TensorProto &weight : graph.initializer())
      element(weight.data_type());
    for (const pb::ValueInfoProto &port : graph.input())
      type(port.type());
    for (const pb::ValueInfoProto &port : graph.output())
      type(port.type());
    for (const pb::NodeProto &inner : graph.node())
      node(inner);
  }
};
} // namespace

NamedValue readValueProto(const std::string &path, PortKind kind) {
  Reader reader{path};
  switch (kind) {
  case PortKind::Sequence: {
    auto proto = reader.parse<pb::SequenceProto>();
    return {proto.name(), reader.sequence(proto)};
  }
  case PortKind::Optional: {
    auto proto = reader.parse<pb::OptionalProto>();
    // Backend tests give a present optional tensor as a plain TensorProto too, and those always
    // hold data.
    if (proto.has_tensor_value() || proto.elem_type() == pb::OptionalProto::UNDEFINED)
      return {proto.name(), reader.optional(proto)};
    auto tensor = reader.parse<pb::TensorProto>();
    return {tensor.name(), reader.tensor(tensor)};
  }
  case PortKind::OptionalSequence: {
    auto proto = reader.parse<pb::OptionalProto>();
    if (proto.has_sequence_value() || proto.elem_type() == pb::OptionalProto::UNDEFINED)
      return {proto.name(), reader.optional(proto)};
    auto sequence = reader.parse<pb::SequenceProto>();
    return {sequence.name(), reader.sequence(sequence)};
  }
  case PortKind::Tensor:
    break;
  }
  auto proto = reader.parse<pb::TensorProto>();
  return {proto.name(), reader.tensor(proto)};
}

void writeTensorProto(const std::string &path, const rt::Tensor &tensor, const std::string &name) {
  pb::TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(static_cast<int>(tensor.dtype()));
  for (int64_t dim : tensor.shape())
    proto.add_dims(dim);
  proto.set_raw_data(tensor.raw(), tensor.bytes());
  writeFile(path, proto.SerializeAsString());
}

ModelScan scanModel(const std::string &path) {
  pb::ModelProto model;
  std::ifstream stream(path, std::ios::binary);
  rt::check(stream.good(), "cannot read '", path, "'");
  rt::check(model.ParseFromIstream(&stream), "'", path, "' is not a valid ONNX model");
  Scanner scanner;
  scanner.graph(model.graph());
  for (const pb::FunctionProto &function : model.functions())
    for (const pb::NodeProto &node : function.node())
      scanner.node(node);
  std::set<std::string> defaults;
  for (const pb::TensorProto &weight : model.graph().initializer())
    defaults.insert(weight.name());
  for (const pb::ValueInfoProto &port : model.graph().input())
    if (!defaults.count(port.name()))
      scanner.result.inputs.push_back({port.name(), kindOf(port.type())});
  for (const pb::ValueInfoProto &port : model.graph().output())
    scanner.result.outputs.push_back({port.name(), kindOf(port.type())});
  return scanner.result;
}

} // namespace uoe
