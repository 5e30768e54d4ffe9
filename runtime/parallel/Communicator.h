// How ranks exchange rows: the little that expert parallelism needs of a transport. MPI carries it
// between processes and hosts (Mpi.h), threads of one process in tests (InProcess.h).
#pragma once
#include "runtime/core/Error.h"
#include <cstddef>
#include <cstdint>
#include <vector>

namespace uoe::rt::parallel {

/// A group of ranks, as one of them sees it. All ranks call the same functions in the same order.
/// What goes wrong in the transport raises Error.
class Communicator {
public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;

  /// Every rank sends a block to every rank, itself included: sendCounts[r] elements of `bytes`
  /// bytes to rank r, receiveCounts[r] from it. The blocks lie in the buffers one after the other,
  /// by rank. Both vectors are [ranks]; what r sends me and what I receive from r agree.
  virtual void allToAll(const void *send, const std::vector<int64_t> &sendCounts, void *receive,
                        const std::vector<int64_t> &receiveCounts, size_t bytes) = 0;

  /// Every rank gets what all have: counts[r] elements of `bytes` bytes of rank r, one after the
  /// other by rank. `counts` [ranks] is the same on every rank; `send` holds this rank's.
  virtual void allGather(const void *send, const std::vector<int64_t> &counts, void *receive,
                         size_t bytes) = 0;

  /// No rank returns before all have called it.
  virtual void barrier() = 0;
};

} // namespace uoe::rt::parallel
