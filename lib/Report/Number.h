// Numbers as people read them, the same in every table of both tools.
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace uoe::report {

/// Keys keep the order in which they are set.
using Json = nlohmann::ordered_json;

/// 22713216 as "22,713,216".
std::string count(int64_t value);
/// 22713216 as "22.7 M"; below ten thousand as it is.
std::string quantity(double value);
/// Bytes in binary units: "512 B", "86.6 MiB".
std::string bytes(double value);
/// A duration given in seconds: "850 ns", "12.3 ms", "4.56 s".
std::string duration(double seconds);
/// `digits` significant digits, an exponent where that is shorter: "1.2e-07", "22.55", "nan".
std::string number(double value, int digits = 4);
/// 0.253 as "25.3%".
std::string percent(double share, int decimals = 1);
/// Dimensions as "2x16x384"; "scalar" for none.
std::string shape(const std::vector<int64_t> &dims);
/// JSON knows no infinities and no NaN: those become the strings "inf", "-inf" and "nan".
Json json(double value);

} // namespace uoe::report
