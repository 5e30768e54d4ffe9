// RUN: uoe-opt %s --split-input-file --raise-moe --raise-ffn --raise-report -o /dev/null 2>&1 | FileCheck %s

// What looks like a block and is none is reported with the node that stands in the way.

// A norm between the activation and the down projection (BitNet): the neurons depend on each other.
// CHECK: raised: 0 feed-forward, 0 attention; missed candidates: 1
// CHECK-NEXT: missed ffn at MatMul 'down': activation: RMSNormalization 'norm' stands between the two linear maps
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @norm(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %g = onnx.node "Constant"() {value = dense<0.25> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %s = onnx.node "Constant"() {value = dense<1.0> : tensor<16xf32>} : () -> tensor<16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %a = onnx.node "MatMul"(%x, %g) : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    %r = onnx.node "Relu"(%a) : (tensor<?x16xf32>) -> tensor<?x16xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    %m = onnx.node "Mul"(%r, %h) : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %n = onnx.node "RMSNormalization"(%m, %s) fields {name = "norm"} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %y = onnx.node "MatMul"(%n, %d) fields {name = "down"} : (tensor<?x16xf32>, tensor<16x8xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// 1x1 convolutions in groups (SqueezeBERT).
// CHECK: raised: 0 feed-forward
// CHECK-NEXT: missed ffn at Conv 'down': linear: Conv 'down' is a convolution in groups
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @groups(%x: tensor<?x8x?xf32>) -> tensor<?x8x?xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<16x4x1xf32>} : () -> tensor<16x4x1xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x1xf32>} : () -> tensor<8x8x1xf32>
    %h = onnx.node "Conv"(%x, %u) {group = 2 : i64, kernel_shape = array<i64: 1>} : (tensor<?x8x?xf32>, tensor<16x4x1xf32>) -> tensor<?x16x?xf32>
    %a = onnx.node "Gelu"(%h) : (tensor<?x16x?xf32>) -> tensor<?x16x?xf32>
    %y = onnx.node "Conv"(%a, %d) {group = 2 : i64, kernel_shape = array<i64: 1>} fields {name = "down"} : (tensor<?x16x?xf32>, tensor<8x8x1xf32>) -> tensor<?x8x?xf32>
    return %y : tensor<?x8x?xf32>
  }
}

// -----

// Experts that ArgMax chooses (a sparse mixer): the mixture is its spelling alone.
// CHECK: raised: 0 feed-forward, 0 attention, 1 mixtures of experts; missed candidates: 0
// CHECK-NEXT: layer.0.moe: top 1
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @best(%x: tensor<?x8xf32>) -> tensor<?x1x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x16xf32>} : () -> tensor<4x8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x16x8xf32>} : () -> tensor<4x16x8xf32>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %i = onnx.node "ArgMax"(%l) {axis = -1 : i64, keepdims = 0 : i64} fields {name = "best"} : (tensor<?x4xf32>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<4x8x16xf32>, tensor<?xi64>) -> tensor<?x8x16xf32>
    %h = onnx.node "MatMul"(%x1, %ug) : (tensor<?x1x8xf32>, tensor<?x8x16xf32>) -> tensor<?x1x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x1x16xf32>) -> tensor<?x1x16xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<4x16x8xf32>, tensor<?xi64>) -> tensor<?x16x8xf32>
    %y = onnx.node "MatMul"(%a, %dg) : (tensor<?x1x16xf32>, tensor<?x16x8xf32>) -> tensor<?x1x8xf32>
    return %y : tensor<?x1x8xf32>
  }
}

// -----

// A feed-forward block that reads what a mixture reads is the mixture's shared expert: of its layer, and no block of its own. All experts run on all
// tokens here, weighted by gates that are 0 for those not chosen; such a mixture is its spelling alone.
// CHECK: raised: 1 feed-forward, 0 attention, 1 mixtures of experts; missed candidates: 0
// CHECK-NEXT: layer.0.moe: top 2
// CHECK-NEXT: layer.0.shared: relu, 8 -> 16 -> 8
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @shared(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x16xf32>} : () -> tensor<4x8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x16x8xf32>} : () -> tensor<4x16x8xf32>
    %su = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %sd = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %zeros = onnx.node "Constant"() {value = dense<0.0> : tensor<5x4xf32>} : () -> tensor<5x4xf32>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %first = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<5x8xf32>, tensor<8x4xf32>) -> tensor<5x4xf32>
    %t:2 = onnx.node "TopK"(%l, %two) {axis = -1 : i64} : (tensor<5x4xf32>, tensor<1xi64>) -> (tensor<5x2xf32>, tensor<5x2xi64>)
    %w = onnx.node "Softmax"(%t#0) {axis = -1 : i64} : (tensor<5x2xf32>) -> tensor<5x2xf32>
    %g = onnx.node "ScatterElements"(%zeros, %t#1, %w) {axis = 1 : i64} : (tensor<5x4xf32>, tensor<5x2xi64>, tensor<5x2xf32>) -> tensor<5x4xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<5x8xf32>, tensor<4x8x16xf32>) -> tensor<4x5x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<4x5x16xf32>) -> tensor<4x5x16xf32>
    %y = onnx.node "MatMul"(%a, %d) : (tensor<4x5x16xf32>, tensor<4x16x8xf32>) -> tensor<4x5x8xf32>
    %gt = onnx.node "Transpose"(%g) {perm = array<i64: 1, 0>} : (tensor<5x4xf32>) -> tensor<4x5xf32>
    %gu = onnx.node "Unsqueeze"(%gt, %two) : (tensor<4x5xf32>, tensor<1xi64>) -> tensor<4x5x1xf32>
    %m = onnx.node "Mul"(%y, %gu) : (tensor<4x5x8xf32>, tensor<4x5x1xf32>) -> tensor<4x5x8xf32>
    %moe = onnx.node "ReduceSum"(%m, %first) {keepdims = 0 : i64} : (tensor<4x5x8xf32>, tensor<1xi64>) -> tensor<5x8xf32>
    %sh = onnx.node "MatMul"(%x, %su) : (tensor<5x8xf32>, tensor<8x16xf32>) -> tensor<5x16xf32>
    %sa = onnx.node "Relu"(%sh) : (tensor<5x16xf32>) -> tensor<5x16xf32>
    %sy = onnx.node "MatMul"(%sa, %sd) : (tensor<5x16xf32>, tensor<16x8xf32>) -> tensor<5x8xf32>
    %out = onnx.node "Add"(%moe, %sy) : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
    return %out : tensor<5x8xf32>
  }
}
