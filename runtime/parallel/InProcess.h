// Ranks as threads of one process: the transport of tests, and a run with one rank.
#pragma once
#include "Communicator.h"
#include <functional>

namespace uoe::rt::parallel {

/// Runs `body` on `ranks` threads, each with its end of a group. Nobody waits for a rank that has
/// failed: the others' calls raise Error. After all have ended, raises the error of the rank that
/// failed first.
void runInProcess(int ranks, const std::function<void(Communicator &)> &body);

} // namespace uoe::rt::parallel
