// One CUDA device: its memory, a stream, modules and launches. Every call that can fail raises
// Error with cause and remedy; what was being done is named in it.
#pragma once
#include "Driver.h"
#include <cstdint>
#include <functional>
#include <vector>

namespace uoe::rt::cuda {

class Device;

/// Device memory, freed with the object. Lives no longer than its device.
class Buffer {
public:
  Buffer() = default;
  Buffer(Device &device, size_t bytes, const std::string &what);
  Buffer(Buffer &&other) noexcept;
  Buffer &operator=(Buffer &&other) noexcept;
  ~Buffer();

  Pointer pointer() const { return address; } // 0 for no bytes
  size_t bytes() const { return size; }

private:
  Device *device = nullptr;
  Pointer address = 0;
  size_t size = 0;
};

/// Work of a stream that was recorded (Device::capture), to be run any number of times. Lives no
/// longer than its device.
class Recording {
public:
  Recording() = default;
  Recording(Recording &&other) noexcept;
  Recording &operator=(Recording &&other) noexcept;
  ~Recording();
  /// Puts it on the device's stream.
  void replay();
  explicit operator bool() const { return exec != nullptr; }

private:
  friend class Device;
  Device *device = nullptr;
  GraphExec exec = nullptr;
};

struct Grid {
  unsigned x = 1, y = 1, z = 1;
};

class Device {
public:
  /// Opens device `ordinal`. Raises Error if there is none of that number, if its compute
  /// capability is below 8.0, or if it cannot be used (taken by another process in exclusive mode,
  /// ...).
  explicit Device(std::shared_ptr<const Driver> driver, int ordinal = 0);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const std::string &name() const { return deviceName; }
  int capability() const { return computeCapability; } // 10 * major + minor
  int processors() const { return multiprocessors; }
  size_t memory() const { return totalMemory; }
  const Driver &driver() const { return *loaded; }
  Stream stream() const { return workStream; }

  /// Ordered on the stream; host memory that is not pinned is free again on return.
  void upload(const Buffer &to, const void *from, size_t bytes, const std::string &what);
  /// Waits for the stream: `to` holds the data on return.
  void download(void *to, const Buffer &from, size_t bytes, const std::string &what);
  void copy(const Buffer &to, const Buffer &from, size_t bytes);
  void clear(const Buffer &buffer);
  /// Seconds that the device takes for what `work` puts on the stream; waits for it.
  double seconds(const std::function<void()> &work, const std::string &what);
  /// Records what `work` puts on the stream as a CUDA graph instead of running it. Launches and
  /// copies between buffers can be recorded, and memory may be allocated meanwhile; what waits for
  /// the device raises Error. Raises what `work` raises.
  Recording capture(const std::function<void()> &work, const std::string &what);
  bool capturing() const { return recording; }
  /// Waits for all work. An error of an earlier launch appears here at the latest.
  void synchronize(const std::string &what);

  /// `image`: PTX text (ending in 0), a cubin or a fat binary. Unloaded with the device.
  Module load(const void *image, const std::string &what);
  Function function(Module module, const std::string &name);
  /// More shared memory for a block than the 48 KiB that every device grants.
  void allowShared(Function function, unsigned bytes, const std::string &what);
  void launch(Function function, Grid grid, Grid block, unsigned sharedBytes, void **arguments,
              const std::string &what);

  /// True once an error has made the context unusable: every later call raises the same error.
  bool lost() const { return !lostBecause.empty(); }
  /// Raises Error for any status but success.
  void require(Status status, const std::string &what);

private:
  friend class Buffer;
  friend class Recording;
  std::string explain(Status status, const std::string &what) const;

  std::shared_ptr<const Driver> loaded;
  DeviceId id = 0;
  int ordinal = 0;
  std::string deviceName, lostBecause;
  int computeCapability = 0, multiprocessors = 0;
  size_t totalMemory = 0;
  Context context = nullptr;
  Stream workStream = nullptr;
  bool recording = false;
  std::vector<Module> modules;
};

} // namespace uoe::rt::cuda
