// The uoe dialect's C++ face.
#pragma once
#include "dialects/onnx/Onnx.h"

#include "dialects/uoe/Enums.h.inc"

#include "dialects/uoe/Dialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/uoe/Types.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/uoe/Attrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/uoe/Ops.h.inc"
