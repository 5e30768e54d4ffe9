// Sizes of symbolic dimensions.
#pragma once
#include "Inputs.h"
#include "Ports.h"

namespace uoe {

/// Resolves the dynamic dimensions of a session's inputs, consistently.
class Dimensions {
public:
  /// Raises rt::Error if options.dims names a dimension that no input has, or contradicts a given
  /// tensor.
  Dimensions(const Session &session, const InputOptions &options);

  /// Size of one axis of input `index`.
  int64_t size(size_t index, size_t axis);
  rt::Shape shape(size_t index);
  int64_t past();     // length of the past, 0 without a cache
  int64_t sequence(); // new tokens
  int64_t batch();

  Dims dims;                        // all that were resolved, by name
  std::vector<std::string> assumed; // names that got a default

private:
  int64_t named(const std::string &name, size_t index, size_t axis);
  int64_t guess(const std::string &name, size_t index, size_t axis);
  bool evaluate(const std::string &text, size_t index, size_t axis, int64_t &value);

  const Session &session;
  const InputOptions &options;
  std::vector<Role> roles;
  std::vector<std::string> pending; // being resolved: an expression may name itself
};

} // namespace uoe
