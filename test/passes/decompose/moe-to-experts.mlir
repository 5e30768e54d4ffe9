// RUN: uoe-opt %s --split-input-file --moe-to-experts --verify-diagnostics | FileCheck %s

// Matrices side by side; scores, gates and normalisation in the selection.
// CHECK-LABEL: func.func @gated
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[S:.*]]: tensor<?x4xf32>, %[[U:.*]]: tensor<4x8x16xf32>, %[[G:.*]]: tensor<4x8x16xf32>, %[[D:.*]]: tensor<4x16x8xf32>)
// CHECK: %[[R:.*]] = uoe.select %[[S]] token_topk {k = 2 : i64, normalize = #uoe<axis experts>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x4xf32> -> <4>
// CHECK: %[[U0:.*]] = onnx.node "Transpose"(%[[U]]) {perm = array<i64: 1, 0, 2>
// CHECK: %[[U1:.*]] = onnx.node "Reshape"(%[[U0]], %{{.*}}) {{.*}} -> tensor<8x64xf32>
// CHECK: %[[D1:.*]] = onnx.node "Reshape"(%[[D]], %{{.*}}) {{.*}} -> tensor<64x8xf32>
// CHECK: uoe.experts(%[[X]]) sliced(%[[U1]], %{{.*}}, %[[D1]]) axes [1, 1, 0] sizes [4 x 16] routing(%[[R]]) combine sum
// CHECK-SAME: name = "layer.0.moe"
// CHECK-SAME: uoe.cost = 5.000000e-01 : f64
// CHECK-SAME: uoe.mixture
// CHECK-SAME: uoe.multiply_adds = 1.536000e+03 : f64
// CHECK: uoe.ffn silu
func.func @gated(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %g: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) -> tensor<?x8xf32> {
  %y = uoe.moe silu top 2 scoring softmax normalized input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%g : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {name = "layer.0.moe"} -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Matrices that lie as [E, F, d] stay as they lie; scores of flattened tokens get the tokens' shape; output biases become weighted rows.
// CHECK-LABEL: func.func @biased
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[S:[^:]*]]: tensor<?x4xf32>, %[[U:[^:]*]]: tensor<4x16x8xf32>,
// CHECK: %[[S1:.*]] = onnx.node "Reshape"(%[[S]], %{{.*}}) {{.*}} -> tensor<?x?x4xf32>
// CHECK: %[[R:.*]] = uoe.select %[[S1]] token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>}
// CHECK: %[[U0:.*]] = onnx.node "Reshape"(%[[U]], %{{.*}}) {{.*}} -> tensor<64x8xf32>
// CHECK: onnx.node "Transpose"(%[[U0]]) {perm = array<i64: 1, 0>{{.*}} -> tensor<8x64xf32>
// CHECK: %[[Y:.*]] = uoe.experts(%[[X]]) sliced({{.*}}) axes [1, 0, 0] sizes [4 x 16] routing(%[[R]]) combine sum
// CHECK: %[[B:.*]] = uoe.experts() sliced(%{{.*}}) axes [0] sizes [4 x 1] routing(%[[R]]) combine merge
// CHECK: onnx.node "Add"(%[[Y]], %[[B]])
func.func @biased(%x: tensor<?x?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x16x8xf32>, %d: tensor<4x16x8xf32>, %b: tensor<4x16xf32>, %c: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
  %t = onnx.node "Transpose"(%u) {perm = array<i64: 0, 2, 1>} : (tensor<4x16x8xf32>) -> tensor<4x8x16xf32>
  %y = uoe.moe relu top 1 scoring sigmoid input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x4xf32>) up(%t : tensor<4x8x16xf32>) bias_up(%b : tensor<4x16xf32>) down(%d : tensor<4x16x8xf32>) bias_down(%c : tensor<4x8xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @spelled(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>) -> tensor<?x8xf32> {
  // expected-remark @below {{layer.3.moe is left as it is: how it is spelled says what it does, not its operands}}
  %y = uoe.moe identity top 2 scoring softmax attributes {name = "layer.3.moe"} spelled {
    %z = onnx.node "Relu"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    uoe.yield %z : tensor<?x8xf32>
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @unknown(%x: tensor<?x8xf32>, %s: tensor<?x?xf32>, %u: tensor<?x8x16xf32>, %d: tensor<?x16x8xf32>) -> tensor<?x8xf32> {
  // expected-remark @below {{moe is left as it is: the shape of its weights is not known}}
  %y = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x?xf32>) up(%u : tensor<?x8x16xf32>) down(%d : tensor<?x16x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
