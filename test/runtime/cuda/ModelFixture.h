// What tests of the executor of whole models share: a device, or the tests' driver in its place,
// and the comparison of one operator with the CPU's entry.
#pragma once
#include "runtime/cuda/exec/Executor.h"
#include <cmath>
#include <cstdlib>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::rt;
using namespace uoe::rt::cuda;
using testing::HasSubstr;

enum class Backend { Simulated, Cuda };

class ModelTest : public testing::TestWithParam<Backend> {
protected:
  void SetUp() override {
    unsetenv("UOE_FAKE_CUDA");
    if (GetParam() == Backend::Simulated) {
      static void *library = dlopen(UOE_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
      ASSERT_TRUE(library);
      reinterpret_cast<void (*)()>(dlsym(library, "fakeCudaReset"))();
      device = std::make_unique<Device>(Driver::load(UOE_FAKE_DRIVER));
      images.model = images.experts = images.dispatch = "simulated";
      return;
    }
    try {
      device = std::make_unique<Device>(Driver::load());
      images = compiledKernels();
      if (!images.model)
        GTEST_SKIP() << "not run: built without nvcc";
    } catch (const Error &error) {
      GTEST_SKIP() << "not run: " << error.what();
    }
  }
  void TearDown() override { unsetenv("UOE_FAKE_CUDA"); }

  Tensor random(DType type, Shape shape, double low = -1, double high = 1) {
    Tensor tensor(type, std::move(shape));
    std::uniform_real_distribution<double> real(low, high);
    for (int64_t i = 0; i < tensor.size(); ++i) {
      const double x = real(generator);
      if (type == DType::F32)
        tensor.data<float>()[i] = float(x);
      else if (type == DType::F16)
        tensor.data<Half>()[i] = float(x);
      else if (type == DType::BF16)
        tensor.data<BFloat16>()[i] = float(x);
      else if (type == DType::I64)
        tensor.data<int64_t>()[i] = int64_t(std::floor(x));
      else if (type == DType::I32)
        tensor.data<int32_t>()[i] = int32_t(std::floor(x));
      else
        tensor.data<uint8_t>()[i] = x > 0;
    }
    return tensor;
  }

  struct Case {
    std::string domain, op;
    std::map<std::string, Attribute> attributes = {};
    std::vector<Tensor> inputs = {}; // None where absent
    std::vector<int> constant = {};  // which of them are weights
    int outputs = 1, version = 23;
    double tolerance = 2e-5;
    bool onDevice = true; // else it is expected to fall back
  };

  static Program programOf(const Case &c) {
    Program program;
    Program::Step step;
    step.node.name = "n";
    step.node.domain = c.domain;
    step.node.op = c.op;
    step.node.version = c.version;
    step.node.outputs = c.outputs;
    step.node.attributes = c.attributes;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      if (c.inputs[i].dtype() == DType::None) {
        step.inputs.push_back(-1);
        continue;
      }
      const int slot = program.slots++;
      step.inputs.push_back(slot);
      if (std::count(c.constant.begin(), c.constant.end(), int(i))) {
        program.constants.emplace_back(slot, c.inputs[i]);
      } else {
        program.inputSlots.push_back(slot);
        program.inputNames.push_back("x" + std::to_string(i));
      }
    }
    for (int k = 0; k < c.outputs; ++k) {
      step.outputs.push_back(program.slots++);
      program.outputSlots.push_back(step.outputs.back());
      program.outputNames.push_back("y" + std::to_string(k));
    }
    program.steps.push_back(std::move(step));
    return program;
  }

  void expectClose(const Tensor &found, const Tensor &expected, double tolerance) {
    ASSERT_EQ(describe(found), describe(expected));
    double largest = 1;
    auto at = [](const Tensor &t, int64_t i) -> double {
      switch (t.dtype()) {
      case DType::F32:
        return t.data<float>()[i];
      case DType::F16:
        return t.data<Half>()[i];
      case DType::BF16:
        return t.data<BFloat16>()[i];
      case DType::I64:
        return double(t.data<int64_t>()[i]);
      case DType::I32:
        return t.data<int32_t>()[i];
      case DType::I8:
        return t.data<int8_t>()[i];
      default:
        return t.data<uint8_t>()[i];
      }
    };
    for (int64_t i = 0; i < expected.size(); ++i)
      if (std::isfinite(at(expected, i)))
        largest = std::max(largest, std::fabs(at(expected, i)));
    if (found.dtype() == DType::F16)
      tolerance = std::max(tolerance, 2e-3);
    if (found.dtype() == DType::BF16)
      tolerance = std::max(tolerance, 1e-2);
    for (int64_t i = 0; i < expected.size(); ++i) {
      const double a = at(found, i), b = at(expected, i);
      if (std::isnan(b) || std::isinf(b)) {
        ASSERT_TRUE(std::isnan(b) ? std::isnan(a) : a == b) << "element " << i << ": " << a;
        continue;
      }
      ASSERT_LE(std::fabs(a - b), tolerance * largest)
          << "element " << i << " of " << describe(expected) << ": " << a << ", expected " << b;
    }
  }

  /// Twice, so that what is kept from run to run is used as well.
  void check(const Case &c) {
    SCOPED_TRACE(c.op + (c.inputs.empty() ? "" : " of " + describe(c.inputs[0])));
    std::vector<Value> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i)
      if (c.inputs[i].dtype() != DType::None &&
          !std::count(c.constant.begin(), c.constant.end(), int(i)))
        inputs.push_back(Value(c.inputs[i]));
    Program reference = programOf(c), program = programOf(c);
    const KernelTable &cpu = KernelTable::builtin();
    reference.finish(cpu);
    program.finish(tableForDevice(cpu), &cpu);
    Executor expected(reference);
    ModelExecutor found(*device, program, cpu, images);
    for (int turn = 0; turn < 2; ++turn) {
      std::vector<Value> want = expected.run(inputs), have = found.run(inputs);
      ASSERT_EQ(have.size(), want.size());
      for (size_t k = 0; k < want.size(); ++k)
        expectClose(have[k].tensor, want[k].tensor, c.tolerance);
    }
    EXPECT_EQ(found.report().fallbacks.empty(), c.onDevice);
  }

  std::unique_ptr<Device> device;
  KernelImages images;
  std::mt19937 generator{7};
};

inline const Tensor absent;

/// Appends steps to a program, each value by its slot.
struct Builder {
  Program program;

  int input(const char *name) {
    program.inputSlots.push_back(program.slots);
    program.inputNames.push_back(name);
    return program.slots++;
  }
  int weight(Tensor tensor) {
    program.constants.emplace_back(program.slots, std::move(tensor));
    return program.slots++;
  }
  int step(const char *domain, const char *op, std::vector<int> inputs,
           std::map<std::string, Attribute> attributes = {}) {
    Program::Step step;
    step.node.name = op + std::to_string(program.steps.size());
    step.node.domain = domain;
    step.node.op = op;
    step.node.version = *domain ? 1 : 23;
    step.node.outputs = 1;
    step.node.attributes = std::move(attributes);
    step.inputs = std::move(inputs);
    step.outputs = {program.slots++};
    program.steps.push_back(std::move(step));
    return program.steps.back().outputs[0];
  }
};
