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

// -----

// The whole layer as raising finds it in exports: the mixture in one op, and an expert that all tokens share.
// CASE mixture
// CHECK: uoe.moe silu top 3 scoring sigmoid normalized {{.*}} selection_bias(%{{.*}}) {{.*}} attributes {factor = 2.500000e+00 : f32, group_k = 2 : i64, group_score = #uoe<group_score top2>, groups = array<i64: 0, 0, 0, 1, 1, 1, 2, 2, 2>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x9xf32>, %bias: tensor<9xf32>, %u: tensor<9x8x3xf32>, %g: tensor<9x8x3xf32>, %d: tensor<9x3x8xf32>, %us: tensor<8x6xf32>, %gs: tensor<8x6xf32>, %ds: tensor<6x8xf32>) -> tensor<?x?x8xf32> {
    %s = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x9xf32>) -> tensor<?x?x9xf32>
    %routed = uoe.moe silu top 3 scoring sigmoid normalized input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x?x9xf32>) selection_bias(%bias : tensor<9xf32>)
        up(%u : tensor<9x8x3xf32>) gate(%g : tensor<9x8x3xf32>) down(%d : tensor<9x3x8xf32>)
        attributes {factor = 2.5 : f32, groups = array<i64: 0, 0, 0, 1, 1, 1, 2, 2, 2>, group_k = 2 : i64, group_score = #uoe<group_score top2>} -> tensor<?x?x8xf32>
    %shared = uoe.ffn silu %x up(%us) gate(%gs) down(%ds) : tensor<?x?x8xf32>, tensor<8x6xf32> gate tensor<8x6xf32> down tensor<6x8xf32> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%routed, %shared) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
