// RUN: uoe-opt %s --raise-moe | FileCheck %s
// RUN: uoe-opt %s --raise-moe --drop-spelling --moe-to-experts | FileCheck %s --check-prefix=EXPERTS

// PhiMoE's sparse mixer: the best expert, weighed by a softmax over those whose scores are near its own; then the best of the others, likewise. The
// model's nodes go on choosing, outside the block; their weights, each in its expert's column of zeros, are the scores.
// CHECK-LABEL: func.func @mixer
// CHECK: %[[W1:.*]] = onnx.node "GatherElements"
// CHECK: %[[W2:.*]] = onnx.node "GatherElements"
// CHECK: %[[W:.*]] = onnx.node "Concat"(%[[W1]], %[[W2]])
// CHECK: %[[I:.*]] = onnx.node "Concat"
// CHECK: %[[Z:.*]] = onnx.node "ConstantOfShape"
// CHECK: %[[S:.*]] = onnx.node "ScatterElements"(%[[Z]], %[[I]], %[[W]])
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}raw input(%arg0 : tensor<?x8xf32>) scores(%[[S]] : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x3xf32>) gate(%{{.*}} : tensor<4x8x3xf32>) down(%{{.*}} : tensor<4x3x8xf32>)
// EXPERTS: uoe.select %{{.*}} token_topk {k = 2 : i64, weight = #uoe<weight_rule gate>} : tensor<?x4xf32> -> <4>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @mixer(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x6x8xf32>} : () -> tensor<4x6x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x3xf32>} : () -> tensor<4x8x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %six = onnx.node "Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %jitter = onnx.node "Constant"() {value = dense<0.02> : tensor<f32>} : () -> tensor<f32>
    %s = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %abs = onnx.node "Abs"(%s) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %m1 = onnx.node "ReduceMax"(%s, %last) {keepdims = 1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %f1 = onnx.node "Max"(%abs, %m1) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %d1 = onnx.node "Sub"(%m1, %s) : (tensor<?x1xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %q1 = onnx.node "Div"(%d1, %f1) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %far1 = onnx.node "Greater"(%q1, %jitter) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xi1>
    %l1 = onnx.node "Where"(%far1, %low, %s) : (tensor<?x4xi1>, tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %p1 = onnx.node "Softmax"(%l1) {axis = -1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %i1 = onnx.node "ArgMax"(%s) {axis = -1 : i64, keepdims = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x1xi64>
    %w1 = onnx.node "GatherElements"(%p1, %i1) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x1xf32>
    %shape = onnx.node "Shape"(%i1) : (tensor<?x1xi64>) -> tensor<2xi64>
    %lows = onnx.node "Expand"(%low, %shape) : (tensor<f32>, tensor<2xi64>) -> tensor<?x1xf32>
    %rest = onnx.node "ScatterElements"(%s, %i1, %lows) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %m2 = onnx.node "ReduceMax"(%rest, %last) {keepdims = 1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %f2 = onnx.node "Max"(%abs, %m2) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %d2 = onnx.node "Sub"(%m2, %s) : (tensor<?x1xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %q2 = onnx.node "Div"(%d2, %f2) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %far2 = onnx.node "Greater"(%q2, %jitter) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xi1>
    %l2 = onnx.node "Where"(%far2, %low, %rest) : (tensor<?x4xi1>, tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %p2 = onnx.node "Softmax"(%l2) {axis = -1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %i2 = onnx.node "ArgMax"(%rest) {axis = -1 : i64, keepdims = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x1xi64>
    %w2 = onnx.node "GatherElements"(%p2, %i2) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x1xf32>
    %w = onnx.node "Concat"(%w1, %w2) {axis = -1 : i64} : (tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %i = onnx.node "Concat"(%i1, %i2) {axis = -1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
    %wf = onnx.node "Reshape"(%w, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %if = onnx.node "Reshape"(%i, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %ug = onnx.node "Gather"(%u, %if) {axis = 0 : i64} : (tensor<4x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x6x8xf32>, tensor<?x8x1xf32>) -> tensor<?x6x1xf32>
    %h1 = onnx.node "Squeeze"(%h, %two) : (tensor<?x6x1xf32>, tensor<1xi64>) -> tensor<?x6xf32>
    %ga = onnx.node "Slice"(%h1, %zero, %three, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %up = onnx.node "Slice"(%h1, %three, %six, %last) : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %a = onnx.node "Swish"(%ga) {alpha = 1.0 : f32} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %p = onnx.node "Mul"(%a, %up) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %pc = onnx.node "Unsqueeze"(%p, %last) : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
    %dg = onnx.node "Gather"(%d, %if) {axis = 0 : i64} : (tensor<4x8x3xf32>, tensor<?xi64>) -> tensor<?x8x3xf32>
    %o = onnx.node "MatMul"(%dg, %pc) : (tensor<?x8x3xf32>, tensor<?x3x1xf32>) -> tensor<?x8x1xf32>
    %o1 = onnx.node "Squeeze"(%o, %two) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %y1 = onnx.node "Mul"(%o1, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
