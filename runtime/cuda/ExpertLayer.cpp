#include "ExpertLayer.h"
#include "runtime/core/Error.h"
#include <algorithm>
#include <numeric>

namespace uoe::rt::cuda {

namespace {

/// Parts of one buffer, each at a multiple of 256 bytes. Laid out twice: to know its size, and with
/// its address.
class Parts {
public:
  explicit Parts(Pointer base) : base(base) {}
  template <typename T> T *take(int64_t count) {
    const size_t at = used;
    used += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T *>(base + at);
  }
  size_t used = 0;

private:
  Pointer base;
};

constexpr int kSplits = 8;
/// Shorter patches would leave most of a tile of 128 rows empty.
constexpr int kSharedRows = 64;

unsigned blocksFor(int64_t items, int64_t perBlock) {
  return static_cast<unsigned>(ceilDiv(items, perBlock));
}

} // namespace

int64_t mostPairs(const SelectRule &rule, int64_t capacity, bool pad, int64_t samples,
                  int64_t rows) {
  const int64_t each = rule.rule == Rule::TopK && rule.empty != Empty::All && !pad
                           ? std::min(rule.k, rule.experts)
                           : rule.experts;
  const int64_t all = samples * rows * each;
  return capacity > 0 ? std::min(all, samples * std::min<int64_t>(capacity, rows) * rule.experts)
                      : all;
}

ExpertLayer::ExpertLayer(Device &device, const ExpertLayerSource &source, const SelectRule &given,
                         int32_t capacity, bool padWithRows, const KernelImages &images)
    : device(device), type(source.type),
      weightType(source.weightType == DType::None ? source.type : source.weightType), rule(given),
      capacity(capacity), pad(padWithRows), hasRouter(source.router) {
  check(images.dispatch && images.experts,
        "this build has no CUDA kernels: nvcc was not found when "
        "it was configured; use --device cpu");
  check(type == DType::F32 || type == DType::F16 || type == DType::BF16,
        "experts on a CUDA device: expected float, float16 or bfloat16 weights, found ",
        nameOf(type));
  check(weightType == type || (type == DType::F32 && !source.router &&
                               (weightType == DType::F16 || weightType == DType::BF16)),
        "experts: ", nameOf(weightType), " weights for rows of ", nameOf(type),
        source.router ? " with a router" : "");
  check(source.in >= 1 && source.out >= 1 && !source.sizes.empty(),
        "experts: ", source.sizes.size(), " experts from ", source.in, " to ", source.out);
  layer.experts = rule.experts =
      static_cast<int32_t>(source.slots.empty() ? source.sizes.size() : source.slots.size());
  layer.in = source.in;
  layer.out = source.out;
  layer.gated = source.gated;
  layer.act = source.act;
  layer.cut = source.cut;
  check(rule.rule != Rule::TopK || (rule.k >= 1 && rule.k <= rule.experts), "select: k is ", rule.k,
        " for ", rule.experts, " experts");
  const size_t width = bytesOf(type, 1), weightWidth = bytesOf(weightType, 1);
  std::vector<int32_t> hidden{0};
  for (int32_t size : source.sizes) {
    check(size >= 1, "experts: an expert of ", size, " neurons");
    check(int64_t(hidden.back()) + size < (int64_t(1) << 30), "experts: too many neurons");
    hidden.push_back(hidden.back() + size);
    layer.mostHidden = std::max(layer.mostHidden, size);
    evenSizes = evenSizes && size * width % 16 == 0;
  }
  const int64_t neurons = hidden.back(), rowsPerNeuron = layer.rowsPerNeuron();
  auto floats = [&](const float *from, int64_t count, const char *what) {
    return from ? reinterpret_cast<const float *>(
                      upload(from, static_cast<size_t>(count) * sizeof(float), what))
                : nullptr;
  };
  auto matrix = [&](const void *from, int64_t count, const char *what) {
    check(from, "experts: ", what, " are missing");
    return reinterpret_cast<const float *>(
        upload(from, static_cast<size_t>(count) * weightWidth, what));
  };
  check(!source.skip || source.slots.empty(), "experts: rows for slots that are left out");
  // Uploads read host memory until the last of them is waited for.
  std::vector<int32_t> starts, counts;
  std::vector<float> base;
  auto sizes = [&](const std::vector<int32_t> &of) {
    return reinterpret_cast<const int32_t *>(
        upload(of.data(), of.size() * sizeof(int32_t), "the experts' sizes"));
  };
  if (source.slots.empty()) {
    layer.hidden = sizes(hidden);
  } else {
    for (int32_t slot : source.slots) {
      check(slot >= -1 && slot < int32_t(source.sizes.size()), "experts: a slot for expert ", slot,
            " of ", source.sizes.size());
      starts.push_back(slot < 0 ? 0 : hidden[size_t(slot)]);
      counts.push_back(slot < 0 ? 0 : source.sizes[size_t(slot)]);
    }
    layer.hidden = sizes(starts);
    layer.sizes = sizes(counts);
  }
  layer.inner =
      matrix(source.inner, neurons * rowsPerNeuron * source.in, "the experts' first weights");
  layer.outer = matrix(source.outer, neurons * source.out, "the experts' last weights");
  layer.innerBias = floats(source.innerBias, neurons * rowsPerNeuron, "the experts' biases");
  if (source.skip) {
    base.assign(size_t(source.out), 0.0f);
    if (source.outerBias)
      base.assign(source.outerBias, source.outerBias + source.out);
    for (int64_t i = 0; i < int64_t(layer.experts) * source.out; ++i)
      base[size_t(i % source.out)] += source.skip[i];
    layer.skip =
        floats(source.skip, int64_t(layer.experts) * source.out, "the rows of experts left out");
  }
  layer.outerBias =
      floats(source.skip ? base.data() : source.outerBias, source.out, "the experts' biases");
  if (hasRouter) {
    router = upload(source.router, static_cast<size_t>(rule.experts) * size_t(source.in) * width,
                    "the router's weights");
    if (source.routerBias)
      routerBias =
          upload(source.routerBias, size_t(rule.experts) * sizeof(float), "the router's bias");
  }
  rule.thresholds = floats(given.thresholds, rule.experts, "the router's thresholds");
  rule.bias = floats(given.bias, rule.experts, "the router's selection bias");
  device.synchronize("copying the experts' weights to the device");
  dispatchModule = device.load(images.dispatch, "the dispatch kernels");
  expertModule = device.load(images.experts, "the expert kernels");
}

Pointer ExpertLayer::upload(const void *from, size_t bytes, const std::string &what) {
  weights.emplace_back(device, bytes, what);
  device.upload(weights.back(), from, bytes, what);
  return weights.back().pointer();
}

Function ExpertLayer::kernel(const char *name, bool typed) {
  std::string full = std::string("uoe_") + name;
  auto suffix = [](DType of) {
    return of == DType::F32 ? "_f32" : of == DType::F16 ? "_f16" : "_bf16";
  };
  if (typed)
    full += suffix(type);
  if (typed && weightType != type)
    full += suffix(weightType);
  for (const auto &[known, function] : kernels)
    if (known == full)
      return function;
  Function function = device.function(typed ? expertModule : dispatchModule, full);
  const bool product =
      typed && (full.rfind("uoe_scores", 0) == 0 || full.rfind("uoe_inner", 0) == 0 ||
                full.rfind("uoe_outer", 0) == 0 || full.rfind("uoe_shared_outer", 0) == 0);
  if (product)
    device.allowShared(function, static_cast<unsigned>(sizeof(ProductTile<BF16>::Shared)), full);
  kernels.emplace_back(full, function);
  return function;
}

void ExpertLayer::run(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores,
                      int32_t patch) {
  check(patch <= 1 || capacity == 0,
        "experts: a capacity counts patches, here it would count rows");
  const bool empty = int64_t(samples) * rows == 0;
  check(hasRouter || scores || empty, "experts: there is no router, and no scores are given");
  check(patch <= 1 || scores || empty,
        "experts: a router scores rows; scores of patches are to be given");
  runAny(samples, rows, x, y, scores, {0, 0, capacity, pad}, patch, {});
}

void ExpertLayer::run(int32_t samples, int32_t rows, Pointer x, Pointer y,
                      const GivenChoice &choice, int32_t patch, const Scratch &scratch) {
  check((choice.masks && choice.gates) || int64_t(samples) * rows == 0,
        "experts: no choice is given");
  runAny(samples, rows, x, y, 0, choice, patch, scratch);
}

void ExpertLayer::runAny(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores,
                         const GivenChoice &given, int32_t patch, const Scratch &take) {
  check(patch >= 1, "experts: patches of ", patch, " rows");
  check(samples >= 0 && rows >= 0, "experts: ", samples, " samples of ", rows, " rows");
  // Pairs and tiles are counted in 32 bits.
  check(mostPairs(rule, int64_t(given.capacity) * patch, given.pad, samples, rows) <
                (int64_t(1) << 31) &&
            int64_t(samples) * rows < (int64_t(1) << 31),
        "experts: ", samples, " samples of ", rows, " rows are too many for one run");
  if (int64_t(samples) * rows == 0)
    return;
  if (type == DType::F32 && weightType == DType::F16)
    return runAs<float, F16>(samples, rows, x, y, scores, given, patch, take);
  if (type == DType::F32 && weightType == DType::BF16)
    return runAs<float, BF16>(samples, rows, x, y, scores, given, patch, take);
  if (type == DType::F32)
    return runAs<float>(samples, rows, x, y, scores, given, patch, take);
  if (type == DType::F16)
    return runAs<F16>(samples, rows, x, y, scores, given, patch, take);
  runAs<BF16>(samples, rows, x, y, scores, given, patch, take);
}

template <typename T, typename W>
void ExpertLayer::runAs(int32_t samples, int32_t rows, Pointer x, Pointer y, Pointer scores,
                        const GivenChoice &given, int32_t patch, const Scratch &take) {
  using P = ProductTile<T>;
  static_assert(sizeof(typename P::Shared) == sizeof(ProductTile<BF16>::Shared));
  const int64_t count = int64_t(samples) * rows, n = rule.experts;
  const int64_t pairs = mostPairs(rule, int64_t(given.capacity) * patch, given.pad, samples, rows);
  const bool chosen = given.masks != 0; // then the capacity has been seen to
  const bool decode = count <= kDecodeRows, shared = !decode && patch >= kSharedRows && !layer.skip;
  ExpertCall<T, W> call;
  Dispatch &d = call.dispatch;
  d.rows = {samples, rows};
  d.rule = rule;
  d.capacity = given.capacity > 0 && !chosen ? std::min(given.capacity, rows) : 0;
  d.pad = given.pad;
  d.patch = patch;
  d.tileHeight = P::height;
  call.layer.experts = layer.experts;
  call.layer.in = layer.in;
  call.layer.out = layer.out;
  call.layer.mostHidden = layer.mostHidden;
  call.layer.hidden = layer.hidden;
  call.layer.sizes = layer.sizes;
  call.layer.skip = layer.skip;
  call.layer.gated = layer.gated;
  call.layer.act = layer.act;
  call.layer.cut = layer.cut;
  call.layer.inner = reinterpret_cast<const W *>(layer.inner);
  call.layer.outer = reinterpret_cast<const W *>(layer.outer);
  call.layer.innerBias = layer.innerBias;
  call.layer.outerBias = layer.outerBias;
  call.x = reinterpret_cast<const T *>(x);
  call.y = reinterpret_cast<T *>(y);
  call.ldx = layer.in;
  call.ldy = layer.out;
  call.ldh = ceilDiv(layer.mostHidden, P::perCopy) * P::perCopy;
  call.copyInner = layer.in % P::perCopy == 0 && x % 16 == 0;
  call.copyOuter = evenSizes;
  call.router = reinterpret_cast<const T *>(router);
  call.routerBias = reinterpret_cast<const float *>(routerBias);
  call.splits = static_cast<int32_t>(std::min<int64_t>(kSplits, n));
  // A column's threads each take a vector at a time.
  const int32_t vectors = ceilDiv(layer.mostHidden, call.copyOuter ? P::perCopy : 1);
  while (call.lanes < 32 && call.lanes * 2 <= vectors)
    call.lanes *= 2;

  auto layOut = [&](Pointer base) {
    Parts parts(base);
    call.scores = parts.take<float>(hasRouter ? count * n : 0);
    d.scores = scores ? reinterpret_cast<const float *>(scores) : call.scores;
    d.givenMasks = reinterpret_cast<const uint64_t *>(given.masks);
    d.givenGates = reinterpret_cast<const float *>(given.gates);
    // Rows that have chosen for themselves are read where they lie.
    const bool own = !chosen || patch > 1;
    d.gates = own ? parts.take<float>(count * n) : reinterpret_cast<float *>(given.gates);
    d.masks = own ? parts.take<uint64_t>(count * maskWords(rule.experts))
                  : reinterpret_cast<uint64_t *>(given.masks);
    d.columns = parts.take<uint64_t>(d.rows.blocks() * n);
    d.base = parts.take<int32_t>(d.rows.blocks() * n);
    d.first = parts.take<int32_t>(n + 1);
    d.tiles = parts.take<int32_t>(n + 1);
    d.offset = parts.take<int32_t>(count + 1);
    d.pairs.ids = parts.take<int32_t>(pairs);
    d.pairs.place = parts.take<int32_t>(pairs);
    d.pairs.source = parts.take<int32_t>(pairs);
    d.pairs.weights = parts.take<float>(pairs);
    if (decode) {
      call.list = parts.take<int32_t>(n + 1);
      call.start = parts.take<int32_t>(n + 1);
      call.slot = parts.take<int32_t>(n + 1);
      // All neurons at most.
      call.decodeH = parts.take<float>(int64_t(layer.mostHidden) * n * kDecodeRows);
      call.decodePartial = parts.take<float>(int64_t(call.splits) * kDecodeRows * layer.out);
    } else {
      call.h = parts.take<T>(pairs * call.ldh);
      call.partial = parts.take<T>(shared ? 0 : pairs * layer.out);
    }
    return parts.used;
  };
  const size_t bytes = layOut(0);
  if (!take && scratch.bytes() < bytes) {
    device.synchronize("the experts' last run"); // it may still use the smaller buffer
    scratch = Buffer();
    scratch = Buffer(device, bytes, "the experts' scratch");
  }
  layOut(take ? take(bytes) : scratch.pointer());

  void *dispatchArguments[] = {&d}, *arguments[] = {&call};
  auto dispatch = [&](const char *name, unsigned blocks, unsigned threads,
                      unsigned sharedBytes = 0) {
    device.launch(kernel(name, false), {blocks}, {threads}, sharedBytes, dispatchArguments,
                  std::string("experts, ") + name);
  };
  auto expert = [&](const char *name, Grid grid, unsigned threads, unsigned sharedBytes = 0) {
    device.launch(kernel(name, true), grid, {threads}, sharedBytes, arguments,
                  std::string("experts, ") + name);
  };
  const unsigned tileShared = sizeof(typename P::Shared), scanShared = sizeof(ScanShared);
  const unsigned resident = 2 * static_cast<unsigned>(std::max(1, device.processors()));
  auto tiles = [&](const char *name, int64_t rowTiles, int64_t columns) {
    const int64_t all = rowTiles * ceilDiv<int64_t>(columns, P::width);
    expert(name, {static_cast<unsigned>(std::min<int64_t>(all, 8 * resident))}, P::threads,
           tileShared);
  };
  if (!scores && !chosen) {
    if (decode)
      expert("decode_scores", {blocksFor(n, 8)}, 256);
    else
      tiles("scores", ceilDiv<int64_t>(count, P::height), n);
  }
  const unsigned rowBlocks = static_cast<unsigned>(d.rows.blocks());
  if (!chosen)
    dispatch("select", blocksFor(count, 8), 256);
  else if (patch > 1)
    dispatch("adopt", blocksFor(count * n, 256), 256);
  dispatch("columns", rowBlocks, 256);
  if (d.capacity > 0) {
    dispatch("keep", blocksFor(samples * n, 8), 256);
    dispatch("masks", rowBlocks, 256);
  }
  dispatch("count", blocksFor(n, 256), 256);
  dispatch("scan", 1, kScanThreads, scanShared);
  dispatch("place", blocksFor(count, 256), 256);
  if (decode) {
    expert("decode_active", {1}, kScanThreads, scanShared);
    // The host does not know how many are active: the warps that there is room for share them.
    expert("decode_hidden", {std::min(blocksFor(int64_t(layer.mostHidden) * n, 8), 4 * resident)},
           256);
    expert("decode_outer",
           {blocksFor(layer.out, kOuterThreads / call.lanes), static_cast<unsigned>(call.splits)},
           kOuterThreads);
    expert("decode_sum", {blocksFor(count * layer.out, 256)}, 256);
    return;
  }
  const int64_t rowTiles = mostRowTiles(pairs, rule.experts, P::height);
  tiles("inner", rowTiles, int64_t(layer.mostHidden) * layer.rowsPerNeuron());
  if (shared) {
    tiles("shared_outer", samples * d.patches() * ceilDiv(patch, P::height), layer.out);
    return;
  }
  tiles("outer", rowTiles, layer.out);
  expert("combine", {blocksFor(count * layer.out, 256)}, 256);
}

} // namespace uoe::rt::cuda
