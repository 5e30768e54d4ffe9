#include "lib/Profile/Profile.h"
#include "runtime/core/Error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace uoe;
using nlohmann::json;

namespace {

struct Section {
  int64_t width = 0, rows = 0, written = 0;
  uint64_t offset = 0;
};

constexpr const char *kFormat = "uoe-profile";
constexpr uint64_t kAlignment = 64;

uint64_t aligned(uint64_t n) {
  return (n + kAlignment - 1) / kAlignment * kAlignment;
}

} // namespace

struct ProfileWriter::Impl {
  std::string path, temporary;
  int descriptor = -1;
  std::string model;
  std::vector<std::string> order;
  std::map<std::string, Section> sections;
  uint64_t base = 0; // where the header ends
  int failure = 0;   // errno of the first write that failed

  /// What is written so far.
  std::string header() {
    json list = json::array();
    for (const std::string &name : order) {
      const Section &section = sections[name];
      list.push_back({{"name", name},
                      {"width", section.width},
                      {"rows", section.written},
                      {"offset", section.offset}});
    }
    return json{{"format", kFormat}, {"version", 1}, {"model", model}, {"probes", list}}.dump() +
           "\n";
  }

  void write(uint64_t offset, const void *data, size_t bytes) {
    const char *from = static_cast<const char *>(data);
    while (bytes > 0 && !failure) {
      ssize_t n = ::pwrite(descriptor, from, bytes, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) {
        failure = n < 0 ? errno : EIO;
        return;
      }
      from += n;
      bytes -= static_cast<size_t>(n);
      offset += static_cast<uint64_t>(n);
    }
  }
};

ProfileWriter::ProfileWriter() : impl(new Impl) {}

ProfileWriter::~ProfileWriter() {
  if (impl->descriptor >= 0)
    ::close(impl->descriptor);
  if (!impl->temporary.empty())
    ::unlink(impl->temporary.c_str());
}

std::unique_ptr<ProfileWriter>
ProfileWriter::create(const std::string &path, const std::string &model, int64_t rows,
                      const std::vector<std::pair<std::string, int64_t>> &probes,
                      std::string &error) {
  std::unique_ptr<ProfileWriter> writer(new ProfileWriter);
  Impl &impl = *writer->impl;
  impl.path = path;
  std::string temporary = path + ".partial";
  impl.descriptor = ::open(temporary.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  if (impl.descriptor < 0) {
    error = "cannot write '" + path + "': " + std::strerror(errno);
    return nullptr;
  }
  impl.temporary = temporary;
  impl.model = model;
  for (const auto &[name, width] : probes) {
    impl.order.push_back(name);
    impl.sections[name] = {width, rows, rows, 0};
  }
  // The header's size depends on the offsets, whose digits depend on the header: leave room for the
  // longest.
  impl.base = aligned(impl.header().size() + 20 * probes.size() + kAlignment);
  uint64_t offset = impl.base;
  for (const std::string &name : impl.order) {
    Section &section = impl.sections[name];
    section.written = 0;
    section.offset = offset;
    offset = aligned(offset + static_cast<uint64_t>(section.rows) *
                                  static_cast<uint64_t>(section.width) * sizeof(float));
  }
  return writer;
}

bool ProfileWriter::append(const std::string &probe, const float *data, int64_t rows) {
  auto it = impl->sections.find(probe);
  if (it == impl->sections.end())
    return false;
  Section &section = it->second;
  rows = std::min(rows, section.rows - section.written);
  size_t rowBytes = static_cast<size_t>(section.width) * sizeof(float);
  impl->write(section.offset + static_cast<uint64_t>(section.written) * rowBytes, data,
              static_cast<size_t>(rows) * rowBytes);
  section.written += rows;
  return impl->failure == 0;
}

int64_t ProfileWriter::rowsOf(const std::string &probe) const {
  auto it = impl->sections.find(probe);
  return it == impl->sections.end() ? 0 : it->second.written;
}

bool ProfileWriter::finish(std::string &error) {
  for (const auto &[name, section] : impl->sections)
    if (section.written == 0) {
      error = "the calibration run gave no rows for '" + name + "'";
      return false;
    }
  std::string text = impl->header();
  text.insert(text.size() - 1, impl->base - text.size(), ' ');
  impl->write(0, text.data(), text.size());
  if (!impl->failure && ::fsync(impl->descriptor) != 0 && errno != EINVAL)
    impl->failure = errno;
  if (!impl->failure && ::rename(impl->temporary.c_str(), impl->path.c_str()) != 0)
    impl->failure = errno;
  if (impl->failure) {
    error = "cannot write '" + impl->path + "': " + std::strerror(impl->failure);
    return false;
  }
  impl->temporary.clear();
  return true;
}

struct Profile::Impl {
  std::string model;
  void *mapped = MAP_FAILED;
  size_t size = 0;
  std::vector<std::string> names;
  std::map<std::string, std::unique_ptr<calibration::MatrixTokens>> probes;
};

Profile::Profile() : impl(new Impl) {}
Profile::~Profile() {
  if (impl->mapped != MAP_FAILED)
    ::munmap(impl->mapped, impl->size);
}

std::shared_ptr<Profile> Profile::open(const std::string &path, std::string &error) {
  std::shared_ptr<Profile> profile(new Profile);
  Impl &impl = *profile->impl;
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (descriptor < 0 || ::fstat(descriptor, &info) != 0) {
    error = "cannot read '" + path + "': " + std::strerror(errno);
    if (descriptor >= 0)
      ::close(descriptor);
    return nullptr;
  }
  impl.size = static_cast<size_t>(info.st_size);
  if (impl.size > 0)
    impl.mapped = ::mmap(nullptr, impl.size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  ::close(descriptor);
  if (impl.mapped == MAP_FAILED) {
    error = "'" + path + "' is no profile: it is empty or cannot be mapped";
    return nullptr;
  }
  const char *bytes = static_cast<const char *>(impl.mapped);
  const char *end =
      static_cast<const char *>(std::memchr(bytes, '\n', std::min<size_t>(impl.size, 16 << 20)));
  json header = end ? json::parse(bytes, end, nullptr, false) : json();
  if (!header.is_object() || header.value("format", "") != kFormat ||
      header.value("version", 0) != 1) {
    error = "'" + path + "' is no profile of version 1";
    return nullptr;
  }
  try {
    impl.model = header.at("model").get<std::string>();
    for (const json &probe : header.at("probes")) {
      auto name = probe.at("name").get<std::string>();
      auto width = probe.at("width").get<int64_t>(), rows = probe.at("rows").get<int64_t>();
      auto offset = probe.at("offset").get<uint64_t>();
      rt::check(width > 0 && rows >= 0 && offset % kAlignment == 0 && offset <= impl.size &&
                    static_cast<uint64_t>(rows) <=
                        (impl.size - offset) / sizeof(float) / static_cast<uint64_t>(width),
                "the rows of '", name, "' lie beyond the end of the file");
      calibration::MatrixView view(reinterpret_cast<const float *>(bytes + offset), rows, width);
      impl.names.push_back(name);
      impl.probes[name] = std::make_unique<calibration::MatrixTokens>(view);
    }
  } catch (const std::exception &problem) {
    error = "'" + path + "' is a broken profile: " + problem.what();
    return nullptr;
  }
  return profile;
}

const calibration::Tokens *Profile::tokens(const std::string &probe) const {
  auto it = impl->probes.find(probe);
  return it == impl->probes.end() ? nullptr : it->second.get();
}
std::vector<std::string> Profile::probes() const {
  return impl->names;
}
const std::string &Profile::model() const {
  return impl->model;
}
