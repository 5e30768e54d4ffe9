// Errors inside the runtime. They are exceptions up to the C ABI (include/uoe/runtime.h), which
// turns them into a status and a message; the executor adds the node's name and shapes on the way.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace uoe::rt {

/// An input, attribute or model that cannot be executed. The message says what was expected and
/// found.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename... Parts> [[noreturn]] void fail(const Parts &...parts) {
  std::ostringstream out;
  (out << ... << parts);
  throw Error(out.str());
}

/// Raises Error with the concatenated parts unless the condition holds.
template <typename... Parts> void check(bool condition, const Parts &...parts) {
  if (!condition)
    fail(parts...);
}

} // namespace uoe::rt
