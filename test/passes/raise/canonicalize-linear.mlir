// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=0 --canonicalize-onnx --split-input-file | FileCheck %s

// Conv1D of GPT-2: Reshape, Gemm, Reshape. The product is over the activations as they are.
// CHECK-LABEL: func.func @conv1d
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x4xf32
// CHECK-DAG: %[[W:.*]] = onnx.weight @w
// CHECK-DAG: %[[B:.*]] = onnx.weight @b
// CHECK: %[[M:.*]] = onnx.node "MatMul"(%[[X]], %[[W]])
// CHECK-NEXT: %[[A:.*]] = onnx.node "Add"(%[[M]], %[[B]])
// CHECK-NEXT: return %[[A]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<4x6xf32> = dense<2.0> : tensor<4x6xf32>
  onnx.initializer @b : tensor<6xf32> = dense<3.0> : tensor<6xf32>
  func.func @conv1d(%x: tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> tensor<?x?x6xf32, #onnx.dims<"n", "s", "">> {
    %w = onnx.weight @w : tensor<4x6xf32>
    %b = onnx.weight @b : tensor<6xf32>
    %flat = onnx.node "Constant"() {value = dense<[-1, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %s = onnx.node "Shape"(%x) {end = 2 : i64} : (tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any
    %back = onnx.node "Concat"(%s, %six) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %m = onnx.node "Reshape"(%x, %flat) : (tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>, tensor<2xi64>) -> !onnx.any
    %g = onnx.node "Gemm"(%m, %w, %b) : (!onnx.any, tensor<4x6xf32>, tensor<6xf32>) -> !onnx.any
    %y = onnx.node "Reshape"(%g, %back) : (!onnx.any, !onnx.any) -> tensor<?x?x6xf32, #onnx.dims<"n", "s", "">>
    return %y : tensor<?x?x6xf32, #onnx.dims<"n", "s", "">>
  }
}

// -----

// A transposed constant is a Transpose of the weight; of an activation, or with factors, the Gemm stays.
// CHECK-LABEL: func.func @gemm
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%{{.*}}) {perm = array<i64: 1, 0>}
// CHECK: onnx.node "MatMul"(%{{.*}}, %[[T]])
// CHECK: onnx.node "Gemm"
// CHECK: onnx.node "Gemm"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<6x4xf32> = dense<2.0> : tensor<6x4xf32>
  func.func @gemm(%x: tensor<?x4xf32>, %v: tensor<6x4xf32>) -> (!onnx.any, !onnx.any, !onnx.any) {
    %w = onnx.weight @w : tensor<6x4xf32>
    %a = onnx.node "Gemm"(%x, %w) {transB = 1 : i64} : (tensor<?x4xf32>, tensor<6x4xf32>) -> !onnx.any
    %b = onnx.node "Gemm"(%x, %v) {transB = 1 : i64} : (tensor<?x4xf32>, tensor<6x4xf32>) -> !onnx.any
    %c = onnx.node "Gemm"(%x, %w) {transB = 1 : i64, alpha = 0.5 : f32} : (tensor<?x4xf32>, tensor<6x4xf32>) -> !onnx.any
    return %a, %b, %c : !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// ONNX Runtime's fused forms: an activation at the end, a batch that takes part in a transposition.
// CHECK-LABEL: func.func @fused
// CHECK: %[[M:.*]] = onnx.node "MatMul"(%{{.*}}, %{{.*}}) : (tensor<?x4xf32
// CHECK: %[[A:.*]] = onnx.node "Add"(%[[M]]
// CHECK: %[[L:.*]] = onnx.node "LeakyRelu"(%[[A]]) {alpha = {{.*}} : f32}
// CHECK: %[[C:.*]] = onnx.node "Conv"(%{{.*}}, %{{.*}}) {pads = array<i64: 1, 1>}
// CHECK: %[[S:.*]] = onnx.node "Add"(%[[C]]
// CHECK: %[[R:.*]] = onnx.node "Relu"(%[[S]])
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%arg2) {perm = array<i64: 1, 0, 2>}
// CHECK: %[[P:.*]] = onnx.node "com.microsoft" "FusedMatMul"(%[[T]], %arg2) {alpha = 5.000000e-01 : f32, transB = 1 : i64}
// CHECK: return %[[L]], %[[R]], %[[P]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  onnx.initializer @w : tensor<4x6xf32> = dense<2.0> : tensor<4x6xf32>
  onnx.initializer @b : tensor<6xf32> = dense<3.0> : tensor<6xf32>
  onnx.initializer @k : tensor<2x2x3xf32> = dense<3.0> : tensor<2x2x3xf32>
  func.func @fused(%x: tensor<?x4xf32>, %y: tensor<?x2x?xf32, #onnx.dims<"n", "", "s">>, %z: tensor<3x3x5xf32>) -> (!onnx.any, !onnx.any, !onnx.any) {
    %w = onnx.weight @w : tensor<4x6xf32>
    %b = onnx.weight @b : tensor<6xf32>
    %k = onnx.weight @k : tensor<2x2x3xf32>
    %none = onnx.none
    %1 = onnx.node "com.microsoft" "FusedGemm"(%x, %w, %b) {activation = "LeakyRelu", activation_alpha = 0.2 : f32} : (tensor<?x4xf32>, tensor<4x6xf32>, tensor<6xf32>) -> !onnx.any
    %2 = onnx.node "com.microsoft" "FusedConv"(%y, %k, %none, %y) {activation = "Relu", pads = array<i64: 1, 1>} : (tensor<?x2x?xf32, #onnx.dims<"n", "", "s">>, tensor<2x2x3xf32>, none, tensor<?x2x?xf32, #onnx.dims<"n", "", "s">>) -> !onnx.any
    %3 = onnx.node "com.microsoft" "FusedMatMul"(%z, %z) {alpha = 0.5 : f32, transBatchA = 1 : i64, transB = 1 : i64} : (tensor<3x3x5xf32>, tensor<3x3x5xf32>) -> !onnx.any
    return %1, %2, %3 : !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// One entry of an axis that a Reshape cut the last one into is columns of what was cut: a block of them, or one in so many.
// CHECK-LABEL: func.func @entries
// CHECK-DAG: %[[A:.*]] = onnx.node "Slice"(%arg0, {{.*}}) {{.*}} -> tensor<?x3xf32
// CHECK-DAG: %[[B:.*]] = onnx.node "Slice"(%arg0, {{.*}}) {{.*}} -> tensor<?x2xf32
// CHECK-NOT: "Gather"
// CHECK: return %[[A]], %[[B]]
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @entries(%x: tensor<?x6xf32>) -> (tensor<?x3xf32>, tensor<?x2xf32>) {
    %to = onnx.node "Constant"() {value = dense<[0, 2, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
    %i = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %y = onnx.node "Reshape"(%x, %to) : (tensor<?x6xf32>, tensor<3xi64>) -> tensor<?x2x3xf32>
    %a = onnx.node "Gather"(%y, %i) {axis = 1 : i64} : (tensor<?x2x3xf32>, tensor<i64>) -> tensor<?x3xf32>
    %b = onnx.node "Gather"(%y, %i) {axis = -1 : i64} : (tensor<?x2x3xf32>, tensor<i64>) -> tensor<?x2xf32>
    return %a, %b : tensor<?x3xf32>, tensor<?x2xf32>
  }
}

// -----

// The same where the axis was brought to the front before, as an Einsum with stacked matrices leaves it (gating_einsum of Flax).
// CHECK-LABEL: func.func @entries_in_front
// CHECK-DAG: %[[A:.*]] = onnx.node "Slice"(%arg0, {{.*}}) {{.*}} -> tensor<?x?x3xf32
// CHECK-NOT: "Gather"
// CHECK: %[[T:.*]] = onnx.node "Transpose"({{.*}}) {perm = array<i64: 2, 1, 0, 3>}
// CHECK: %[[B:.*]] = onnx.node "Gather"(%[[T]]
// CHECK: return %[[A]], %[[B]]
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @entries_in_front(%x: tensor<?x?x6xf32, #onnx.dims<"b", "s", "">>) -> (tensor<?x?x3xf32>, tensor<?x?x3xf32>) {
    %to = onnx.node "Constant"() {value = dense<[0, 0, 2, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %i = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %y = onnx.node "Reshape"(%x, %to) : (tensor<?x?x6xf32, #onnx.dims<"b", "s", "">>, tensor<4xi64>) -> !onnx.any
    %z = onnx.node "Transpose"(%y) {perm = array<i64: 2, 0, 1, 3>} : (!onnx.any) -> !onnx.any
    %a = onnx.node "Gather"(%z, %i) {axis = 0 : i64} : (!onnx.any, tensor<i64>) -> tensor<?x?x3xf32>
    %t = onnx.node "Transpose"(%y) {perm = array<i64: 2, 1, 0, 3>} : (!onnx.any) -> !onnx.any
    %b = onnx.node "Gather"(%t, %i) {axis = 0 : i64} : (!onnx.any, tensor<i64>) -> tensor<?x?x3xf32>
    return %a, %b : tensor<?x?x3xf32>, tensor<?x?x3xf32>
  }
}

// -----

// The same by parts of size 1.
// CHECK-LABEL: func.func @parts
// CHECK-DAG: %[[A:.*]] = onnx.node "Slice"(%arg0, {{.*}}) {{.*}} -> tensor<?x3xf32
// CHECK-DAG: %[[B:.*]] = onnx.node "Slice"(%arg0, {{.*}}) {{.*}} -> tensor<?x3xf32
// CHECK-NOT: "Squeeze"
// CHECK: return
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @parts(%x: tensor<?x6xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
    %to = onnx.node "Constant"() {value = dense<[0, 2, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
    %ones = onnx.node "Constant"() {value = dense<1> : tensor<2xi64>} : () -> tensor<2xi64>
    %axis = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %y = onnx.node "Reshape"(%x, %to) : (tensor<?x6xf32>, tensor<3xi64>) -> tensor<?x2x3xf32>
    %p:2 = onnx.node "Split"(%y, %ones) {axis = 1 : i64} : (tensor<?x2x3xf32>, tensor<2xi64>) -> (tensor<?x1x3xf32>, tensor<?x1x3xf32>)
    %a = onnx.node "Squeeze"(%p#0, %axis) : (tensor<?x1x3xf32>, tensor<1xi64>) -> tensor<?x3xf32>
    %b = onnx.node "Squeeze"(%p#1, %axis) : (tensor<?x1x3xf32>, tensor<1xi64>) -> tensor<?x3xf32>
    return %a, %b : tensor<?x3xf32>, tensor<?x3xf32>
  }
}

// -----

// A batch norm of the last axis scales the columns of the product before it, behind what regroups.
// CHECK-LABEL: func.func @batch_norm
// CHECK: %[[S:.*]] = onnx.node "Div"
// CHECK: %[[B:.*]] = onnx.node "Sub"
// CHECK: %[[W:.*]] = onnx.node "Mul"(%[[S]], %{{.*}}) : (tensor<6xf32>, tensor<4x6xf32>)
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%arg0, %[[W]])
// CHECK: onnx.node "Add"(%[[Y]], %[[B]])
// CHECK-NOT: "BatchNormalization"
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @batch_norm(%x: tensor<?x5x4xf32>) -> tensor<?x6xf32> {
    %w = onnx.node "Constant"() {value = dense<0.5> : tensor<4x6xf32>} : () -> tensor<4x6xf32>
    %g = onnx.node "Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : tensor<6xf32>} : () -> tensor<6xf32>
    %to = onnx.node "Constant"() {value = dense<[-1, 6]> : tensor<2xi64>} : () -> tensor<2xi64>
    %y = onnx.node "MatMul"(%x, %w) : (tensor<?x5x4xf32>, tensor<4x6xf32>) -> tensor<?x5x6xf32>
    %z = onnx.node "Reshape"(%y, %to) : (tensor<?x5x6xf32>, tensor<2xi64>) -> tensor<?x6xf32>
    %n = onnx.node "BatchNormalization"(%z, %g, %g, %g, %g) {epsilon = 1.0e-5 : f32} : (tensor<?x6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<?x6xf32>
    return %n : tensor<?x6xf32>
  }
}
