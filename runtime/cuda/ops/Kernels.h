// The kernels that run whole models, listed for the fat binary (runtime/cuda/kernels/Model.cu) and
// for the tests' driver.
#pragma once
#include "Pointwise.h"
#include "runtime/cuda/dispatch/Kernels.h"

/// X(name, function, argument, threads that a block may have).
#define UOE_MODEL_KERNELS(X)                                                                       \
  X(pointwise_real, pointwiseKernel<float>, PointwiseCall, 256)                                    \
  X(pointwise_integer, pointwiseKernel<int64_t>, PointwiseCall, 256)
