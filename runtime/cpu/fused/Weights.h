// Weights of fused entries: packed at load, in the one layout that serves every number of rows.
#pragma once
#include "runtime/core/Kernel.h"
#include "runtime/cpu/fast/Experts.h"

namespace uoe::rt {

/// Packs constant input i, [k, n] in float32 (or [n, k] if bit i of the node's attribute
/// "transposed" is set), and marks it as consumed. Null if the input is absent. Raises Error if it
/// is no constant float32 matrix.
std::shared_ptr<const fast::PackedMatrix> packInput(const Node &node, size_t i,
                                                    std::vector<bool> &consumed);
/// A feed-forward block's constant inputs up, gate?, down, bias_up?, bias_gate?, bias_down? from
/// `first` on, laid out as the attribute "transposed" says, and the attributes "limit" and
/// "up_offset". Marks them as consumed; the pointers are good as long as the inputs. Raises Error
/// for inputs that are no float32 constants or do not fit together.
///
/// With `codes`, matrices may be in 4 or 8 bits: the attribute "packed" gives bits and block of up,
/// gate and down (0: float32), such a matrix [n, k * bits / 8] is codes (uint8) as in
/// QuantizedSource, and the inputs from `behind` on are scales and zero points? (uint8) of each of
/// the three. The result points to `codes`.
fast::FfnSource ffnInputs(const Node &node, size_t first, std::vector<bool> &consumed,
                          size_t behind = 0, fast::QuantizedSource (*codes)[3] = nullptr);
/// What is added to y, from an optional float32 input of its shape; raises Error for another.
fast::FfnEpilogue epilogueOf(KernelCall &call, size_t input, const Tensor &y);
/// Float32 vector i of length n as a pointer, null if absent. Raises Error for another length or
/// type.
const float *vectorInput(KernelCall &call, size_t i, int64_t n, const char *what);
/// Number of rows of x seen as [rows, columns]; raises Error unless its last dimension is
/// `columns`.
int64_t rowsOf(const Tensor &x, int64_t columns, const char *what);
/// x's shape with another last dimension.
Shape withLast(const Tensor &x, int64_t columns);

/// The attribute "activation": a number of enum Activation in dialects/uoe/Ops.td.
fast::Activation activationOf(const Node &node);

} // namespace uoe::rt
