// What the fast kernels must compute, in naive loops and double sums: for tests, and to read.
#pragma once
#include "Activation.h"
#include "Attention.h"
#include "Cascade.h"
#include "Experts.h"
#include "GatheredAttention.h"
#include "Gemm.h"
#include "Products.h"
#include "Select.h"

namespace uoe::rt::fast::reference {

float activate(Activation act, float x);

/// c = epilogue(op(a) op(b)), arguments as in gemmUnpacked; accumulate into c through the
/// epilogue's residual.
void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA, const float *b,
          int64_t ldb, bool transB, float *c, int64_t ldc, const Epilogue &epilogue = {});

/// y of the units whose entry in weights [tokens, hidden] is not 0, each multiplied by it; null:
/// all units.
void ffn(const FfnSource &source, Activation act, const float *x, int64_t ldx, int64_t tokens,
         const float *weights, float *y, int64_t ldy);

/// y of the experts whose entry in weights [tokens, experts] is not 0, each multiplied by it.
void products(const ProductSource &source, const float *x, int64_t ldx, int64_t tokens,
              const float *weights, float *y, int64_t ldy);

void cascade(const CascadeSource &source, Activation act, const float *x, int64_t ldx,
             int64_t tokens, float *y, int64_t ldy, CascadeCounts *counts);

void attention(const AttentionArgs &args);

/// y of the experts whose entry in weights [tokens, experts] is not 0, each on the tokens of a
/// sample that it has, times the weight.
void gatheredAttention(const HeadsSource &source, const GatheredArgs &args, const float *weights,
                       float *y, int64_t ldy);

std::vector<float> gates(const SelectSpec &spec, int64_t experts, const float *scores,
                         const float *groupScores);
/// [rows of all samples, experts].
struct DenseSelection {
  std::vector<bool> chosen;
  std::vector<float> weights; // 0 where not chosen
  int64_t capacity = 0;
};
DenseSelection select(const SelectSpec &spec, const SelectInput &input);

} // namespace uoe::rt::fast::reference
