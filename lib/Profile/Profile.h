// Profiles: what a calibration run saw at the inputs of the blocks, in a file that passes read.
//
// The file is a line of JSON (format, version, model, tokens, per probe its name, width, rows and
// offset), padded to 64 bytes, then per probe rows x width float32, row-major, little-endian.
#pragma once
#include "include/uoe/calibration/Tokens.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace uoe {

/// Writes a profile probe by probe row block by row block; memory holds no samples.
class ProfileWriter {
public:
  /// `rows`: the most rows that a probe is going to have. Empty error on success.
  static std::unique_ptr<ProfileWriter>
  create(const std::string &path, const std::string &model, int64_t rows,
         const std::vector<std::pair<std::string, int64_t>> &probes, std::string &error);
  ~ProfileWriter();
  /// Appends rows to a probe; surplus rows are ignored.
  bool append(const std::string &probe, const float *data, int64_t rows);
  int64_t rowsOf(const std::string &probe) const;
  /// Completes the file under its final name, each probe with the rows that it has; fails if one
  /// has none, or the disk is full.
  bool finish(std::string &error);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
  ProfileWriter();
};

/// A profile, mapped.
class Profile {
public:
  static std::shared_ptr<Profile> open(const std::string &path, std::string &error);
  ~Profile();
  /// Rows of a probe, or null. Valid as long as the profile.
  const calibration::Tokens *tokens(const std::string &probe) const;
  std::vector<std::string> probes() const;
  const std::string &model() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
  Profile();
};

} // namespace uoe
