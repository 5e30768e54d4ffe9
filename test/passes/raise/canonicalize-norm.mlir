// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @layer_norm
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>)
// CHECK-DAG: %[[W:.*]] = onnx.weight @w
// CHECK-DAG: %[[B:.*]] = onnx.weight @b
// CHECK: %[[Y:.*]] = onnx.node "LayerNormalization"(%[[X]], %[[W]], %[[B]]) {axis = -1 : i64, epsilon = 9.99999974E-6 : f32, stash_type = 1 : i64}
// CHECK-NEXT: return %[[Y]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8xf32> = dense<2.0> : tensor<8xf32>
  onnx.initializer @b : tensor<8xf32> = dense<3.0> : tensor<8xf32>
  func.func @layer_norm(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %w = onnx.weight @w : tensor<8xf32>
    %b = onnx.weight @b : tensor<8xf32>
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "ReduceMean"(%x, %axes) : (tensor<?x8xf32>, tensor<1xi64>) -> !onnx.any
    %d = onnx.node "Sub"(%x, %m) : (tensor<?x8xf32>, !onnx.any) -> !onnx.any
    %d2 = onnx.node "Sub"(%x, %m) : (tensor<?x8xf32>, !onnx.any) -> !onnx.any
    %q = onnx.node "Pow"(%d2, %two) : (!onnx.any, tensor<f32>) -> !onnx.any
    %v = onnx.node "ReduceMean"(%q, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Add"(%v, %eps) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s = onnx.node "Sqrt"(%e) : (!onnx.any) -> !onnx.any
    %n = onnx.node "Div"(%d, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %nw = onnx.node "Mul"(%n, %w) : (!onnx.any, tensor<8xf32>) -> !onnx.any
    %y = onnx.node "Add"(%b, %nw) : (tensor<8xf32>, !onnx.any) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// CHECK-LABEL: func.func @rms_norm
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>)
// CHECK: %[[Y:.*]] = onnx.node "RMSNormalization"(%[[X]], %{{.*}}) {axis = -1 : i64, epsilon = 9.99999997E-7 : f32, stash_type = 1 : i64}
// CHECK-NEXT: return %[[Y]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8xf32> = dense<2.0> : tensor<8xf32>
  func.func @rms_norm(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %w = onnx.weight @w : tensor<8xf32>
    %axes = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-6> : tensor<f32>} : () -> tensor<f32>
    %q = onnx.node "Mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> !onnx.any
    %v = onnx.node "ReduceMean"(%q, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Add"(%v, %eps) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s = onnx.node "Sqrt"(%e) : (!onnx.any) -> !onnx.any
    %r = onnx.node "Div"(%one, %s) : (tensor<f32>, !onnx.any) -> !onnx.any
    %n = onnx.node "Mul"(%x, %r) : (tensor<?x8xf32>, !onnx.any) -> !onnx.any
    %y = onnx.node "Mul"(%w, %n) : (tensor<8xf32>, !onnx.any) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// Half precision, computed in float: the operator does that itself. -0.5 as a power.
// CHECK-LABEL: func.func @rms_norm_half
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf16>)
// CHECK-NOT: "Cast"
// CHECK: onnx.node "RMSNormalization"(%[[X]], %{{.*}}){{.*}} : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8xf16> = dense<2.0> : tensor<8xf16>
  func.func @rms_norm_half(%x: tensor<?x8xf16>) -> tensor<?x8xf16> {
    %w = onnx.weight @w : tensor<8xf16>
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %power = onnx.node "Constant"() {value = dense<-0.5> : tensor<f32>} : () -> tensor<f32>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %eps = onnx.node "Constant"() {value = dense<1.0e-6> : tensor<f32>} : () -> tensor<f32>
    %f = onnx.node "Cast"(%x) {to = 1 : i64} : (tensor<?x8xf16>) -> !onnx.any
    %q = onnx.node "Pow"(%f, %two) : (!onnx.any, tensor<f32>) -> !onnx.any
    %v = onnx.node "ReduceMean"(%q, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Add"(%eps, %v) : (tensor<f32>, !onnx.any) -> !onnx.any
    %r = onnx.node "Pow"(%e, %power) : (!onnx.any, tensor<f32>) -> !onnx.any
    %n = onnx.node "Mul"(%f, %r) : (!onnx.any, !onnx.any) -> !onnx.any
    %h = onnx.node "Cast"(%n) {to = 10 : i64} : (!onnx.any) -> !onnx.any
    %y = onnx.node "Mul"(%w, %h) : (tensor<8xf16>, !onnx.any) -> tensor<?x8xf16>
    return %y : tensor<?x8xf16>
  }
}

// -----

// Without a scale, one of ones; ONNX Runtime's name is the same function.
// CHECK-LABEL: func.func @unscaled
// CHECK: onnx.node "RMSNormalization"(%arg0, %{{.*}}){{.*}} : (tensor<?x4xf32>, tensor<4xf32>)
// CHECK: onnx.node "RMSNormalization"(%arg0, %arg1) {axis = -1 : i64, epsilon = 9.99999974E-6 : f32, stash_type = 1 : i64}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @unscaled(%x: tensor<?x4xf32>, %w: tensor<4xf32>) -> (!onnx.any, !onnx.any) {
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %eps = onnx.node "Constant"() {value = dense<1.0e-6> : tensor<f32>} : () -> tensor<f32>
    %q = onnx.node "Mul"(%x, %x) : (tensor<?x4xf32>, tensor<?x4xf32>) -> !onnx.any
    %v = onnx.node "ReduceMean"(%q, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Add"(%v, %eps) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s = onnx.node "Sqrt"(%e) : (!onnx.any) -> !onnx.any
    %y = onnx.node "Div"(%x, %s) : (tensor<?x4xf32>, !onnx.any) -> !onnx.any
    %z = onnx.node "SimplifiedLayerNormalization"(%x, %w) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x4xf32>, tensor<4xf32>) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}

// -----

// Not a normalisation: the mean is over another axis than the last, or of another value.
// CHECK-LABEL: func.func @others
// CHECK-NOT: Normalization
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @others(%x: tensor<4x4xf32>, %z: tensor<4x4xf32>) -> (!onnx.any, !onnx.any) {
    %first = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %eps = onnx.node "Constant"() {value = dense<1.0e-6> : tensor<f32>} : () -> tensor<f32>
    %q = onnx.node "Mul"(%x, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> !onnx.any
    %v = onnx.node "ReduceMean"(%q, %first) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Add"(%v, %eps) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s = onnx.node "Sqrt"(%e) : (!onnx.any) -> !onnx.any
    %y = onnx.node "Div"(%x, %s) : (tensor<4x4xf32>, !onnx.any) -> !onnx.any
    %v2 = onnx.node "ReduceMean"(%q, %last) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e2 = onnx.node "Add"(%v2, %eps) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s2 = onnx.node "Sqrt"(%e2) : (!onnx.any) -> !onnx.any
    %w = onnx.node "Div"(%z, %s2) : (tensor<4x4xf32>, !onnx.any) -> !onnx.any
    return %y, %w : !onnx.any, !onnx.any
  }
}

// -----

// A length repeated to the shape of what it divides broadcasts to it as it is.
// CHECK-LABEL: func.func @unit_vectors
// CHECK: %[[L:.*]] = onnx.node "ReduceL2"(%arg0
// CHECK-NOT: "Expand"
// CHECK: onnx.node "Div"(%arg0, %[[L]]) : (tensor<?x4xf32{{.*}}>, tensor<?x1xf32{{.*}}>) -> tensor<?x4xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @unit_vectors(%x: tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any {
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %l = onnx.node "ReduceL2"(%x, %last) {keepdims = 1 : i64} : (tensor<?x4xf32, #onnx.dims<"n", "">>, tensor<1xi64>) -> !onnx.any
    %s = onnx.node "Shape"(%x) : (tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any
    %e = onnx.node "Expand"(%l, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Div"(%x, %e) : (tensor<?x4xf32, #onnx.dims<"n", "">>, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}
