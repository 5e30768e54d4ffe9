#include "Npy.h"
#include "lib/Files/AtomicFile.h"
#include <memory>
#include <zip.h>

namespace uoe {

static std::string reason(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

std::vector<std::pair<std::string, rt::Tensor>> readNpz(const std::string &path) {
  int code = 0;
  std::unique_ptr<zip_t, void (*)(zip_t *)> archive(zip_open(path.c_str(), ZIP_RDONLY, &code),
                                                    zip_discard);
  rt::check(archive != nullptr, "cannot read '", path, "': ", reason(code));
  std::vector<std::pair<std::string, rt::Tensor>> arrays;
  zip_int64_t entries = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    const char *given = zip_get_name(archive.get(), i, 0);
    std::string name = given ? given : "";
    std::unique_ptr<zip_file_t, int (*)(zip_file_t *)> file(zip_fopen_index(archive.get(), i, 0),
                                                            zip_fclose);
    rt::check(file != nullptr, "cannot read '", path, "': entry '", name,
              "': ", zip_strerror(archive.get()));
    // The size that the archive claims is not to be trusted: read what there is.
    std::string content;
    char buffer[1 << 16];
    zip_int64_t got;
    while ((got = zip_fread(file.get(), buffer, sizeof buffer)) > 0)
      content.append(buffer, got);
    rt::check(got == 0, "cannot read '", path, "': entry '", name,
              "': ", zip_file_strerror(file.get()));
    rt::Tensor tensor = parseNpy(content, std::string(path).append(":").append(name));
    if (name.size() > 4 && name.compare(name.size() - 4, 4, ".npy") == 0)
      name.resize(name.size() - 4);
    arrays.emplace_back(name, std::move(tensor));
  }
  return arrays;
}

void writeNpz(const std::string &path,
              const std::vector<std::pair<std::string, rt::Tensor>> &arrays) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t *memory = zip_source_buffer_create(nullptr, 0, 0, &error);
  rt::check(memory != nullptr, "cannot write '", path, "': ", zip_error_strerror(&error));
  zip_source_keep(memory); // the archive drops its reference when it is closed
  std::unique_ptr<zip_source_t, void (*)(zip_source_t *)> keep(memory, zip_source_free);
  zip_t *archive = zip_open_from_source(memory, ZIP_TRUNCATE, &error);
  if (!archive) {
    zip_source_free(memory);
    rt::fail("cannot write '", path, "': ", zip_error_strerror(&error));
  }
  std::vector<std::string> contents; // alive until the archive is closed
  contents.reserve(arrays.size());
  for (const auto &[name, tensor] : arrays) {
    contents.push_back(formatNpy(tensor));
    zip_source_t *entry =
        zip_source_buffer(archive, contents.back().data(), contents.back().size(), 0);
    if (!entry || zip_file_add(archive, (name + ".npy").c_str(), entry, ZIP_FL_ENC_UTF_8) < 0) {
      std::string text = zip_strerror(archive);
      zip_source_free(entry);
      zip_discard(archive);
      rt::fail("cannot write '", path, "': ", text);
    }
  }
  if (zip_close(archive) != 0) {
    std::string text = zip_strerror(archive);
    zip_discard(archive);
    rt::fail("cannot write '", path, "': ", text);
  }
  rt::check(zip_source_open(memory) == 0, "cannot write '", path, "'");
  std::string bytes;
  char buffer[1 << 16];
  for (zip_int64_t got; (got = zip_source_read(memory, buffer, sizeof buffer)) > 0;)
    bytes.append(buffer, static_cast<size_t>(got));
  zip_source_close(memory);
  writeFile(path, bytes);
}

} // namespace uoe
