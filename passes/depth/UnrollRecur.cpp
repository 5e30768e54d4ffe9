// unroll-recur: loops over depth as their iterations; the reverse of roll-layers.
#include "passes/Passes.h"
#include "passes/lower/Reference.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_UNROLLRECURPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct UnrollRecurPass : uoe::impl::UnrollRecurPassBase<UnrollRecurPass> {
  using UnrollRecurPassBase::UnrollRecurPassBase;

  void runOnOperation() override {
    int64_t loops = reference::unrollLoops(getOperation());
    unrolled += loops;
    if (loops == 0)
      return;
    getOperation().walk([](func::FuncOp function) {
      if (!function.isExternal())
        raise::removeUnused(function);
    });
  }
};

} // namespace
