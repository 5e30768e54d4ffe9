#include "simd/Kernels.inc"
