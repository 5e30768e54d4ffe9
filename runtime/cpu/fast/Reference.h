// What the fast kernels must compute, in naive loops and double sums: for tests, and to read.
#pragma once
#include "Activation.h"
#include "Attention.h"
#include "Gemm.h"

namespace uoe::rt::fast::reference {

float activate(Activation act, float x);

/// c = epilogue(op(a) op(b)), arguments as in gemmUnpacked; accumulate into c through the
/// epilogue's residual.
void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA, const float *b,
          int64_t ldb, bool transB, float *c, int64_t ldc, const Epilogue &epilogue = {});

void attention(const AttentionArgs &args);

} // namespace uoe::rt::fast::reference
