// Weight expressions become initializers.
#pragma once
#include "lib/Weights/Weights.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/cpu/fast/Gemm.h"

namespace uoe {

/// The first value for which `wanted` holds among `value` and what it is computed from; null if
/// there is none.
mlir::Value findSource(mlir::Value value, llvm::function_ref<bool(mlir::Value)> wanted);

/// The 16-bit float type of a weight, or of a rounding on the way, that `value` is computed from, a
/// weight expression; null if there is none.
mlir::FloatType narrowSource(mlir::Value value);

/// `values` rounded to what a type holds; as they are if one would become infinite.
std::vector<float> roundedTo(rt::fast::ElementType type, llvm::ArrayRef<float> values);

/// Evaluates every value that depends on weights alone and is used by an op that does not, one at a
/// time, and stores it in `store` as an initializer of its own; then drops initializers that
/// nothing uses. Only values for which `wanted` holds (null: all).
mlir::LogicalResult evaluateWeights(mlir::ModuleOp module, WeightReader &weights,
                                    WeightWriter &store,
                                    llvm::function_ref<bool(mlir::Value)> wanted = nullptr);

/// Adds an initializer of this name (made unique) to the module and gives the onnx.weight op, built
/// at `builder`, that reads it.
mlir::FailureOr<mlir::Value> addInitializer(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                            llvm::StringRef name, mlir::RankedTensorType type,
                                            llvm::ArrayRef<char> raw, WeightWriter &store);

/// The same of values that are kept in a 16-bit float type, rounded to nearest even, and cast to
/// float32: half the bytes. In float32 if one would become infinite.
mlir::FailureOr<mlir::Value> addNarrowInitializer(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                                  llvm::StringRef name,
                                                  llvm::ArrayRef<int64_t> shape,
                                                  llvm::ArrayRef<float> values,
                                                  mlir::FloatType type, WeightWriter &store);

} // namespace uoe
