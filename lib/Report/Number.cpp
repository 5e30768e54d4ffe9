#include "Number.h"
#include <cmath>
#include <cstdio>

namespace uoe::report {

static std::string print(const char *format, int precision, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, precision, value);
  return buffer;
}

/// Three significant digits, without an exponent, for values from 1 to 9999.
static std::string three(double value) {
  return print("%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
}

std::string count(int64_t value) {
  std::string digits = std::to_string(value);
  size_t first = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3)
    digits.insert(i - 3, ",");
  return digits;
}

std::string quantity(double value) {
  if (!std::isfinite(value) || std::fabs(value) < 1e4)
    return number(value);
  static const char *const units[] = {"k", "M", "G", "T", "P"};
  size_t unit = 0;
  double scaled = value / 1e3;
  while (std::fabs(scaled) >= 999.5 && unit < 4) {
    scaled /= 1e3;
    ++unit;
  }
  return (scaled < 0 ? "-" : "") + three(std::fabs(scaled)) + " " + units[unit];
}

std::string bytes(double value) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (value < 1024)
    return print("%.*f", 0, value) + " B";
  size_t unit = 0;
  while (value >= 1023.5 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  return three(value) + " " + units[unit];
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds))
    return number(seconds);
  if (seconds < 0)
    return "-" + duration(-seconds);
  if (seconds == 0)
    return "0 s";
  if (seconds < 999.5e-9)
    return print("%.*f", 0, seconds * 1e9) + " ns";
  if (seconds < 999.5e-6)
    return three(seconds * 1e6) + " us";
  if (seconds < 0.9995)
    return three(seconds * 1e3) + " ms";
  return three(seconds) + " s";
}

std::string number(double value, int digits) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value > 0 ? "inf" : "-inf";
  return print("%.*g", digits, value);
}

std::string percent(double share, int decimals) {
  return std::isfinite(share) ? print("%.*f", decimals, share * 100) + "%" : number(share);
}

std::string shape(const std::vector<int64_t> &dims) {
  if (dims.empty())
    return "scalar";
  std::string text;
  for (int64_t dim : dims)
    text += (text.empty() ? "" : "x") + std::to_string(dim);
  return text;
}

Json json(double value) {
  if (std::isfinite(value))
    return value;
  return number(value);
}

} // namespace uoe::report
