// The rt dialect's C++ face. Namespace rtir: uoe::rt is the runtime itself.
#pragma once
#include "dialects/onnx/Onnx.h"

#include "dialects/rt/Dialect.h.inc"
#include "dialects/rt/Enums.h.inc"

#define GET_OP_CLASSES
#include "dialects/rt/Ops.h.inc"
