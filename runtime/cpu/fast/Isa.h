// Which instruction set the kernels use: chosen at run time, so that one binary serves every
// machine.
#pragma once
#include <vector>

namespace uoe::rt::fast {

enum class Isa { Portable, Avx2, Avx512 };

const char *nameOf(Isa isa);
/// What this machine and this build can run, the plainest first.
const std::vector<Isa> &supportedIsas();
/// The one in use: the last supported one unless set otherwise.
Isa isa();
/// For tests and measurements, when nothing runs. Raises Error for an unsupported one. Packed
/// weights stay valid: their layout is the same for all.
void setIsa(Isa isa);

} // namespace uoe::rt::fast
