// RUN: uoe-opt %s --gather-in-place | FileCheck %s

module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @tied : tensor<2x5xf32> = dense<1.0> : tensor<2x5xf32>
  onnx.initializer @alone : tensor<2x5xf32> = dense<1.0> : tensor<2x5xf32>

  // The last product reads the matrix as it lies; so does the embedding.
  // CHECK-LABEL: func.func @embed_and_head
  func.func @embed_and_head(%ids: tensor<?x?xi64>) -> tensor<?x?x5xf32> {
    // CHECK: %[[W:.*]] = onnx.weight @tied
    // CHECK-NEXT: %[[COLUMNS:.*]] = onnx.node "Gather"(%[[W]], %arg0) {axis = 1 : i64}
    // CHECK-NEXT: %[[ROWS:.*]] = onnx.node "Transpose"(%[[COLUMNS]]) {perm = array<i64: 1, 2, 0>} : {{.*}} -> tensor<?x?x2xf32>
    // CHECK-NEXT: onnx.node "MatMul"(%[[ROWS]], %[[W]])
    %w = onnx.weight @tied : tensor<2x5xf32>
    %t = onnx.node "Transpose"(%w) {perm = array<i64: 1, 0>} : (tensor<2x5xf32>) -> tensor<5x2xf32>
    %x = onnx.node "Gather"(%t, %ids) : (tensor<5x2xf32>, tensor<?x?xi64>) -> tensor<?x?x2xf32>
    %y = onnx.node "MatMul"(%x, %w) : (tensor<?x?x2xf32>, tensor<2x5xf32>) -> tensor<?x?x5xf32>
    return %y : tensor<?x?x5xf32>
  }

  // A table that nothing else reads is transposed ahead.
  // CHECK-LABEL: func.func @embed
  func.func @embed(%ids: tensor<?xi64>) -> tensor<?x2xf32> {
    // CHECK: onnx.node "Transpose"
    // CHECK-NEXT: onnx.node "Gather"
    %w = onnx.weight @alone : tensor<2x5xf32>
    %t = onnx.node "Transpose"(%w) {perm = array<i64: 1, 0>} : (tensor<2x5xf32>) -> tensor<5x2xf32>
    %x = onnx.node "Gather"(%t, %ids) : (tensor<5x2xf32>, tensor<?xi64>) -> tensor<?x2xf32>
    return %x : tensor<?x2xf32>
  }

  // Slices along another axis are left alone.
  // CHECK-LABEL: func.func @columns
  func.func @columns(%ids: tensor<?xi64>) -> (tensor<5x?xf32>, tensor<2x5xf32>) {
    // CHECK: onnx.node "Transpose"
    // CHECK-NEXT: onnx.node "Gather"({{.*}}) {axis = 1 : i64}
    %w = onnx.weight @tied : tensor<2x5xf32>
    %t = onnx.node "Transpose"(%w) {perm = array<i64: 1, 0>} : (tensor<2x5xf32>) -> tensor<5x2xf32>
    %x = onnx.node "Gather"(%t, %ids) {axis = 1 : i64} : (tensor<5x2xf32>, tensor<?xi64>) -> tensor<5x?xf32>
    return %x, %w : tensor<5x?xf32>, tensor<2x5xf32>
  }
}
