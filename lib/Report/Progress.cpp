#include "Progress.h"
#include "Number.h"
#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace uoe::report {

// Progress in progress, on this thread.
static thread_local int alive = 0;

Progress::Progress(std::string what, int64_t total)
    : what(std::move(what)), total(std::max<int64_t>(total, 1)), terminal(isatty(2)),
      nested(alive++ > 0), begin(Clock::now()), last(begin) {}

Progress::~Progress() {
  --alive;
  if (shown && terminal)
    std::fputs("\r\033[K", stderr);
}

void Progress::step(int64_t steps, const std::string &note) {
  done = std::min(total, done + steps);
  auto now = Clock::now();
  double elapsed = std::chrono::duration<double>(now - begin).count();
  double pause = std::chrono::duration<double>(now - last).count();
  if (nested || elapsed < 1 || pause < (terminal ? 0.1 : 10))
    return;
  last = now;
  shown = true;
  double left = done ? elapsed / done * (total - done) : 0;
  std::string text = what + " " + std::to_string(done) + "/" + std::to_string(total);
  if (terminal) {
    constexpr int cells = 24;
    int full = static_cast<int>(cells * done / total);
    text += " [" + std::string(full, '#') + std::string(cells - full, '.') + "]";
  }
  text += ", " + duration(left) + " left" + (note.empty() ? "" : ", " + note);
  std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
}

} // namespace uoe::report
