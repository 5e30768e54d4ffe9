#include "OutputFile.h"
#include "runtime/core/Error.h"
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace uoe {

OutputFile::OutputFile(std::string given) : path(std::move(given)) {
  struct stat info;
  bool special = stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
  if (special && S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    failed("write");
  }
  if (!special)
    temporary = path + ".tmp" + std::to_string(getpid());
  file = std::fopen(special ? path.c_str() : temporary.c_str(), "wb");
  if (!file)
    failed("write");
}

OutputFile::~OutputFile() {
  if (!file)
    return;
  std::fclose(file);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

void OutputFile::failed(const char *doing) {
  std::string reason = std::strerror(errno);
  if (file) {
    std::fclose(file);
    file = nullptr;
    if (!temporary.empty())
      unlink(temporary.c_str());
  }
  rt::fail("cannot ", doing, " '", path, "': ", reason);
}

void OutputFile::write(const void *data, size_t bytes) {
  if (bytes && std::fwrite(data, 1, bytes, file) != bytes)
    failed("write");
}

void OutputFile::commit() {
  if (std::fflush(file) != 0)
    failed("write");
  std::FILE *closing = file;
  file = nullptr;
  if (std::fclose(closing) != 0 ||
      (!temporary.empty() && std::rename(temporary.c_str(), path.c_str()) != 0)) {
    std::string reason = std::strerror(errno);
    if (!temporary.empty())
      unlink(temporary.c_str());
    rt::fail("cannot write '", path, "': ", reason);
  }
}

void writeFile(const std::string &path, const std::string &content) {
  OutputFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

std::string readFile(const std::string &path) {
  auto refuse = [&]() { rt::fail("cannot read '", path, "': ", std::strerror(errno)); };
  std::FILE *file = std::fopen(path.c_str(), "rb");
  if (!file)
    refuse();
  std::string content;
  char buffer[1 << 16];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, file)) != 0;)
    content.append(buffer, got);
  bool bad = std::ferror(file);
  int reason = errno;
  std::fclose(file);
  if (bad) {
    errno = reason;
    refuse();
  }
  return content;
}

} // namespace uoe
