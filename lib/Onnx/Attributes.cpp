// AttributeProto <-> MLIR attributes.
#include "lib/Onnx/Convert.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using Proto = proto::AttributeProto;

Proto::AttributeType uoe::kindOf(const Proto &a) {
  if (a.type() != Proto::UNDEFINED || !a.ref_attr_name().empty())
    return a.type();
  if (a.has_f())
    return Proto::FLOAT;
  if (a.has_i())
    return Proto::INT;
  if (a.has_s())
    return Proto::STRING;
  if (a.has_t())
    return Proto::TENSOR;
  if (a.has_g())
    return Proto::GRAPH;
  if (a.floats_size())
    return Proto::FLOATS;
  if (a.ints_size())
    return Proto::INTS;
  if (a.strings_size())
    return Proto::STRINGS;
  if (a.graphs_size())
    return Proto::GRAPHS;
  return Proto::UNDEFINED;
}

static llvm::Expected<Attribute> valueFromProto(Proto &a, TensorReader &tensors,
                                                MLIRContext *context) {
  auto i64 = IntegerType::get(context, 64);
  switch (kindOf(a)) {
  case Proto::INT: {
    int64_t value = a.i();
    a.clear_i();
    return IntegerAttr::get(i64, value);
  }
  case Proto::FLOAT: {
    llvm::APFloat value(a.f());
    a.clear_f();
    return FloatAttr::get(Float32Type::get(context), value);
  }
  case Proto::STRING: {
    auto value = StringAttr::get(context, a.s());
    a.clear_s();
    return value;
  }
  case Proto::INTS: {
    auto value = DenseI64ArrayAttr::get(context, {a.ints().data(), size_t(a.ints_size())});
    a.clear_ints();
    return value;
  }
  case Proto::FLOATS: {
    auto value = DenseF32ArrayAttr::get(context, {a.floats().data(), size_t(a.floats_size())});
    a.clear_floats();
    return value;
  }
  case Proto::STRINGS: {
    SmallVector<Attribute> values;
    for (const std::string &s : a.strings())
      values.push_back(StringAttr::get(context, s));
    a.clear_strings();
    return ArrayAttr::get(context, values);
  }
  case Proto::TENSOR: {
    auto value = tensors.read(a.t());
    if (!value)
      return value.takeError();
    TensorReader::clearTaken(*a.mutable_t());
    if (a.t().ByteSizeLong() == 0)
      a.clear_t();
    return Attribute(*value);
  }
  default: {
    auto value = ProtoAttr::get(context, StringRef("AttributeProto"), a.SerializeAsString());
    a.Clear();
    return value;
  }
  }
}

llvm::Expected<Attribute> uoe::attributeFromProto(Proto &a, TensorReader &tensors,
                                                  MLIRContext *context) {
  if (!a.ref_attr_name().empty()) {
    auto value = RefAttr::get(context, a.ref_attr_name(), a.type());
    a.clear_ref_attr_name();
    a.clear_type();
    a.clear_name();
    return value;
  }
  auto value = valueFromProto(a, tensors, context);
  a.clear_type();
  a.clear_name();
  return value;
}

bool uoe::attributeToProto(Attribute value, Proto &out,
                           llvm::function_ref<bool(TypedAttr, proto::TensorProto &)> tensor) {
  if (auto ref = dyn_cast<RefAttr>(value)) {
    if (!Proto::AttributeType_IsValid(static_cast<int>(ref.getKind())))
      return false;
    out.set_ref_attr_name(ref.getName().str());
    out.set_type(static_cast<Proto::AttributeType>(ref.getKind()));
    return true;
  }
  if (auto proto = dyn_cast<ProtoAttr>(value)) {
    std::string name = out.name();
    if (proto.getMessage() != "AttributeProto" || !out.ParseFromString(proto.serialised()))
      return false;
    out.set_name(name);
    return true;
  }
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    llvm::APInt number = integer.getValue();
    if (number.getBitWidth() > 64)
      return false;
    out.set_type(Proto::INT);
    out.set_i(number.getBitWidth() == 1 ? number.getZExtValue() : number.getSExtValue());
    return true;
  }
  if (auto real = dyn_cast<FloatAttr>(value)) {
    out.set_type(Proto::FLOAT);
    out.set_f(real.getType().isF32() ? real.getValue().convertToFloat()
                                     : static_cast<float>(real.getValueAsDouble()));
    return true;
  }
  if (auto string = dyn_cast<StringAttr>(value)) {
    out.set_type(Proto::STRING);
    out.set_s(string.getValue().str());
    return true;
  }
  if (auto ints = dyn_cast<DenseI64ArrayAttr>(value)) {
    out.set_type(Proto::INTS);
    out.mutable_ints()->Add(ints.asArrayRef().begin(), ints.asArrayRef().end());
    return true;
  }
  if (auto reals = dyn_cast<DenseF32ArrayAttr>(value)) {
    out.set_type(Proto::FLOATS);
    out.mutable_floats()->Add(reals.asArrayRef().begin(), reals.asArrayRef().end());
    return true;
  }
  if (auto strings = dyn_cast<ArrayAttr>(value)) {
    out.set_type(Proto::STRINGS);
    for (Attribute element : strings) {
      auto string = dyn_cast<StringAttr>(element);
      if (!string)
        return false;
      out.add_strings(string.getValue().str());
    }
    return true;
  }
  auto typed = dyn_cast<TypedAttr>(value);
  if (!typed || !isa<RankedTensorType>(typed.getType()))
    return false;
  out.set_type(Proto::TENSOR);
  return tensor(typed, *out.mutable_t());
}
