#include "lib/Onnx/Convert.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;

static llvm::Expected<Type> tensorFromProto(const proto::TypeProto::Tensor &tensor,
                                            MLIRContext *context) {
  Type element = elementTypeOf(context, tensor.elem_type());
  if (!element)
    return llvm::createStringError("unknown element type " + llvm::Twine(tensor.elem_type()));
  if (!tensor.has_shape())
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  bool named = false;
  for (const auto &dim : tensor.shape().dim()) {
    if (dim.has_dim_value() && dim.dim_value() < -1)
      return llvm::createStringError("dimension " + llvm::Twine(shape.size()) + " is " +
                                     llvm::Twine(dim.dim_value()) + ", expected 0 or more");
    bool fixed = dim.has_dim_value() && dim.dim_value() >= 0;
    shape.push_back(fixed ? dim.dim_value() : ShapedType::kDynamic);
    names.push_back(StringAttr::get(context, dim.dim_param()));
    named |= !dim.dim_param().empty();
  }
  return RankedTensorType::get(shape, element, named ? DimsAttr::get(context, names) : Attribute());
}

llvm::Expected<Type> uoe::typeFromProto(const proto::TypeProto &type, MLIRContext *context) {
  switch (type.value_case()) {
  case proto::TypeProto::VALUE_NOT_SET:
    return AnyType::get(context);
  case proto::TypeProto::kTensorType:
    return tensorFromProto(type.tensor_type(), context);
  case proto::TypeProto::kSequenceType: {
    auto element = typeFromProto(type.sequence_type().elem_type(), context);
    if (!element)
      return element;
    return SequenceType::get(context, *element);
  }
  case proto::TypeProto::kOptionalType: {
    auto element = typeFromProto(type.optional_type().elem_type(), context);
    if (!element)
      return element;
    return OptionalType::get(context, *element);
  }
  default:
    return uoe::onnx::OpaqueType::get(context, llvm::toHex(type.SerializeAsString()));
  }
}

bool uoe::typeToProto(Type type, proto::TypeProto &out) {
  if (isa<AnyType>(type))
    return true;
  if (auto sequence = dyn_cast<SequenceType>(type))
    return typeToProto(sequence.getElement(), *out.mutable_sequence_type()->mutable_elem_type());
  if (auto optional = dyn_cast<OptionalType>(type))
    return typeToProto(optional.getElement(), *out.mutable_optional_type()->mutable_elem_type());
  if (auto opaque = dyn_cast<uoe::onnx::OpaqueType>(type)) {
    std::string bytes;
    return llvm::tryGetFromHex(opaque.getProto(), bytes) && out.ParseFromString(bytes);
  }
  auto tensor = dyn_cast<TensorType>(type);
  if (!tensor)
    return false;
  int element = dataTypeOf(tensor.getElementType());
  if (!element && !isa<AnyType>(tensor.getElementType()))
    return false;
  auto *proto = out.mutable_tensor_type();
  if (element)
    proto->set_elem_type(element);
  if (!tensor.hasRank())
    return true;
  auto *shape = proto->mutable_shape();
  for (auto [axis, size] : llvm::enumerate(tensor.getShape())) {
    auto *dim = shape->add_dim();
    StringRef name = dimName(type, axis);
    if (!ShapedType::isDynamic(size))
      dim->set_dim_value(size);
    else if (!name.empty())
      dim->set_dim_param(name.str());
  }
  return true;
}
