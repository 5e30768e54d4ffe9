// uoe-bench-cuda: the expert layer on a GPU beside the device's own limits and dense cuBLASLt, all
// measured in the same run. Prints a table; --json FILE writes the figures.
#include "CublasLt.h"
#include "runtime/core/Error.h"
#include "runtime/cuda/ExpertLayer.h"
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <random>
#include <sstream>

using namespace uoe;
using namespace uoe::rt;
using namespace uoe::rt::cuda;

namespace {

struct Case {
  std::string name;
  int32_t width, experts, neurons, k, rows; // neurons of one expert
};

struct Figures {
  Case which;
  double seconds = 0, spread = 0;            // median, and the middle half's share of it
  double memoryFloor = 0, computeFloor = -1; // seconds; -1: not known
  double dense = -1;                         // seconds of the dense layer by cuBLASLt
  std::string note;
};

/// bf16 noise; a short stretch repeated, because nothing depends on the values.
std::vector<BF16> noise(int64_t count, float scale) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> real(-scale, scale);
  std::vector<BF16> values(static_cast<size_t>(count));
  const size_t period = std::min<size_t>(values.size(), 1000003);
  for (size_t i = 0; i < period; ++i)
    values[i] = fromFloat<BF16>(real(random));
  for (size_t i = period; i < values.size(); ++i)
    values[i] = values[i - period];
  return values;
}

class Bench {
public:
  Bench(Device &device, int runs, size_t flushBytes)
      : device(device), runs(runs), flush(device, flushBytes, "what empties the caches"),
        flushTo(device, flushBytes, "what empties the caches"),
        lt(bench::CublasLt::load(device, denseMissing)) {}

  /// Median and spread of single runs, the caches emptied before each.
  std::pair<double, double> time(const std::function<void()> &work, const std::string &what) {
    for (int i = 0; i < 3; ++i)
      work();
    device.synchronize(what);
    std::vector<double> all;
    for (int i = 0; i < runs; ++i) {
      device.clear(flush);
      all.push_back(device.seconds(work, what));
    }
    std::sort(all.begin(), all.end());
    const double median = all[all.size() / 2];
    return {median, (all[all.size() * 3 / 4] - all[all.size() / 4]) / median};
  }

  /// Bytes a second of a copy, each byte read and written counted.
  double bandwidth() {
    const auto [seconds, spread] =
        time([&] { device.copy(flushTo, flush, flush.bytes()); }, "copy");
    return 2 * static_cast<double>(flush.bytes()) / seconds;
  }

  /// Operations a second of a large dense product; -1 without cuBLASLt.
  double peak(int32_t size) {
    if (!lt)
      return -1;
    Buffer a = uploaded(noise(int64_t(size) * size, 1), "a"),
           b = uploaded(noise(int64_t(size) * size, 1), "b");
    Buffer c(device, a.bytes(), "c");
    try {
      auto work = [&] { lt->product(a.pointer(), b.pointer(), c.pointer(), size, size, size); };
      return 2.0 * size * size * size / time(work, "a dense product").first;
    } catch (const Error &error) {
      denseMissing = error.what();
      lt.reset();
      return -1;
    }
  }

  Figures run(const Case &c, double bytesPerSecond, double operationsPerSecond) {
    Figures figures;
    figures.which = c;
    const int64_t neurons = int64_t(c.experts) * c.neurons;
    const std::vector<BF16> inner = noise(2 * neurons * c.width, 0.02f),
                            outer = noise(neurons * c.width, 0.02f);
    // Every expert equally often, whoever the row is.
    std::mt19937 random(11);
    std::vector<float> scores;
    for (int64_t i = 0; i < int64_t(c.rows) * c.experts; ++i)
      scores.push_back(static_cast<float>(random()));
    double active = 0;
    std::vector<bool> used(static_cast<size_t>(c.experts));
    for (int32_t r = 0; r < c.rows; ++r) {
      std::vector<int32_t> order;
      for (int32_t e = 0; e < c.experts; ++e)
        order.push_back(e);
      const float *row = scores.data() + int64_t(r) * c.experts;
      std::partial_sort(order.begin(), order.begin() + c.k, order.end(),
                        [&](int32_t a, int32_t b) { return row[a] > row[b]; });
      for (int32_t i = 0; i < c.k; ++i)
        used[size_t(order[size_t(i)])] = true;
    }
    for (bool on : used)
      active += on;
    const double weightBytes = active * c.neurons * c.width * 3.0 * 2;
    figures.memoryFloor = (weightBytes + 2.0 * 2 * c.rows * c.width) / bytesPerSecond;
    if (operationsPerSecond > 0)
      figures.computeFloor = 6.0 * c.rows * c.k * c.neurons * c.width / operationsPerSecond;

    Buffer x = uploaded(noise(int64_t(c.rows) * c.width, 1), "x");
    Buffer given(device, scores.size() * sizeof(float), "scores");
    device.upload(given, scores.data(), given.bytes(), "scores");
    Buffer y(device, x.bytes(), "y");
    {
      ExpertLayerSource source;
      source.type = DType::BF16;
      source.in = source.out = c.width;
      source.sizes.assign(size_t(c.experts), c.neurons);
      source.gated = true;
      source.act = Activation::Silu;
      source.inner = inner.data();
      source.outer = outer.data();
      SelectRule rule;
      rule.rule = Rule::TopK;
      rule.k = c.k;
      ExpertLayer layer(device, source, rule);
      std::tie(figures.seconds, figures.spread) =
          time([&] { layer.run(1, c.rows, x.pointer(), y.pointer(), given.pointer()); }, c.name);
    }
    // The products alone, without activation: in the baseline's favour.
    if (lt)
      try {
        Buffer w = uploaded(inner, "dense weights"), v = uploaded(outer, "dense weights");
        Buffer h(device, size_t(c.rows) * size_t(2 * neurons) * 2, "dense hidden");
        figures.dense =
            time(
                [&] {
                  lt->product(x.pointer(), w.pointer(), h.pointer(), c.rows, 2 * neurons, c.width);
                  lt->product(h.pointer(), v.pointer(), y.pointer(), c.rows, c.width, neurons);
                },
                c.name + ", dense")
                .first;
      } catch (const Error &error) {
        figures.note = std::string("dense: ") + error.what();
        if (device.lost())
          throw;
      }
    return figures;
  }

  std::string denseMissing; // why there is no cuBLASLt; empty if there is

private:
  Buffer uploaded(const std::vector<BF16> &values, const std::string &what) {
    Buffer buffer(device, values.size() * sizeof(BF16), what);
    device.upload(buffer, values.data(), buffer.bytes(), what);
    return buffer;
  }

  Device &device;
  int runs;
  Buffer flush, flushTo;
  std::unique_ptr<bench::CublasLt> lt;
};

std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return out + "\"";
}

void print(const std::vector<Figures> &all, double bandwidth, double peak, const Device &device,
           const std::string &denseMissing) {
  std::cout << device.name() << ", " << device.processors() << " multiprocessors, driver for CUDA "
            << versionText(device.driver().version) << "\ncopy " << std::fixed
            << std::setprecision(2) << bandwidth / 1e12 << " TB/s; dense bf16 product ";
  if (peak > 0)
    std::cout << std::setprecision(0) << peak / 1e12 << " TFLOP/s\n\n";
  else
    std::cout << "not measured (" << denseMissing << ")\n\n";
  std::cout << std::left << std::setw(34) << "case" << std::right << std::setw(12) << "time us"
            << std::setw(9) << "spread" << std::setw(12) << "floor us" << std::setw(9) << "x floor"
            << std::setw(10) << "TFLOP/s" << std::setw(12) << "dense us" << std::setw(10)
            << "x faster" << '\n';
  for (const Figures &f : all) {
    const double floor = std::max(f.memoryFloor, f.computeFloor);
    const double operations = 6.0 * f.which.rows * f.which.k * f.which.neurons * f.which.width;
    std::cout << std::left << std::setw(34) << f.which.name << std::right << std::setprecision(1)
              << std::setw(12) << f.seconds * 1e6 << std::setw(8) << f.spread * 100 << '%'
              << std::setw(12) << floor * 1e6 << std::setprecision(2) << std::setw(9)
              << f.seconds / floor << std::setprecision(0) << std::setw(10)
              << operations / f.seconds / 1e12;
    if (f.dense > 0)
      std::cout << std::setprecision(1) << std::setw(12) << f.dense * 1e6 << std::setprecision(2)
                << std::setw(10) << f.dense / f.seconds;
    std::cout << (f.note.empty() ? "" : "  " + f.note) << '\n';
  }
}

std::string json(const std::vector<Figures> &all, double bandwidth, double peak,
                 const Device &device, const std::string &denseMissing) {
  std::ostringstream out;
  out << "{\"device\": " << quoted(device.name())
      << ", \"driver\": " << quoted(versionText(device.driver().version))
      << ", \"copy_bytes_per_second\": " << bandwidth << ", \"dense_flops\": " << peak
      << ", \"dense_missing\": " << quoted(denseMissing) << ", \"cases\": [";
  for (size_t i = 0; i < all.size(); ++i) {
    const Figures &f = all[i];
    out << (i ? ", " : "") << "{\"name\": " << quoted(f.which.name)
        << ", \"width\": " << f.which.width << ", \"experts\": " << f.which.experts
        << ", \"neurons\": " << f.which.neurons << ", \"k\": " << f.which.k
        << ", \"rows\": " << f.which.rows << ", \"seconds\": " << f.seconds
        << ", \"spread\": " << f.spread << ", \"memory_floor\": " << f.memoryFloor
        << ", \"compute_floor\": " << f.computeFloor << ", \"dense_seconds\": " << f.dense
        << ", \"note\": " << quoted(f.note) << "}";
  }
  out << "]}\n";
  return out.str();
}

int execute(bool small, int runs, const std::string &path) {
  Device device(Driver::load());
  std::vector<Case> cases = {
      {"slices of 344, 8 of 32, T=1", 4096, 32, 344, 8, 1},
      {"slices of 344, 8 of 32, T=8", 4096, 32, 344, 8, 8},
      {"slices of 344, 8 of 32, T=64", 4096, 32, 344, 8, 64},
      {"slices of 344, 8 of 32, T=4096", 4096, 32, 344, 8, 4096},
      {"neurons of 16, 172 of 688, T=1", 4096, 688, 16, 172, 1},
      {"fine: 256, 16 of 256, T=32768", 4096, 256, 256, 16, 32768},
      {"coarse: 1024, 4 of 64, T=32768", 4096, 64, 1024, 4, 32768},
  };
  if (small)
    cases = {{"small, T=1", 64, 8, 16, 2, 1}, {"small, T=40", 64, 8, 16, 2, 40}};
  Bench bench(device, runs, small ? size_t(1) << 20 : size_t(256) << 20);
  const double bandwidth = bench.bandwidth(), peak = bench.peak(small ? 64 : 8192);
  std::vector<Figures> all;
  for (const Case &c : cases)
    all.push_back(bench.run(c, bandwidth, peak));
  print(all, bandwidth, peak, device, bench.denseMissing);
  if (path.empty())
    return 0;
  std::ofstream file(path);
  file << json(all, bandwidth, peak, device, bench.denseMissing);
  check(bool(file.flush()), "cannot write '", path, "'");
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  bool small = false;
  int runs = 30;
  std::string path;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--small"))
      small = true;
    else if (!std::strcmp(argv[i], "--json") && i + 1 < argc)
      path = argv[++i];
    else if (!std::strcmp(argv[i], "--runs") && i + 1 < argc && std::atoi(argv[i + 1]) > 0)
      runs = std::atoi(argv[++i]);
    else {
      std::cerr << "usage: uoe-bench-cuda [--json FILE] [--runs N] [--small]\n";
      return 1;
    }
  }
  try {
    return execute(small, runs, path);
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
