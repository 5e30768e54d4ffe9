#include "OneDnn.h"
#ifdef UOE_BENCH_ONEDNN
#include "Measure.h"
#include <cstring>
#include <dnnl.hpp>

namespace uoe::bench {

double oneDnnGemm(int64_t m, int64_t n, int64_t k, const std::vector<float> &a,
                  const std::vector<float> &b) {
  using namespace dnnl;
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  using type = memory::data_type;
  using tag = memory::format_tag;
  memory::desc left({m, k}, type::f32, tag::ab), right({k, n}, type::f32, tag::any),
      plain({k, n}, type::f32, tag::ab), out({m, n}, type::f32, tag::ab);
  matmul::primitive_desc desc(matmul::desc(left, right, out), cpu);
  memory x(left, cpu), given(plain, cpu), weight(desc.weights_desc(), cpu), y(out, cpu);
  std::memcpy(x.get_data_handle(), a.data(), a.size() * sizeof(float));
  std::memcpy(given.get_data_handle(), b.data(), b.size() * sizeof(float));
  reorder(given, weight).execute(queue, given, weight);
  matmul product(desc);
  double t = seconds([&] {
    product.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, y}});
    queue.wait();
  });
  return 1.0 / t;
}

} // namespace uoe::bench
#else
namespace uoe::bench {
double oneDnnGemm(int64_t, int64_t, int64_t, const std::vector<float> &,
                  const std::vector<float> &) {
  return 0;
}
} // namespace uoe::bench
#endif
