#include "runtime/parallel/InProcess.h"
#include "Cases.h"
#include <gtest/gtest.h>
#include <mutex>

using namespace uoe::rt;
using namespace uoe::rt::parallel;
using namespace uoe::rt::parallel::test;

namespace {

class InProcess : public testing::TestWithParam<int> {
protected:
  /// Runs a check on every rank and collects what they say.
  void expectGood(const std::function<std::string(Communicator &)> &run) {
    std::mutex mutex;
    runInProcess(GetParam(), [&](Communicator &comm) {
      std::string problem = run(comm);
      std::lock_guard<std::mutex> lock(mutex);
      EXPECT_EQ(problem, "") << "on rank " << comm.rank() << " of " << comm.ranks();
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Ranks, InProcess, testing::Values(1, 2, 3, 4, 7));

TEST_P(InProcess, Transport) {
  expectGood(checkTransport);
}

TEST_P(InProcess, LayerEqualsOneProcess) {
  for (const Case &layer : cases())
    expectGood([&](Communicator &comm) { return checkResult(comm, layer); });
}

TEST_P(InProcess, EveryRankHearsOfARefusal) {
  expectGood(checkRefusals);
}

TEST_P(InProcess, ReplicatedLayerEqualsOneProcess) {
  for (const Case &layer : cases())
    expectGood([&](Communicator &comm) { return checkReplicated(comm, layer); });
}

TEST_P(InProcess, EntryEqualsOneProcess) {
  expectGood(checkEntry);
}

TEST_P(InProcess, EveryRankHearsWhatOneFinds) {
  expectGood(checkReplicatedRefusals);
}

TEST_P(InProcess, NobodyWaitsForAFailedRank) {
  const int last = GetParam() - 1;
  std::string message;
  try {
    runInProcess(GetParam(), [&](Communicator &comm) {
      comm.barrier();
      check(comm.rank() != last, "out of luck");
      comm.barrier();
    });
  } catch (const Error &error) {
    message = error.what();
  }
  EXPECT_EQ(message, "out of luck");
}

TEST_P(InProcess, CountsThatDisagree) {
  if (GetParam() == 1)
    GTEST_SKIP() << "needs two ranks";
  std::string message;
  try {
    runInProcess(GetParam(), [&](Communicator &comm) {
      std::vector<int64_t> counts(comm.ranks(), 1),
          received(comm.ranks(), comm.rank() == 1 ? 2 : 1);
      std::vector<int32_t> send(comm.ranks()), receive(2 * comm.ranks());
      comm.allToAll(send.data(), counts, receive.data(), received, sizeof(int32_t));
    });
  } catch (const Error &error) {
    message = error.what();
  }
  EXPECT_EQ(message, "rank 1 expects 2 elements of 4 bytes from rank 0, which sends 1 of 4");
}

TEST(InProcessGroup, NeedsARank) {
  EXPECT_THROW(runInProcess(0, [](Communicator &) {}), Error);
}

} // namespace
