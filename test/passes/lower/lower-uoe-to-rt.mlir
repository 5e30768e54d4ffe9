// RUN: uoe-opt %s --split-input-file --lower-uoe-to-rt | FileCheck %s

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<8x32xf32> = dense<1.0> : tensor<8x32xf32>
  onnx.initializer @d : tensor<32x8xf32> = dense<1.0> : tensor<32x8xf32>

  // A choice is made once, as lists; experts that share a routing read the same. Unit weights are none.
  // CHECK-LABEL: func.func @lists
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[S:.*]]: tensor<?x?x3xf32>)
  func.func @lists(%x: tensor<?x?x8xf32>, %s: tensor<?x?x3xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
    %u = onnx.weight @u : tensor<8x32xf32>
    %d = onnx.weight @d : tensor<32x8xf32>
    // CHECK: %[[R:.*]]:5 = rt.call "uoe" "Route" version 1(%[[S]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {k = 2 : i64, rule = 2 : i64, tokens = 1 : i64}
    // CHECK-SAME: -> (tensor<?xi64>, tensor<?xi32>, none, tensor<?x?x3xf32>, tensor<?x?x3xi1>)
    // A copy has no entry: it reads the same choice dense.
    // CHECK: %[[DENSE:.*]] = builtin.unrealized_conversion_cast %[[R]]#3, %[[R]]#4 : tensor<?x?x3xf32>, tensor<?x?x3xi1> to !uoe.routing<3>
    %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x?x3xf32> -> <3>
    // CHECK: rt.call "uoe" "Experts" version 1(%[[X]], %[[R]]#0, %[[R]]#1, %{{.*}}) {activation = 1 : i64, sizes = array<i64: 16, 16>, slots = array<i64: 0, 1, 0>, tokens = 1 : i64, transposed = 0 : i64}
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 16] routing(%r) slots [0, 1, 0] combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x16xf32>, %de: tensor<16x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32>, tensor<32x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    // CHECK: uoe.experts(%[[X]]) sizes [1] routing(%[[DENSE]])
    %z = uoe.experts(%x) sizes [1] routing(%r) slots [-1, -1, 0] combine sum {
    ^bb0(%t: tensor<?x?x8xf32>):
      uoe.yield %t : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    return %y, %z : tensor<?x?x8xf32>, tensor<?x?x8xf32>
  }

  // A choice within a choice reads that one's lists.
  // CHECK-LABEL: func.func @within
  func.func @within(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>, %c: tensor<?x2xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.weight @u : tensor<8x32xf32>
    %d = onnx.weight @d : tensor<32x8xf32>
    // CHECK: %[[OUTER:.*]]:5 = rt.call "uoe" "Route"{{.*}} {rule = 1 : i64, tau = 5.000000e-01 : f32, tokens = 0 : i64}
    // CHECK: %[[R:.*]]:6 = rt.call "uoe" "Route" version 1(%{{.*}}, %[[OUTER]]#0, %[[OUTER]]#1) {capacity = 4 : i64, rule = 0 : i64, scoring = 1 : i64, tokens = 1 : i64, weight = 1 : i64, within_tokens = 0 : i64}
    %sample = uoe.select %c threshold {tau = 0.5 : f32} : tensor<?x2xf32> -> <2 per sample>
    %r = uoe.select %s all within(%sample) {scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>, capacity = 4 : i64}
        : tensor<?x?x2xf32> within !uoe.routing<2 per sample> -> <2>
    // CHECK: rt.call "uoe" "Experts" version 1(%{{.*}}, %[[R]]#0, %[[R]]#1, %[[R]]#2, %{{.*}})
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 16] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x16xf32>, %de: tensor<16x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32>, tensor<32x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
