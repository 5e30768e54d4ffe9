#include "lib/Weights/Weights.h"
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace uoe;

static llvm::Error systemError(const llvm::Twine &what) {
  return llvm::createStringError(std::error_code(errno, std::generic_category()),
                                 what + ": " + std::generic_category().message(errno));
}

llvm::Expected<std::shared_ptr<MappedFile>> MappedFile::open(llvm::StringRef path) {
  int descriptor = ::open(path.str().c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return systemError("can't open '" + path + "'");
  struct stat status;
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return llvm::createStringError("'" + path + "' is no regular file");
  }
  size_t size = static_cast<size_t>(status.st_size);
  void *data = nullptr;
  if (size) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
      llvm::Error error = systemError("can't map '" + path + "'");
      ::close(descriptor);
      return error;
    }
  }
  ::close(descriptor);
  return std::shared_ptr<MappedFile>(new MappedFile(static_cast<const char *>(data), size));
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<char *>(data), size);
}

void MappedFile::advise(uint64_t offset, uint64_t length, Advice advice) const {
  if (!data || offset > size || length > size - offset)
    return;
  // Whole pages: inward for DontNeed, so that neighbours stay, outward otherwise.
  uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  bool drop = advice == Advice::DontNeed;
  uint64_t begin = drop ? (offset + page - 1) / page * page : offset / page * page;
  uint64_t end = offset + length;
  if (drop && end != size)
    end = end / page * page;
  if (begin >= end)
    return;
  int kind = advice == Advice::WillNeed     ? MADV_WILLNEED
             : advice == Advice::DontNeed   ? MADV_DONTNEED
             : advice == Advice::Sequential ? MADV_SEQUENTIAL
                                            : MADV_RANDOM;
  ::madvise(const_cast<char *>(data) + begin, end - begin, kind);
}
