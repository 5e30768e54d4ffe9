// From rt dialect to a runtime program.
#pragma once
#include "lib/Codegen/Host.h"
#include "lib/Constants/Runtime.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "runtime/core/Program.h"

namespace uoe {

/// Builds the program of a function of rt.call, onnx.weight, onnx.none and uoe.probe (pass
/// `lower-to-rt`). Inputs and outputs take the names of the attributes `onnx.name`. Weights stay
/// mapped. The program is not finished (see Program::finish). An rt.elementwise is a step with its
/// kernel of `generated`. Fails with a diagnostic at the op that cannot be translated.
mlir::FailureOr<std::shared_ptr<rt::Program>>
translateToProgram(mlir::func::FuncOp function, WeightReader &weights,
                   const codegen::HostKernels &generated);

/// Domain of the pseudo entry that shows a value to Executor::observe; its attribute "name" is the
/// probe's.
inline constexpr const char *kProbeEntry = "Probe";

} // namespace uoe
