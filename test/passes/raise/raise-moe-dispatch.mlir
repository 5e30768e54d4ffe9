// RUN: uoe-opt %s --split-input-file --raise-moe | FileCheck %s
// RUN: uoe-opt %s --split-input-file --raise-moe --raise-report 2>&1 >/dev/null | FileCheck %s --check-prefix=REPORT

// Experts one after the other, as traced from a loop: where the choice is expert e, its tokens are looked up, sent through the expert, weighted,
// and added to their rows. Two experts, one spelled with a one-hot choice and ScatterElements, one with a comparison and ScatterND.
// CHECK-LABEL: func.func @loop
// CHECK: %[[UP:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {{.*}}tensor<2x8x4xf32>
// CHECK: %[[DOWN:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {{.*}}tensor<2x4x8xf32>
// CHECK: uoe.moe{{ *}}relu top 1 scoring {{ *}}softmax input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x2xf32>) up(%[[UP]] : tensor<2x8x4xf32>) down(%[[DOWN]] : tensor<2x4x8xf32>)
// CHECK: "TopK"
// CHECK: "NonZero"
// CHECK: "ScatterND"
// CHECK: uoe.yield
// CHECK: return
// REPORT: raised: 0 feed-forward, 0 attention, 1 mixtures of experts; missed candidates: 0
// REPORT: layer.0.moe: top 1 of 2, relu, 8 -> 4 -> 8
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @loop(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x2xf32>} : () -> tensor<8x2xf32>
    %u0 = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %d0 = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %u1 = onnx.node "Constant"() {value = dense<0.25> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %d1 = onnx.node "Constant"() {value = dense<0.25> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %k = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %depth = onnx.node "Constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
    %offon = onnx.node "Constant"() {value = dense<[0, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %ones = onnx.node "Constant"() {value = dense<1> : tensor<2xi64>} : () -> tensor<2xi64>
    %column = onnx.node "Constant"() {value = dense<[-1, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x2xf32>) -> tensor<?x2xf32>
    %s = onnx.node "Softmax"(%l) {axis = -1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %t:2 = onnx.node "TopK"(%s, %k) {axis = -1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> (tensor<?x1xf32>, tensor<?x1xi64>)
    %w = onnx.node "Reshape"(%t#0, %column) : (tensor<?x1xf32>, tensor<2xi64>) -> tensor<?x1xf32>
    %shape = onnx.node "Shape"(%x) : (tensor<?x8xf32>) -> tensor<2xi64>
    %rows = onnx.node "ConstantOfShape"(%shape) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x8xf32>
    // Expert 0: the choice is one-hot over [experts, choices, tokens].
    %hot = onnx.node "OneHot"(%t#1, %depth, %offon) {axis = -1 : i64} : (tensor<?x1xi64>, tensor<i64>, tensor<2xi64>) -> tensor<?x1x2xi64>
    %turned = onnx.node "Transpose"(%hot) {perm = array<i64: 2, 1, 0>} : (tensor<?x1x2xi64>) -> tensor<2x1x?xi64>
    %m0 = onnx.node "Gather"(%turned, %zero) {axis = 0 : i64} : (tensor<2x1x?xi64>, tensor<i64>) -> tensor<1x?xi64>
    %p0 = onnx.node "NonZero"(%m0) : (tensor<1x?xi64>) -> tensor<2x?xi64>
    %c0:2 = onnx.node "Split"(%p0, %ones) {axis = 0 : i64} : (tensor<2x?xi64>, tensor<2xi64>) -> (tensor<1x?xi64>, tensor<1x?xi64>)
    %rank0 = onnx.node "Squeeze"(%c0#0) : (tensor<1x?xi64>) -> tensor<?xi64>
    %token0 = onnx.node "Squeeze"(%c0#1) : (tensor<1x?xi64>) -> tensor<?xi64>
    %x0 = onnx.node "Gather"(%x, %token0) {axis = 0 : i64} : (tensor<?x8xf32>, tensor<?xi64>) -> tensor<?x8xf32>
    %h0 = onnx.node "MatMul"(%x0, %u0) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a0 = onnx.node "Relu"(%h0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y0 = onnx.node "MatMul"(%a0, %d0) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %scaled0 = onnx.node "Mul"(%token0, %k) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
    %slot0 = onnx.node "Add"(%rank0, %scaled0) : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
    %w0 = onnx.node "Gather"(%w, %slot0) {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
    %z0 = onnx.node "Mul"(%y0, %w0) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %zshape = onnx.node "Shape"(%z0) : (tensor<?x8xf32>) -> tensor<2xi64>
    %at0 = onnx.node "Unsqueeze"(%token0, %one) : (tensor<?xi64>, tensor<i64>) -> tensor<?x1xi64>
    %all0 = onnx.node "Expand"(%at0, %zshape) : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x8xi64>
    %s0 = onnx.node "ScatterElements"(%rows, %all0, %z0) {axis = 0 : i64} : (tensor<?x8xf32>, tensor<?x8xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %sum0 = onnx.node "Add"(%rows, %s0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    // Expert 1: the choice is compared with its number, [tokens, choices].
    %m1 = onnx.node "Equal"(%t#1, %one) : (tensor<?x1xi64>, tensor<i64>) -> tensor<?x1xi1>
    %p1 = onnx.node "NonZero"(%m1) : (tensor<?x1xi1>) -> tensor<2x?xi64>
    %q1 = onnx.node "Transpose"(%p1) {perm = array<i64: 1, 0>} : (tensor<2x?xi64>) -> tensor<?x2xi64>
    %token1 = onnx.node "Gather"(%p1, %zero) {axis = 0 : i64} : (tensor<2x?xi64>, tensor<i64>) -> tensor<?xi64>
    %x1 = onnx.node "Gather"(%x, %token1) {axis = 0 : i64} : (tensor<?x8xf32>, tensor<?xi64>) -> tensor<?x8xf32>
    %h1 = onnx.node "MatMul"(%x1, %u1) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a1 = onnx.node "Relu"(%h1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y1 = onnx.node "MatMul"(%a1, %d1) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %g1 = onnx.node "GatherND"(%t#0, %q1) : (tensor<?x1xf32>, tensor<?x2xi64>) -> tensor<?xf32>
    %w1 = onnx.node "Unsqueeze"(%g1, %one) : (tensor<?xf32>, tensor<i64>) -> tensor<?x1xf32>
    %z1 = onnx.node "Mul"(%w1, %y1) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %at1 = onnx.node "Unsqueeze"(%token1, %one) : (tensor<?xi64>, tensor<i64>) -> tensor<?x1xi64>
    %sum1 = onnx.node "ScatterND"(%sum0, %at1, %z1) {reduction = "add"} : (tensor<?x8xf32>, tensor<?x1xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    return %sum1 : tensor<?x8xf32>
  }
}

// -----

// An expert that is added twice is not a mixture's: the spelling stays what the block means.
// CHECK-LABEL: func.func @twice
// CHECK: uoe.moe{{ *}}identity top 1 scoring {{ *}}softmax attributes
// REPORT: layer.0.moe: top 1
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @twice(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x2xf32>} : () -> tensor<8x2xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %d0 = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %d1 = onnx.node "Constant"() {value = dense<0.25> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %k = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x2xf32>) -> tensor<?x2xf32>
    %s = onnx.node "Softmax"(%l) {axis = -1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %t:2 = onnx.node "TopK"(%s, %k) {axis = -1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> (tensor<?x1xf32>, tensor<?x1xi64>)
    %shape = onnx.node "Shape"(%x) : (tensor<?x8xf32>) -> tensor<2xi64>
    %rows = onnx.node "ConstantOfShape"(%shape) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x8xf32>
    %m = onnx.node "Equal"(%t#1, %one) : (tensor<?x1xi64>, tensor<i64>) -> tensor<?x1xi1>
    %p = onnx.node "NonZero"(%m) : (tensor<?x1xi1>) -> tensor<2x?xi64>
    %q = onnx.node "Transpose"(%p) {perm = array<i64: 1, 0>} : (tensor<2x?xi64>) -> tensor<?x2xi64>
    %token = onnx.node "Gather"(%p, %zero) {axis = 0 : i64} : (tensor<2x?xi64>, tensor<i64>) -> tensor<?xi64>
    %at = onnx.node "Unsqueeze"(%token, %one) : (tensor<?xi64>, tensor<i64>) -> tensor<?x1xi64>
    %g = onnx.node "GatherND"(%t#0, %q) : (tensor<?x1xf32>, tensor<?x2xi64>) -> tensor<?xf32>
    %w = onnx.node "Unsqueeze"(%g, %one) : (tensor<?xf32>, tensor<i64>) -> tensor<?x1xf32>
    %c = onnx.node "Gather"(%x, %token) {axis = 0 : i64} : (tensor<?x8xf32>, tensor<?xi64>) -> tensor<?x8xf32>
    %h0 = onnx.node "MatMul"(%c, %u) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a0 = onnx.node "Relu"(%h0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y0 = onnx.node "MatMul"(%a0, %d0) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %z0 = onnx.node "Mul"(%y0, %w) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %sum0 = onnx.node "ScatterND"(%rows, %at, %z0) {reduction = "add"} : (tensor<?x8xf32>, tensor<?x1xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %h1 = onnx.node "MatMul"(%c, %u) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a1 = onnx.node "Gelu"(%h1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y1 = onnx.node "MatMul"(%a1, %d1) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %z1 = onnx.node "Mul"(%y1, %w) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %sum1 = onnx.node "ScatterND"(%sum0, %at, %z1) {reduction = "add"} : (tensor<?x8xf32>, tensor<?x1xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    return %sum1 : tensor<?x8xf32>
  }
}

// -----

// As the dynamo exporter spells it: the choice is compared with all experts' numbers, weights keep an axis of size 1, and the rows of the sum are
// read, added to and put back.
// CHECK-LABEL: func.func @updated
// CHECK: uoe.moe{{ *}}relu top 1 scoring {{ *}}softmax input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x2xf32>) up(
// REPORT: layer.0.moe: top 1 of 2, relu, 8 -> 4 -> 8
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @updated(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x2xf32>} : () -> tensor<8x2xf32>
    %u0 = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %d0 = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %u1 = onnx.node "Constant"() {value = dense<0.25> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %d1 = onnx.node "Constant"() {value = dense<0.25> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %k = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %begin = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %numbers = onnx.node "Constant"() {value = dense<[0, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x2xf32>) -> tensor<?x2xf32>
    %s = onnx.node "Softmax"(%l) {axis = -1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %t:2 = onnx.node "TopK"(%s, %k) {axis = -1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> (tensor<?x1xf32>, tensor<?x1xi64>)
    %w = onnx.node "Unsqueeze"(%t#0, %two) : (tensor<?x1xf32>, tensor<1xi64>) -> tensor<?x1x1xf32>
    %c = onnx.node "Unsqueeze"(%t#1, %two) : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?x1x1xi64>
    %hot = onnx.node "Equal"(%c, %numbers) : (tensor<?x1x1xi64>, tensor<2xi64>) -> tensor<?x1x2xi1>
    %shape = onnx.node "Shape"(%x) : (tensor<?x8xf32>) -> tensor<2xi64>
    %z = onnx.node "ConstantOfShape"(%shape) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x8xf32>
    %m0 = onnx.node "Gather"(%hot, %zero) {axis = 2 : i64} : (tensor<?x1x2xi1>, tensor<i64>) -> tensor<?x1xi1>
    %n0 = onnx.node "NonZero"(%m0) : (tensor<?x1xi1>) -> tensor<2x?xi64>
    %p0 = onnx.node "Transpose"(%n0) {perm = array<i64: 1, 0>} : (tensor<2x?xi64>) -> tensor<?x2xi64>
    %at0 = onnx.node "Slice"(%p0, %begin, %k, %k) : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
    %nth0 = onnx.node "Slice"(%p0, %k, %two, %k) : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
    %old0 = onnx.node "GatherND"(%z, %at0) : (tensor<?x8xf32>, tensor<?x1xi64>) -> tensor<?x8xf32>
    %pair0 = onnx.node "Concat"(%at0, %nth0) {axis = -1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
    %w0 = onnx.node "GatherND"(%w, %pair0) : (tensor<?x1x1xf32>, tensor<?x2xi64>) -> tensor<?x1xf32>
    %x0 = onnx.node "GatherND"(%x, %at0) : (tensor<?x8xf32>, tensor<?x1xi64>) -> tensor<?x8xf32>
    %h0 = onnx.node "MatMul"(%x0, %u0) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a0 = onnx.node "Relu"(%h0) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y0 = onnx.node "MatMul"(%a0, %d0) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %v0 = onnx.node "Mul"(%w0, %y0) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %new0 = onnx.node "Add"(%old0, %v0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %s0 = onnx.node "ScatterND"(%z, %at0, %new0) : (tensor<?x8xf32>, tensor<?x1xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %m1 = onnx.node "Gather"(%hot, %one) {axis = 2 : i64} : (tensor<?x1x2xi1>, tensor<i64>) -> tensor<?x1xi1>
    %n1 = onnx.node "NonZero"(%m1) : (tensor<?x1xi1>) -> tensor<2x?xi64>
    %p1 = onnx.node "Transpose"(%n1) {perm = array<i64: 1, 0>} : (tensor<2x?xi64>) -> tensor<?x2xi64>
    %at1 = onnx.node "Slice"(%p1, %begin, %k, %k) : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
    %nth1 = onnx.node "Slice"(%p1, %k, %two, %k) : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
    %old1 = onnx.node "GatherND"(%s0, %at1) : (tensor<?x8xf32>, tensor<?x1xi64>) -> tensor<?x8xf32>
    %pair1 = onnx.node "Concat"(%at1, %nth1) {axis = -1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
    %w1 = onnx.node "GatherND"(%w, %pair1) : (tensor<?x1x1xf32>, tensor<?x2xi64>) -> tensor<?x1xf32>
    %x1 = onnx.node "GatherND"(%x, %at1) : (tensor<?x8xf32>, tensor<?x1xi64>) -> tensor<?x8xf32>
    %h1 = onnx.node "MatMul"(%x1, %u1) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %a1 = onnx.node "Relu"(%h1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y1 = onnx.node "MatMul"(%a1, %d1) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %v1 = onnx.node "Mul"(%w1, %y1) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %new1 = onnx.node "Add"(%old1, %v1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %s1 = onnx.node "ScatterND"(%s0, %at1, %new1) : (tensor<?x8xf32>, tensor<?x1xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
    return %s1 : tensor<?x8xf32>
  }
}
