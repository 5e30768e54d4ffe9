// RUN: uoe-opt %s --raise-ffn --inline-spelling | FileCheck %s
// RUN: uoe-opt %s --raise-ffn --drop-spelling | FileCheck %s --check-prefix=DROP

// Put back: the nodes as they were, and none of those made for the operands. Dropped: the operands alone.
// CHECK-LABEL: func.func @ffn
// CHECK-NOT: uoe.
// CHECK: %[[H:.*]] = onnx.node "Gemm"(%arg0, %{{.*}}) {transB = 1 : i64}
// CHECK-NEXT: %[[A:.*]] = onnx.node "Relu"(%[[H]])
// CHECK-NEXT: %[[Y:.*]] = onnx.node "MatMul"(%[[A]], %{{.*}})
// CHECK-NEXT: return %[[Y]]
// DROP-LABEL: func.func @ffn
// DROP: onnx.node "Transpose"
// DROP: uoe.ffn relu
// DROP-NOT: spelled
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @ffn(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "Gemm"(%x, %u) {transB = 1 : i64} : (tensor<?x8xf32>, tensor<16x8xf32>) -> tensor<?x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x16xf32>) -> tensor<?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x16xf32>, tensor<16x8xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
