// Measures of error between tensors, and summaries of one.
#pragma once
#include "runtime/core/Tensor.h"
#include <string>
#include <vector>

namespace uoe {

/// Elements [begin, begin + count) as double. Complex numbers are two elements each. Raises
/// rt::Error for types that are no numbers.
void readNumbers(const rt::Tensor &tensor, int64_t begin, int64_t count, double *out);
/// The same as float, for whole rows of float16, bfloat16, float or double.
void readNumbers(const rt::Tensor &tensor, int64_t begin, int64_t count, float *out);
/// Whether the element type is a floating-point one, those of 4 and 8 bits included.
bool isFloat(rt::DType type);

struct Summary {
  double min = 0, mean = 0, max = 0; // over finite elements; 0 if there are none
  int64_t finite = 0, nans = 0, infinities = 0;
};
Summary summarize(const rt::Tensor &tensor);

/// How far a result is from what was expected.
struct Difference {
  std::string mismatch; // kinds, types or shapes differ; nothing else is set then
  double maxAbs = 0;    // largest |result - expected|; infinite where only one is NaN, or infinite
  double magnitude = 0; // largest finite |expected|
  int64_t at = -1;      // element of the largest difference, in the row-major order; -1 for none
  int64_t elements = 0;
  /// maxAbs over the magnitude; over 1 where everything expected is 0.
  double relative() const { return maxAbs / (magnitude > 0 ? magnitude : 1); }
};
Difference difference(const rt::Tensor &expected, const rt::Tensor &result);
/// Sequences element by element, the worst of all.
Difference difference(const rt::Value &expected, const rt::Value &result);

/// The mean over all rows (vectors along the last axis) of the cosine between a and b. Rows that
/// are zero in both count as 1, in one alone as 0. Shapes must be equal; NaN for empty tensors.
double meanCosine(const rt::Tensor &a, const rt::Tensor &b);
/// Share of rows whose largest element is at the same place, the first if several are equal.
double argmaxAgreement(const rt::Tensor &a, const rt::Tensor &b);
double cosine(const float *a, const float *b, int64_t count);

/// log(sum(exp(row))), computed about the largest element; sums are carried in double.
double logSumExp(const float *row, int64_t count);
/// The Kullback-Leibler divergence sum(p (log p - log q)) in nats of two softmax distributions
/// given by their logits p and q.
double divergence(const float *p, const float *q, int64_t count);
int64_t argmax(const float *row, int64_t count);

} // namespace uoe
