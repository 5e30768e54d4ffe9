// RUN: uoe-opt %s --split-input-file --raise-moe | FileCheck %s

// Stacked matrices gathered by the choice; weights renormalised over the chosen.
// CHECK-LABEL: func.func @stacked
// CHECK: uoe.moe{{ *}}relu top 2 scoring {{ *}}softmax normalized input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x16xf32>) down(%{{.*}} : tensor<4x16x8xf32>)
// CHECK-SAME: name = "layer.0.moe"
// CHECK: "TopK"
// CHECK: "ReduceSum"
// CHECK: return
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @stacked(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x16x8xf32>} : () -> tensor<4x16x8xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x16xf32>} : () -> tensor<4x8x16xf32>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %flat = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %s = onnx.node "Softmax"(%l) {axis = -1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %t:2 = onnx.node "TopK"(%s, %two) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %sum = onnx.node "ReduceSum"(%t#0, %last) {keepdims = 1 : i64} : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %w = onnx.node "Div"(%t#0, %sum) : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %last) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x8x1xf32>
    %i = onnx.node "Reshape"(%t#1, %flat) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<4x16x8xf32>, tensor<?xi64>) -> tensor<?x16x8xf32>
    %h = onnx.node "MatMul"(%ug, %x4) : (tensor<?x16x8xf32>, tensor<?x8x1xf32>) -> tensor<?x16x1xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x16x1xf32>) -> tensor<?x16x1xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<4x8x16xf32>, tensor<?xi64>) -> tensor<?x8x16xf32>
    %o = onnx.node "MatMul"(%dg, %a) : (tensor<?x8x16xf32>, tensor<?x16x1xf32>) -> tensor<?x8x1xf32>
    %o2 = onnx.node "Squeeze"(%o, %last) : (tensor<?x8x1xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %wf = onnx.node "Reshape"(%w, %flat) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %m = onnx.node "Mul"(%o2, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %m3 = onnx.node "Reshape"(%m, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%m3, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// A fused operator: fc1 in two halves where it is fused, interleaved or one after the other.
// CHECK-LABEL: func.func @fused
// CHECK: %[[U:.*]] = onnx.node "Transpose"(%arg2) {{.*}}perm = array<i64: 0, 2, 1>
// CHECK: %[[D:.*]] = onnx.node "Transpose"(%arg4) {{.*}}perm = array<i64: 0, 2, 1>
// CHECK: uoe.moe{{ *}}relu top 2 scoring {{ *}}softmax input(%arg0 : tensor<?x8xf32>) scores(%arg1 : tensor<?x4xf32>) up(%[[U]] : tensor<4x8x16xf32>) bias_up(%arg3 : tensor<4x16xf32>) down(%[[D]] : tensor<4x16x8xf32>) attributes {fused = "com.microsoft.MoE"
// CHECK-LABEL: func.func @interleaved
// CHECK: uoe.moe{{ *}}quick_gelu top 1 scoring {{ *}}softmax normalized input{{.*}} up(%{{.*}} : tensor<4x8x16xf32>) bias_up(%{{.*}} : tensor<4x16xf32>) gate(%{{.*}} : tensor<4x8x16xf32>) bias_gate(%{{.*}} : tensor<4x16xf32>) down(%{{.*}} : tensor<4x16x8xf32>) bias_down(%{{.*}} : tensor<4x8xf32>) attributes {fused = "com.microsoft.MoE"{{.*}} up_offset = 1.000000e+00 : f32}
// CHECK-LABEL: func.func @third
// CHECK: uoe.moe{{ *}}gelu_tanh top 1 {{.*}} up(%{{.*}}) gate(%{{.*}}) down
// CHECK-LABEL: func.func @limited
// CHECK: uoe.moe{{ *}}silu top 1 scoring {{ *}}softmax input{{.*}} up(%{{.*}} : tensor<4x8x16xf32>) gate(%{{.*}} : tensor<4x8x16xf32>) down{{.*}} attributes {fused = "com.microsoft.MoE", layer = {{.*}}, limit = 7.000000e+00 : f32
// CHECK-LABEL: func.func @packed
// CHECK: onnx.node "Floor"
// CHECK: uoe.moe{{ *}}silu top 2 scoring {{ *}}softmax normalized input{{.*}} up(%{{.*}} : tensor<4x8x16xf32>) down(%{{.*}} : tensor<4x16x8xf32>) attributes {fused = "com.microsoft.QMoE"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @fused(%x: tensor<?x8xf32>, %l: tensor<?x4xf32>, %u: tensor<4x16x8xf32>, %b: tensor<4x16xf32>, %d: tensor<4x8x16xf32>) -> tensor<?x8xf32> {
    %y = onnx.node "com.microsoft" "MoE"(%x, %l, %u, %b, %d) {k = 2 : i64, activation_type = "relu"} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<4x16x8xf32>, tensor<4x16xf32>, tensor<4x8x16xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
  func.func @interleaved(%x: tensor<?x?x8xf32>, %l: tensor<?x4xf32>, %u: tensor<4x32x8xf32>, %b: tensor<4x32xf32>, %d: tensor<4x8x16xf32>, %c: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %y = onnx.node "com.microsoft" "MoE"(%x, %l, %u, %b, %d, %c) {k = 1 : i64, activation_type = "swiglu", swiglu_fusion = 1 : i64, activation_alpha = 1.702 : f32, activation_beta = 1.0 : f32, normalize_routing_weights = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x4xf32>, tensor<4x32x8xf32>, tensor<4x32xf32>, tensor<4x8x16xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
  func.func @third(%x: tensor<?x8xf32>, %l: tensor<?x4xf32>, %u: tensor<4x16x8xf32>, %d: tensor<4x8x16xf32>, %v: tensor<4x16x8xf32>) -> tensor<?x8xf32> {
    %none = onnx.none
    %y = onnx.node "com.microsoft" "MoE"(%x, %l, %u, %none, %d, %none, %v) {k = 1 : i64, activation_type = "gelu"} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<4x16x8xf32>, none, tensor<4x8x16xf32>, none, tensor<4x16x8xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
  func.func @limited(%x: tensor<?x8xf32>, %l: tensor<?x4xf32>, %u: tensor<4x32x8xf32>, %d: tensor<4x8x16xf32>) -> tensor<?x8xf32> {
    %none = onnx.none
    %y = onnx.node "com.microsoft" "MoE"(%x, %l, %u, %none, %d) {k = 1 : i64, activation_type = "swiglu", swiglu_fusion = 2 : i64, swiglu_limit = 7.0 : f32} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<4x32x8xf32>, none, tensor<4x8x16xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
  func.func @packed(%x: tensor<?x8xf32>, %l: tensor<?x4xf32>, %u: tensor<4x16x4xui8>, %s: tensor<4x16xf32>, %d: tensor<4x8x8xui8>, %t: tensor<4x8xf32>) -> tensor<?x8xf32> {
    %none = onnx.none
    %y = onnx.node "com.microsoft" "QMoE"(%x, %l, %u, %s, %none, %d, %t) {k = 2 : i64, activation_type = "silu", expert_weight_bits = 4 : i64} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<4x16x4xui8>, tensor<4x16xf32>, none, tensor<4x8x8xui8>, tensor<4x8xf32>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// A choice that chooses no experts.
// CHECK-LABEL: func.func @sampling
// CHECK-NOT: uoe.moe
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @sampling(%x: tensor<?x4xf32>) -> tensor<?x2xf32> {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %t:2 = onnx.node "TopK"(%x, %two) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    return %t#0 : tensor<?x2xf32>
  }
}
