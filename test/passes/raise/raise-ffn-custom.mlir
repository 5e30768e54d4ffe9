// RUN: uoe-opt %s --split-input-file --raise-ffn | FileCheck %s

// An activation without a name is spelled with the block: Mish.
// CHECK-LABEL: func.func @mish
// CHECK: uoe.ffn custom %arg0 up(%{{.*}} + %{{.*}}) down(%{{.*}})
// CHECK-SAME: function = ["x", "x", "Softplus", "Tanh", "Mul"]
// CHECK-SAME: spelled {
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @mish(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %b = onnx.node "Constant"() {value = dense<0.5> : tensor<16xf32>} : () -> tensor<16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h0 = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Add"(%h0, %b) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Softplus"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %t = onnx.node "Tanh"(%s) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%h, %t) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// An operator with parameters becomes steps without: max(x, 0) + 0.1 · min(x, 0).
// CHECK-LABEL: func.func @leaky
// CHECK: uoe.ffn custom
// CHECK-SAME: function = ["x", 0.000000e+00 : f32, "Max", 1.000000e+00 : f32, "Mul", "x", 0.000000e+00 : f32, "Min", 1.000000e-01 : f32, "Mul", "Add"]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @leaky(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "LeakyRelu"(%h) {alpha = 0.1 : f32} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The gate of a product; what is chosen by a condition.
// CHECK-LABEL: func.func @gated
// CHECK: %[[U:.*]] = onnx.node "Constant"() {value = dense<1.0
// CHECK: uoe.ffn custom %arg0 up(%[[U]]) gate(%{{.*}}) down(%{{.*}})
// CHECK-SAME: function = ["x", 0.000000e+00 : f32, "Greater", "x", "x", "Mul", "x", "Tanh", "Where"]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @gated(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1.0> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %g = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %zero = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %a = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "MatMul"(%x, %g) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %c = onnx.node "Greater"(%b, %zero) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xi1>
    %s = onnx.node "Mul"(%b, %b) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %t = onnx.node "Tanh"(%b) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %w = onnx.node "Where"(%c, %s, %t) : (tensor<?x?x16xi1>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Mul"(%a, %w) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%h, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// A line between two products is no activation.
// CHECK-LABEL: func.func @line
// CHECK-NOT: uoe.ffn
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @line(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %m = onnx.node "Mul"(%h, %two) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Add"(%m, %one) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
