// EPS-MoE (arXiv 2410.12247): the products of experts are computed grouped or dense, by how many tokens each expert has, without a change of the result. In the
// dialect there is nothing to say: what is chosen stands in `select`, how it is computed is the runtime's choice (docs/execution.md, Routing). The test is that the
// choice does not show: at every load the layer is its equation, and a token's row is the same alone (few pairs) and among many. For groups of neurons that is bit
// for bit, because each element is one chain of sums in one order; single neurons are multiplied pair by pair or dense under a mask, and differ by rounding.
//
//   y = Σ_{e: σ(x W)_e > τ} FFN_e(x)
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE groups
// CHECK: sizes [4 x 16]
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x16xf32>, %w: tensor<16x4xf32>, %load: tensor<4xf32>, %u: tensor<16x64xf32>, %g: tensor<16x64xf32>, %d: tensor<64x16xf32>) -> tensor<?x?x16xf32> {
    %s = uoe.score linear %x weights(%w) bias(%load) : tensor<?x?x16xf32> weights tensor<16x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s threshold {tau = 0.5 : f32, scoring = #uoe<scoring sigmoid>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %g, %d) axes [1, 1, 0] sizes [4 x 16] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x16xf32>, %ui: tensor<16x16xf32>, %gi: tensor<16x16xf32>, %di: tensor<16x16xf32>):
      %o = uoe.ffn silu %h up(%ui) gate(%gi) down(%di) : tensor<?x?x16xf32>, tensor<16x16xf32> gate tensor<16x16xf32> down tensor<16x16xf32> -> tensor<?x?x16xf32>
      uoe.yield %o : tensor<?x?x16xf32>
    } : shared tensor<?x?x16xf32> sliced tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x16xf32> routing !uoe.routing<4> -> tensor<?x?x16xf32>
    return %y : tensor<?x?x16xf32>
  }
}

// -----

// CASE neurons
// CHECK: sizes [64 x 1]
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x16xf32>, %w: tensor<16x64xf32>, %load: tensor<64xf32>, %u: tensor<16x64xf32>, %g: tensor<16x64xf32>, %d: tensor<64x16xf32>) -> tensor<?x?x16xf32> {
    %s = uoe.score linear %x weights(%w) bias(%load) : tensor<?x?x16xf32> weights tensor<16x64xf32> bias tensor<64xf32> -> tensor<?x?x64xf32>
    %r = uoe.select %s threshold {tau = 0.5 : f32, scoring = #uoe<scoring sigmoid>} : tensor<?x?x64xf32> -> <64>
    %y = uoe.experts(%x) sliced(%u, %g, %d) axes [1, 1, 0] sizes [64 x 1] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x16xf32>, %ui: tensor<16x1xf32>, %gi: tensor<16x1xf32>, %di: tensor<1x16xf32>):
      %o = uoe.ffn silu %h up(%ui) gate(%gi) down(%di) : tensor<?x?x16xf32>, tensor<16x1xf32> gate tensor<16x1xf32> down tensor<1x16xf32> -> tensor<?x?x16xf32>
      uoe.yield %o : tensor<?x?x16xf32>
    } : shared tensor<?x?x16xf32> sliced tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x16xf32> routing !uoe.routing<64> -> tensor<?x?x16xf32>
    return %y : tensor<?x?x16xf32>
  }
}
