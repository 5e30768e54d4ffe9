#include "Isa.h"
#include "runtime/core/Error.h"
#include "simd/Table.h"
#include <algorithm>
#ifdef UOE_FAST_X86
#include <cpuid.h>
#endif

namespace uoe::rt::fast {

namespace portable {
extern const Kernels table;
}
#ifdef UOE_FAST_X86
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
#endif

const char *nameOf(Isa isa) {
  switch (isa) {
  case Isa::Portable:
    return "portable";
  case Isa::Avx2:
    return "avx2";
  case Isa::Avx512:
    return "avx512";
  }
  return "";
}

#ifdef UOE_FAST_X86
// Conversion from half floats: __builtin_cpu_supports of clang 14 does not know it.
static bool hasHalf() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

const std::vector<Isa> &supportedIsas() {
  static const std::vector<Isa> found = [] {
    std::vector<Isa> list{Isa::Portable};
#ifdef UOE_FAST_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && hasHalf();
    if (avx2)
      list.push_back(Isa::Avx2);
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
      list.push_back(Isa::Avx512);
#endif
    return list;
  }();
  return found;
}

namespace {

const Kernels &tableOf(Isa isa) {
#ifdef UOE_FAST_X86
  if (isa == Isa::Avx512)
    return avx512::table;
  if (isa == Isa::Avx2)
    return avx2::table;
#endif
  (void)isa;
  return portable::table;
}

struct Choice {
  Isa isa = supportedIsas().back();
  const Kernels *table = &tableOf(isa);
};
Choice &choice() {
  static Choice instance;
  return instance;
}

} // namespace

Isa isa() {
  return choice().isa;
}

void setIsa(Isa isa) {
  const auto &list = supportedIsas();
  check(std::find(list.begin(), list.end(), isa) != list.end(), "instruction set ", nameOf(isa),
        ": not supported by this machine or build");
  choice() = Choice{isa, &tableOf(isa)};
}

const Kernels &kernels() {
  return *choice().table;
}

} // namespace uoe::rt::fast
