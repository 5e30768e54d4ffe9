// Kernel benchmarks: uoe-bench-kernels [--threads=N] [--isa=NAME] [SECTION...]; without sections
// all of them.
#include "Measure.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Isa.h"
#include <cstdio>
#include <cstdlib>
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
  } sections[] = {{"gemm", bench::benchGemm},           {"gemv", bench::benchGemv},
                  {"attention", bench::benchAttention}, {"experts", bench::benchExperts},
                  {"neurons", bench::benchNeurons},     {"cascade", bench::benchCascade}};
  std::vector<const char *> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--threads=", 10) == 0)
      rt::ThreadPool::setGlobalThreads(std::atoi(argv[i] + 10));
    else if (std::strncmp(argv[i], "--isa=", 6) == 0) {
      for (rt::fast::Isa isa : rt::fast::supportedIsas())
        if (std::strcmp(nameOf(isa), argv[i] + 6) == 0)
          setIsa(isa);
    } else
      names.push_back(argv[i]);
  }
  std::printf("CPU: %s; instruction set: %s; threads: %d\n", cpuModel().c_str(),
              nameOf(rt::fast::isa()), rt::ThreadPool::global().threads());
  bool known = names.empty();
  for (auto &section : sections) {
    bool wanted = names.empty();
    for (const char *name : names)
      wanted |= std::strcmp(name, section.name) == 0;
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
