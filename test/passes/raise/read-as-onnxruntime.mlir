// RUN: uoe-opt %s --infer-shapes --read-as-onnxruntime --split-input-file | FileCheck %s

// An int8 activation with one reader is read as uint8, and so is the result; weights stay int8.
// CHECK: uoe.deviations = ["1 products of uint8 by int8 that saturate at 16 bits"]
// CHECK-LABEL: func.func @matmul
// CHECK: %[[W:.*]] = onnx.weight @w
// CHECK: %[[ZA:.*]] = onnx.node "Constant"() {value = dense<133> : tensor<ui8>}
// CHECK: %[[A:.*]] = onnx.node "QuantizeLinear"(%arg0, %{{.*}}, %[[ZA]])
// CHECK: %[[ZY:.*]] = onnx.node "Constant"() {value = dense<128> : tensor<ui8>}
// CHECK: %[[Y:.*]] = onnx.node "QLinearMatMul"(%[[A]], %{{.*}}, %[[ZA]], %[[W]], %{{.*}}, %{{.*}}, %{{.*}}, %[[ZY]]) {saturating = 1 : i64}
// CHECK: onnx.node "DequantizeLinear"(%[[Y]], %{{.*}}, %[[ZY]])
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @w : tensor<4x3xi8> = dense<100> : tensor<4x3xi8>
  onnx.initializer @s : tensor<f32> = dense<0.5> : tensor<f32>
  onnx.initializer @z : tensor<i8> = dense<0> : tensor<i8>
  onnx.initializer @za : tensor<i8> = dense<5> : tensor<i8>
  func.func @matmul(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
    %w = onnx.weight @w : tensor<4x3xi8>
    %s = onnx.weight @s : tensor<f32>
    %z = onnx.weight @z : tensor<i8>
    %za = onnx.weight @za : tensor<i8>
    %q = onnx.node "QuantizeLinear"(%x, %s, %za) : (tensor<?x4xf32>, tensor<f32>, tensor<i8>) -> tensor<?x4xi8>
    %a = onnx.node "DequantizeLinear"(%q, %s, %za) : (tensor<?x4xi8>, tensor<f32>, tensor<i8>) -> tensor<?x4xf32>
    %b = onnx.node "DequantizeLinear"(%w, %s, %z) : (tensor<4x3xi8>, tensor<f32>, tensor<i8>) -> tensor<4x3xf32>
    %c = onnx.node "MatMul"(%a, %b) : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %d = onnx.node "QuantizeLinear"(%c, %s, %z) : (tensor<?x3xf32>, tensor<f32>, tensor<i8>) -> tensor<?x3xi8>
    %y = onnx.node "DequantizeLinear"(%d, %s, %z) : (tensor<?x3xi8>, tensor<f32>, tensor<i8>) -> tensor<?x3xf32>
    return %y : tensor<?x3xf32>
  }
}

// -----

// An int8 activation with two readers stays int8, and the product stays in float.
// CHECK-NOT: uoe.deviations
// CHECK-LABEL: func.func @shared
// CHECK: onnx.node "MatMul"
// CHECK-NOT: saturating
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @w : tensor<4x4xi8> = dense<100> : tensor<4x4xi8>
  onnx.initializer @s : tensor<f32> = dense<0.5> : tensor<f32>
  onnx.initializer @z : tensor<i8> = dense<0> : tensor<i8>
  func.func @shared(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %w = onnx.weight @w : tensor<4x4xi8>
    %s = onnx.weight @s : tensor<f32>
    %z = onnx.weight @z : tensor<i8>
    %q = onnx.node "QuantizeLinear"(%x, %s, %z) : (tensor<?x4xf32>, tensor<f32>, tensor<i8>) -> tensor<?x4xi8>
    %a = onnx.node "DequantizeLinear"(%q, %s, %z) : (tensor<?x4xi8>, tensor<f32>, tensor<i8>) -> tensor<?x4xf32>
    %b = onnx.node "DequantizeLinear"(%w, %s, %z) : (tensor<4x4xi8>, tensor<f32>, tensor<i8>) -> tensor<4x4xf32>
    %c = onnx.node "MatMul"(%a, %b) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %y = onnx.node "Add"(%c, %a) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
}

// -----

// Without QuantizeLinear behind it the product gives float; integer operators saturate as they are.
// CHECK: uoe.deviations = ["2 products of uint8 by int8 that saturate at 16 bits"]
// CHECK-LABEL: func.func @float
// CHECK: onnx.node "com.microsoft" "MatMulIntegerToFloat"(%arg0, {{.*}}) {saturating = 1 : i64}
// CHECK: onnx.node "MatMulInteger"(%arg0, %{{.*}}) {saturating = 1 : i64}
module attributes {onnx.opset_import = {ai.onnx = 21 : i64, com.microsoft = 1 : i64}} {
  onnx.initializer @w : tensor<4x3xi8> = dense<100> : tensor<4x3xi8>
  onnx.initializer @s : tensor<f32> = dense<0.5> : tensor<f32>
  onnx.initializer @z : tensor<i8> = dense<0> : tensor<i8>
  onnx.initializer @zu : tensor<ui8> = dense<7> : tensor<ui8>
  func.func @float(%x: tensor<?x4xui8>) -> (tensor<?x3xf32>, tensor<?x3xi32>) {
    %w = onnx.weight @w : tensor<4x3xi8>
    %s = onnx.weight @s : tensor<f32>
    %z = onnx.weight @z : tensor<i8>
    %zu = onnx.weight @zu : tensor<ui8>
    %a = onnx.node "DequantizeLinear"(%x, %s, %zu) : (tensor<?x4xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x4xf32>
    %b = onnx.node "DequantizeLinear"(%w, %s, %z) : (tensor<4x3xi8>, tensor<f32>, tensor<i8>) -> tensor<4x3xf32>
    %c = onnx.node "MatMul"(%a, %b) : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %d = onnx.node "MatMulInteger"(%x, %w) : (tensor<?x4xui8>, tensor<4x3xi8>) -> tensor<?x3xi32>
    return %c, %d : tensor<?x3xf32>, tensor<?x3xi32>
  }
}

// -----

// Gemm, Conv and Softmax, between uint8 activations.
// CHECK: uoe.deviations = ["2 products of uint8 by int8 that saturate at 16 bits", "1 softmax in units of 1 / floor(1 / scale)"]
// CHECK-LABEL: func.func @others
// CHECK: "com.microsoft" "QGemm"({{.*}}) {alpha = 1.000000e+00 : f32, saturating = 1 : i64, transA = 0 : i64, transB = 1 : i64}
// CHECK: "com.microsoft" "QLinearSoftmax"
// CHECK: "QLinearConv"({{.*}}) {saturating = 1 : i64, strides = array<i64: 2, 2>}
module attributes {onnx.opset_import = {ai.onnx = 21 : i64, com.microsoft = 1 : i64}} {
  onnx.initializer @w : tensor<3x4xi8> = dense<100> : tensor<3x4xi8>
  onnx.initializer @k : tensor<2x3x2x2xi8> = dense<100> : tensor<2x3x2x2xi8>
  onnx.initializer @c : tensor<3xi32> = dense<100> : tensor<3xi32>
  onnx.initializer @s : tensor<f32> = dense<0.5> : tensor<f32>
  onnx.initializer @z : tensor<i8> = dense<0> : tensor<i8>
  onnx.initializer @zi : tensor<i32> = dense<0> : tensor<i32>
  onnx.initializer @zu : tensor<ui8> = dense<7> : tensor<ui8>
  func.func @others(%x: tensor<?x4xui8>, %image: tensor<?x3x8x8xui8>) -> (tensor<?x3xui8>, tensor<?x2x4x4xui8>) {
    %w = onnx.weight @w : tensor<3x4xi8>
    %k = onnx.weight @k : tensor<2x3x2x2xi8>
    %c = onnx.weight @c : tensor<3xi32>
    %s = onnx.weight @s : tensor<f32>
    %z = onnx.weight @z : tensor<i8>
    %zi = onnx.weight @zi : tensor<i32>
    %zu = onnx.weight @zu : tensor<ui8>
    %a = onnx.node "DequantizeLinear"(%x, %s, %zu) : (tensor<?x4xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x4xf32>
    %b = onnx.node "DequantizeLinear"(%w, %s, %z) : (tensor<3x4xi8>, tensor<f32>, tensor<i8>) -> tensor<3x4xf32>
    %bias = onnx.node "DequantizeLinear"(%c, %s, %zi) : (tensor<3xi32>, tensor<f32>, tensor<i32>) -> tensor<3xf32>
    %d = onnx.node "Gemm"(%a, %b, %bias) {transB = 1 : i64} : (tensor<?x4xf32>, tensor<3x4xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    %e = onnx.node "QuantizeLinear"(%d, %s, %zu) : (tensor<?x3xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8>
    %f = onnx.node "DequantizeLinear"(%e, %s, %zu) : (tensor<?x3xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x3xf32>
    %g = onnx.node "Softmax"(%f) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %h = onnx.node "QuantizeLinear"(%g, %s, %zu) : (tensor<?x3xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8>
    %i = onnx.node "DequantizeLinear"(%image, %s, %zu) : (tensor<?x3x8x8xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x3x8x8xf32>
    %j = onnx.node "DequantizeLinear"(%k, %s, %z) : (tensor<2x3x2x2xi8>, tensor<f32>, tensor<i8>) -> tensor<2x3x2x2xf32>
    %l = onnx.node "Conv"(%i, %j) {strides = array<i64: 2, 2>} : (tensor<?x3x8x8xf32>, tensor<2x3x2x2xf32>) -> tensor<?x2x4x4xf32>
    %m = onnx.node "QuantizeLinear"(%l, %s, %zu) : (tensor<?x2x4x4xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8>
    return %h, %m : tensor<?x3xui8>, tensor<?x2x4x4xui8>
  }
}

// -----

// A normalisation spelled in float16: its epsilon is not read.
// CHECK: uoe.deviations = ["1 float16 normalisations with an epsilon of 1e-5"]
// CHECK-LABEL: func.func @norm
// CHECK: %[[E:.*]] = onnx.node "Constant"() {value = dense<1.001360e-05> : tensor<f16>}
// CHECK: onnx.node "Add"(%{{.*}}, %[[E]])
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @e : tensor<f16> = dense<9.5367e-07> : tensor<f16>
  onnx.initializer @two : tensor<f16> = dense<2.0> : tensor<f16>
  onnx.initializer @axes : tensor<1xi64> = dense<-1> : tensor<1xi64>
  func.func @norm(%x: tensor<?x4xf16>) -> tensor<?x4xf16> {
    %e = onnx.weight @e : tensor<f16>
    %two = onnx.weight @two : tensor<f16>
    %axes = onnx.weight @axes : tensor<1xi64>
    %q = onnx.node "Pow"(%x, %two) : (tensor<?x4xf16>, tensor<f16>) -> tensor<?x4xf16>
    %m = onnx.node "ReduceMean"(%q, %axes) : (tensor<?x4xf16>, tensor<1xi64>) -> tensor<?x1xf16>
    %a = onnx.node "Add"(%m, %e) : (tensor<?x1xf16>, tensor<f16>) -> tensor<?x1xf16>
    %r = onnx.node "Sqrt"(%a) : (tensor<?x1xf16>) -> tensor<?x1xf16>
    %y = onnx.node "Div"(%x, %r) : (tensor<?x4xf16>, tensor<?x1xf16>) -> tensor<?x4xf16>
    return %y : tensor<?x4xf16>
  }
}
