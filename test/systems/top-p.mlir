// Dynamic top-p routing (arXiv 2403.07652): sort the softmax, keep the shortest prefix whose sum exceeds p (the expert that crosses p included); the
// weights are the probabilities as they are.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE top_p
// CHECK: uoe.select %{{.*}} top_p {p = 6.000000e-01 : f32, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s top_p {p = 0.6 : f32, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE keeps_all
// CHECK: top_p {p = 1.000000e+00 : f32
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s top_p {p = 1.0 : f32, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
