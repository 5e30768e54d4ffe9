#include "runtime/cpu/ops/Register.h"

namespace uoe::rt {

const KernelTable &KernelTable::builtin() {
  static const KernelTable table = [] {
    KernelTable all;
#define UOE_REGISTER(Name) register##Name(all);
    UOE_KERNEL_FAMILIES(UOE_REGISTER)
#undef UOE_REGISTER
    return all;
  }();
  return table;
}

} // namespace uoe::rt
