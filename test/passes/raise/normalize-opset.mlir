// RUN: uoe-opt %s --normalize-opset --split-input-file --verify-diagnostics | FileCheck %s

// Attributes become operands.
// CHECK: ai.onnx = 24 : i64
// CHECK-LABEL: func.func @moved
// CHECK-SAME: (%[[X:.*]]: tensor<4x6xf32>)
// CHECK: %[[A:.*]] = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>}
// CHECK: onnx.node "Unsqueeze"(%[[X]], %[[A]]) :
// CHECK: %[[B:.*]] = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>}
// CHECK: onnx.node "ReduceMean"(%[[X]], %[[B]]) {keepdims = 0 : i64} :
// CHECK: %[[P:.*]] = onnx.node "Constant"() {value = dense<[2, 4]> : tensor<2xi64>}
// CHECK: onnx.node "Split"(%[[X]], %[[P]]) {axis = 1 : i64} :
// CHECK: onnx.node "Split"(%[[X]]) {axis = 1 : i64, num_outputs = 2 : i64} :
// CHECK: %[[S:.*]] = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>}
// CHECK: %[[E:.*]] = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>}
// CHECK: %[[AX:.*]] = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>}
// CHECK: onnx.node "Slice"(%[[X]], %[[S]], %[[E]], %[[AX]]) :
// CHECK: %[[MAX:.*]] = onnx.node "Constant"() {value = dense<6.000000e+00> : tensor<f32>}
// CHECK: onnx.node "Clip"(%[[X]], %{{.*}}, %[[MAX]]) :
// CHECK: %[[K:.*]] = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>}
// CHECK: onnx.node "TopK"(%[[X]], %[[K]]) :
module attributes {onnx.opset_import = {ai.onnx = 9 : i64}} {
  func.func @moved(%x: tensor<4x6xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %a = onnx.node "Unsqueeze"(%x) {axes = array<i64: 0>} : (tensor<4x6xf32>) -> !onnx.any
    %b = onnx.node "ReduceMean"(%x) {axes = array<i64: 1>, keepdims = 0 : i64} : (tensor<4x6xf32>) -> !onnx.any
    %c:2 = onnx.node "Split"(%x) {axis = 1 : i64, split = array<i64: 2, 4>} : (tensor<4x6xf32>) -> (!onnx.any, !onnx.any)
    %d:2 = onnx.node "Split"(%x) {axis = 1 : i64} : (tensor<4x6xf32>) -> (!onnx.any, !onnx.any)
    %e = onnx.node "Slice"(%x) {starts = array<i64: 1>, ends = array<i64: -1>, axes = array<i64: 0>} : (tensor<4x6xf32>) -> !onnx.any
    %f = onnx.node "Clip"(%x) {min = 0.0 : f32, max = 6.0 : f32} : (tensor<4x6xf32>) -> !onnx.any
    %g:2 = onnx.node "TopK"(%x) {k = 3 : i64} : (tensor<4x6xf32>) -> (!onnx.any, !onnx.any)
    return %a, %b, %c#0, %d#0, %e, %f, %g#0 : !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// Softmax saw a matrix: over the last axis that is the same, otherwise it is spelled.
// CHECK-LABEL: func.func @softmax
// CHECK-SAME: (%[[X:.*]]: tensor<2x3x4xf32>)
// CHECK: onnx.node "Softmax"(%[[X]]) {axis = -1 : i64}
// CHECK: %[[S:.*]] = onnx.node "Shape"(%[[X]])
// CHECK: %[[F:.*]] = onnx.node "Flatten"(%[[X]]) {axis = 1 : i64}
// CHECK: %[[M:.*]] = onnx.node "Softmax"(%[[F]]) {axis = -1 : i64}
// CHECK: onnx.node "Reshape"(%[[M]], %[[S]]) {{.*}} -> tensor<2x3x4xf32>
module attributes {onnx.opset_import = {ai.onnx = 11 : i64}} {
  func.func @softmax(%x: tensor<2x3x4xf32>) -> (!onnx.any, !onnx.any) {
    %a = onnx.node "Softmax"(%x) {axis = 2 : i64} : (tensor<2x3x4xf32>) -> !onnx.any
    %b = onnx.node "Softmax"(%x) : (tensor<2x3x4xf32>) -> !onnx.any
    return %a, %b : !onnx.any, !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @upsample
// CHECK: onnx.node "Resize"(%{{.*}}, %{{.*}}, %{{.*}}) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"} : (tensor<1x1x2x2xf32>, none, tensor<4xf32>) -> tensor<1x1x4x6xf32>
module attributes {onnx.opset_import = {ai.onnx = 7 : i64}} {
  func.func @upsample(%x: tensor<1x1x2x2xf32>) -> !onnx.any {
    %y = onnx.node "Upsample"(%x) {mode = "nearest", scales = array<f32: 1.0, 1.0, 2.0, 3.0>} : (tensor<1x1x2x2xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @others
// CHECK: onnx.node "Pad"(%{{.*}}, %{{.*}}, %{{.*}}) {mode = "constant"} : (tensor<1x4x2xf32>, tensor<6xi64>, tensor<f32>)
// CHECK: onnx.node "Dropout"(%{{.*}}) :
// CHECK: onnx.node "ScatterElements"
// CHECK: onnx.node "BatchNormalization"{{.*}}{epsilon = 1.000000e-03 : f32} : {{.*}} -> tensor<1x4x2xf32>
module attributes {onnx.opset_import = {ai.onnx = 10 : i64}} {
  func.func @others(%x: tensor<1x4x2xf32>, %i: tensor<1x4x2xi64>, %s: tensor<4xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %a = onnx.node "Pad"(%x) {mode = "constant", pads = array<i64: 0, 0, 1, 0, 0, 1>, value = 2.0 : f32} : (tensor<1x4x2xf32>) -> !onnx.any
    %b = onnx.node "Dropout"(%x) {ratio = 0.1 : f32} : (tensor<1x4x2xf32>) -> !onnx.any
    %c = onnx.node "Scatter"(%x, %i, %x) : (tensor<1x4x2xf32>, tensor<1x4x2xi64>, tensor<1x4x2xf32>) -> !onnx.any
    %d:2 = onnx.node "BatchNormalization"(%x, %s, %s, %s, %s) {epsilon = 1.0e-3 : f32} : (tensor<1x4x2xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (!onnx.any, !onnx.any)
    return %a, %b, %c, %d#0 : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// What has no newer form keeps the opset.
// CHECK: ai.onnx = 8 : i64
module attributes {onnx.opset_import = {ai.onnx = 8 : i64}} {
  func.func @kept(%x: tensor<1x2x3xf32>) -> !onnx.any {
    %none = onnx.none
    // expected-warning @below {{Scan "" has no form in opset 24; opset 8 is kept}}
    %y = onnx.node "Scan"(%none, %x) {num_scan_inputs = 1 : i64} subgraphs "body" {
    ^bb0(%s: tensor<3xf32>):
      onnx.yield %s : tensor<3xf32>
    } : (none, tensor<1x2x3xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Caches of one row for any batch, as PyTorch exports them from opset 23 on, are spread over the batch.
// CHECK-LABEL: func.func @one_row
// CHECK: %[[C:.*]] = onnx.node "Expand"(%arg1, %{{.*}}) {{.*}} -> tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>
// CHECK: %[[S:.*]] = onnx.node "Expand"(%arg2, %{{.*}})
// CHECK: onnx.node "RotaryEmbedding"(%arg0, %[[C]], %[[S]]) {interleaved = 0 : i64}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @one_row(%x: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, %c: tensor<1x?x4xf32, #onnx.dims<"", "s", "">>, %s: tensor<1x?x4xf32, #onnx.dims<"", "s", "">>) -> !onnx.any {
    %y = onnx.node "RotaryEmbedding"(%x, %c, %s) {interleaved = 0 : i64} : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, tensor<1x?x4xf32, #onnx.dims<"", "s", "">>, tensor<1x?x4xf32, #onnx.dims<"", "s", "">>) -> !onnx.any
    return %y : !onnx.any
  }
}
