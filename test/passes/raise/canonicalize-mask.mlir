// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx --split-input-file | FileCheck %s

// GPT's mask, scores·m − 1e4·(1 − m) with m cut out of a triangle of ones, chooses between the scores and −1e4.
// CHECK-LABEL: func.func @triangle
// CHECK: %[[M:.*]] = onnx.node "Slice"
// CHECK: %[[C:.*]] = onnx.node "Cast"(%[[M]]) {to = 9 : i64}
// CHECK: onnx.node "Where"(%[[C]], %arg0, %{{.*}})
// CHECK-NOT: "Sub"
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @triangle(%s: tensor<?x2x?x?xf32>, %n: tensor<1xi64>) -> tensor<?x2x?x?xf32> {
    %t = onnx.node "Constant"() {value = dense<[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]> : tensor<3x3xf32>} : () -> tensor<3x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %c = onnx.node "Constant"() {value = dense<1.0e4> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "Slice"(%t, %zero, %n, %zero) : (tensor<3x3xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %kept = onnx.node "Mul"(%s, %m) : (tensor<?x2x?x?xf32>, tensor<?x3xf32>) -> tensor<?x2x?x?xf32>
    %not = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %fill = onnx.node "Mul"(%not, %c) : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
    %y = onnx.node "Sub"(%kept, %fill) : (tensor<?x2x?x?xf32>, tensor<?x3xf32>) -> tensor<?x2x?x?xf32>
    return %y : tensor<?x2x?x?xf32>
  }
}

// -----

// A gate that is not 0 or 1 mixes: the arithmetic stays.
// CHECK-LABEL: func.func @half
// CHECK-NOT: "Where"
// CHECK: "Add"
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @half(%s: tensor<?x2xf32>, %n: tensor<1xi64>) -> tensor<?x2xf32> {
    %t = onnx.node "Constant"() {value = dense<[[1.0, 0.5], [0.0, 1.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %c = onnx.node "Constant"() {value = dense<-1.0e4> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "Slice"(%t, %zero, %n, %zero) : (tensor<2x2xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2xf32>
    %kept = onnx.node "Mul"(%m, %s) : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    %not = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    %fill = onnx.node "Mul"(%not, %c) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %y = onnx.node "Add"(%fill, %kept) : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}
