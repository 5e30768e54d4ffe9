#include "dialects/onnx/Onnx.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace uoe::onnx;

#include "dialects/onnx/Dialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/onnx/Types.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/onnx/Attrs.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/onnx/Ops.cpp.inc"

void OnnxDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "dialects/onnx/Ops.cpp.inc"
      >();
}

void OnnxDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/onnx/Types.cpp.inc"
      >();
}

void OnnxDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/onnx/Attrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

int64_t uoe::onnx::opsetOf(Operation *op, StringRef domain) {
  StringRef key = domain.empty() ? "ai.onnx" : domain;
  for (; op; op = op->getParentOp())
    if (auto imports = op->getAttrOfType<DictionaryAttr>("onnx.opset_import"))
      if (auto version = imports.getAs<IntegerAttr>(key))
        return version.getInt();
  return 0;
}

Type uoe::onnx::dropDims(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return RankedTensorType::get(tensor.getShape(), tensor.getElementType());
  return type;
}

StringRef uoe::onnx::dimName(Type type, unsigned axis) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  auto dims = tensor ? dyn_cast_if_present<DimsAttr>(tensor.getEncoding()) : DimsAttr();
  return dims && axis < dims.getNames().size() ? dims.getNames()[axis].getValue() : StringRef();
}

TypedAttr uoe::onnx::constantOf(Value value) {
  if (!value)
    return {};
  if (auto weight = value.getDefiningOp<WeightOp>()) {
    auto init = SymbolTable::lookupNearestSymbolFrom<InitializerOp>(weight, weight.getNameAttr());
    return init ? dyn_cast<TypedAttr>(init.getValue()) : TypedAttr();
  }
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || !node.is("Constant"))
    return {};
  if (auto typed = dyn_cast_or_null<TypedAttr>(node.attribute("value")))
    return typed;
  auto type64 = [&](int64_t n) {
    return RankedTensorType::get({n}, IntegerType::get(value.getContext(), 64));
  };
  if (auto ints = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("value_ints")))
    return DenseElementsAttr::get(type64(ints.size()), ints.asArrayRef());
  if (auto integer = dyn_cast_or_null<IntegerAttr>(node.attribute("value_int")))
    return DenseElementsAttr::get(
        RankedTensorType::get({}, IntegerType::get(value.getContext(), 64)), integer.getInt());
  if (auto real = dyn_cast_or_null<FloatAttr>(node.attribute("value_float")))
    return DenseElementsAttr::get(RankedTensorType::get({}, Float32Type::get(value.getContext())),
                                  static_cast<float>(real.getValueAsDouble()));
  if (auto reals = dyn_cast_or_null<DenseF32ArrayAttr>(node.attribute("value_floats")))
    return DenseElementsAttr::get(
        RankedTensorType::get({reals.size()}, Float32Type::get(value.getContext())),
        reals.asArrayRef());
  return {};
}

static LogicalResult verifyHex(function_ref<InFlightDiagnostic()> emitError, StringRef digits) {
  if (digits.size() % 2 == 0 && llvm::all_of(digits, llvm::isHexDigit))
    return success();
  return emitError() << "needs an even number of hexadecimal digits, found \"" << digits << "\"";
}

LogicalResult ProtoAttr::verify(function_ref<InFlightDiagnostic()> emitError, Type, StringRef,
                                StringRef bytes) {
  return verifyHex(emitError, bytes);
}

LogicalResult uoe::onnx::OpaqueType::verify(function_ref<InFlightDiagnostic()> emitError,
                                            StringRef proto) {
  return verifyHex(emitError, proto);
}

LogicalResult DimsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                                       function_ref<InFlightDiagnostic()> emitError) const {
  if (getNames().size() == shape.size())
    return success();
  return emitError() << "#onnx.dims of a tensor of rank " << shape.size() << " needs "
                     << shape.size() << " names, has " << getNames().size();
}

std::string ProtoAttr::serialised() const {
  std::string bytes;
  return llvm::tryGetFromHex(getBytes(), bytes) ? bytes : std::string();
}

//===----------------------------------------------------------------------===//
// NodeOp
//===----------------------------------------------------------------------===//

void NodeOp::build(OpBuilder &builder, OperationState &state, TypeRange results, StringRef opType,
                   ValueRange operands, ArrayRef<NamedAttribute> attrs, StringRef domain) {
  state.addOperands(operands);
  state.addTypes(results);
  auto &properties = state.getOrAddProperties<Properties>();
  properties.op_type = builder.getStringAttr(opType);
  properties.domain = builder.getStringAttr(domain);
  properties.node_attrs = builder.getDictionaryAttr(attrs);
}

bool NodeOp::is(StringRef op) {
  return getOpType() == op && (getDomain().empty() || getDomain() == "ai.onnx");
}
bool NodeOp::isContrib(StringRef op) {
  return getOpType() == op && getDomain() == "com.microsoft";
}

int64_t NodeOp::integer(StringRef name, int64_t otherwise) {
  auto value = dyn_cast_or_null<IntegerAttr>(attribute(name));
  return value ? value.getInt() : otherwise;
}
double NodeOp::real(StringRef name, double otherwise) {
  auto value = dyn_cast_or_null<FloatAttr>(attribute(name));
  return value ? value.getValueAsDouble() : otherwise;
}
StringRef NodeOp::string(StringRef name, StringRef otherwise) {
  auto value = dyn_cast_or_null<StringAttr>(attribute(name));
  return value ? value.getValue() : otherwise;
}

Value NodeOp::input(unsigned i) {
  if (i >= getInputs().size() || isa<NoneType>(getInputs()[i].getType()))
    return {};
  return getInputs()[i];
}

StringRef NodeOp::resultName(unsigned i) {
  auto names = getFields() ? getFields()->getAs<ArrayAttr>("result_names") : ArrayAttr();
  return names && i < names.size() ? cast<StringAttr>(names[i]).getValue() : StringRef();
}

StringRef NodeOp::nodeName() {
  if (auto fields = getFields())
    if (auto name = fields->getAs<StringAttr>("name"))
      return name.getValue();
  auto loc = dyn_cast<NameLoc>(getLoc());
  return loc ? loc.getName().getValue() : StringRef();
}

// A node of a known or unknown operator computes its results and nothing else; without subgraphs it
// may be removed when unused. Random operators too: their stream is not observable.
void NodeOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &) {}

LogicalResult NodeOp::verify() {
  // (C4)
  if (getOpType().empty())
    return emitOpError("names no operator");
  // (C1)
  size_t names = getSubgraphNames() ? getSubgraphNames()->size() : 0;
  if (names != getSubgraphs().size())
    return emitOpError("has ") << getSubgraphs().size() << " regions but " << names
                               << " subgraph names";
  // (C2)
  for (Region &region : getSubgraphs())
    if (!region.hasOneBlock() || region.front().empty() ||
        !isa<onnx::YieldOp>(region.front().back()))
      return emitOpError("needs one block that ends in onnx.yield in each region");
  // (C3)
  if (auto fields = getFields())
    if (Attribute attr = fields->get("result_names")) {
      auto array = dyn_cast<ArrayAttr>(attr);
      if (!array || array.size() != getNumResults() ||
          !llvm::all_of(array, [](Attribute a) { return isa<StringAttr>(a); }))
        return emitOpError("needs one string per result in result_names");
    }
  return success();
}

// onnx.node ["domain"] "Op"(%operands) [{attributes}] [subgraphs ["then"({...}), ...]] [fields
// {...}] : type
void NodeOp::print(OpAsmPrinter &p) {
  p << ' ';
  if (!getDomain().empty()) {
    p.printAttributeWithoutType(getDomainAttr());
    p << ' ';
  }
  p.printAttributeWithoutType(getOpTypeAttr());
  p << '(';
  p.printOperands(getInputs());
  p << ')';
  if (!getNodeAttrs().empty()) {
    p << ' ';
    p.printAttribute(getNodeAttrs());
  }
  for (auto [i, region] : llvm::enumerate(getSubgraphs())) {
    p << (i ? ", " : " subgraphs ");
    p.printAttributeWithoutType((*getSubgraphNames())[i]);
    p << ' ';
    p.printRegion(region);
  }
  if (auto fields = getFields()) {
    p << " fields ";
    p.printAttribute(*fields);
  }
  p.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {"op_type", "domain", "node_attrs", "subgraph_names", "fields"});
  p << " : ";
  p.printFunctionalType(getOperation());
}

ParseResult NodeOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr first, second;
  auto none = NoneType::get(parser.getContext());
  if (parser.parseAttribute(first, none))
    return failure();
  OptionalParseResult more = parser.parseOptionalAttribute(second, none);
  if (more.has_value() && failed(*more))
    return failure();
  auto &properties = result.getOrAddProperties<Properties>();
  Builder &builder = parser.getBuilder();
  properties.op_type = builder.getStringAttr(second ? second.getValue() : first.getValue());
  properties.domain = builder.getStringAttr(second ? first.getValue() : StringRef());
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SMLoc operandLoc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands, OpAsmParser::Delimiter::Paren))
    return failure();
  DictionaryAttr attributes = builder.getDictionaryAttr({});
  OptionalParseResult dict = parser.parseOptionalAttribute(attributes);
  if (dict.has_value() && failed(*dict))
    return failure();
  properties.node_attrs = attributes;
  if (succeeded(parser.parseOptionalKeyword("subgraphs"))) {
    SmallVector<Attribute> names;
    auto parseOne = [&]() -> ParseResult {
      StringAttr name;
      if (parser.parseAttribute(name, none) || parser.parseRegion(*result.addRegion()))
        return failure();
      names.push_back(builder.getStringAttr(name.getValue()));
      return success();
    };
    if (parser.parseCommaSeparatedList(parseOne))
      return failure();
    properties.subgraph_names = builder.getArrayAttr(names);
  }
  if (succeeded(parser.parseOptionalKeyword("fields"))) {
    DictionaryAttr fields;
    if (parser.parseAttribute(fields))
      return failure();
    properties.fields = fields;
  }
  FunctionType type;
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseColonType(type) ||
      parser.resolveOperands(operands, type.getInputs(), operandLoc, result.operands))
    return failure();
  result.addTypes(type.getResults());
  return success();
}

//===----------------------------------------------------------------------===//
// NoneOp, InitializerOp, WeightOp
//===----------------------------------------------------------------------===//

OpFoldResult NoneOp::fold(FoldAdaptor) {
  return UnitAttr::get(getContext());
}

Operation *OnnxDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type,
                                            Location loc) {
  if (isa<UnitAttr>(value) && isa<NoneType>(type))
    return NoneOp::create(builder, loc, type);
  return nullptr;
}

LogicalResult InitializerOp::verify() {
  // (C3)
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type)
    return emitOpError("needs a tensor type, found ") << getType();
  // (C1)
  auto typed = dyn_cast<TypedAttr>(getValue());
  auto valueType = typed ? dyn_cast<RankedTensorType>(typed.getType()) : RankedTensorType();
  if (!valueType || valueType.getShape() != type.getShape() ||
      valueType.getElementType() != type.getElementType()) {
    InFlightDiagnostic diagnostic = emitOpError("needs a value of type ") << type << ", found ";
    return typed ? diagnostic << typed.getType() : diagnostic << getValue();
  }
  // (C2)
  if (auto file = dyn_cast<FileAttr>(getValue())) {
    std::optional<uint64_t> expected = bytesOf(type);
    if (!expected)
      return emitOpError("needs a static shape of fixed-size elements for its file, found ")
             << type;
    if (file.getLength() != *expected)
      return emitOpError("needs ")
             << *expected << " bytes, the file attribute has " << file.getLength();
  }
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &tables) {
  // (C1)
  auto init = tables.lookupNearestSymbolFrom<InitializerOp>(*this, getNameAttr());
  if (!init)
    return emitOpError("refers to ") << getNameAttr() << ", which is no onnx.initializer";
  // (C2)
  if (dropDims(init.getType()) != dropDims(getType()))
    return emitOpError("has type ") << getType() << ", the initializer " << init.getType();
  return success();
}
