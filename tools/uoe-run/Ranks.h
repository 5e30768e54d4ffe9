// The processes that run a command together: mpirun -n N uoe-run ... (docs/parallel.md).
#pragma once
#include "runtime/parallel/Group.h"
#include <functional>
#include <memory>
#include <string>

namespace uoe::run {

/// This process's part in a run of several. Rank 0 alone prints. One per process.
class Ranks {
public:
  /// Joins the others if the process was started as one of several; raises rt::Error if it cannot,
  /// as without MPI.
  Ranks(int *argc, char ***argv);
  ~Ranks();
  Ranks(const Ranks &) = delete;

  /// The group; null in a process of its own.
  static rt::parallel::Group *group();
  /// False for the ranks that keep quiet and write no files.
  static bool first() { return !group() || group()->rank() == 0; }
  /// Threads of each process where none are asked for: those of its cores, shared with the ranks
  /// that run on the same ones; 0 in a process of its own.
  static int threads();

  /// Tells the others that this rank has failed, unless they have told it so. What to say of it.
  std::string fail(const std::string &why);
  /// The exit status, 0 if it is 0 on every rank. `complain` gets what other ranks have to say.
  int finish(int status, const std::function<void(const std::string &)> &complain);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace uoe::run
