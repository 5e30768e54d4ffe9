// The contract of the expert layer: whatever runs it, y is what the naive twin says. It runs on the
// tests' driver, which executes the kernels' own source on simulated threads, and on a CUDA device
// where there is one; without one those tests are reported as skipped, not as passed.
#include "runtime/cuda/ExpertLayer.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Select.h"
#include <array>
#include <cstdlib>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::rt;
using namespace uoe::rt::cuda;
using testing::HasSubstr;

namespace {

enum class Backend { Simulated, Cuda };

/// A device and the kernels for it; skips the test if there is none.
struct Machine {
  std::unique_ptr<Device> device;
  KernelImages images;
};

/// The tests' driver; stays loaded.
void *fakeDriver() {
  static void *library = dlopen(UOE_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
  return library;
}

Machine open(Backend backend, std::string &why) {
  unsetenv("UOE_FAKE_CUDA");
  Machine machine;
  if (backend == Backend::Simulated) {
    reinterpret_cast<void (*)()>(dlsym(fakeDriver(), "fakeCudaReset"))();
    machine.device = std::make_unique<Device>(Driver::load(UOE_FAKE_DRIVER));
    machine.images = {"simulated", "simulated"};
    return machine;
  }
  try {
    machine.device = std::make_unique<Device>(Driver::load());
    machine.images = compiledKernels();
    if (!machine.images.experts)
      why = "built without nvcc";
  } catch (const Error &error) {
    why = error.what();
  }
  return machine;
}

struct Shape {
  int samples, rows, in, out;
  std::vector<int32_t> sizes;
};

template <typename T> constexpr DType typeOf() {
  return std::is_same_v<T, float> ? DType::F32 : std::is_same_v<T, F16> ? DType::F16 : DType::BF16;
}

template <typename T> struct Contract {
  Shape shape;
  ExpertLayerSource source;
  SelectRule rule;
  int32_t capacity = 0, patch = 1;
  bool pad = false, givenScores = false;
  std::vector<T> x, router, inner, outer;
  std::vector<float> innerBias, outerBias, scores;

  Contract(unsigned seed, Shape of, bool gated, bool biases) : shape(std::move(of)) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> real(-1, 1);
    auto fill = [&](int64_t n, float scale) {
      std::vector<T> values;
      for (int64_t i = 0; i < n; ++i)
        values.push_back(fromFloat<T>(scale * real(random)));
      return values;
    };
    auto floats = [&](int64_t n) {
      std::vector<float> values;
      for (int64_t i = 0; i < n; ++i)
        values.push_back(real(random));
      return values;
    };
    const int64_t n = int64_t(shape.sizes.size()), count = int64_t(shape.samples) * shape.rows;
    int64_t neurons = 0;
    for (int32_t size : shape.sizes)
      neurons += size;
    x = fill(count * shape.in, 1);
    router = fill(n * shape.in, 1);
    inner = fill(neurons * shape.in * (gated ? 2 : 1), 1 / std::sqrt(float(shape.in)));
    outer = fill(neurons * shape.out, 1);
    // Few values, so that ties are common.
    for (int64_t i = 0; i < count * n; ++i)
      scores.push_back(float(random() % 5) - 2);
    if (biases) {
      innerBias = floats(neurons * (gated ? 2 : 1));
      outerBias = floats(shape.out);
    }
    source.type = typeOf<T>();
    source.in = shape.in;
    source.out = shape.out;
    source.sizes = shape.sizes;
    source.gated = gated;
    source.act = gated ? Activation::Silu : Activation::GeluTanh;
    source.inner = inner.data();
    source.outer = outer.data();
    source.innerBias = biases ? innerBias.data() : nullptr;
    source.outerBias = biases ? outerBias.data() : nullptr;
    givenScores = true;
  }

  /// Scores by the layer's own router. Then rounding may decide between two experts, so that rules
  /// are chosen for which it does not matter.
  void useRouter() {
    givenScores = false;
    source.router = router.data();
  }

  /// The CPU's choice, then each expert in turn, in double.
  std::vector<double> reference() const {
    fast::SelectSpec spec;
    spec.rule = static_cast<fast::SelectSpec::Rule>(rule.rule);
    spec.scoring = static_cast<fast::SelectSpec::Scoring>(rule.scoring);
    spec.empty = static_cast<fast::SelectSpec::Empty>(rule.empty);
    spec.scaling = static_cast<fast::SelectSpec::Scaling>(rule.scaling);
    spec.normalize = rule.normalizeExperts ? fast::SelectSpec::Normalize::Experts
                                           : fast::SelectSpec::Normalize::None;
    spec.k = rule.k;
    spec.tau = rule.tau;
    spec.p = rule.p;
    spec.temperature = rule.temperature;
    spec.gateWeights = rule.gateWeights;
    spec.factor = rule.factor;
    spec.capacity = capacity;
    spec.padWithTokens = pad;
    fast::SelectInput in;
    in.samples = shape.samples;
    in.rows = shape.rows;
    in.experts = int64_t(shape.sizes.size());
    const int64_t count = in.samples * in.rows;
    std::vector<float> own(scores);
    for (int64_t i = 0; i < count * in.experts && !givenScores; ++i) {
      double sum = 0;
      for (int k = 0; k < shape.in; ++k)
        sum += double(toFloat(x[size_t(i / in.experts * shape.in + k)])) *
               toFloat(router[size_t(i % in.experts * shape.in + k)]);
      own[size_t(i)] = float(sum);
    }
    // Rows of a patch see its scores.
    std::vector<float> byRow;
    const int64_t patches = ceilDiv<int64_t>(shape.rows, patch);
    for (int64_t r = 0; r < count; ++r) {
      auto from = own.begin() + (r / shape.rows * patches + r % shape.rows / patch) * in.experts;
      byRow.insert(byRow.end(), from, from + in.experts);
    }
    in.scores = byRow.data();
    const fast::Choice choice = fast::select(spec, in).choice;
    std::vector<int64_t> starts{0};
    for (int32_t size : shape.sizes)
      starts.push_back(starts.back() + size);
    const int per = source.gated ? 2 : 1;
    std::vector<double> y(size_t(count * shape.out));
    for (int64_t r = 0; r < count; ++r) {
      double *to = y.data() + r * shape.out;
      for (int o = 0; o < shape.out && source.outerBias; ++o)
        to[o] = outerBias[size_t(o)];
      for (int64_t i = choice.offsets[size_t(r)]; i < choice.offsets[size_t(r) + 1]; ++i) {
        const int32_t e = choice.ids[size_t(i)];
        const int64_t size = shape.sizes[size_t(e)];
        for (int64_t j = 0; j < size; ++j) {
          double pre[2] = {0, 1};
          for (int p = 0; p < per; ++p) {
            const int64_t row = (starts[size_t(e)] + j) * per + p;
            pre[p] = source.innerBias ? innerBias[size_t(row)] : 0;
            for (int k = 0; k < shape.in; ++k)
              pre[p] += double(toFloat(x[size_t(r * shape.in + k)])) *
                        toFloat(inner[size_t(row * shape.in + k)]);
          }
          const double weight = choice.weights.empty() ? 1 : choice.weights[size_t(i)];
          const double h = activate(source.act, float(pre[0])) * pre[1] * weight;
          for (int o = 0; o < shape.out; ++o)
            to[o] += h * toFloat(outer[size_t(starts[size_t(e)] * shape.out + o * size + j)]);
        }
      }
    }
    return y;
  }

  std::vector<T> run(Machine &machine) const {
    Device &device = *machine.device;
    const size_t count = size_t(shape.samples) * size_t(shape.rows);
    ExpertLayer layer(device, source, rule, capacity, pad, machine.images);
    Buffer in(device, x.size() * sizeof(T), "x"), given(device, scores.size() * 4, "scores");
    Buffer out(device, count * size_t(shape.out) * sizeof(T), "y");
    device.upload(in, x.data(), in.bytes(), "x");
    device.upload(given, scores.data(), given.bytes(), "scores");
    layer.run(shape.samples, shape.rows, in.pointer(), out.pointer(),
              givenScores ? given.pointer() : 0, patch);
    std::vector<T> y(count * size_t(shape.out));
    device.download(y.data(), out, out.bytes(), "y");
    // The same bits once more: nothing depends on an order that may change.
    std::vector<T> again(y.size());
    layer.run(shape.samples, shape.rows, in.pointer(), out.pointer(),
              givenScores ? given.pointer() : 0, patch);
    device.download(again.data(), out, out.bytes(), "y");
    EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), out.bytes()) == 0);
    return y;
  }

  void check(Machine &machine) const {
    const std::vector<double> expected = reference();
    const std::vector<T> found = run(machine);
    ASSERT_EQ(found.size(), expected.size());
    double largest = 1;
    for (double value : expected)
      largest = std::max(largest, std::fabs(value));
    const double tolerance = std::is_same_v<T, BF16> ? 2e-2 : std::is_same_v<T, F16> ? 3e-3 : 1e-5;
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(toFloat(found[i]), expected[i], tolerance * largest)
          << "row " << i / size_t(shape.out) << ", column " << i % size_t(shape.out);
  }
};

class ExpertLayerTest : public testing::TestWithParam<Backend> {
protected:
  void SetUp() override {
    std::string why;
    machine = open(GetParam(), why);
    if (!why.empty())
      GTEST_SKIP() << "not run: " << why;
  }
  template <typename T> void check(const Contract<T> &contract) { contract.check(machine); }
  Machine machine;
};

INSTANTIATE_TEST_SUITE_P(, ExpertLayerTest, testing::Values(Backend::Simulated, Backend::Cuda),
                         [](const auto &info) {
                           return info.param == Backend::Simulated ? "Simulated" : "Cuda";
                         });

/// Decoding sizes, one tile and several, ragged and empty experts, for one kind of element.
template <typename T> std::vector<Contract<T>> contracts() {
  std::vector<Contract<T>> all;
  unsigned seed = 0;
  for (int rows : {0, 1, 7, 8, 9, 150})
    for (const std::vector<int32_t> &sizes :
         {std::vector<int32_t>{48}, {16, 8, 24, 16}, {1, 1, 1, 1, 1, 1, 1}, {5, 40, 1, 17}}) {
      Contract<T> contract(seed, {1, rows, 40, 56, sizes}, seed % 2 == 0, seed % 3 == 0);
      const int n = int(sizes.size());
      contract.rule.scoring = seed % 2 ? Scoring::Softmax : Scoring::Sigmoid;
      contract.rule.rule = static_cast<Rule>(seed % 4);
      if (contract.rule.rule == Rule::TopP)
        contract.rule.scoring = Scoring::Softmax;
      contract.rule.k = 1 + int(seed) % n;
      contract.rule.tau = contract.rule.scoring == Scoring::Sigmoid ? 0.6f : 1.0f / float(n);
      contract.rule.p = 0.5f;
      contract.rule.gateWeights = seed % 5 != 0;
      contract.rule.normalizeExperts = seed % 3 == 1;
      all.push_back(std::move(contract));
      ++seed;
    }
  return all;
}

TEST_P(ExpertLayerTest, Float) {
  for (const auto &contract : contracts<float>())
    ASSERT_NO_FATAL_FAILURE(check(contract));
}
TEST_P(ExpertLayerTest, BFloat16) {
  for (const auto &contract : contracts<BF16>())
    ASSERT_NO_FATAL_FAILURE(check(contract));
}
TEST_P(ExpertLayerTest, Float16) {
  for (const auto &contract : contracts<F16>())
    ASSERT_NO_FATAL_FAILURE(check(contract));
}

// Weights of 16 bits with rows of floats: what float weights of the same values give, bit by bit.
TEST_P(ExpertLayerTest, NarrowWeights) {
  auto same = [&](auto narrow) {
    using W = decltype(narrow);
    for (Contract<float> contract : contracts<float>()) {
      auto rounded = [](std::vector<float> &values) {
        std::vector<W> result;
        for (float &value : values) {
          result.push_back(fromFloat<W>(value));
          value = toFloat(result.back());
        }
        return result;
      };
      const std::vector<W> inner = rounded(contract.inner), outer = rounded(contract.outer);
      contract.source.inner = contract.inner.data();
      contract.source.outer = contract.outer.data();
      const std::vector<float> expected = contract.run(machine);
      contract.source.weightType = typeOf<W>();
      contract.source.inner = inner.data();
      contract.source.outer = outer.data();
      ASSERT_EQ(contract.run(machine), expected);
    }
  };
  same(BF16());
  same(F16());
}

TEST_P(ExpertLayerTest, Capacity) {
  for (bool pad : {false, true})
    for (int capacity : {1, 3, 100}) {
      Contract<float> contract(50, {2, 70, 24, 16, {8, 16, 8, 3}}, true, false);
      contract.rule.rule = Rule::TopK;
      contract.rule.k = 2;
      contract.rule.scoring = Scoring::Softmax;
      contract.rule.gateWeights = true;
      contract.capacity = capacity;
      contract.pad = pad;
      ASSERT_NO_FATAL_FAILURE(check(contract));
    }
}

template <typename T> std::vector<Contract<T>> patches() {
  std::vector<Contract<T>> all;
  // Short patches, ones that share a tile's products, ones of several tiles; samples that end
  // within a patch; decoding.
  for (auto [samples, rows, patch] :
       {std::array<int, 3>{1, 30, 4}, {2, 70, 64}, {1, 300, 150}, {2, 129, 128}, {1, 6, 64}})
    for (bool even : {true, false}) {
      Contract<T> contract(
          51,
          {samples, rows, 24, 40,
           even ? std::vector<int32_t>{8, 16, 8, 48} : std::vector<int32_t>{5, 70, 1, 9}},
          even, true);
      contract.rule.rule = Rule::Threshold; // also patches that choose nobody
      contract.rule.tau = even ? 0 : 1;
      contract.rule.gateWeights = true;
      contract.patch = patch;
      all.push_back(std::move(contract));
    }
  return all;
}

TEST_P(ExpertLayerTest, Patches) {
  for (const auto &contract : patches<float>())
    ASSERT_NO_FATAL_FAILURE(check(contract));
  for (const auto &contract : patches<BF16>())
    ASSERT_NO_FATAL_FAILURE(check(contract));
}

TEST_P(ExpertLayerTest, NobodyIsChosen) {
  for (int rows : {3, 40}) {
    Contract<BF16> contract(60, {1, rows, 24, 16, {8, 16}}, true, true);
    contract.rule.rule = Rule::Threshold;
    contract.rule.tau = 100; // y is the bias
    ASSERT_NO_FATAL_FAILURE(check(contract));
  }
}

TEST_P(ExpertLayerTest, ManySmallExperts) {
  for (int rows : {2, 20}) {
    Contract<float> contract(70, {1, rows, 16, 24, std::vector<int32_t>(4096, 1)}, false, false);
    contract.rule.rule = Rule::TopK;
    contract.rule.k = 64;
    ASSERT_NO_FATAL_FAILURE(check(contract));
  }
}

TEST_P(ExpertLayerTest, OwnRouter) {
  for (int rows : {1, 8, 30}) {
    Contract<float> contract(80, {1, rows, 40, 24, {8, 16, 24}}, true, false);
    contract.useRouter();
    contract.rule.scoring = Scoring::Softmax;
    contract.rule.gateWeights = true; // all experts: no choice to be decided by rounding
    ASSERT_NO_FATAL_FAILURE(check(contract));
  }
}

TEST_P(ExpertLayerTest, Refusals) {
  Contract<float> contract(90, {1, 4, 8, 8, {4, 4}}, true, false);
  auto message = [&](auto &&change) {
    Contract<float> changed(contract);
    change(changed);
    try {
      changed.run(machine);
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("nothing was raised");
  };
  EXPECT_THAT(message([](auto &c) { c.source.type = DType::F64; }),
              HasSubstr("expected float, float16 or bfloat16 weights, found double"));
  EXPECT_THAT(message([](auto &c) {
                c.useRouter();
                c.source.weightType = DType::F16;
              }),
              HasSubstr("float16 weights for rows of float with a router"));
  EXPECT_THAT(message([](auto &c) { c.source.sizes = {4, 0}; }), HasSubstr("of 0 neurons"));
  EXPECT_THAT(message([](auto &c) { c.source.inner = nullptr; }), HasSubstr("are missing"));
  EXPECT_THAT(message([](auto &c) { c.givenScores = false; }), HasSubstr("there is no router"));
  EXPECT_THAT(message([](auto &c) {
                c.rule.rule = Rule::TopK;
                c.rule.k = 3;
              }),
              HasSubstr("k is 3 for 2 experts"));
  EXPECT_THAT(message([](auto &c) { c.patch = 0; }), HasSubstr("patches of 0 rows"));
  EXPECT_THAT(message([](auto &c) {
                c.patch = 2;
                c.capacity = 1;
              }),
              HasSubstr("a capacity counts patches"));
  machine.images = {};
  EXPECT_THAT(message([](auto &) {}), HasSubstr("this build has no CUDA kernels"));
}

/// A device that fails at any step of a run leaves an error and nothing else.
TEST(ExpertLayerFailure, AtEveryStep) {
  Contract<float> contract(91, {1, 20, 8, 8, {4, 4}}, true, false);
  for (const char *step :
       {"cuMemAlloc_v2=2@1", "cuMemAlloc_v2=2@3", "cuMemAlloc_v2=2@7", "cuMemcpyHtoDAsync_v2=700@2",
        "cuModuleLoadData=209@1", "cuModuleLoadData=209@2", "cuModuleGetFunction=500@1",
        "cuModuleGetFunction=500@6", "cuFuncSetAttribute=1@2", "cuLaunchKernel=719@1",
        "cuLaunchKernel=719@7", "cuStreamSynchronize=700@1", "cuStreamSynchronize=700@2",
        "cuMemcpyDtoHAsync_v2=700@1"}) {
    std::string why;
    Machine machine = open(Backend::Simulated, why);
    setenv("UOE_FAKE_CUDA", step, 1);
    EXPECT_THROW(contract.run(machine), Error) << step;
    unsetenv("UOE_FAKE_CUDA");
    machine.device.reset();
    EXPECT_EQ(reinterpret_cast<int (*)()>(dlsym(fakeDriver(), "fakeCudaLive"))(), 0) << step;
  }
}

} // namespace
