// The contract over processes: mpirun -n N uoe-test-mpi N. Exit status 0 if every rank of N found
// everything right.
#include "runtime/parallel/Mpi.h"
#include "Cases.h"
#include "runtime/core/ThreadPool.h"
#include <cstdio>
#include <cstdlib>

using namespace uoe::rt;
using namespace uoe::rt::parallel;
using namespace uoe::rt::parallel::test;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// Open MPI keeps some of what it allocates when it starts.
extern "C" const char *__asan_default_options() {
  return "detect_leaks=0";
}
#endif
#endif

static int run(Communicator &comm, int expectedRanks) {
  int failed = 0;
  auto report = [&](const std::string &problem) {
    if (problem.empty())
      return;
    std::fprintf(stderr, "rank %d of %d: %s\n", comm.rank(), comm.ranks(), problem.c_str());
    ++failed;
  };
  // Under another MPI's mpirun each process is a world of its own, and would test nothing.
  if (comm.ranks() != expectedRanks)
    report("expected " + std::to_string(expectedRanks) + " ranks");
  report(checkTransport(comm));
  for (const Case &layer : cases())
    report(checkResult(comm, layer));
  for (const Case &layer : cases())
    report(checkReplicated(comm, layer));
  report(checkEntry(comm));
  report(checkReplicatedRefusals(comm));
  report(checkRefusals(comm));
  comm.barrier();
  if (comm.rank() == 0 && !failed)
    std::printf("%zu layers over %d processes agree with one\n", cases().size(), comm.ranks());
  return failed != 0;
}

int main(int argc, char **argv) {
  ThreadPool::setGlobalThreads(1); // the processes share the machine
  try {
    MpiSession session(&argc, &argv);
    try {
      auto world = session.world();
      return run(*world, argc > 1 ? std::atoi(argv[1]) : 1);
    } catch (const Error &error) {
      std::fprintf(stderr, "error: %s\n", error.what());
      session.abort(1);
    }
  } catch (const Error &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
