#define UOE_ISA avx512
#include "RealLoops.inc"
