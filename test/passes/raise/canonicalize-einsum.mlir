// RUN: uoe-opt %s --split-input-file --canonicalize-onnx | FileCheck %s

// Heads that lie apart in a weight: one matrix, whose columns are regrouped.
// CHECK-LABEL: func.func @heads
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%{{.*}}) {perm = array<i64: 1, 0, 2>} : (tensor<4x8x2xf32>) -> tensor<8x4x2xf32>
// CHECK: %[[W:.*]] = onnx.node "Reshape"(%[[T]], %{{.*}}) {{.*}} -> tensor<8x8xf32>
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%arg0, %[[W]])
// CHECK: onnx.node "Reshape"(%[[Y]], %{{.*}}) {{.*}} -> tensor<?x?x4x2xf32
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @heads(%x: tensor<?x?x8xf32>) -> tensor<?x?x4x2xf32> {
    %w = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x2xf32>} : () -> tensor<4x8x2xf32>
    %y = onnx.node "Einsum"(%x, %w) {equation = "bnd,hde->bnhe"} : (tensor<?x?x8xf32>, tensor<4x8x2xf32>) -> tensor<?x?x4x2xf32>
    return %y : tensor<?x?x4x2xf32>
  }
}

// -----

// Two axes that meet the weight's become one.
// CHECK-LABEL: func.func @joined
// CHECK-DAG: %[[X:.*]] = onnx.node "Reshape"(%arg0, %{{.*}}) {{.*}} -> tensor<?x?x8xf32
// CHECK-DAG: %[[W:.*]] = onnx.node "Reshape"(%{{.*}}, %{{.*}}) {{.*}} -> tensor<8x5xf32>
// CHECK: onnx.node "MatMul"(%[[X]], %[[W]])
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @joined(%x: tensor<?x?x4x2xf32>) -> tensor<?x?x5xf32> {
    %w = onnx.node "Constant"() {value = dense<0.5> : tensor<4x2x5xf32>} : () -> tensor<4x2x5xf32>
    %y = onnx.node "Einsum"(%x, %w) {equation = "bqhe,hed->bqd"} : (tensor<?x?x4x2xf32>, tensor<4x2x5xf32>) -> tensor<?x?x5xf32>
    return %y : tensor<?x?x5xf32>
  }
}

// -----

// Scores of heads that come after the tokens.
// CHECK-LABEL: func.func @scores
// CHECK-DAG: %[[Q:.*]] = onnx.node "Transpose"(%arg0) {perm = array<i64: 0, 2, 1, 3>}
// CHECK-DAG: %[[K:.*]] = onnx.node "Transpose"(%arg1) {perm = array<i64: 0, 2, 3, 1>}
// CHECK: onnx.node "MatMul"(%[[Q]], %[[K]])
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @scores(%q: tensor<?x?x4x2xf32>, %k: tensor<?x?x4x2xf32>) -> tensor<?x4x?x?xf32> {
    %y = onnx.node "Einsum"(%q, %k) {equation = "bqhe, bkhe -> bhqk"} : (tensor<?x?x4x2xf32>, tensor<?x?x4x2xf32>) -> tensor<?x4x?x?xf32>
    return %y : tensor<?x4x?x?xf32>
  }
}

// -----

// "..." stands for the axes in front.
// CHECK-LABEL: func.func @dots
// CHECK: onnx.node "MatMul"(%arg0, %{{.*}})
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @dots(%x: tensor<?x?x8xf32>) -> tensor<?x?x16xf32> {
    %w = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %y = onnx.node "Einsum"(%x, %w) {equation = "...d,df->...f"} : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    return %y : tensor<?x?x16xf32>
  }
}

// -----

// What sums an axis of one operand, or takes a diagonal, stays.
// CHECK-LABEL: func.func @stays
// CHECK: "Einsum"
// CHECK: "Einsum"
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @stays(%x: tensor<?x?x8xf32>, %y: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<?x?xf32>) {
    %a = onnx.node "Einsum"(%x, %y) {equation = "bnd,df->bf"} : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Einsum"(%x, %y) {equation = "bnd,dd->bn"} : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?xf32>
    return %a, %b : tensor<?x8xf32>, tensor<?x?xf32>
  }
}

// -----

// Values under probabilities: the rows of the result are the second operand's.
// CHECK-LABEL: func.func @values
// CHECK: %[[V:.*]] = onnx.node "Transpose"(%arg0) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%arg1, %[[V]])
// CHECK: onnx.node "Transpose"(%[[Y]]) {perm = array<i64: 0, 2, 1, 3>}
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @values(%v: tensor<?x?x4x2xf32>, %w: tensor<?x4x?x?xf32>) -> tensor<?x?x4x2xf32> {
    %y = onnx.node "Einsum"(%v, %w) {equation = "bkhe,bhqk->bqhe"} : (tensor<?x?x4x2xf32>, tensor<?x4x?x?xf32>) -> tensor<?x?x4x2xf32>
    return %y : tensor<?x?x4x2xf32>
  }
}
