// DeepSeek-V3's choice, as its released code makes it: gates σ(x W); experts in groups; a bias that serves the choice alone; the best 2 of 3 groups by the sum of
// their two best biased gates; among their experts the 3 best; weights are the gates without the bias, normalised and scaled by a factor.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE group_limited
// CHECK: uoe.select %{{.*}} token_topk selection_bias(%{{.*}}) {factor = 2.500000e+00 : f32, group_k = 2 : i64, group_score = #uoe<group_score top2>, groups = array<i64: 0, 0, 0, 1, 1, 1, 2, 2, 2>, k = 3 : i64, normalize = #uoe<axis experts>, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x9xf32>, %bias: tensor<9xf32>, %u: tensor<8x27xf32>, %d: tensor<27x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x9xf32> -> tensor<?x?x9xf32>
    %r = uoe.select %s token_topk selection_bias(%bias) {k = 3 : i64, scoring = #uoe<scoring sigmoid>, groups = array<i64: 0, 0, 0, 1, 1, 1, 2, 2, 2>, group_k = 2 : i64,
        group_score = #uoe<group_score top2>, normalize = #uoe<axis experts>, weight = #uoe<weight_rule gate>, factor = 2.5 : f32} : tensor<?x?x9xf32> selection_bias tensor<9xf32> -> <9>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [9 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x27xf32>, tensor<27x8xf32> routing !uoe.routing<9> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
