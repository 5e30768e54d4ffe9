#include "Mpi.h"
#include <cstdlib>
#include <limits>
#include <mpi.h>

namespace uoe::rt::parallel {

namespace {

void checkMpi(int code, const char *what) {
  if (code == MPI_SUCCESS)
    return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("MPI: ", what, ": ", std::string(text, length));
}

// MPI counts in int. Elements are whole rows, so the limit is 2^31 - 1 rows.
struct Blocks {
  std::vector<int> counts, starts;

  Blocks(const std::vector<int64_t> &from) {
    int64_t start = 0;
    for (int64_t count : from) {
      check(count >= 0 && start + count <= std::numeric_limits<int>::max(),
            "MPI: more than 2^31 - 1 rows in one exchange; send fewer tokens at a time");
      counts.push_back(static_cast<int>(count));
      starts.push_back(static_cast<int>(start));
      start += count;
    }
  }
};

// An element of so many bytes.
struct Element {
  MPI_Datatype type = MPI_DATATYPE_NULL;

  explicit Element(size_t bytes) {
    check(bytes <= static_cast<size_t>(std::numeric_limits<int>::max()), "MPI: a row of ", bytes,
          " bytes; the most is 2^31 - 1");
    checkMpi(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type), "row type");
    checkMpi(MPI_Type_commit(&type), "row type");
  }
  Element(const Element &) = delete;
  ~Element() {
    if (type != MPI_DATATYPE_NULL)
      MPI_Type_free(&type);
  }
};

class MpiCommunicator final : public Communicator {
public:
  MpiCommunicator() {
    checkMpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "communicator");
    checkMpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "error handler");
    checkMpi(MPI_Comm_rank(comm, &self), "rank");
    checkMpi(MPI_Comm_size(comm, &size), "ranks");
  }
  ~MpiCommunicator() override { MPI_Comm_free(&comm); }
  int rank() const override { return self; }
  int ranks() const override { return size; }
  void barrier() override { checkMpi(MPI_Barrier(comm), "barrier"); }

  void allToAll(const void *send, const std::vector<int64_t> &sendCounts, void *receive,
                const std::vector<int64_t> &receiveCounts, size_t bytes) override {
    Blocks out(sendCounts), in(receiveCounts);
    Element element(bytes);
    checkMpi(MPI_Alltoallv(send, out.counts.data(), out.starts.data(), element.type, receive,
                           in.counts.data(), in.starts.data(), element.type, comm),
             "all-to-all");
  }

  void allGather(const void *send, const std::vector<int64_t> &counts, void *receive,
                 size_t bytes) override {
    Blocks blocks(counts);
    Element element(bytes);
    checkMpi(MPI_Allgatherv(send, blocks.counts[self], element.type, receive, blocks.counts.data(),
                            blocks.starts.data(), element.type, comm),
             "all-gather");
  }

private:
  MPI_Comm comm = MPI_COMM_NULL;
  int self = 0, size = 1;
};

} // namespace

MpiSession::MpiSession(int *argc, char ***argv) {
  checkMpi(MPI_Init(argc, argv), "start");
}

MpiSession::~MpiSession() {
  MPI_Finalize();
}

std::unique_ptr<Communicator> MpiSession::world() {
  return std::make_unique<MpiCommunicator>();
}

void MpiSession::abort(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::abort();
}

} // namespace uoe::rt::parallel
