// REQUIRES: onnx
// An embedding that is the output matrix too is stored once: its transposition stays a node.
// RUN: uoe-opt %s -o %t.onnx && uoe-opt %t.onnx -o - | FileCheck %s

// CHECK-NOT: onnx.initializer {{.*}}tensor<4x8xf32>
// CHECK: onnx.initializer @embedding : tensor<8x4xf32>
// CHECK-NOT: onnx.initializer {{.*}}tensor<4x8xf32>
// CHECK: %[[E:.*]] = onnx.weight @embedding
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[E]])
// CHECK: onnx.node "MatMul"({{.*}}, %[[T]])
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @embedding : tensor<8x4xf32> = dense<0.5> : tensor<8x4xf32>
  onnx.initializer @up : tensor<4x6xf32> = dense<0.25> : tensor<4x6xf32>
  onnx.initializer @down : tensor<6x4xf32> = dense<0.125> : tensor<6x4xf32>
  func.func @main_graph(%ids: tensor<?xi64> {onnx.name = "ids"}) -> (tensor<?x8xf32> {onnx.name = "y"}) {
    %e = onnx.weight @embedding : tensor<8x4xf32>
    %u = onnx.weight @up : tensor<4x6xf32>
    %d = onnx.weight @down : tensor<6x4xf32>
    %x = onnx.node "Gather"(%e, %ids) : (tensor<8x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
    %h = uoe.ffn relu %x up(%u) down(%d) : tensor<?x4xf32>, tensor<4x6xf32> down tensor<6x4xf32> -> tensor<?x4xf32>
    %t = onnx.node "Transpose"(%e) {perm = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
    %y = onnx.node "MatMul"(%h, %t) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
