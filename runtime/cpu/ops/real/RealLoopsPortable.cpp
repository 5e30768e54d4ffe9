#define UOE_ISA portable
#include "RealLoops.inc"
