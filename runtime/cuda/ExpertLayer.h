// A router and its experts on a device: weights uploaded once, then any number of rows.
#pragma once
#include "Device.h"
#include "Kernels.h"
#include "dispatch/Kernels.h"
#include "runtime/core/DType.h"

namespace uoe::rt::cuda {

/// A layer in host memory, row-major; `type` is F32, F16 or BF16 for all matrices and rows.
struct ExpertLayerSource {
  DType type = DType::F32;
  /// Of the experts' matrices, where F16 or BF16 ones go with rows of F32; without a router.
  DType weightType = DType::None;
  int32_t in = 0, out = 0;
  std::vector<int32_t> sizes; // neurons of each expert, at least 1
  bool gated = false;
  Activation act = Activation::Identity;
  Cut cut;                           // of gated units
  const void *router = nullptr;      // [experts, in], or null: scores are given to each run
  const float *routerBias = nullptr; // [experts] or null
  const void *inner = nullptr;       // [neurons, in], or [neurons, 2, in]: gate before up
  const float *innerBias = nullptr;  // [neurons] or [neurons, 2], or null
  const void *outer = nullptr;       // expert by expert [out, its neurons]
  const float *outerBias = nullptr;  // [out] or null
  const float *skip = nullptr;       // [experts, out] or null: added for each expert left out
  /// What is chosen among, each an expert's number or -1 for nobody; empty: the experts. One that
  /// several slots name runs for each of them. Not together with `skip`.
  std::vector<int32_t> slots;
};

/// The most pairs that a rule can choose; an expert keeps `capacity` rows of a sample, 0 for any.
int64_t mostPairs(const SelectRule &rule, int64_t capacity, bool pad, int64_t samples,
                  int64_t rows);

/// A choice that was made before, in device memory, by the rule that the layer was given.
struct GivenChoice {
  Pointer masks = 0, gates = 0; // [patches of all samples, words], [patches of all samples, slots]
  int32_t capacity = 0;         // patches of a sample that an expert keeps; 0: any number
  bool pad = false;             // filled up to that
};

class ExpertLayer {
public:
  /// `rule.experts` (of slots, where there are), thresholds and bias (host memory) are taken from
  /// here; capacity 0 is none. Raises Error for sizes that do not fit, and for a build without
  /// kernels.
  ExpertLayer(Device &device, const ExpertLayerSource &source, const SelectRule &rule,
              int32_t capacity = 0, bool padWithRows = false,
              const KernelImages &images = compiledKernels());

  /// y [samples * rows, out] = the chosen experts of x, in device memory of the layer's type, rows
  /// next to each other. `scores` [samples * rows, experts] in float, or null where there is a
  /// router. Nothing waits for the device: up to 8 rows take the decoding kernels. With `patch` > 1
  /// so many consecutive rows of a sample share a row of scores [samples, ceil(rows / patch),
  /// experts], and from 64 on nothing is written between the last product and y.
  void run(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores = 0,
           int32_t patch = 1);

  /// Gives so many bytes of device memory that this run may use.
  using Scratch = std::function<Pointer(size_t bytes)>;
  /// The same for a choice that was made before, of rows or of patches. Without `scratch` the layer
  /// keeps its own, as above.
  void run(int32_t samples, int32_t rows, Pointer x, Pointer y, const GivenChoice &choice,
           int32_t patch = 1, const Scratch &scratch = {});

  /// Bytes of scratch for so many rows at most, beside the weights.
  size_t scratchBytes() const { return scratch.bytes(); }

private:
  template <typename T, typename W = T>
  void runAs(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores,
             const GivenChoice &given, int32_t patch, const Scratch &take);
  void runAny(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores,
              const GivenChoice &given, int32_t patch, const Scratch &take);
  Pointer upload(const void *from, size_t bytes, const std::string &what);
  Function kernel(const char *name, bool typed);

  Device &device;
  DType type, weightType;
  SelectRule rule;
  int32_t capacity;
  bool pad, hasRouter, evenSizes = true;
  Layer<float> layer; // pointers are the device's, of any type
  Pointer router = 0, routerBias = 0;
  std::vector<Buffer> weights;
  Buffer scratch;
  std::vector<std::pair<std::string, Function>> kernels;
  Module dispatchModule = nullptr, expertModule = nullptr;
};

} // namespace uoe::rt::cuda
