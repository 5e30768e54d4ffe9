// Kernel benchmarks: uoe-bench-kernels [SECTION...]; without arguments all sections.
#include "Measure.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Isa.h"
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

using namespace uoe;

static std::string cpuModel() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line))
    if (line.rfind("model name", 0) == 0)
      return line.substr(line.find(':') + 2);
  return "unknown";
}

int main(int argc, char **argv) {
  const struct {
    const char *name;
    void (*run)();
  } sections[] = {
      {"gemm", bench::benchGemm}, {"gemv", bench::benchGemv}, {"attention", bench::benchAttention}};
  std::printf("CPU: %s; instruction set: %s; threads: %d\n", cpuModel().c_str(),
              nameOf(rt::fast::isa()), rt::ThreadPool::global().threads());
  bool known = argc == 1;
  for (auto &section : sections) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i)
      wanted |= std::strcmp(argv[i], section.name) == 0;
    if (wanted)
      section.run();
    known |= wanted;
  }
  if (!known) {
    std::fprintf(stderr, "no such section; there are:");
    for (auto &section : sections)
      std::fprintf(stderr, " %s", section.name);
    std::fprintf(stderr, "\n");
    return 1;
  }
  return 0;
}
