// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=0 --canonicalize-onnx --split-input-file | FileCheck %s

// The weights of the chosen experts in one-hot rows, summed over the choices (Keras): scattered into zeros.
// CHECK-LABEL: func.func @chosen
// CHECK: %[[T:.*]]:2 = onnx.node "TopK"
// CHECK: %[[W:.*]] = onnx.node "Softmax"(%[[T]]#0)
// CHECK: %[[Z:.*]] = onnx.node "Expand"({{.*}}-> tensor<?x4xf32
// CHECK: %[[S:.*]] = onnx.node "ScatterElements"(%[[Z]], %[[T]]#1, %[[W]]) {axis = -1
// CHECK: return %[[S]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @chosen(%x: tensor<?x4xf32, #onnx.dims<"t", "">>) -> !onnx.any {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %four = onnx.node "Constant"() {value = dense<4> : tensor<1xi32>} : () -> tensor<1xi32>
    %values = onnx.node "Constant"() {value = dense<[0.0, 1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %t:2 = onnx.node "TopK"(%x, %two) : (tensor<?x4xf32, #onnx.dims<"t", "">>, tensor<1xi64>) -> (!onnx.any, !onnx.any)
    %i = onnx.node "Cast"(%t#1) {to = 6 : i64} : (!onnx.any) -> !onnx.any
    %j = onnx.node "Cast"(%i) {to = 7 : i64} : (!onnx.any) -> !onnx.any
    %hot = onnx.node "OneHot"(%j, %four, %values) {axis = -1 : i64} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %s = onnx.node "Softmax"(%t#0) {axis = -1 : i64} : (!onnx.any) -> !onnx.any
    %w = onnx.node "Unsqueeze"(%s, %two) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %m = onnx.node "Mul"(%hot, %w) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "ReduceSum"(%m, %one) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Not where indices may be equal or out of range, where another number stands for a one, or where the sum is over something else.
// CHECK-LABEL: func.func @others
// CHECK-NOT: ScatterElements
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @others(%x: tensor<?x4xf32, #onnx.dims<"t", "">>, %any: tensor<?x2xi64, #onnx.dims<"t", "">>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi32>} : () -> tensor<1xi32>
    %four = onnx.node "Constant"() {value = dense<4> : tensor<1xi32>} : () -> tensor<1xi32>
    %values = onnx.node "Constant"() {value = dense<[0.0, 1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %halves = onnx.node "Constant"() {value = dense<[0.0, 0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
    %t:2 = onnx.node "TopK"(%x, %two) : (tensor<?x4xf32, #onnx.dims<"t", "">>, tensor<1xi64>) -> (!onnx.any, !onnx.any)
    %w = onnx.node "Unsqueeze"(%t#0, %two) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %a0 = onnx.node "OneHot"(%any, %four, %values) {axis = -1 : i64} : (tensor<?x2xi64, #onnx.dims<"t", "">>, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %a1 = onnx.node "Mul"(%a0, %w) : (!onnx.any, !onnx.any) -> !onnx.any
    %a = onnx.node "ReduceSum"(%a1, %one) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %b0 = onnx.node "OneHot"(%t#1, %four, %halves) {axis = -1 : i64} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %b1 = onnx.node "Mul"(%b0, %w) : (!onnx.any, !onnx.any) -> !onnx.any
    %b = onnx.node "ReduceSum"(%b1, %one) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %c0 = onnx.node "OneHot"(%t#1, %four, %values) {axis = -1 : i64} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %c1 = onnx.node "Mul"(%c0, %w) : (!onnx.any, !onnx.any) -> !onnx.any
    %c = onnx.node "ReduceSum"(%c1, %two) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %d0 = onnx.node "OneHot"(%t#1, %three, %values) {axis = -1 : i64} : (!onnx.any, tensor<1xi32>, tensor<2xf32>) -> !onnx.any
    %d1 = onnx.node "Mul"(%d0, %w) : (!onnx.any, !onnx.any) -> !onnx.any
    %d = onnx.node "ReduceSum"(%d1, %one) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    return %a, %b, %c, %d : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}
