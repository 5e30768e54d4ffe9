// MoEC (arXiv 2207.09094): experts in clusters. A map says which cluster each expert belongs to; a token goes to one cluster, and there to its best expert. While
// training, whole clusters are dropped at random (cluster-level expert dropout): a mask of clusters, which at inference is all ones.
//
//   p = softmax(x W);  c = argmax over clusters that the mask allows of max_{e∈c} p_e;  e = argmax_{e∈c} p_e;  y = p_e · FFN_e(x)
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE clusters
// CHECK: uoe.select %{{.*}} token_topk {group_k = 1 : i64, groups = array<i64: 0, 1, 1, 0, 2, 2>, k = 1 : i64
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x6xf32>, %u: tensor<8x18xf32>, %d: tensor<18x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, groups = array<i64: 0, 1, 1, 0, 2, 2>, group_k = 1 : i64, weight = #uoe<weight_rule gate>} : tensor<?x?x6xf32> -> <6>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [6 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x18xf32>, tensor<18x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The mask of clusters, brought to experts by the map, is a bias of the choice that no gate can make up for; it does not touch the weight.
// CASE masked_clusters
// CHECK: uoe.select %{{.*}} token_topk selection_bias(%{{.*}}) {group_k = 1 : i64, groups = array<i64: 0, 1, 1, 0, 2, 2>, k = 1 : i64
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x6xf32>, %mask: tensor<3xf32>, %u: tensor<8x18xf32>, %d: tensor<18x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %map = onnx.node "Constant"() {value = dense<[0, 1, 1, 0, 2, 2]> : tensor<6xi64>} : () -> tensor<6xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %large = onnx.node "Constant"() {value = dense<8.0> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Gather"(%mask, %map) {axis = 0 : i64} : (tensor<3xf32>, tensor<6xi64>) -> tensor<6xf32>
    %off = onnx.node "Sub"(%on, %one) : (tensor<6xf32>, tensor<f32>) -> tensor<6xf32>
    %bias = onnx.node "Mul"(%off, %large) : (tensor<6xf32>, tensor<f32>) -> tensor<6xf32>
    %r = uoe.select %s token_topk selection_bias(%bias) {k = 1 : i64, scoring = #uoe<scoring softmax>, groups = array<i64: 0, 1, 1, 0, 2, 2>, group_k = 1 : i64, weight = #uoe<weight_rule gate>} : tensor<?x?x6xf32> selection_bias tensor<6xf32> -> <6>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [6 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x18xf32>, tensor<18x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
