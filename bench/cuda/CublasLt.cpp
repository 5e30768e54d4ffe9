#include "CublasLt.h"
#include "runtime/core/Error.h"
#include <array>
#include <dlfcn.h>
#include <map>
#include <vector>

namespace uoe::bench {

using namespace rt;
using namespace rt::cuda;

// Numbers of library_types.h, cublas_api.h and cublasLt.h.
namespace {
constexpr int kFloat = 0, kBFloat16 = 14;       // CUDA_R_32F, CUDA_R_16BF
constexpr int kCompute32 = 68, kTransposed = 1; // CUBLAS_COMPUTE_32F, CUBLAS_OP_T
constexpr int kTransA = 3, kWorkspaceBytes = 1; // attributes of a product and of a preference
constexpr size_t kWorkspace = size_t(32) << 20;

/// cublasLtMatmulHeuristicResult_t.
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};
} // namespace

struct CublasLt::Api {
  void *library = nullptr, *handle = nullptr;
  int (*create)(void **) = nullptr;
  int (*destroy)(void *) = nullptr;
  int (*descCreate)(void **, int, int) = nullptr;
  int (*descSet)(void *, int, const void *, size_t) = nullptr;
  int (*layoutCreate)(void **, int, uint64_t, uint64_t, int64_t) = nullptr;
  int (*preferenceCreate)(void **) = nullptr;
  int (*preferenceSet)(void *, int, const void *, size_t) = nullptr;
  int (*heuristic)(void *, void *, void *, void *, void *, void *, void *, int, Heuristic *,
                   int *) = nullptr;
  int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *,
                const void *, const void *, void *, void *, void *, const void *, void *, size_t,
                void *) = nullptr;
  /// One product as the library knows it; kept until the process ends.
  struct Plan {
    void *desc = nullptr, *w = nullptr, *x = nullptr, *y = nullptr;
    Heuristic best{};
  };
  std::map<std::array<int64_t, 3>, Plan> plans;

  ~Api() {
    if (handle)
      destroy(handle);
    if (library)
      dlclose(library);
  }
};

CublasLt::CublasLt(Device &device) : device(device), api(std::make_unique<Api>()) {}
CublasLt::~CublasLt() = default;

std::unique_ptr<CublasLt> CublasLt::load(Device &device, std::string &why) {
  std::unique_ptr<CublasLt> lt(new CublasLt(device));
  Api &api = *lt->api;
  for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12"})
    if (!api.library)
      api.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!api.library) {
    why = "libcublasLt.so.13 and .12 cannot be loaded";
    return nullptr;
  }
  bool complete = true;
  auto find = [&](auto &entry, const char *name) {
    entry = reinterpret_cast<std::decay_t<decltype(entry)>>(dlsym(api.library, name));
    complete = complete && entry;
  };
  find(api.create, "cublasLtCreate");
  find(api.destroy, "cublasLtDestroy");
  find(api.descCreate, "cublasLtMatmulDescCreate");
  find(api.descSet, "cublasLtMatmulDescSetAttribute");
  find(api.layoutCreate, "cublasLtMatrixLayoutCreate");
  find(api.preferenceCreate, "cublasLtMatmulPreferenceCreate");
  find(api.preferenceSet, "cublasLtMatmulPreferenceSetAttribute");
  find(api.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(api.matmul, "cublasLtMatmul");
  if (!complete) {
    why = "libcublasLt lacks functions";
    return nullptr;
  }
  if (int status = api.create(&api.handle)) {
    why = "cublasLtCreate returns " + std::to_string(status);
    return nullptr;
  }
  lt->workspace = Buffer(device, kWorkspace, "cuBLASLt's workspace");
  return lt;
}

void CublasLt::product(Pointer x, Pointer w, Pointer y, int64_t rows, int64_t columns,
                       int64_t depth) {
  auto require = [](int status, const char *what) {
    check(status == 0, "cuBLASLt: ", what, " returns ", status);
  };
  Api::Plan &plan = api->plans[{rows, columns, depth}];
  if (!plan.desc) {
    // By columns, as the library counts: yᵀ [columns, rows] = (wᵀ)ᵀ xᵀ.
    require(api->descCreate(&plan.desc, kCompute32, kFloat), "cublasLtMatmulDescCreate");
    require(api->descSet(plan.desc, kTransA, &kTransposed, sizeof kTransposed),
            "cublasLtMatmulDescSetAttribute");
    require(api->layoutCreate(&plan.w, kBFloat16, uint64_t(depth), uint64_t(columns), depth),
            "cublasLtMatrixLayoutCreate");
    require(api->layoutCreate(&plan.x, kBFloat16, uint64_t(depth), uint64_t(rows), depth),
            "cublasLtMatrixLayoutCreate");
    require(api->layoutCreate(&plan.y, kBFloat16, uint64_t(columns), uint64_t(rows), columns),
            "cublasLtMatrixLayoutCreate");
    void *preference = nullptr;
    require(api->preferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    require(api->preferenceSet(preference, kWorkspaceBytes, &kWorkspace, sizeof kWorkspace),
            "cublasLtMatmulPreferenceSetAttribute");
    int found = 0;
    require(api->heuristic(api->handle, plan.desc, plan.w, plan.x, plan.y, plan.y, preference, 1,
                           &plan.best, &found),
            "cublasLtMatmulAlgoGetHeuristic");
    check(found > 0, "cuBLASLt has no method for ", rows, "x", columns, "x", depth);
  }
  const float one = 1, zero = 0;
  auto memory = [](Pointer pointer) { return reinterpret_cast<void *>(pointer); };
  require(api->matmul(api->handle, plan.desc, &one, memory(w), plan.w, memory(x), plan.x, &zero,
                      memory(y), plan.y, memory(y), plan.y, plan.best.algorithm,
                      memory(workspace.pointer()), kWorkspace, device.stream()),
          "cublasLtMatmul");
}

} // namespace uoe::bench
