// Ranks that run one program together: every rank holds the same values, and computes alone what
// the others need of it (ShardedExperts.h). What goes wrong on one rank is an error on every rank.
#pragma once
#include "Communicator.h"
#include <string>

namespace uoe::rt::parallel {

/// A group of ranks, as one of them sees it. All exchange begins with a word of every rank, in
/// which it says where it has come to, or that it has failed. So a rank that fails leaves nobody
/// waiting: it says so where the others say that they are well, and all raise the same Error. After
/// that the group is broken, and every call raises that error again without any exchange.
class Group {
public:
  explicit Group(Communicator &transport) : transport(transport) {}
  Group(const Group &) = delete;
  int rank() const { return transport.rank(); }
  int ranks() const { return transport.ranks(); }

  /// Raises Error on every rank unless all have come to the same place ("the model") and have the
  /// same value there: a hash of what has to be equal. Collective.
  void agree(const std::string &place, uint64_t value);
  /// Rank 0's value, for choices that depend on what differs between ranks, such as time.
  /// Collective.
  int64_t share(const std::string &place, int64_t value);
  /// A number of every rank. [ranks]. Collective.
  std::vector<int64_t> gather(const std::string &place, int64_t value);
  /// This rank cannot go on, and the others are told why. Raises nothing; nothing happens if the
  /// group is broken already.
  void fail(const std::string &reason) noexcept;
  bool broken() const { return !why.empty(); }
  /// What broke it, the same on all ranks; empty if nothing did.
  const std::string &failure() const { return why; }
  /// True if the transport itself has failed: other ranks may wait, and must be ended.
  bool lost() const { return transportFailed; }

  /// Exchange of data, right after `agree`; nothing may fail in between. As in Communicator.
  void allToAll(const void *send, const std::vector<int64_t> &sendCounts, void *receive,
                const std::vector<int64_t> &receiveCounts, size_t bytes);
  void allGather(const void *send, const std::vector<int64_t> &counts, void *receive, size_t bytes);

private:
  struct Word;
  std::vector<Word> exchange(const Word &mine, const std::string &text);
  std::vector<std::string> texts(const std::string &mine);
  [[noreturn]] void end(const std::string &reason);
  template <typename Body> void guarded(Body body);

  Communicator &transport;
  std::string why;
  bool transportFailed = false;
};

/// A hash of bytes, for `agree`: eight at a time, so that activations take little time. Equal bytes
/// give equal hashes on every machine of one byte order.
uint64_t hashOf(const void *data, size_t bytes, uint64_t seed = 0);

} // namespace uoe::rt::parallel
