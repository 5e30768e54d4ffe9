#include "lib/Files/AtomicFile.h"
#include "runtime/core/Error.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Signals.h"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

using namespace uoe;
namespace fs = llvm::sys::fs;

AtomicFile::~AtomicFile() {
  if (descriptor >= 0)
    ::close(descriptor);
  if (!temporary.empty()) {
    (void)fs::remove(temporary);
    llvm::sys::DontRemoveFileOnSignal(temporary);
  }
}

bool AtomicFile::fail(int code) {
  error = "cannot write '" + path + "': " + std::generic_category().message(code);
  return false;
}

bool AtomicFile::open() {
  fs::file_status status;
  bool exists = !fs::status(path, status);
  if (exists && status.type() == fs::file_type::directory_file)
    return fail(EISDIR);
  if (exists && status.type() != fs::file_type::regular_file) {
    descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return descriptor >= 0 || fail(errno);
  }
  // Where the path is a link, the link stays and its target is replaced.
  llvm::SmallString<128> real;
  if (exists && !fs::real_path(path, real))
    path = real.str().str();
  // A file that must not be written is not replaced either.
  if (exists && ::access(path.c_str(), W_OK) != 0)
    return fail(errno);
  llvm::SmallString<128> name;
  if (std::error_code code =
          fs::createUniqueFile(path + ".%%%%%%.tmp", descriptor, name, fs::OF_None, 0666))
    return fail(code.value());
  temporary = name.str().str();
  llvm::sys::RemoveFileOnSignal(temporary);
  return true;
}

bool AtomicFile::write(llvm::ArrayRef<char> bytes) {
  written += bytes.size();
  while (!bytes.empty()) {
    ssize_t n = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), 8 << 20));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail(n ? errno : ENOSPC);
    bytes = bytes.drop_front(static_cast<size_t>(n));
  }
  return true;
}

bool AtomicFile::pad(uint64_t alignment) {
  static const std::vector<char> zeros(4096);
  uint64_t gap = (alignment - written % alignment) % alignment;
  return write(llvm::ArrayRef<char>(zeros).take_front(gap));
}

bool AtomicFile::finish() {
  int closing = descriptor;
  descriptor = -1;
  if (::close(closing) != 0)
    return fail(errno);
  if (temporary.empty())
    return true;
  if (std::error_code code = fs::rename(temporary, path))
    return fail(code.value());
  llvm::sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
  return true;
}

void uoe::writeFile(const std::string &path, llvm::StringRef content) {
  AtomicFile file(path);
  if (!file.open() || !file.write({content.data(), content.size()}) || !file.finish())
    rt::fail(file.error);
}

std::string uoe::readFile(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    rt::fail("cannot read '", path, "': ", buffer.getError().message());
  return (*buffer)->getBuffer().str();
}
