// Files that are never half-written.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace uoe {

/// A file that appears under its name only when it is complete: a temporary in the same folder,
/// renamed by `finish`, removed otherwise (on signals too). What is no regular file (a pipe, a
/// device) is written directly. The functions return false with `error` set.
class AtomicFile {
public:
  explicit AtomicFile(llvm::StringRef path) : path(path) {}
  AtomicFile(const AtomicFile &) = delete;
  ~AtomicFile();

  bool open();
  bool write(llvm::ArrayRef<char> bytes);
  /// Zeros up to the next multiple of `alignment`, at most 4096.
  bool pad(uint64_t alignment);
  bool finish();

  std::string path, error;
  uint64_t written = 0;

private:
  bool fail(int code);
  std::string temporary;
  int descriptor = -1;
};

/// The whole file, by AtomicFile; raises rt::Error naming the path and the system's reason.
void writeFile(const std::string &path, llvm::StringRef content);
/// The whole file; raises rt::Error if it cannot be read or is a directory.
std::string readFile(const std::string &path);

} // namespace uoe
