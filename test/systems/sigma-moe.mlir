// σ-MoE of MoEUT (arXiv 2405.16039): s = σ(LN(x) W_S); E = topk(s, K); y = Σ_{e∈E} s[e]·ReLU(x W1^e) W2^e. No renormalisation. The selector reads the
// normalised x, the experts x as it is: the score's input and the experts' are separate operands.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE sigma_moe
// CHECK: uoe.select %{{.*}} token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %scale: tensor<8xf32>, %ws: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %n = onnx.node "LayerNormalization"(%x, %scale) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    %s = uoe.score linear %n weights(%ws) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE all_experts
// CHECK: uoe.select %{{.*}} token_topk {k = 4 : i64}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %ws: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    // K = N_E with weight 1: a dense ReLU block.
    %s = uoe.score linear %x weights(%ws) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 4 : i64} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
