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
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

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

/// The elements or file attribute behind a value that is constant in the model (an onnx.weight, an ONNX Constant), else null.
mlir::TypedAttr constantOf(mlir::Value value);

} // namespace uoe::onnx
