#define UOE_ISA avx2
#include "RealLoops.inc"
