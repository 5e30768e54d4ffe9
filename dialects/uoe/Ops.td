// The uoe dialect: blocks of a transformer, expert groups and routing. Rationale: README.md beside this file.
#ifndef UOE_DIALECTS_UOE_OPS
#define UOE_DIALECTS_UOE_OPS

include "dialects/uoe/Base.td"
include "dialects/uoe/Blocks.td"
include "dialects/uoe/Routing.td"

#endif
