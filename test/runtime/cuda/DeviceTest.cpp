// The driver and device layer against a driver that fails on request (FakeDriver.cpp).
#include "runtime/cuda/Device.h"
#include "runtime/core/Error.h"
#include <cstdlib>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace uoe::rt;
using namespace uoe::rt::cuda;
using testing::AllOf;
using testing::HasSubstr;

namespace {

class DeviceTest : public testing::Test {
protected:
  void SetUp() override {
    unsetenv("UOE_FAKE_CUDA");
    fake = dlopen(UOE_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(fake) << dlerror();
    reinterpret_cast<void (*)()>(dlsym(fake, "fakeCudaReset"))();
  }
  void TearDown() override {
    unsetenv("UOE_FAKE_CUDA");
    // Nothing is left behind, whatever failed on the way.
    EXPECT_EQ(reinterpret_cast<int (*)()>(dlsym(fake, "fakeCudaLive"))(), 0);
    dlclose(fake);
  }
  int calls(const char *name) {
    return reinterpret_cast<int (*)(const char *)>(dlsym(fake, "fakeCudaCalls"))(name);
  }
  static void make(const char *settings) { setenv("UOE_FAKE_CUDA", settings, 1); }

  void *fake = nullptr;
};

template <typename Call> std::string messageOf(Call &&call) {
  try {
    call();
  } catch (const Error &error) {
    return error.what();
  }
  return "nothing was raised";
}

std::string loadMessage(const char *settings) {
  setenv("UOE_FAKE_CUDA", settings, 1);
  return messageOf([] { Driver::load(UOE_FAKE_DRIVER); });
}

std::string openMessage(const char *settings, int ordinal = 0) {
  setenv("UOE_FAKE_CUDA", settings, 1);
  return messageOf([&] { Device device(Driver::load(UOE_FAKE_DRIVER), ordinal); });
}

TEST_F(DeviceTest, NoLibrary) {
  EXPECT_THAT(messageOf([] { Driver::load("libcuda-that-is-not-there.so.1"); }),
              AllOf(HasSubstr("no CUDA driver"), HasSubstr("install the NVIDIA driver"),
                    HasSubstr("--device cpu")));
}

TEST_F(DeviceTest, OldLibrary) {
  EXPECT_THAT(messageOf([] { Driver::load(UOE_FAKE_OLD_DRIVER); }),
              AllOf(HasSubstr("too old"), HasSubstr("cuFuncSetAttribute")));
  EXPECT_THAT(loadMessage("version=11080"),
              AllOf(HasSubstr("too old: it serves CUDA 11.8"), HasSubstr("needed is 1")));
}

TEST_F(DeviceTest, DriverThatDoesNotStart) {
  EXPECT_THAT(loadMessage("cuInit=100"),
              AllOf(HasSubstr("no CUDA device"), HasSubstr("CUDA_ERROR_NO_DEVICE (100)"),
                    HasSubstr("CUDA_VISIBLE_DEVICES")));
  EXPECT_THAT(loadMessage("devices=0"), HasSubstr("no CUDA device"));
  EXPECT_THAT(loadMessage("cuInit=34"), HasSubstr("stub"));
  EXPECT_THAT(loadMessage("cuInit=802"), HasSubstr("nvidia-fabricmanager"));
  EXPECT_THAT(loadMessage("cuInit=803"), HasSubstr("reboot"));
  EXPECT_THAT(loadMessage("cuInit=999"),
              AllOf(HasSubstr("unknown CUDA error (999)"), HasSubstr("nvidia-smi")));
  EXPECT_THAT(loadMessage("cuDriverGetVersion=999"), HasSubstr("does not start"));
  EXPECT_THAT(loadMessage("cuDeviceGetCount=999"), HasSubstr("does not start"));
}

TEST_F(DeviceTest, DeviceThatCannotBeOpened) {
  EXPECT_THAT(openMessage("", 1), AllOf(HasSubstr("no CUDA device 1"), HasSubstr("finds 1")));
  EXPECT_THAT(openMessage("capability=75"),
              AllOf(HasSubstr("Fake GPU"), HasSubstr("is 7.5, needed is 8.0")));
  EXPECT_THAT(openMessage("cuDevicePrimaryCtxRetain=46"), HasSubstr("compute mode"));
  EXPECT_THAT(openMessage("cuDevicePrimaryCtxRetain=2"), HasSubstr("out of memory"));
  for (const char *step : {"cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute",
                           "cuDeviceTotalMem_v2", "cuCtxSetCurrent", "cuStreamCreate"})
    EXPECT_THAT(openMessage((std::string(step) + "=999").c_str()),
                AllOf(HasSubstr("CUDA device 0"), HasSubstr("failed")))
        << step;
}

TEST_F(DeviceTest, DataGoesThereAndBack) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  EXPECT_EQ(device.name(), "Fake GPU");
  EXPECT_EQ(device.capability(), 90);
  std::vector<int> values(1000), back(1000);
  std::iota(values.begin(), values.end(), 0);
  Buffer buffer(device, 4000, "values");
  device.upload(buffer, values.data(), 4000, "values");
  device.download(back.data(), buffer, 4000, "values");
  EXPECT_EQ(values, back);
  device.clear(buffer);
  device.download(back.data(), buffer, 4000, "values");
  EXPECT_EQ(back, std::vector<int>(1000));
  device.upload(buffer, values.data(), 4000, "values");
  Buffer copied(device, 4000, "copy");
  device.copy(copied, buffer, 4000);
  device.download(back.data(), copied, 4000, "copy");
  EXPECT_EQ(values, back);
  EXPECT_THAT(messageOf([&] { device.copy(copied, buffer, 4001); }), HasSubstr("4001 bytes"));
  // No bytes are no buffer, and copies of none are no calls.
  Buffer none(device, 0, "nothing");
  EXPECT_EQ(none.pointer(), 0u);
  const int copies = calls("cuMemcpyHtoDAsync_v2");
  device.upload(none, nullptr, 0, "nothing");
  EXPECT_EQ(calls("cuMemcpyHtoDAsync_v2"), copies);
  EXPECT_THAT(messageOf([&] { device.upload(buffer, values.data(), 4001, "too much"); }),
              HasSubstr("too much: 4001 bytes into a buffer of 4000"));
  // Moving gives the memory on, and frees it once.
  Buffer moved(std::move(buffer));
  moved = Buffer(device, 8, "others");
  EXPECT_EQ(moved.bytes(), 8u);
}

TEST_F(DeviceTest, OutOfMemory) {
  make("memory=8388608");
  Device device(Driver::load(UOE_FAKE_DRIVER));
  Buffer first(device, 6 << 20, "weights");
  EXPECT_THAT(messageOf([&] { Buffer(device, 4 << 20, "activations"); }),
              AllOf(HasSubstr("CUDA device 0 (Fake GPU) is out of memory"),
                    HasSubstr("4194304 bytes for activations"),
                    HasSubstr("CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"),
                    HasSubstr("2 MiB of 8 MiB are free"), HasSubstr("smaller batch")));
  // The device is still good.
  EXPECT_FALSE(device.lost());
  Buffer second(device, 1 << 20, "less");
}

TEST_F(DeviceTest, CodeForAnotherArchitecture) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  for (int status : {209, 218, 222}) {
    make(("cuModuleLoadData=" + std::to_string(status)).c_str());
    EXPECT_THAT(messageOf([&] { device.load("", "the expert kernels"); }),
                AllOf(HasSubstr("compute capability 9.0"), HasSubstr("loading the expert kernels"),
                      HasSubstr("CUDA 13.0")));
  }
  make("");
  Module module = device.load("", "kernels");
  EXPECT_THAT(messageOf([&] { device.function(module, "missing"); }),
              HasSubstr("finding kernel missing failed"));
  EXPECT_FALSE(device.lost());
}

TEST_F(DeviceTest, LostInMidRun) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  Buffer buffer(device, 64, "data");
  Function kernel = device.function(device.load("", "kernels"), "nothing");
  device.launch(kernel, {4}, {128}, 0, nullptr, "combine");
  // The failure of a kernel appears at the next synchronisation.
  make("cuStreamSynchronize=700");
  const std::string message = messageOf([&] { device.synchronize("running layer 3"); });
  EXPECT_THAT(message, AllOf(HasSubstr("was lost: running layer 3"),
                             HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS (700)"), HasSubstr("Xid")));
  EXPECT_TRUE(device.lost());
  // What comes after tells the first cause, not its own.
  make("");
  EXPECT_EQ(messageOf([&] { Buffer(device, 64, "more"); }), message);
  EXPECT_EQ(messageOf([&] { device.launch(kernel, {1}, {32}, 0, nullptr, "x"); }), message);
}

TEST_F(DeviceTest, WorkIsRecordedAndReplayed) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  Buffer from(device, 4, "numbers"), to(device, 4, "numbers");
  int32_t value = 1, found = 0;
  device.clear(to);
  Recording copy = device.capture([&] { device.copy(to, from, 4); }, "a copy");
  device.upload(from, &value, 4, "a number");
  device.download(&found, to, 4, "a number");
  EXPECT_EQ(found, 0); // nothing has run yet
  for (value = 5; value < 8; ++value) {
    device.upload(from, &value, 4, "a number");
    copy.replay();
    device.download(&found, to, 4, "a number");
    EXPECT_EQ(found, value);
  }
  EXPECT_THROW(device.capture([&] { device.synchronize("nothing"); }, "a wait"), Error);
  EXPECT_FALSE(device.capturing());
  device.synchronize("nothing"); // the stream is as before
}

TEST_F(DeviceTest, Times) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  int runs = 0;
  EXPECT_DOUBLE_EQ(device.seconds([&] { ++runs; }, "a run"), 1e-3); // what the tests' driver says
  EXPECT_EQ(runs, 1);
  for (const char *step : {"cuEventCreate=2@3", "cuEventRecord=999@3", "cuEventSynchronize=999@2",
                           "cuEventElapsedTime=999@2"}) {
    make(step);
    EXPECT_NE(messageOf([&] { device.seconds([] {}, "a run"); }), "nothing was raised") << step;
  }
}

TEST_F(DeviceTest, Launches) {
  Device device(Driver::load(UOE_FAKE_DRIVER));
  Function kernel = device.function(device.load("", "kernels"), "nothing");
  device.launch(kernel, {0}, {128}, 0, nullptr, "select on no tokens");
  EXPECT_EQ(calls("cuLaunchKernel"), 0);
  make("cuLaunchKernel=701");
  EXPECT_THAT(messageOf([&] { device.launch(kernel, {1}, {1024}, 0, nullptr, "select"); }),
              HasSubstr("has not the registers or the shared memory: launching select"));
  make("cuFuncSetAttribute=1");
  EXPECT_THAT(messageOf([&] { device.allowShared(kernel, 200000, "select"); }),
              HasSubstr("granting 200000 bytes of shared memory to select failed"));
}

} // namespace
