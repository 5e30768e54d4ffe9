// DSMoE (arXiv 2502.12455): the columns of a pretrained SwiGLU block in n contiguous groups, each behind a sigmoid gate with a threshold.
//
//   o_i = (silu(h W_i) ⊙ h U_i) V_i          Σ_i o_i is the dense block
//   y   = n / #{i : σ(h Y_i) > τ} · Σ_i o_i · G(σ(h Y_i)),  G(s) = s if s > τ else 0,  τ = 0.5
//
// The paper's 0/0 for a token without an expert is read as 0.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE dsmoe
// CHECK: uoe.select %{{.*}} threshold {scaling = #uoe<scaling n_over_active>, scoring = #uoe<scoring sigmoid>, tau = 5.000000e-01 : f32, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x12xf32>, %u: tensor<8x12xf32>, %v: tensor<12x8xf32>, %router: tensor<8x4xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%router) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s threshold {tau = 0.5 : f32, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>,
                                  scaling = #uoe<scaling n_over_active>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%w, %u, %v) axes [1, 1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %wi: tensor<8x3xf32>, %ui: tensor<8x3xf32>, %vi: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) gate(%wi) down(%vi) : tensor<?x?x8xf32>, tensor<8x3xf32> gate tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
