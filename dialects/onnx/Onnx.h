// The onnx dialect's C++ face.
#pragma once
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringExtras.h"

#include "dialects/onnx/Dialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/onnx/Types.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/onnx/Attrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/onnx/Ops.h.inc"

namespace uoe::onnx {

/// Name of the function that holds the model's main graph.
inline constexpr llvm::StringLiteral kMainGraph = "main_graph";

/// The opset of ONNX's own domain that `op`'s model (or function) imports; 0 if none.
int64_t opsetOf(mlir::Operation *op, llvm::StringRef domain = "");

/// A tensor type without its symbolic dimension names.
mlir::Type dropDims(mlir::Type type);
/// Name of dimension `axis` of a tensor type, or "".
llvm::StringRef dimName(mlir::Type type, unsigned axis);

/// The elements or file attribute behind a value that is constant in the model (an onnx.weight, an
/// ONNX Constant), else null.
mlir::TypedAttr constantOf(mlir::Value value);

/// TensorProto.DataType of an element type: f32 is 1, signless integers are ONNX's signed ones, i1
/// is bool. 0 for !onnx.any and for types that ONNX does not have.
int dataTypeOf(mlir::Type element);
/// The element type of a TensorProto.DataType, !onnx.any for 0, null for an unknown number.
mlir::Type elementTypeOf(mlir::MLIRContext *context, int dataType);
/// Bits of one element in ONNX's raw form (bool: 8); 0 if it has no fixed size.
unsigned bitsOf(mlir::Type element);
/// Bytes of a static tensor in ONNX's raw form, types of less than 8 bits packed without gaps. None
/// for dynamic shapes, strings, and sizes that overflow.
std::optional<uint64_t> bytesOf(mlir::RankedTensorType type);

} // namespace uoe::onnx
