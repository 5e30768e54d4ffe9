// Progress of long work, on stderr.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace uoe::report {

/// A bar that is redrawn in place on a terminal, and a line every ten seconds elsewhere. Nothing is
/// shown for work that is over within a second, nor for work that is a part of other work shown.
class Progress {
public:
  /// `what` names the work; `total` steps, at least 1.
  Progress(std::string what, int64_t total);
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  ~Progress();
  /// `note` is shown behind the bar, as in "ppl 22.6".
  void step(int64_t steps = 1, const std::string &note = "");

private:
  using Clock = std::chrono::steady_clock;
  std::string what;
  int64_t total, done = 0;
  bool terminal, nested, shown = false;
  Clock::time_point begin, last;
};

} // namespace uoe::report
