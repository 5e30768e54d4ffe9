// The list of kernel families. A file Xxx.cpp of this folder (or of ../fast) defines `void
// registerXxx(KernelTable &)`.
#pragma once
#include "runtime/core/Kernel.h"

// One line per group of families, so that they can grow side by side.
// clang-format off
#define UOE_ELEMENTWISE_FAMILIES(X) X(Unary) X(Binary) X(Compare) X(Cast) X(Generated)
#define UOE_SHAPE_FAMILIES(X) X(Shape) X(Transpose) X(Slice) X(Pad)
#define UOE_INDEX_FAMILIES(X)                                                                      \
  X(Gather) X(Scatter) X(Select) X(Order) X(Reduce) X(Cumulative) X(Generate) X(Spectral) X(Loss)
#define UOE_LINEAR_FAMILIES(X)                                                                     \
  X(MatMul)                                                                                        \
  X(MatMulNBits) X(QuantizedMatMul) X(QLinear) X(Einsum) X(Moe) X(Conv) X(Pool) X(Resize)          \
      X(Sampling) X(Rnn) X(Quantize) X(Softmax) X(LayerNorm) X(BatchNorm) X(Activation)          \
      X(FusedActivation)
#define UOE_ATTENTION_FAMILIES(X) X(Attention) X(ContribAttention) X(GroupQueryAttention) X(Rotary)
#define UOE_CONTROL_FAMILIES(X) X(Control) X(Sequence)
#define UOE_FUSED_FAMILIES(X) X(Linear) X(FusedAttention) X(GatheredAttention) X(FusedFfn) X(FusedCascade) X(Route)

#define UOE_KERNEL_FAMILIES(X)                                                                     \
  UOE_ELEMENTWISE_FAMILIES(X)                                                                      \
  UOE_SHAPE_FAMILIES(X)                                                                            \
  UOE_INDEX_FAMILIES(X)                                                                            \
  UOE_LINEAR_FAMILIES(X)                                                                           \
  UOE_ATTENTION_FAMILIES(X)                                                                        \
  UOE_CONTROL_FAMILIES(X)                                                                          \
  UOE_FUSED_FAMILIES(X)
// clang-format on

namespace uoe::rt {
#define UOE_DECLARE(Name) void register##Name(KernelTable &table);
UOE_KERNEL_FAMILIES(UOE_DECLARE)
#undef UOE_DECLARE
} // namespace uoe::rt
