// Files that are either written completely or not at all.
#pragma once
#include <cstdio>
#include <string>

namespace uoe {

/// Writes beside the destination and renames on commit(); without it nothing is left behind. A
/// destination that exists and is no regular file (a pipe, /dev/stdout) is written directly. All
/// members raise rt::Error naming the destination and the system's reason.
class OutputFile {
public:
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;
  ~OutputFile();
  void write(const void *data, size_t bytes);
  /// Flushes, so that a full disk is noticed here, and gives the file its name.
  void commit();

private:
  [[noreturn]] void failed(const char *doing);
  std::string path, temporary; // empty: written directly
  std::FILE *file = nullptr;
};

/// The whole file, by OutputFile.
void writeFile(const std::string &path, const std::string &content);
/// The whole file; raises rt::Error if it cannot be read or is a directory.
std::string readFile(const std::string &path);

} // namespace uoe
