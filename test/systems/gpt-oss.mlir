// gpt-oss's mixture, as its released code makes it: a softmax over the k best logits, and experts with biases whose gate and linear part are cut before they meet,
//
//   FFN_e(x) = (g σ(1.702 g) ⊙ (u + 1)) D_e + c_e,  g = min(x G_e + a_e, L),  u = clip(x U_e + b_e, -L, L)
//
// with L = 7 in the models. `limit` and `up_offset` of uoe.ffn say the two things that are new; g σ(1.702 g) is quick_gelu.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE mixture
// CHECK: uoe.moe quick_gelu top 2 scoring softmax normalized {{.*}} attributes {limit = 7.500000e-01 : f32, up_offset = 1.000000e+00 : f32}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<4x8x6xf32>, %b: tensor<4x6xf32>, %g: tensor<4x8x6xf32>, %a: tensor<4x6xf32>, %d: tensor<4x6x8xf32>, %c: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
    %y = uoe.moe quick_gelu top 2 scoring softmax normalized input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x?x4xf32>) up(%u : tensor<4x8x6xf32>) bias_up(%b : tensor<4x6xf32>)
        gate(%g : tensor<4x8x6xf32>) bias_gate(%a : tensor<4x6xf32>) down(%d : tensor<4x6x8xf32>) bias_down(%c : tensor<4x8xf32>)
        attributes {limit = 0.75 : f32, up_offset = 1.0 : f32} -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The same as routed experts; the biases of their results are rows that the weights of the choice add up.
// CASE mixture_as_experts
// CHECK: uoe.ffn quick_gelu {{.*}} attributes {limit = 7.500000e-01 : f32, up_offset = 1.000000e+00 : f32}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<8x24xf32>, %b: tensor<24xf32>, %g: tensor<8x24xf32>, %a: tensor<24xf32>, %d: tensor<24x8xf32>, %c: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %sum = uoe.experts(%x) sliced(%u, %g, %d, %b, %a) axes [1, 1, 0, 0, 0] sizes [4 x 6] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x6xf32>, %gi: tensor<8x6xf32>, %di: tensor<6x8xf32>, %bi: tensor<6xf32>, %ai: tensor<6xf32>):
      %o = uoe.ffn quick_gelu %h up(%ui + %bi) gate(%gi + %ai) down(%di) attributes {limit = 0.75 : f32, up_offset = 1.0 : f32}
          : tensor<?x?x8xf32>, tensor<8x6xf32>, tensor<6xf32> gate tensor<8x6xf32>, tensor<6xf32> down tensor<6x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x24xf32>, tensor<8x24xf32>, tensor<24x8xf32>, tensor<24xf32>, tensor<24xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %rows = uoe.experts() sliced(%c) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%ci: tensor<1x8xf32>):
      %shape = onnx.node "Constant"() {value = dense<8> : tensor<1xi64>} : () -> tensor<1xi64>
      %row = onnx.node "Reshape"(%ci, %shape) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %row : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%sum, %rows) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
