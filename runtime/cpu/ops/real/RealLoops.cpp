#include "RealLoops.h"

namespace uoe::rt {

namespace portable {
extern const RealLoops loops;
}
#ifdef UOE_REAL_X86
namespace avx2 {
extern const RealLoops loops;
}
namespace avx512 {
extern const RealLoops loops;
}
#endif

const RealLoops &realLoops() {
  static const RealLoops &chosen = []() -> const RealLoops & {
#ifdef UOE_REAL_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512cd"))
      return avx512::loops;
    if (avx2)
      return avx2::loops;
#endif
    return portable::loops;
  }();
  return chosen;
}

} // namespace uoe::rt
