// RUN: uoe-opt %s --split-input-file --raise-moe=remarks -verify-diagnostics | FileCheck %s

// DeepSeek-V3: sigmoid gates; a bias that serves the choice alone; the two best of four groups by the sum of their two best; weights that are
// normalised and scaled by a factor.
// CHECK-LABEL: func.func @groups
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}sigmoid normalized input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x8xf32>) selection_bias(%{{.*}} : tensor<8xf32>) up(%{{.*}} : tensor<8x8x3xf32>) gate(%{{.*}} : tensor<8x8x3xf32>) down(%{{.*}} : tensor<8x3x8xf32>)
// CHECK-SAME: factor = 2.500000e+00 : f32, group_k = 2 : i64, group_score = #uoe<group_score top2>, groups = array<i64: 0, 0, 1, 1, 2, 2, 3, 3>
// CHECK: "TopK"
// CHECK: "TopK"
// CHECK: "TopK"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @groups(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %bias = onnx.node "Constant"() {value = dense<0.125> : tensor<8xf32>} : () -> tensor<8xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x6x8xf32>} : () -> tensor<8x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x3xf32>} : () -> tensor<8x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %split = onnx.node "Constant"() {value = dense<[-1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %spread = onnx.node "Constant"() {value = dense<[1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %off = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-20> : tensor<f32>} : () -> tensor<f32>
    %factor = onnx.node "Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %s = onnx.node "Sigmoid"(%l) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Add"(%s, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %g = onnx.node "Reshape"(%b, %split) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %best:2 = onnx.node "TopK"(%g, %two) {axis = -1 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> (tensor<?x4x2xf32>, tensor<?x4x2xi64>)
    %gs = onnx.node "ReduceSum"(%best#0, %last) {keepdims = 0 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> tensor<?x4xf32>
    %gt:2 = onnx.node "TopK"(%gs, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %shape4 = onnx.node "Shape"(%gs) : (tensor<?x4xf32>) -> tensor<2xi64>
    %shape2 = onnx.node "Shape"(%gt#1) : (tensor<?x2xi64>) -> tensor<2xi64>
    %zeros = onnx.node "Expand"(%off, %shape4) : (tensor<f32>, tensor<2xi64>) -> tensor<?x4xf32>
    %ones = onnx.node "Expand"(%on, %shape2) : (tensor<f32>, tensor<2xi64>) -> tensor<?x2xf32>
    %mask = onnx.node "ScatterElements"(%zeros, %gt#1, %ones) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "Unsqueeze"(%mask, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x4x1xf32>
    %m2 = onnx.node "Expand"(%m1, %spread) : (tensor<?x4x1xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %m3 = onnx.node "Reshape"(%m2, %rows) : (tensor<?x4x2xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %m4 = onnx.node "Cast"(%m3) {to = 9 : i64} : (tensor<?x8xf32>) -> tensor<?x8xi1>
    %m5 = onnx.node "Not"(%m4) : (tensor<?x8xi1>) -> tensor<?x8xi1>
    %masked = onnx.node "Where"(%m5, %low, %b) : (tensor<?x8xi1>, tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %t:2 = onnx.node "TopK"(%masked, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x8xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %v = onnx.node "GatherElements"(%s, %t#1) {axis = 1 : i64} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %sum = onnx.node "ReduceSum"(%v, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %sum1 = onnx.node "Add"(%sum, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %w1 = onnx.node "Div"(%v, %sum1) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %w2 = onnx.node "Mul"(%w1, %factor) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %wf = onnx.node "Reshape"(%w2, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<8x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %p1 = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<8x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %p1) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// The bias as a row, of a model that adds it to rows.
// CHECK-LABEL: func.func @row
// CHECK: %[[B:.*]] = onnx.node "Reshape"(%{{.*}}, %{{.*}}) {{.*}}: (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}sigmoid normalized {{.*}} selection_bias(%[[B]] : tensor<8xf32>)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @row(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %bias = onnx.node "Constant"() {value = dense<0.125> : tensor<1x8xf32>} : () -> tensor<1x8xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x6x8xf32>} : () -> tensor<8x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x3xf32>} : () -> tensor<8x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %split = onnx.node "Constant"() {value = dense<[-1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %spread = onnx.node "Constant"() {value = dense<[1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %off = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-20> : tensor<f32>} : () -> tensor<f32>
    %factor = onnx.node "Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %s = onnx.node "Sigmoid"(%l) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Add"(%s, %bias) : (tensor<?x8xf32>, tensor<1x8xf32>) -> tensor<?x8xf32>
    %g = onnx.node "Reshape"(%b, %split) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %best:2 = onnx.node "TopK"(%g, %two) {axis = -1 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> (tensor<?x4x2xf32>, tensor<?x4x2xi64>)
    %gs = onnx.node "ReduceSum"(%best#0, %last) {keepdims = 0 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> tensor<?x4xf32>
    %gt:2 = onnx.node "TopK"(%gs, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %shape4 = onnx.node "Shape"(%gs) : (tensor<?x4xf32>) -> tensor<2xi64>
    %shape2 = onnx.node "Shape"(%gt#1) : (tensor<?x2xi64>) -> tensor<2xi64>
    %zeros = onnx.node "Expand"(%off, %shape4) : (tensor<f32>, tensor<2xi64>) -> tensor<?x4xf32>
    %ones = onnx.node "Expand"(%on, %shape2) : (tensor<f32>, tensor<2xi64>) -> tensor<?x2xf32>
    %mask = onnx.node "ScatterElements"(%zeros, %gt#1, %ones) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "Unsqueeze"(%mask, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x4x1xf32>
    %m2 = onnx.node "Expand"(%m1, %spread) : (tensor<?x4x1xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %m3 = onnx.node "Reshape"(%m2, %rows) : (tensor<?x4x2xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %m4 = onnx.node "Cast"(%m3) {to = 9 : i64} : (tensor<?x8xf32>) -> tensor<?x8xi1>
    %m5 = onnx.node "Not"(%m4) : (tensor<?x8xi1>) -> tensor<?x8xi1>
    %masked = onnx.node "Where"(%m5, %low, %b) : (tensor<?x8xi1>, tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %t:2 = onnx.node "TopK"(%masked, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x8xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %v = onnx.node "GatherElements"(%s, %t#1) {axis = 1 : i64} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %sum = onnx.node "ReduceSum"(%v, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %sum1 = onnx.node "Add"(%sum, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %w1 = onnx.node "Div"(%v, %sum1) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %w2 = onnx.node "Mul"(%w1, %factor) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %wf = onnx.node "Reshape"(%w2, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<8x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %p1 = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<8x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %p1) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// Experts of other groups count as 0, which a biased gate may be below: no choice that uoe.select makes. The model's own nodes choose, and their
// weights, each in its expert's column, are the scores.
// CHECK-LABEL: func.func @zero
// CHECK: %[[S:.*]] = onnx.node "ScatterElements"(%{{.*}}, %{{.*}}, %{{.*}}) {{.*}}: (tensor<?x8xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x8xf32>
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}raw input(%arg0 : tensor<?x8xf32>) scores(%[[S]] : tensor<?x8xf32>) up(
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @zero(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %bias = onnx.node "Constant"() {value = dense<0.125> : tensor<8xf32>} : () -> tensor<8xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x6x8xf32>} : () -> tensor<8x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x3xf32>} : () -> tensor<8x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %split = onnx.node "Constant"() {value = dense<[-1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %spread = onnx.node "Constant"() {value = dense<[1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %off = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-20> : tensor<f32>} : () -> tensor<f32>
    %factor = onnx.node "Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %s = onnx.node "Sigmoid"(%l) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Add"(%s, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %g = onnx.node "Reshape"(%b, %split) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %best:2 = onnx.node "TopK"(%g, %two) {axis = -1 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> (tensor<?x4x2xf32>, tensor<?x4x2xi64>)
    %gs = onnx.node "ReduceSum"(%best#0, %last) {keepdims = 0 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> tensor<?x4xf32>
    %gt:2 = onnx.node "TopK"(%gs, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %shape4 = onnx.node "Shape"(%gs) : (tensor<?x4xf32>) -> tensor<2xi64>
    %shape2 = onnx.node "Shape"(%gt#1) : (tensor<?x2xi64>) -> tensor<2xi64>
    %zeros = onnx.node "Expand"(%off, %shape4) : (tensor<f32>, tensor<2xi64>) -> tensor<?x4xf32>
    %ones = onnx.node "Expand"(%on, %shape2) : (tensor<f32>, tensor<2xi64>) -> tensor<?x2xf32>
    %mask = onnx.node "ScatterElements"(%zeros, %gt#1, %ones) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "Unsqueeze"(%mask, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x4x1xf32>
    %m2 = onnx.node "Expand"(%m1, %spread) : (tensor<?x4x1xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %m3 = onnx.node "Reshape"(%m2, %rows) : (tensor<?x4x2xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %m4 = onnx.node "Cast"(%m3) {to = 9 : i64} : (tensor<?x8xf32>) -> tensor<?x8xi1>
    %m5 = onnx.node "Not"(%m4) : (tensor<?x8xi1>) -> tensor<?x8xi1>
    %masked = onnx.node "Where"(%m5, %low, %b) : (tensor<?x8xi1>, tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %t:2 = onnx.node "TopK"(%masked, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x8xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %v = onnx.node "GatherElements"(%s, %t#1) {axis = 1 : i64} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %sum = onnx.node "ReduceSum"(%v, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %sum1 = onnx.node "Add"(%sum, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %w1 = onnx.node "Div"(%v, %sum1) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %w2 = onnx.node "Mul"(%w1, %factor) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %wf = onnx.node "Reshape"(%w2, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<8x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %p1 = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<8x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %p1) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// What is done to the weights after they are scaled is none of the choice's steps, but they stay above 0.
// CHECK-LABEL: func.func @bent
// CHECK: %[[S:.*]] = onnx.node "ScatterElements"(%{{.*}}, %{{.*}}, %{{.*}}) {{.*}}: (tensor<?x8xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x8xf32>
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}raw input(%arg0 : tensor<?x8xf32>) scores(%[[S]] : tensor<?x8xf32>) up(
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @bent(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %bias = onnx.node "Constant"() {value = dense<0.125> : tensor<8xf32>} : () -> tensor<8xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x6x8xf32>} : () -> tensor<8x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x3xf32>} : () -> tensor<8x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %split = onnx.node "Constant"() {value = dense<[-1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %spread = onnx.node "Constant"() {value = dense<[1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %off = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-20> : tensor<f32>} : () -> tensor<f32>
    %factor = onnx.node "Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %s = onnx.node "Sigmoid"(%l) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Add"(%s, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %g = onnx.node "Reshape"(%b, %split) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %best:2 = onnx.node "TopK"(%g, %two) {axis = -1 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> (tensor<?x4x2xf32>, tensor<?x4x2xi64>)
    %gs = onnx.node "ReduceSum"(%best#0, %last) {keepdims = 0 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> tensor<?x4xf32>
    %gt:2 = onnx.node "TopK"(%gs, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %shape4 = onnx.node "Shape"(%gs) : (tensor<?x4xf32>) -> tensor<2xi64>
    %shape2 = onnx.node "Shape"(%gt#1) : (tensor<?x2xi64>) -> tensor<2xi64>
    %zeros = onnx.node "Expand"(%off, %shape4) : (tensor<f32>, tensor<2xi64>) -> tensor<?x4xf32>
    %ones = onnx.node "Expand"(%on, %shape2) : (tensor<f32>, tensor<2xi64>) -> tensor<?x2xf32>
    %mask = onnx.node "ScatterElements"(%zeros, %gt#1, %ones) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "Unsqueeze"(%mask, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x4x1xf32>
    %m2 = onnx.node "Expand"(%m1, %spread) : (tensor<?x4x1xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %m3 = onnx.node "Reshape"(%m2, %rows) : (tensor<?x4x2xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %m4 = onnx.node "Cast"(%m3) {to = 9 : i64} : (tensor<?x8xf32>) -> tensor<?x8xi1>
    %m5 = onnx.node "Not"(%m4) : (tensor<?x8xi1>) -> tensor<?x8xi1>
    %masked = onnx.node "Where"(%m5, %low, %b) : (tensor<?x8xi1>, tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %t:2 = onnx.node "TopK"(%masked, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x8xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %v = onnx.node "GatherElements"(%s, %t#1) {axis = 1 : i64} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %sum = onnx.node "ReduceSum"(%v, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %sum1 = onnx.node "Add"(%sum, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %w1 = onnx.node "Div"(%v, %sum1) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %w2 = onnx.node "Mul"(%w1, %factor) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %w3 = onnx.node "Sqrt"(%w2) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %wf = onnx.node "Reshape"(%w3, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<8x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %p1 = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<8x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %p1) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// Weights that may be below 0 cannot be scores of the chosen. The block is then its spelling alone.
// CHECK-LABEL: func.func @negative
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}sigmoid normalized attributes {layer
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @negative(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8xf32>} : () -> tensor<8x8xf32>
    %bias = onnx.node "Constant"() {value = dense<0.125> : tensor<8xf32>} : () -> tensor<8xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x6x8xf32>} : () -> tensor<8x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<8x8x3xf32>} : () -> tensor<8x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %split = onnx.node "Constant"() {value = dense<[-1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %spread = onnx.node "Constant"() {value = dense<[1, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %on = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %off = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-20> : tensor<f32>} : () -> tensor<f32>
    %factor = onnx.node "Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %s = onnx.node "Sigmoid"(%l) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %b = onnx.node "Add"(%s, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
    %g = onnx.node "Reshape"(%b, %split) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %best:2 = onnx.node "TopK"(%g, %two) {axis = -1 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> (tensor<?x4x2xf32>, tensor<?x4x2xi64>)
    %gs = onnx.node "ReduceSum"(%best#0, %last) {keepdims = 0 : i64} : (tensor<?x4x2xf32>, tensor<1xi64>) -> tensor<?x4xf32>
    %gt:2 = onnx.node "TopK"(%gs, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %shape4 = onnx.node "Shape"(%gs) : (tensor<?x4xf32>) -> tensor<2xi64>
    %shape2 = onnx.node "Shape"(%gt#1) : (tensor<?x2xi64>) -> tensor<2xi64>
    %zeros = onnx.node "Expand"(%off, %shape4) : (tensor<f32>, tensor<2xi64>) -> tensor<?x4xf32>
    %ones = onnx.node "Expand"(%on, %shape2) : (tensor<f32>, tensor<2xi64>) -> tensor<?x2xf32>
    %mask = onnx.node "ScatterElements"(%zeros, %gt#1, %ones) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "Unsqueeze"(%mask, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x4x1xf32>
    %m2 = onnx.node "Expand"(%m1, %spread) : (tensor<?x4x1xf32>, tensor<3xi64>) -> tensor<?x4x2xf32>
    %m3 = onnx.node "Reshape"(%m2, %rows) : (tensor<?x4x2xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %m4 = onnx.node "Cast"(%m3) {to = 9 : i64} : (tensor<?x8xf32>) -> tensor<?x8xi1>
    %m5 = onnx.node "Not"(%m4) : (tensor<?x8xi1>) -> tensor<?x8xi1>
    %masked = onnx.node "Where"(%m5, %low, %b) : (tensor<?x8xi1>, tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    // expected-remark @below {{mixture of experts without operands: the weights of the chosen experts may be below 0, by a rule that is not known}}
    %t:2 = onnx.node "TopK"(%masked, %two) {axis = -1 : i64, sorted = 0 : i64} : (tensor<?x8xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %v = onnx.node "GatherElements"(%s, %t#1) {axis = 1 : i64} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %sum = onnx.node "ReduceSum"(%v, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %sum1 = onnx.node "Add"(%sum, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %w1 = onnx.node "Div"(%v, %sum1) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %w2 = onnx.node "Mul"(%w1, %factor) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %w3 = onnx.node "Neg"(%w2) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %wf = onnx.node "Reshape"(%w3, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<8x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %p1 = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<8x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %p1) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
