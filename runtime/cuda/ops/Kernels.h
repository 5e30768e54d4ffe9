// The kernels that run whole models, listed for the fat binary (runtime/cuda/kernels/Model.cu) and
// for the tests' driver.
#pragma once
#include "Attention.h"
#include "Bits.h"
#include "Cascade.h"
#include "Copy.h"
#include "Embed.h"
#include "Grouped.h"
#include "Pointwise.h"
#include "Product.h"
#include "Quantize.h"
#include "Rows.h"
#include "Scatter.h"
#include "Window.h"
#include "runtime/cuda/dispatch/Kernels.h"

namespace uoe::rt::cuda {
// Products of floats with weights that were of 16 bits. A macro's argument holds no comma.
using ProductWithBF16 = ProductCall<float, BF16>;
using ProductWithF16 = ProductCall<float, F16>;
} // namespace uoe::rt::cuda

/// X(name, function, argument, threads that a block may have).
#define UOE_MODEL_KERNELS(X)                                                                       \
  X(add_rows, addRowsKernel, AddRowsCall, 256)                                                     \
  X(attention, attentionKernel, AttentionCall, 128)                                                \
  X(bits_rows, bitsRowsKernel, BitsCall, 256)                                                      \
  X(bits_to_floats, bitsToFloatsKernel, BitsCall, 256)                                             \
  X(cache, cacheKernel, CacheCall, 256)                                                            \
  X(cascade_active, cascadeActiveKernel, CascadeCall, 512)                                         \
  X(cascade_channels, cascadeChannelsKernel, CascadeCall, 512)                                     \
  X(cascade_down, cascadeDownKernel, CascadeCall, 1024)                                            \
  X(cascade_gate, cascadeGateKernel, CascadeCall, 1024)                                            \
  X(cascade_kept, cascadeKeptKernel, CascadeCall, 512)                                             \
  X(cascade_up, cascadeUpKernel, CascadeCall, 256)                                                 \
  X(copy, copyKernel, CopyCall, 256)                                                               \
  X(cumulative_integer, cumulativeKernel<int64_t>, CumulativeCall, 256)                            \
  X(cumulative_real, cumulativeKernel<float>, CumulativeCall, 256)                                 \
  X(dequantize, dequantizeKernel, QuantizeCall, 256)                                               \
  X(embed, embedKernel, EmbedCall, 256)                                                            \
  X(few_rows_bf16, fewRowsKernel, ProductCall<BF16>, 256)                                          \
  X(few_rows_f16, fewRowsKernel, ProductCall<F16>, 256)                                            \
  X(few_rows_f32, fewRowsKernel, ProductCall<float>, 256)                                          \
  X(few_rows_f32_bf16, fewRowsKernel, ProductWithBF16, 256)                                        \
  X(few_rows_f32_f16, fewRowsKernel, ProductWithF16, 256)                                          \
  X(gather, gatherKernel, GatherCall, 256)                                                         \
  X(gather_elements, gatherElementsKernel, GatherElementsCall, 256)                                \
  X(grouped_product, groupedProductKernel, GroupedCall, 256)                                       \
  X(grouped_sum, groupedSumKernel, GroupedCall, 256)                                               \
  X(integer_product, integerProductKernel, IntegerProductCall, 256)                                \
  X(integer_rows, integerRowsKernel, RowCall, 256)                                                 \
  X(join, joinKernel, JoinCall, 256)                                                               \
  X(ones, onesKernel, OnesCall, 256)                                                               \
  X(padding, paddingKernel, PaddingCall, 256)                                                      \
  X(pointwise_integer, pointwiseKernel<int64_t>, PointwiseCall, 256)                               \
  X(pointwise_real, pointwiseKernel<float>, PointwiseCall, 256)                                    \
  X(product_bf16, productKernel, ProductCall<BF16>, 256)                                           \
  X(product_f16, productKernel, ProductCall<F16>, 256)                                             \
  X(product_f32, productKernel, ProductCall<float>, 256)                                           \
  X(product_f32_bf16, productKernel, ProductWithBF16, 256)                                         \
  X(product_f32_f16, productKernel, ProductWithF16, 256)                                           \
  X(quantize, quantizeKernel, QuantizeCall, 256)                                                   \
  X(range_parts, rangePartsKernel, RangeCall, 256)                                                 \
  X(range_scale, rangeScaleKernel, RangeCall, 256)                                                 \
  X(rotary, rotaryKernel, RotaryCall, 256)                                                         \
  X(round_blocks, roundBlocksKernel, BitsCall, 256)                                                \
  X(rows, rowsKernel, RowCall, 256)                                                                \
  X(scatter, scatterKernel, ScatterCall, 256)                                                      \
  X(scatter_tuples, scatterTuplesKernel, ScatterTuplesCall, 256)                                   \
  X(segment, segmentKernel, SegmentCall, 256)                                                      \
  X(top_k, topKKernel, TopKCall, 256)                                                              \
  X(triangle, triangleKernel, TriangleCall, 256)                                                   \
  X(turn, turnKernel, TurnCall, 256)                                                               \
  X(window, windowKernel, WindowCall, 256)
