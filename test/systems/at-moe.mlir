// AT-MoE (arXiv 2410.10896): LoRA experts ΔW_j = A_j B_j grouped by task; a softmax over groups times a softmax within each group.
//
//   w_j = softmax(x W_G / τ_g)[group(j)] · softmax(x W_D / τ_d within the group)[j]
//   y   = x W_0 + λ · Σ_j w_j · x A_j B_j + (1 − λ) · x A_p B_p
//
// Here groups of 3, 1 and 2 experts, rank 2, λ = 0.75. The logits within groups come from a linear map of their own; a published summary has them from the
// layer before, which is `previous` of uoe.score.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE at_moe
// CHECK: uoe.select %{{.*}} all group_scores(%{{.*}}) {factor = 7.500000e-01 : f32, group_temperature = 2.000000e+00 : f32, groups = array<i64: 0, 0, 0, 1, 2, 2>, scoring = #uoe<scoring softmax>, temperature = 5.000000e-01 : f32, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w0: tensor<8x8xf32>, %wg: tensor<8x3xf32>, %wd: tensor<8x6xf32>, %a: tensor<8x12xf32>, %b: tensor<12x8xf32>, %ap: tensor<8x2xf32>, %bp: tensor<2x8xf32>) -> tensor<?x?x8xf32> {
    %g = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %s = uoe.score linear %x weights(%wd) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %r = uoe.select %s all group_scores(%g) {groups = array<i64: 0, 0, 0, 1, 2, 2>, scoring = #uoe<scoring softmax>, temperature = 0.5 : f32, group_temperature = 2.0 : f32,
                                             weight = #uoe<weight_rule gate>, factor = 0.75 : f32} : tensor<?x?x6xf32> group_scores tensor<?x?x3xf32> -> <6>
    %low = uoe.experts(%x) sliced(%a, %b) axes [1, 0] sizes [6 x 2] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %aj: tensor<8x2xf32>, %bj: tensor<2x8xf32>):
      %o = uoe.ffn identity %h up(%aj) down(%bj) : tensor<?x?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    %base = onnx.node "MatMul"(%x, %w0) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %all = uoe.ffn identity %x up(%ap) down(%bp) : tensor<?x?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x?x8xf32>
    %rest = onnx.node "Constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
    %task = onnx.node "Mul"(%all, %rest) : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
    %1 = onnx.node "Add"(%base, %low) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%1, %task) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// λ = 0: the task experts do nothing, and W_0 + A_p B_p is left.
// CASE no_task
// CHECK: uoe.select %{{.*}} all group_scores(%{{.*}}) {factor = 0.000000e+00 : f32, group_temperature = 2.000000e+00 : f32, groups = array<i64: 0, 0, 0, 1, 2, 2>, scoring = #uoe<scoring softmax>, temperature = 5.000000e-01 : f32, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w0: tensor<8x8xf32>, %wg: tensor<8x3xf32>, %wd: tensor<8x6xf32>, %a: tensor<8x12xf32>, %b: tensor<12x8xf32>, %ap: tensor<8x2xf32>, %bp: tensor<2x8xf32>) -> tensor<?x?x8xf32> {
    %g = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %s = uoe.score linear %x weights(%wd) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %r = uoe.select %s all group_scores(%g) {groups = array<i64: 0, 0, 0, 1, 2, 2>, scoring = #uoe<scoring softmax>, temperature = 0.5 : f32, group_temperature = 2.0 : f32,
                                             weight = #uoe<weight_rule gate>, factor = 0.0 : f32} : tensor<?x?x6xf32> group_scores tensor<?x?x3xf32> -> <6>
    %low = uoe.experts(%x) sliced(%a, %b) axes [1, 0] sizes [6 x 2] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %aj: tensor<8x2xf32>, %bj: tensor<2x8xf32>):
      %o = uoe.ffn identity %h up(%aj) down(%bj) : tensor<?x?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    %base = onnx.node "MatMul"(%x, %w0) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %all = uoe.ffn identity %x up(%ap) down(%bp) : tensor<?x?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x?x8xf32>
    %rest = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %task = onnx.node "Mul"(%all, %rest) : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
    %1 = onnx.node "Add"(%base, %low) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%1, %task) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE weights
// CHECK: combine concat
// CHECK: combine concat
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%xs: tensor<?x6xf32>, %xg: tensor<?x3xf32>, %xone: tensor<?x1xf32>) -> (tensor<?x6xf32> {onnx.name = "a"}, tensor<?x6xf32> {onnx.name = "b"}) {
    // The weights themselves: experts that hand a one each. With one group they are a flat softmax.
    %r = uoe.select %xs all group_scores(%xg) {groups = array<i64: 0, 0, 0, 1, 2, 2>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x6xf32> group_scores tensor<?x3xf32> -> <6>
    %f = uoe.select %xs all group_scores(%xone) {groups = array<i64: 0, 0, 0, 0, 0, 0>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x6xf32> group_scores tensor<?x1xf32> -> <6>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %zero = onnx.node "Mul"(%xs, %xs) : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
    %zeros = onnx.node "Sub"(%zero, %zero) : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
    %ones = onnx.node "Add"(%zeros, %one) : (tensor<?x6xf32>, tensor<f32>) -> tensor<?x6xf32>
    %a = uoe.experts() sliced(%ones) axes [1] sizes [6 x 1] routing(%r) combine concat {
    ^bb0(%v: tensor<?x1xf32>):
      uoe.yield %v : tensor<?x1xf32>
    } : sliced tensor<?x6xf32> routing !uoe.routing<6> -> tensor<?x6xf32>
    %b = uoe.experts() sliced(%ones) axes [1] sizes [6 x 1] routing(%f) combine concat {
    ^bb0(%v: tensor<?x1xf32>):
      uoe.yield %v : tensor<?x1xf32>
    } : sliced tensor<?x6xf32> routing !uoe.routing<6> -> tensor<?x6xf32>
    return %a, %b : tensor<?x6xf32>, tensor<?x6xf32>
  }
}
