#include "InProcess.h"
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

namespace uoe::rt::parallel {

namespace {

// What the ranks share: a barrier that a failure opens, and what each offers the others.
struct Hub {
  struct Offer {
    const char *data = nullptr;
    const std::vector<int64_t> *counts = nullptr;
    size_t bytes = 0;
  };

  explicit Hub(int ranks) : offers(ranks) {}

  void wait() {
    std::unique_lock<std::mutex> lock(mutex);
    check(failed < 0, "rank ", failed, " has failed");
    if (++arrived == offers.size()) {
      arrived = 0;
      ++round;
      changed.notify_all();
      return;
    }
    const int64_t own = round;
    changed.wait(lock, [&] { return round != own || failed >= 0; });
    check(round != own, "rank ", failed, " has failed");
  }

  void fail(int rank, std::exception_ptr error) {
    std::lock_guard<std::mutex> lock(mutex);
    if (failed < 0) {
      failed = rank;
      first = std::move(error);
    }
    changed.notify_all();
  }

  std::vector<Offer> offers;
  std::mutex mutex;
  std::condition_variable changed;
  size_t arrived = 0;
  int64_t round = 0;
  int failed = -1;
  std::exception_ptr first;
};

class End final : public Communicator {
public:
  End(Hub &hub, int rank) : hub(hub), self(rank) {}
  int rank() const override { return self; }
  int ranks() const override { return static_cast<int>(hub.offers.size()); }
  void barrier() override { hub.wait(); }

  void allToAll(const void *send, const std::vector<int64_t> &sendCounts, void *receive,
                const std::vector<int64_t> &receiveCounts, size_t bytes) override {
    hub.offers[self] = {static_cast<const char *>(send), &sendCounts, bytes};
    hub.wait();
    char *to = static_cast<char *>(receive);
    std::string problem;
    for (int r = 0; r < ranks() && problem.empty(); ++r) {
      const Hub::Offer &offer = hub.offers[r];
      const int64_t count = (*offer.counts)[self];
      if (count != receiveCounts[r] || offer.bytes != bytes) {
        std::ostringstream text;
        text << "rank " << self << " expects " << receiveCounts[r] << " elements of " << bytes
             << " bytes from rank " << r << ", which sends " << count << " of " << offer.bytes;
        problem = text.str();
        break;
      }
      int64_t before = 0;
      for (int i = 0; i < self; ++i)
        before += (*offer.counts)[i];
      if (count > 0)
        std::memcpy(to, offer.data + before * bytes, count * bytes);
      to += count * bytes;
    }
    // Offers are read until all have come here, so this rank may not leave before, with or without
    // an error.
    hub.wait();
    check(problem.empty(), problem);
  }

  void allGather(const void *send, const std::vector<int64_t> &counts, void *receive,
                 size_t bytes) override {
    hub.offers[self] = {static_cast<const char *>(send), &counts, bytes};
    hub.wait();
    char *to = static_cast<char *>(receive);
    std::string problem;
    for (int r = 0; r < ranks() && problem.empty(); ++r) {
      const Hub::Offer &offer = hub.offers[r];
      if (*offer.counts != counts || offer.bytes != bytes) {
        std::ostringstream text;
        text << "rank " << r << " gathers other elements than rank " << self;
        problem = text.str();
        break;
      }
      if (counts[r] > 0)
        std::memcpy(to, offer.data, counts[r] * bytes);
      to += counts[r] * bytes;
    }
    hub.wait(); // as above
    check(problem.empty(), problem);
  }

private:
  Hub &hub;
  int self;
};

} // namespace

void runInProcess(int ranks, const std::function<void(Communicator &)> &body) {
  check(ranks >= 1, "expected at least one rank, found ", ranks);
  Hub hub(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&hub, &body, r] {
      End end(hub, r);
      try {
        body(end);
      } catch (...) {
        hub.fail(r, std::current_exception());
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  if (hub.first)
    std::rethrow_exception(hub.first);
}

} // namespace uoe::rt::parallel
