// RUN: uoe-opt %s --split-input-file --raise-ffn | FileCheck %s
// RUN: uoe-opt %s --split-input-file --raise-ffn --raise-report -o /dev/null 2>&1 | FileCheck %s --check-prefix=REASON

// Biases before and after their products, an activation that is known by its values. The residual stays outside.
// CHECK-LABEL: func.func @plain
// CHECK: %[[F:.*]] = uoe.ffn gelu %arg0 up(%{{.*}} + %{{.*}}) down(%{{.*}} + %{{.*}}) attributes {layer = 0 : i64, name = "layer.0.ffn"} spelled {
// CHECK: "Erf"
// CHECK: uoe.yield
// CHECK: onnx.node "Add"(%[[F]], %arg0)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @plain(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %b = onnx.node "Constant"() {value = dense<0.5> : tensor<16xf32>} : () -> tensor<16xf32>
    %c = onnx.node "Constant"() {value = dense<0.5> : tensor<8xf32>} : () -> tensor<8xf32>
    %r = onnx.node "Constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %h0 = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Add"(%b, %h0) : (tensor<16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %e0 = onnx.node "Div"(%h, %r) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %e1 = onnx.node "Erf"(%e0) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %e2 = onnx.node "Add"(%one, %e1) : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %e3 = onnx.node "Mul"(%half, %e2) : (tensor<f32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%e3, %h) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y0 = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    %y1 = onnx.node "Add"(%y0, %c) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%y1, %x) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// up * sigmoid(gate) * gate: the gate is told by its values, not by its place in the product.
// CHECK-LABEL: func.func @gated
// CHECK: %[[U:.*]] = onnx.node "Constant"() {value = dense<1.0
// CHECK: uoe.ffn silu %arg0 up(%[[U]]) gate(%{{.*}}) down(%{{.*}})
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @gated(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1.0> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %g = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %a = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "MatMul"(%x, %g) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Sigmoid"(%b) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %t = onnx.node "Mul"(%a, %s) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Mul"(%t, %b) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%h, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Packed gate and up: the operands are slices of the packed matrix.
// CHECK-LABEL: func.func @packed
// CHECK: %[[UP:.*]] = onnx.node "Slice"({{.*}}) attributes {uoe.operand}
// CHECK: %[[GATE:.*]] = onnx.node "Slice"({{.*}}) attributes {uoe.operand}
// CHECK: uoe.ffn relu %arg0 up(%[[UP]]) gate(%[[GATE]])
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @packed(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %p = onnx.node "Constant"() {value = dense<0.5> : tensor<8x32xf32>} : () -> tensor<8x32xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %a = onnx.node "MatMul"(%x, %p) : (tensor<?x?x8xf32>, tensor<8x32xf32>) -> tensor<?x?x32xf32>
    %q:2 = onnx.node "Split"(%a) {axis = -1 : i64, num_outputs = 2 : i64} : (tensor<?x?x32xf32>) -> (tensor<?x?x16xf32>, tensor<?x?x16xf32>)
    %r = onnx.node "Relu"(%q#0) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Mul"(%q#1, %r) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%h, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Gemm over rows; its factor and transposition go into the operand, the regrouping into the block.
// CHECK-LABEL: func.func @gemm
// CHECK: %[[T:.*]] = onnx.node "Transpose"
// CHECK: %[[U:.*]] = onnx.node "Mul"(%[[T]]
// CHECK: uoe.ffn gelu_tanh %arg0 up(%[[U]] + %{{.*}}) down(%{{.*}} + %{{.*}})
// CHECK-COUNT-4: onnx.node "Reshape"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @gemm(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %b = onnx.node "Constant"() {value = dense<0.5> : tensor<16xf32>} : () -> tensor<16xf32>
    %c = onnx.node "Constant"() {value = dense<0.5> : tensor<8xf32>} : () -> tensor<8xf32>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %wide = onnx.node "Constant"() {value = dense<[0, -1, 16]> : tensor<3xi64>} : () -> tensor<3xi64>
    %flat = onnx.node "Constant"() {value = dense<[-1, 16]> : tensor<2xi64>} : () -> tensor<2xi64>
    %back = onnx.node "Constant"() {value = dense<[0, -1, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %x2 = onnx.node "Reshape"(%x, %rows) : (tensor<?x?x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %h2 = onnx.node "Gemm"(%x2, %u, %b) {transB = 1 : i64, alpha = 2.0 : f32} : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %h3 = onnx.node "Reshape"(%h2, %wide) : (tensor<?x16xf32>, tensor<3xi64>) -> tensor<?x?x16xf32>
    %t = onnx.node "Gelu"(%h3) {approximate = "tanh"} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %t2 = onnx.node "Reshape"(%t, %flat) : (tensor<?x?x16xf32>, tensor<2xi64>) -> tensor<?x16xf32>
    %y2 = onnx.node "Gemm"(%t2, %d, %c) : (tensor<?x16xf32>, tensor<16x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %y = onnx.node "Reshape"(%y2, %back) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Dynamic quantisation: the operand is the dequantised weight, the spelling keeps the integers.
// CHECK-LABEL: func.func @integers
// CHECK: onnx.node "DequantizeLinear"({{.*}}) {axis = 1 : i64} attributes {uoe.operand}
// CHECK: uoe.ffn relu %arg0
// CHECK: "MatMulInteger"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @integers(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1> : tensor<8x16xi8>} : () -> tensor<8x16xi8>
    %us = onnx.node "Constant"() {value = dense<0.01> : tensor<f32>} : () -> tensor<f32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %q:3 = onnx.node "DynamicQuantizeLinear"(%x) : (tensor<?x?x8xf32>) -> (tensor<?x?x8xui8>, tensor<f32>, tensor<ui8>)
    %m = onnx.node "MatMulInteger"(%q#0, %u, %q#2) : (tensor<?x?x8xui8>, tensor<8x16xi8>, tensor<ui8>) -> tensor<?x?x16xi32>
    %c = onnx.node "Cast"(%m) {to = 1 : i64} : (tensor<?x?x16xi32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Mul"(%q#1, %us) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %h = onnx.node "Mul"(%c, %s) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// 4-bit weights: the operand unpacks them.
// CHECK-LABEL: func.func @nbits
// CHECK: onnx.node "Mod"
// CHECK: onnx.node "Transpose"({{.*}}) {perm = array<i64: 1, 0>} attributes {uoe.operand} : (tensor<16x8xf32>) -> tensor<8x16xf32>
// CHECK: uoe.ffn silu %arg0
// CHECK: "com.microsoft" "MatMulNBits"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @nbits(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<17> : tensor<16x1x4xui8>} : () -> tensor<16x1x4xui8>
    %s = onnx.node "Constant"() {value = dense<0.5> : tensor<16x1xf32>} : () -> tensor<16x1xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "com.microsoft" "MatMulNBits"(%x, %u, %s) {K = 8 : i64, N = 16 : i64, bits = 4 : i64, block_size = 8 : i64} : (tensor<?x?x8xf32>, tensor<16x1x4xui8>, tensor<16x1xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Sigmoid"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "Mul"(%a, %h) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%b, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// A head: it does not return to the width of its input.
// CHECK-LABEL: func.func @head
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at MatMul: shape: maps 8 to 4, a head rather than a block of a layer
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @head(%x: tensor<?x?x8xf32>) -> tensor<?x?x4xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x4xf32>} : () -> tensor<16x4xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Tanh"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x4xf32>) -> tensor<?x?x4xf32>
    return %y : tensor<?x?x4xf32>
  }
}

// -----

// Three matrices with activations between: told from heads.
// CHECK-LABEL: func.func @three
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at MatMul: shape: maps 8 to 16, two of three matrices in a row
// REASON: missed ffn at MatMul: shape: maps 16 to 8, two of three matrices in a row
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @three(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %m = onnx.node "Constant"() {value = dense<0.5> : tensor<16x16xf32>} : () -> tensor<16x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %i = onnx.node "MatMul"(%a, %m) : (tensor<?x?x16xf32>, tensor<16x16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "Relu"(%i) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%b, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// An activation that has no name, nor steps that a function's spelling has: x · gelu(x).
// CHECK-LABEL: func.func @no_name
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at MatMul: activation: the function between MatMul and MatMul is none that is known (at Mul)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @no_name(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %g = onnx.node "Gelu"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%g, %h) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// An operator that nobody knows.
// CHECK-LABEL: func.func @unknown
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at MatMul: activation: org.example.Squash is not an elementwise function that is known (at org.example.Squash)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @unknown(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "org.example" "Squash"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// As narrow as its input, and nothing is added to it.
// CHECK-LABEL: func.func @narrow
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at MatMul: shape: 8 to 8 and back without a residual connection
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @narrow(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "MatMul"(%a, %u) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The hidden values are used elsewhere: they stay outside, the block reads them.
// CHECK-LABEL: func.func @shared
// CHECK: %[[A:.*]] = onnx.node "Relu"
// CHECK: uoe.ffn relu %arg0
// CHECK-NEXT: onnx.node "MatMul"(%[[A]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @shared(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x16xf32>) {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y, %a : tensor<?x?x8xf32>, tensor<?x?x16xf32>
  }
}

// -----

// A factor that an optimiser moved from the activation into the product: the down-projection has it.
// CHECK-LABEL: func.func @factor
// CHECK: %[[D:.*]] = onnx.node "Mul"(%{{.*}}) attributes {uoe.operand} : (tensor<16x8xf32>, tensor<f32>)
// CHECK: %[[E:.*]] = onnx.node "Mul"(%[[D]], %{{.*}}) attributes {uoe.operand} : (tensor<16x8xf32>, tensor<f32>)
// CHECK: uoe.ffn gelu %arg0 up(%{{.*}}) down(%[[E]])
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @factor(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %r = onnx.node "Constant"() {value = dense<0.70710678> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%h, %r) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %e = onnx.node "Erf"(%a) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %p = onnx.node "Add"(%e, %one) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %g = onnx.node "Mul"(%h, %p) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "com.microsoft" "FusedMatMul"(%g, %d) {alpha = 0.5 : f32} : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Zero points of columns beside one scale: DequantizeLinear wants them alike, so that the operand is spelled out.
// CHECK-LABEL: func.func @zero_points
// CHECK: onnx.node "Sub"({{.*}}) attributes {uoe.operand} : (tensor<8x16xf32>, tensor<16xf32>) -> tensor<8x16xf32>
// CHECK: uoe.ffn relu %arg0
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @zero_points(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1> : tensor<8x16xi8>} : () -> tensor<8x16xi8>
    %z = onnx.node "Constant"() {value = dense<2> : tensor<16xi8>} : () -> tensor<16xi8>
    %us = onnx.node "Constant"() {value = dense<0.01> : tensor<16xf32>} : () -> tensor<16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %q:3 = onnx.node "DynamicQuantizeLinear"(%x) : (tensor<?x?x8xf32>) -> (tensor<?x?x8xui8>, tensor<f32>, tensor<ui8>)
    %m = onnx.node "MatMulInteger"(%q#0, %u, %q#2, %z) : (tensor<?x?x8xui8>, tensor<8x16xi8>, tensor<ui8>, tensor<16xi8>) -> tensor<?x?x16xi32>
    %c = onnx.node "Cast"(%m) {to = 1 : i64} : (tensor<?x?x16xi32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Mul"(%q#1, %us) : (tensor<f32>, tensor<16xf32>) -> tensor<16xf32>
    %h = onnx.node "Mul"(%c, %s) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Gate and up lie in turn, and are cut: columns of a step of 2, a limit and an offset.
// CHECK-LABEL: func.func @interleaved
// CHECK: %[[UP:.*]] = onnx.node "Slice"({{.*}}) attributes {uoe.operand}
// CHECK: %[[GATE:.*]] = onnx.node "Slice"({{.*}}) attributes {uoe.operand}
// CHECK: uoe.ffn sigmoid %arg0 up(%[[UP]]) gate(%[[GATE]]) down(%{{.*}}) attributes {layer = 0 : i64, limit = 7.000000e+00 : f32, name = "layer.0.ffn", up_offset = 1.000000e+00 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @interleaved(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1.0> : tensor<8x32xf32>} : () -> tensor<8x32xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %c = onnx.node "Constant"() {value = dense<7.0> : tensor<f32>} : () -> tensor<f32>
    %n = onnx.node "Constant"() {value = dense<-7.0> : tensor<f32>} : () -> tensor<f32>
    %o = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x32xf32>) -> tensor<?x?x32xf32>
    %g0 = onnx.node "Slice"(%h, %zero, %end, %two, %two) : (tensor<?x?x32xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x16xf32>
    %u0 = onnx.node "Slice"(%h, %one, %end, %two, %two) : (tensor<?x?x32xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x16xf32>
    %g1 = onnx.node "Min"(%g0, %c) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %u1 = onnx.node "Clip"(%u0, %n, %c) : (tensor<?x?x16xf32>, tensor<f32>, tensor<f32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Sigmoid"(%g1) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %u2 = onnx.node "Add"(%u1, %o) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%u2, %s) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Low-rank maps beside both matrices (LoRA that was not merged) are part of them, and what they are multiplied by.
// CHECK-LABEL: func.func @low_rank
// CHECK: %[[AB:.*]] = onnx.node "MatMul"({{.*}}) attributes {uoe.operand} : (tensor<8x2xf64>, tensor<2x16xf64>) -> tensor<8x16xf64>
// CHECK: %[[NARROW:.*]] = onnx.node "Cast"(%[[AB]])
// CHECK: %[[SCALED:.*]] = onnx.node "Mul"(%[[NARROW]], %{{.*}}) attributes {uoe.operand}
// CHECK: %[[UP:.*]] = onnx.node "Add"(%{{.*}}, %[[SCALED]]) attributes {uoe.operand}
// CHECK: %[[DOWN:.*]] = onnx.node "Add"({{.*}}) attributes {uoe.operand} : (tensor<16x8xf32>, tensor<16x8xf32>)
// CHECK: %[[F:.*]] = uoe.ffn relu %arg0 up(%[[UP]] + %{{.*}}) down(%[[DOWN]] + %{{.*}})
// CHECK: return %[[F]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @low_rank(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %bias = onnx.node "Constant"() {value = dense<0.5> : tensor<16xf32>} : () -> tensor<16xf32>
    %a = onnx.node "Constant"() {value = dense<0.25> : tensor<8x2xf32>} : () -> tensor<8x2xf32>
    %b = onnx.node "Constant"() {value = dense<0.25> : tensor<2x16xf32>} : () -> tensor<2x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %out = onnx.node "Constant"() {value = dense<0.5> : tensor<8xf32>} : () -> tensor<8xf32>
    %e = onnx.node "Constant"() {value = dense<0.25> : tensor<16x2xf32>} : () -> tensor<16x2xf32>
    %f = onnx.node "Constant"() {value = dense<0.25> : tensor<2x8xf32>} : () -> tensor<2x8xf32>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %h0 = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %h1 = onnx.node "Add"(%h0, %bias) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
    %xa = onnx.node "MatMul"(%x, %a) : (tensor<?x?x8xf32>, tensor<8x2xf32>) -> tensor<?x?x2xf32>
    %xab = onnx.node "MatMul"(%xa, %b) : (tensor<?x?x2xf32>, tensor<2x16xf32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Mul"(%xab, %two) : (tensor<?x?x16xf32>, tensor<f32>) -> tensor<?x?x16xf32>
    %h2 = onnx.node "Add"(%h1, %s) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Relu"(%h2) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y0 = onnx.node "MatMul"(%h, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    %y1 = onnx.node "Add"(%y0, %out) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    %he = onnx.node "MatMul"(%h, %e) : (tensor<?x?x16xf32>, tensor<16x2xf32>) -> tensor<?x?x2xf32>
    %hef = onnx.node "MatMul"(%he, %f) : (tensor<?x?x2xf32>, tensor<2x8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%y1, %hef) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Factors of the hidden neurons (IA3) are factors of the rows of the matrix behind them, those of a product of its columns.
// CHECK-LABEL: func.func @factors
// CHECK: %[[UP:.*]] = onnx.node "Mul"(%{{.*}}, %{{.*}}) attributes {uoe.operand} : (tensor<8x16xf32>, tensor<16xf32>) -> tensor<8x16xf32>
// CHECK: %[[COLUMN:.*]] = onnx.node "Reshape"{{.*}} -> tensor<16x1xf32>
// CHECK: %[[DOWN:.*]] = onnx.node "Mul"(%{{.*}}, %[[COLUMN]]) attributes {uoe.operand} : (tensor<16x8xf32>, tensor<16x1xf32>) -> tensor<16x8xf32>
// CHECK: uoe.ffn silu %arg0 up(%[[UP]]) gate(%{{.*}}) down(%[[DOWN]])
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @factors(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1.0> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %g = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %l = onnx.node "Constant"() {value = dense<0.75> : tensor<1x16xf32>} : () -> tensor<1x16xf32>
    %m = onnx.node "Constant"() {value = dense<1.25> : tensor<16xf32>} : () -> tensor<16xf32>
    %a0 = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %a = onnx.node "Mul"(%a0, %m) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "MatMul"(%x, %g) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Swish"(%b) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Mul"(%a, %s) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %hl = onnx.node "Mul"(%h, %l) : (tensor<?x?x16xf32>, tensor<1x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%hl, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// An activation with a parameter of each neuron is none that the block can hold.
// CHECK-LABEL: func.func @parameter
// CHECK-NOT: uoe.ffn
// REASON: missed ffn at {{.*}}: activation: {{.*}} follows a function with a parameter of each neuron
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @parameter(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<1.0> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %beta = onnx.node "Constant"() {value = dense<0.75> : tensor<16xf32>} : () -> tensor<16xf32>
    %a = onnx.node "MatMul"(%x, %u) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %b = onnx.node "Mul"(%a, %beta) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
    %s = onnx.node "Sigmoid"(%b) : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %h = onnx.node "Mul"(%a, %s) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %y = onnx.node "MatMul"(%h, %d) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
