// The body of an rt.elementwise, element type by element type as memory and registers hold it.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace uoe::codegen {

/// Emits scalar ops of a body on vectors of `width` lanes, or on scalars where width is 0.
/// Functions that have no instruction are expanded (Math.h). 16-bit floats are their bits, i16.
class BodyEmitter {
public:
  BodyEmitter(mlir::OpBuilder &builder, int64_t width) : builder(builder), width(width) {}

  /// What holds an element of this type in memory: bytes for i1.
  static mlir::Type memoryType(mlir::Type element);
  /// What holds it, or `width` of them, in computation.
  mlir::Type valueType(mlir::Type element) const;
  mlir::Type vectorOf(mlir::Type element) const;

  /// A value loaded as memoryType to valueType, and back.
  mlir::Value fromMemory(mlir::Location loc, mlir::Value loaded, mlir::Type element);
  mlir::Value toMemory(mlir::Location loc, mlir::Value value, mlir::Type element);

  /// Emits `op`; its operands are in `values`, and its result will be.
  void emit(mlir::Operation &op, mlir::IRMapping &values);

private:
  mlir::OpBuilder &builder;
  int64_t width;
};

/// Arithmetic operations that the body takes for an element, functions counted with what they
/// expand to: how finely to split a loop among threads.
int64_t costOf(mlir::Block &body);

} // namespace uoe::codegen
