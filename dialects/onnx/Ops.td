// The onnx dialect: what the user brought, every operator carried by one op. Rationale: README.md beside this file.
#ifndef UOE_DIALECTS_ONNX_OPS
#define UOE_DIALECTS_ONNX_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/TensorEncoding.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Onnx_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::uoe::onnx";
  let summary = "ONNX models, carried without loss";
  let description = [{
    One op, `onnx.node`, carries any ONNX node, known or not. Initializers are symbols that point at bytes in a file.
    A graph is a `func.func`; the model's own fields are attributes of the module:

    | attribute of the module | holds |
    | --- | --- |
    | `onnx.ir_version` | i64 |
    | `onnx.opset_import` | dictionary of domain to i64; ONNX's own domain is "ai.onnx" |
    | `onnx.producer_name`, `onnx.producer_version`, `onnx.domain`, `onnx.doc_string`, `onnx.graph_name` | strings |
    | `onnx.model_version` | i64 |
    | `onnx.metadata` | dictionary of strings |
    | `onnx.rest` | `#onnx.proto<"ModelProto">` with everything else (training_info, unknown fields) |

    The graph's function is @main_graph. Its arguments and results have `onnx.name`, and where the type can't say all that the model
    says `onnx.value_info`, the ValueInfoProto with the type for which it holds. An argument that an initializer gives a default
    has `onnx.default`, the initializer's symbol. The function may have `onnx.doc_string`, `onnx.metadata` and `onnx.rest` of the graph.

    A model-local function is a `func.func` with `onnx.function` (a dictionary: name, domain, overload, attributes, doc_string,
    metadata, rest) and its own `onnx.opset_import`. Nodes call it by op_type and domain, as in ONNX.
  }];
  let hasConstantMaterializer = 1;
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    void registerTypes();
    void registerAttributes();
  }];
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Onnx_Type<string name, string mnem, list<Trait> traits = []> : TypeDef<Onnx_Dialect, name, traits> {
  let mnemonic = mnem;
}

def Onnx_AnyType : Onnx_Type<"Any", "any"> {
  let summary = "a type that the model does not tell; also the element type of a tensor of unknown element type";
}

def Onnx_StringType : Onnx_Type<"String", "string"> {
  let summary = "element type of tensors of strings";
}

def Onnx_SequenceType : Onnx_Type<"Sequence", "sequence"> {
  let summary = "a sequence of values of one type";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def Onnx_OptionalType : Onnx_Type<"Optional", "optional"> {
  let summary = "a value that may be absent at run time";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def Onnx_OpaqueType : Onnx_Type<"Opaque", "opaque"> {
  let summary = "any other TypeProto (maps, sparse tensors), kept in its serialised form";
  let parameters = (ins StringRefParameter<"TypeProto, in hexadecimal">:$proto);
  let assemblyFormat = "`<` $proto `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Onnx_Attr<string name, string mnem, list<Trait> traits = []> : AttrDef<Onnx_Dialect, name, traits> {
  let mnemonic = mnem;
}

def Onnx_DimsAttr : Onnx_Attr<"Dims", "dims", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "names of a tensor type's symbolic dimensions, as its encoding; the empty string for none";
  let description = [{
    Example: `tensor<?x?x384xf32, #onnx.dims<"batch", "seq", "">>`. Equal names within a graph are equal sizes.
    There is one name per dimension.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names);
  let assemblyFormat = "`<` $names `>`";
}

def Onnx_FileAttr : Onnx_Attr<"File", "file", [DeclareAttrInterfaceMethods<TypedAttrInterface>]> {
  let summary = "a tensor's bytes in a file: little-endian, row-major, read when they are needed";
  let description = [{
    `path` is absolute or relative: to the working directory, and in a `.mlir` or `.mlirbc` file to that file's folder (the tools change it). `offset` and `length` count bytes.
    Example: `#onnx.file<"model.onnx", 1024, 589824> : tensor<384x384xf32>`.
  }];
  let parameters = (ins AttributeSelfTypeParameter<"tensor type">:$type,
                        StringRefParameter<"path">:$path, "uint64_t":$offset, "uint64_t":$length);
  let assemblyFormat = "`<` $path `,` $offset `,` $length `>`";
}

def Onnx_RefAttr : Onnx_Attr<"Ref", "ref"> {
  let summary = "inside a function: the attribute of this name that the caller passes";
  let parameters = (ins StringRefParameter<"name">:$name, "int64_t":$kind);
  let assemblyFormat = "`<` $name `,` $kind `>`";
}

def Onnx_ProtoAttr : Onnx_Attr<"Proto", "proto", [DeclareAttrInterfaceMethods<TypedAttrInterface>]> {
  let summary = "a message of ONNX's that needs no reading by us, kept in its serialised form";
  let description = [{
    There is an even number of hexadecimal digits.
    As an initializer's value (a sparse tensor, `SparseTensorProto`, its parts in raw_data) it has the dense tensor's type.
  }];
  let parameters = (ins AttributeSelfTypeParameter<"type, none where it is no tensor", "::mlir::Type",
                                                   "::mlir::NoneType::get($_ctxt)">:$type,
                        StringRefParameter<"message name">:$message, StringRefParameter<"bytes, in hexadecimal">:$bytes);
  let assemblyFormat = "`<` $message `,` $bytes `>`";
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$message, "::llvm::StringRef":$serialised), [{
    return $_get($_ctxt, ::mlir::NoneType::get($_ctxt), message, ::llvm::toHex(serialised));
  }]>];
  let extraClassDeclaration = [{
    /// The message as protobuf reads it; empty if the hexadecimal form is broken.
    std::string serialised() const;
  }];
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

class Onnx_Op<string mnemonic, list<Trait> traits = []> : Op<Onnx_Dialect, mnemonic, traits>;

def Onnx_NodeOp : Onnx_Op<"node", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "one ONNX node, of any operator";
  let description = [{
    `op_type` and `domain` name the operator; the module's (or function's) opset import gives its version.
    An absent optional operand is the value of an `onnx.none`; an absent optional result has type `none`.
    `node_attrs` maps ONNX's kinds onto MLIR's: INT i64, FLOAT f32, STRING string, TENSOR a typed elements attribute or
    `#onnx.file`, INTS `array<i64: ...>`, FLOATS `array<f32: ...>`, STRINGS an array of strings; anything else is
    `#onnx.proto`, a reference to a function's attribute `#onnx.ref`. GRAPH attributes are the regions, in the order of
    `subgraph_names`; their entry block's arguments are the subgraph's inputs.
    The location holds the node's name. `fields` holds what remains of the node, for export:

    | field | holds |
    | --- | --- |
    | `name` | the node's name (again, since MLIR's text leaves locations out) |
    | `result_names` | the results' names in the model |
    | `result_info` | per result `unit` or the ValueInfoProto, where the type can't say all of it |
    | `graphs` | per subgraph a dictionary: name, doc_string, metadata, rest, `inputs` and `outputs` (each like an argument's attributes) |
    | `doc_string`, `metadata`, `overload` | as in NodeProto |
    | `attributes` | dictionary of `#onnx.proto<"AttributeProto">`: what else an attribute has, such as its tensor's name |
    | `rest` | `#onnx.proto<"NodeProto">` with everything else, unknown fields included |

    A pass that makes a node leaves `fields` out; values without names get fresh ones on export.

    Constraints:
    - (C1) there are as many `subgraph_names` as regions.
    - (C2) each region has one block that ends in `onnx.yield`.
    - (C3) `result_names`, if given, has one string per result.
    - (C4) `op_type` is not empty.

    Example:
    ```mlir
    %y = onnx.node "Gelu"(%x) {approximate = "tanh"} : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %z = onnx.node "com.microsoft" "FastGelu"(%y) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$op_type, DefaultValuedStrAttr<StrAttr, "">:$domain, Variadic<AnyType>:$inputs,
                       DefaultValuedAttr<DictionaryAttr, "{}">:$node_attrs,
                       OptionalAttr<StrArrayAttr>:$subgraph_names, OptionalAttr<DictionaryAttr>:$fields);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region VariadicRegion<AnyRegion>:$subgraphs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [
    OpBuilder<(ins "::mlir::TypeRange":$results, "::llvm::StringRef":$opType, "::mlir::ValueRange":$operands,
                   CArg<"::llvm::ArrayRef<::mlir::NamedAttribute>", "{}">:$attrs, CArg<"::llvm::StringRef", "\"\"">:$domain)>
  ];
  let extraClassDeclaration = [{
    /// True for operator `op` of ONNX's own domain ("" or "ai.onnx").
    bool is(::llvm::StringRef op);
    /// True for operator `op` of domain com.microsoft.
    bool isContrib(::llvm::StringRef op);
    /// The ONNX attribute of this name, or null.
    ::mlir::Attribute attribute(::llvm::StringRef name) { return getNodeAttrs().get(name); }
    int64_t integer(::llvm::StringRef name, int64_t otherwise);
    double real(::llvm::StringRef name, double otherwise);
    ::llvm::StringRef string(::llvm::StringRef name, ::llvm::StringRef otherwise);
    /// Operand i, or null if it is absent.
    ::mlir::Value input(unsigned i);
    /// Result i's name in the model, or "".
    ::llvm::StringRef resultName(unsigned i);
    /// The node's name from its location, or "".
    ::llvm::StringRef nodeName();
  }];
}

def Onnx_NoneOp : Onnx_Op<"none", [Pure, ConstantLike]> {
  let summary = "an absent optional operand";
  let results = (outs NoneType:$result);
  let assemblyFormat = "attr-dict";
  let hasFolder = 1;
}

def Onnx_InitializerOp : Onnx_Op<"initializer", [Symbol]> {
  let summary = "an initializer: a named constant tensor of the model";
  let description = [{
    The value is a typed elements attribute for small tensors, `#onnx.file` for large ones, `#onnx.proto` for sparse ones.
    `fields` holds, for export: `name`, the name in the model where it differs from the symbol; `input` and `input_info`, the place among
    the graph's inputs where models before IR version 4 had to list it; `rest`, a `TensorProto` with everything else.

    Constraints:
    - (C1) the value is an elements attribute, `#onnx.file` or `#onnx.proto` of the initializer's shape and element type.
    - (C2) `#onnx.file`'s length is the tensor's size in bytes.
    - (C3) the type is a tensor type.

    Example:
    ```mlir
    onnx.initializer @w : tensor<384x384xf32> = #onnx.file<"model.onnx", 1024, 589824>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, AnyAttr:$value, OptionalAttr<DictionaryAttr>:$fields);
  let hasVerifier = 1;
  let assemblyFormat = "$sym_name `:` $type `=` $value (`fields` $fields^)? attr-dict";
}

def Onnx_WeightOp : Onnx_Op<"weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of an initializer";
  let description = [{
    Stands in the graph (or subgraph) whose initializer it is.

    Constraints:
    - (C1) the symbol is an `onnx.initializer`.
    - (C2) the result's shape and element type are the initializer's.
  }];
  let arguments = (ins FlatSymbolRefAttr:$name);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$name `:` type($result) attr-dict";
}

def Onnx_YieldOp : Onnx_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a subgraph";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
