// MPI between processes, on one machine or several. Built where an MPI is found (CMake: UOE_MPI).
#pragma once
#include "Communicator.h"
#include <memory>

namespace uoe::rt::parallel {

/// A process's part in MPI: initialises it, and finalises it when it goes. One per process.
class MpiSession {
public:
  /// Raises Error if MPI cannot start here.
  MpiSession(int *argc, char ***argv);
  ~MpiSession();
  MpiSession(const MpiSession &) = delete;

  /// All processes, in an own communicator whose errors are raised rather than fatal. Lives no
  /// longer than the session; every process makes and drops it at the same place.
  std::unique_ptr<Communicator> world();
  /// Ends all processes with this exit status: a rank that fails alone must not leave others
  /// waiting.
  [[noreturn]] void abort(int status);
};

} // namespace uoe::rt::parallel
