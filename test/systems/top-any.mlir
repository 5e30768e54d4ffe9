// DynMoE's top-any routing (arXiv 2405.14297): expert e is on iff σ(cos(x, w_e)) > σ(G_e), which is cos(x, w_e) > G_e; the k that are on weigh 1/k; where none
// is on, the best.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE top_any
// CHECK: uoe.select %{{.*}} threshold thresholds(%{{.*}}) {empty = #uoe<empty argmax>, scaling = #uoe<scaling one_over_active>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %t: tensor<4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score cosine %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s threshold thresholds(%t) {empty = #uoe<empty argmax>, scaling = #uoe<scaling one_over_active>} : tensor<?x?x4xf32> thresholds tensor<4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
