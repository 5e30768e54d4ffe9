// WEMoE (arXiv 2402.00433): weights merged for each sample, θ = θ_0 + Σ_i r_i τ_i, r the mean over the sample's tokens of a small MLP's output. The task vectors τ_i are
// experts that read no tokens: `combine merge` adds them up by the weights of each row.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE wemoe
// CHECK: {activation = #uoe<activation relu>, over = #uoe<over sample_mean>}
// CHECK: combine merge
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %v: tensor<8x6xf32>, %c: tensor<6xf32>, %w: tensor<6x3xf32>, %base: tensor<8x5xf32>, %tau: tensor<3x8x5xf32>) -> tensor<?x?x5xf32> {
    %s = uoe.score mlp %x weights(%v, %c, %w) {activation = #uoe<activation relu>, over = #uoe<over sample_mean>} : tensor<?x?x8xf32> weights tensor<8x6xf32>, tensor<6xf32>, tensor<6x3xf32> -> tensor<?x3xf32>
    %r = uoe.select %s all {weight = #uoe<weight_rule gate>} : tensor<?x3xf32> -> <3 per sample>
    %delta = uoe.experts() sliced(%tau) axes [0] sizes [3 x 1] routing(%r) combine merge {
    ^bb0(%t: tensor<1x8x5xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%t, %axes) : (tensor<1x8x5xf32>, tensor<1xi64>) -> tensor<8x5xf32>
      uoe.yield %o : tensor<8x5xf32>
    } : sliced tensor<3x8x5xf32> routing !uoe.routing<3 per sample> -> tensor<?x8x5xf32>
    %theta = onnx.node "Add"(%base, %delta) : (tensor<8x5xf32>, tensor<?x8x5xf32>) -> tensor<?x8x5xf32>
    %y = onnx.node "MatMul"(%x, %theta) : (tensor<?x?x8xf32>, tensor<?x8x5xf32>) -> tensor<?x?x5xf32>
    return %y : tensor<?x?x5xf32>
  }
}
