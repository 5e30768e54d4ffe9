// MoE++ (arXiv 2410.07348): beside feed-forward experts, a zero, a copy and a constant expert, and router logits that also see those of the layer before.
//
//   logits_l = x W_l + logits_{l−1} W_g;  top-2 of the softmax, weights as they are
//   constant: a_1·x + a_2·v,  [a_1, a_2] = softmax(x W_c)
//
// One routing over six slots: four feed-forward experts, a copy, a constant. The seventh, the zero expert, is a slot that nobody serves. Each kind is a uoe.experts of
// its own with the others' slots at -1, so trivial experts are not dispatched to.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE moe_plus_plus
// CHECK: uoe.score linear %{{.*}} previous(%{{.*}}, %{{.*}})
// CHECK: slots [0, 1, 2, 3, -1, -1, -1]
// CHECK: slots [-1, -1, -1, -1, 0, -1, -1]
// CHECK: slots [-1, -1, -1, -1, -1, 0, -1]
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xbefore: tensor<?x?x7xf32>, %w: tensor<8x7xf32>, %wg: tensor<7x7xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>, %wc: tensor<8x2xf32>, %v: tensor<8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<?x?x7xf32> {onnx.name = "b"}) {
    %s = uoe.score linear %x weights(%w) previous(%xbefore, %wg) : tensor<?x?x8xf32> weights tensor<8x7xf32> previous tensor<?x?x7xf32>, tensor<7x7xf32> -> tensor<?x?x7xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x?x7xf32> -> <7>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) slots [0, 1, 2, 3, -1, -1, -1] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn gelu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<7> -> tensor<?x?x8xf32>
    %copy = uoe.experts(%x) sizes [1] routing(%r) slots [-1, -1, -1, -1, 0, -1, -1] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>):
      uoe.yield %h : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> routing !uoe.routing<7> -> tensor<?x?x8xf32>
    %constant = uoe.experts(%x, %wc, %v) sizes [1] routing(%r) slots [-1, -1, -1, -1, -1, 0, -1] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %m: tensor<8x2xf32>, %c: tensor<8xf32>):
      %l = onnx.node "MatMul"(%h, %m) : (tensor<?x?x8xf32>, tensor<8x2xf32>) -> tensor<?x?x2xf32>
      %a = onnx.node "Softmax"(%l) {axis = -1 : i64} : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
      %a12:2 = onnx.node "Split"(%a) {axis = -1 : i64, num_outputs = 2 : i64} : (tensor<?x?x2xf32>) -> (tensor<?x?x1xf32>, tensor<?x?x1xf32>)
      %0 = onnx.node "Mul"(%a12#0, %h) : (tensor<?x?x1xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %1 = onnx.node "Mul"(%a12#1, %c) : (tensor<?x?x1xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
      %o = onnx.node "Add"(%0, %1) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<8x2xf32>, tensor<8xf32> routing !uoe.routing<7> -> tensor<?x?x8xf32>
    %1 = onnx.node "Add"(%y, %copy) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %2 = onnx.node "Add"(%1, %constant) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %2, %s : tensor<?x?x8xf32>, tensor<?x?x7xf32>
  }
}
