// Row primitives, compiled for several instruction sets and chosen at run time: what the kernels'
// inner loops call.
#pragma once
#include <cstdint>

namespace uoe::rt::vec {

/// Σ a[i]·b[i].
float dot(const float *a, const float *b, int64_t n);
double dot(const double *a, const double *b, int64_t n);
/// out[j] = Σ a[i]·b[j·stride + i] for j in [0, count).
void dots(const float *a, const float *b, int64_t stride, int64_t count, int64_t n, float *out);
void dots(const double *a, const double *b, int64_t stride, int64_t count, int64_t n, double *out);
/// y[i] += alpha·x[i].
void axpy(float alpha, const float *x, float *y, int64_t n);
void axpy(double alpha, const double *x, double *y, int64_t n);
/// y[i] = Σ_j alpha[j]·x[j·stride + i].
void combine(const float *alpha, const float *x, int64_t stride, int64_t count, float *y,
             int64_t n);
void combine(const double *alpha, const double *x, int64_t stride, int64_t count, double *y,
             int64_t n);
/// y[i] = Σ_j alpha[j]·x[places[j] + i].
void combine(const float *alpha, const float *x, const int64_t *places, int64_t count, float *y,
             int64_t n);
void combine(const double *alpha, const double *x, const int64_t *places, int64_t count, double *y,
             int64_t n);
/// Σ a[i]·b[i] of 16-bit integers, exact if |a·b| < 2^30 per pair and the sum fits.
int32_t dot(const int16_t *a, const int16_t *b, int64_t n);

/// Largest element; -inf for none. NaN elements may be ignored.
float largest(const float *x, int64_t n);
double largest(const double *x, int64_t n);
/// y[i] = exp(x[i] - shift); returns the sum. x and y may be the same.
float expShifted(const float *x, float shift, float *y, int64_t n);
double expShifted(const double *x, double shift, double *y, int64_t n);
/// x[i] *= factor.
void scale(float *x, float factor, int64_t n);
void scale(double *x, double factor, int64_t n);

/// Σ x[i] and Σ (x[i] - mean)².
float sum(const float *x, int64_t n);
double sum(const double *x, int64_t n);
float squares(const float *x, float mean, int64_t n);
double squares(const double *x, double mean, int64_t n);
/// y[i] = (x[i] - mean)·factor·gamma[i] + beta[i]; gamma and beta may be null.
void normalise(const float *x, float mean, float factor, const float *gamma, const float *beta,
               float *y, int64_t n);
void normalise(const double *x, double mean, double factor, const double *gamma, const double *beta,
               double *y, int64_t n);
/// out[i] = a[i] + b[i] (+ c[i] if not null).
void add(const float *a, const float *b, const float *c, float *out, int64_t n);
void add(const double *a, const double *b, const double *c, double *out, int64_t n);

/// y[i] = f(x[i] + bias[i]); bias may be null, x and y the same.
enum class Activation { GeluErf, GeluTanh, QuickGelu, Silu, Relu, Identity };
/// `alpha` is QuickGelu's factor: x·sigmoid(alpha·x).
void activate(Activation kind, float alpha, const float *x, const float *bias, float *y, int64_t n);
void activate(Activation kind, float alpha, const double *x, const double *bias, double *y,
              int64_t n);

} // namespace uoe::rt::vec
