#include "Ranks.h"
#include "runtime/core/ThreadPool.h"
#ifdef UOE_MPI
#include "runtime/parallel/Mpi.h"
#endif
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sched.h>
#include <streambuf>
#include <unistd.h>

namespace uoe::run {

namespace {

rt::parallel::Group *theGroup = nullptr;
int theThreads = 0;

/// How many processes a launcher of MPI has started with this one: Open MPI tells, and MPICH and
/// its relatives. 1 without a launcher. 0 under others (PMIx alone), where MPI itself has to be
/// asked.
int startedTogether() {
  for (const char *name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char *size = std::getenv(name))
      return std::max(1, std::atoi(size));
  return std::getenv("PMIX_RANK") ? 0 : 1;
}

#ifdef UOE_MPI
/// The cores that this process may run on, as a hash that tells hosts apart.
uint64_t hashOfCores() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  uint64_t hash = rt::parallel::hashOf(host, sizeof host);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof cores, &cores);
  return rt::parallel::hashOf(&cores, sizeof cores, hash);
}

/// The same for all ranks, since work that is split otherwise may round otherwise.
int threadsOf(rt::parallel::Group &group) {
  const std::vector<int64_t> cores = group.gather("the start", static_cast<int64_t>(hashOfCores()));
  const auto sharing = std::count(cores.begin(), cores.end(), cores[group.rank()]);
  const std::vector<int64_t> threads =
      group.gather("the start", std::max<int64_t>(1, rt::ThreadPool::global().threads() / sharing));
  return static_cast<int>(*std::min_element(threads.begin(), threads.end()));
}
#endif

} // namespace

struct Ranks::Impl {
  /// Takes everything and keeps nothing.
  struct Silence : std::streambuf {
    int overflow(int c) override { return traits_type::not_eof(c); }
    std::streamsize xsputn(const char *, std::streamsize n) override { return n; }
  };
#ifdef UOE_MPI
  std::optional<rt::parallel::MpiSession> session; // outlives what follows
  std::unique_ptr<rt::parallel::Communicator> world;
#endif
  std::optional<rt::parallel::Group> group;
  Silence silence;
  std::streambuf *out = nullptr; // standard output's own
};

Ranks::Ranks([[maybe_unused]] int *argc, [[maybe_unused]] char ***argv)
    : impl(std::make_unique<Impl>()) {
  const int started = startedTogether();
  if (started == 1)
    return;
#ifdef UOE_MPI
  impl->session.emplace(argc, argv);
  impl->world = impl->session->world();
  if (impl->world->ranks() == 1)
    return;
  impl->group.emplace(*impl->world);
  theGroup = &*impl->group;
  if (theGroup->rank() > 0)
    impl->out = std::cout.rdbuf(&impl->silence);
  theThreads = threadsOf(*theGroup);
#else
  rt::check(started == 0, "started as one of ", started,
            " processes, but built without MPI (CMake: UOE_MPI)");
#endif
}

Ranks::~Ranks() {
  theGroup = nullptr;
  if (impl->out)
    std::cout.rdbuf(impl->out);
}

rt::parallel::Group *Ranks::group() {
  return theGroup;
}

int Ranks::threads() {
  return theThreads;
}

std::string Ranks::fail(const std::string &why) {
  if (!impl->group)
    return why;
  impl->group->fail(why);
  // What travelled may be cut short.
  const std::string own = "rank " + std::to_string(impl->group->rank()) + ": ";
  const std::string &all = impl->group->failure();
  return all.compare(0, own.size(), own) == 0 ? own + why : all;
}

int Ranks::finish(int status, const std::function<void(const std::string &)> &complain) {
  if (!impl->group)
    return status;
  try {
    if (!impl->group->broken())
      impl->group->agree("the end", static_cast<uint64_t>(status));
  } catch (const std::exception &error) {
    complain(error.what());
  }
#ifdef UOE_MPI
  // The others may wait for what never comes.
  if (impl->group->lost())
    impl->session->abort(1);
#endif
  return impl->group->broken() ? std::max(status, 1) : status;
}

} // namespace uoe::run
