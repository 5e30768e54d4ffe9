// RUN: uoe-opt %s --unfuse-contrib --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @gelu
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>, %[[B:.*]]: tensor<4xf32>)
// CHECK: %[[S:.*]] = onnx.node "Add"(%[[X]], %[[B]])
// CHECK: onnx.node "Gelu"(%[[S]]) :
// CHECK: onnx.node "Gelu"(%{{.*}}) {approximate = "tanh"}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @gelu(%x: tensor<?x4xf32>, %b: tensor<4xf32>) -> (!onnx.any, !onnx.any) {
    %y = onnx.node "com.microsoft" "BiasGelu"(%x, %b) : (tensor<?x4xf32>, tensor<4xf32>) -> !onnx.any
    %z = onnx.node "com.microsoft" "FastGelu"(%x, %b) : (tensor<?x4xf32>, tensor<4xf32>) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @skip
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x4xf32>, %[[R:.*]]: tensor<?x?x4xf32>, %[[G:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<4xf32>)
// CHECK: %[[S:.*]] = onnx.node "Add"(%[[X]], %[[R]])
// CHECK: %[[T:.*]] = onnx.node "Add"(%[[S]], %[[B]])
// CHECK: %[[N:.*]] = onnx.node "LayerNormalization"(%[[T]], %[[G]], %[[B]]) {axis = -1 : i64, epsilon = 9.99999974E-6 : f32, stash_type = 1 : i64}
// CHECK: %[[U:.*]] = onnx.node "Add"(%[[X]], %[[R]])
// CHECK: %[[V:.*]] = onnx.node "RMSNormalization"(%[[U]], %[[G]])
// CHECK: return %[[N]], %[[T]], %[[V]], %[[U]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @skip(%x: tensor<?x?x4xf32>, %r: tensor<?x?x4xf32>, %g: tensor<4xf32>, %b: tensor<4xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %y:4 = onnx.node "com.microsoft" "SkipLayerNormalization"(%x, %r, %g, %b, %b) {epsilon = 1.0e-5 : f32} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (!onnx.any, none, none, !onnx.any)
    %z:4 = onnx.node "com.microsoft" "SkipSimplifiedLayerNormalization"(%x, %r, %g) {epsilon = 1.0e-6 : f32} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<4xf32>) -> (!onnx.any, none, none, !onnx.any)
    return %y#0, %y#3, %z#0, %z#3 : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @embed
// CHECK: onnx.node "Gather"
// CHECK: onnx.node "Slice"
// CHECK: onnx.node "Gather"
// CHECK: onnx.node "LayerNormalization"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @embed(%ids: tensor<?x?xi32>, %w: tensor<9x4xf32>, %p: tensor<5x4xf32>, %t: tensor<2x4xf32>, %g: tensor<4xf32>) -> !onnx.any {
    %y:2 = onnx.node "com.microsoft" "EmbedLayerNormalization"(%ids, %ids, %w, %p, %t, %g, %g) : (tensor<?x?xi32>, tensor<?x?xi32>, tensor<9x4xf32>, tensor<5x4xf32>, tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>) -> (!onnx.any, !onnx.any)
    return %y#0 : !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @matmul
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%arg1) {perm = array<i64: 0, 2, 1>}
// CHECK: %[[M:.*]] = onnx.node "MatMul"(%arg0, %[[T]])
// CHECK: onnx.node "Mul"(%[[M]], %{{.*}})
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @matmul(%x: tensor<2x3x4xf32>, %y: tensor<2x5x4xf32>) -> !onnx.any {
    %z = onnx.node "com.microsoft" "FusedMatMul"(%x, %y) {transB = 1 : i64, alpha = 0.125 : f32} : (tensor<2x3x4xf32>, tensor<2x5x4xf32>) -> !onnx.any
    return %z : !onnx.any
  }
}
