// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx --split-input-file | FileCheck %s

// x * 0.5 * (1 + erf(x / sqrt 2)), in three orders.
// CHECK-LABEL: func.func @gelu
// CHECK-SAME: (%[[X:.*]]: tensor<?xf32>, %[[Y:.*]]: tensor<?xf32>, %[[Z:.*]]: tensor<?xf32>)
// CHECK: onnx.node "Gelu"(%[[X]]) :
// CHECK: onnx.node "Gelu"(%[[Y]]) :
// CHECK: onnx.node "Gelu"(%[[Z]]) :
// CHECK-NOT: "Erf"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @gelu(%x: tensor<?xf32>, %y: tensor<?xf32>, %z: tensor<?xf32>) -> (!onnx.any, !onnx.any, !onnx.any) {
    %root2 = onnx.node "Constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
    %inverse = onnx.node "Constant"() {value = dense<0.707106769> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %a = onnx.node "Div"(%x, %root2) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %b = onnx.node "Erf"(%a) : (!onnx.any) -> !onnx.any
    %c = onnx.node "Add"(%b, %one) : (!onnx.any, tensor<f32>) -> !onnx.any
    %d = onnx.node "Mul"(%x, %c) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    %e = onnx.node "Mul"(%d, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %a1 = onnx.node "Mul"(%inverse, %y) : (tensor<f32>, tensor<?xf32>) -> !onnx.any
    %b1 = onnx.node "Erf"(%a1) : (!onnx.any) -> !onnx.any
    %c1 = onnx.node "Add"(%one, %b1) : (tensor<f32>, !onnx.any) -> !onnx.any
    %d1 = onnx.node "Mul"(%half, %y) : (tensor<f32>, tensor<?xf32>) -> !onnx.any
    %e1 = onnx.node "Mul"(%d1, %c1) : (!onnx.any, !onnx.any) -> !onnx.any
    %a2 = onnx.node "Mul"(%z, %inverse) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %b2 = onnx.node "Erf"(%a2) : (!onnx.any) -> !onnx.any
    %c2 = onnx.node "Mul"(%b2, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %d2 = onnx.node "Add"(%c2, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %e2 = onnx.node "Mul"(%d2, %z) : (!onnx.any, tensor<?xf32>) -> !onnx.any
    return %e, %e1, %e2 : !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// The tanh approximation: cube by Pow, by products, and factored.
// CHECK-LABEL: func.func @gelu_tanh
// CHECK-SAME: (%[[X:.*]]: tensor<?xf32>, %[[Y:.*]]: tensor<?xf32>, %[[Z:.*]]: tensor<?xf32>)
// CHECK: onnx.node "Gelu"(%[[X]]) {approximate = "tanh"}
// CHECK: onnx.node "Gelu"(%[[Y]]) {approximate = "tanh"}
// CHECK: onnx.node "Gelu"(%[[Z]]) {approximate = "tanh"}
// CHECK: onnx.node "Gelu"(%{{[0-9]+}}) {approximate = "tanh"}
// CHECK-NOT: "Tanh"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @gelu_tanh(%x: tensor<?xf32>, %y: tensor<?xf32>, %z: tensor<?xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %three = onnx.node "Constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
    %c0 = onnx.node "Constant"() {value = dense<0.0447149985> : tensor<f32>} : () -> tensor<f32>
    %c1 = onnx.node "Constant"() {value = dense<0.797884583> : tensor<f32>} : () -> tensor<f32>
    %c2 = onnx.node "Constant"() {value = dense<0.0356774069> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %p = onnx.node "Pow"(%x, %three) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %q = onnx.node "Mul"(%p, %c0) : (!onnx.any, tensor<f32>) -> !onnx.any
    %r = onnx.node "Add"(%x, %q) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    %s = onnx.node "Mul"(%r, %c1) : (!onnx.any, tensor<f32>) -> !onnx.any
    %t = onnx.node "Tanh"(%s) : (!onnx.any) -> !onnx.any
    %u = onnx.node "Add"(%t, %one) : (!onnx.any, tensor<f32>) -> !onnx.any
    %v = onnx.node "Mul"(%x, %half) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %w = onnx.node "Mul"(%v, %u) : (!onnx.any, !onnx.any) -> !onnx.any
    %p1 = onnx.node "Mul"(%y, %y) : (tensor<?xf32>, tensor<?xf32>) -> !onnx.any
    %q1 = onnx.node "Mul"(%p1, %y) : (!onnx.any, tensor<?xf32>) -> !onnx.any
    %r1 = onnx.node "Mul"(%c0, %q1) : (tensor<f32>, !onnx.any) -> !onnx.any
    %s1 = onnx.node "Add"(%r1, %y) : (!onnx.any, tensor<?xf32>) -> !onnx.any
    %t1 = onnx.node "Mul"(%c1, %s1) : (tensor<f32>, !onnx.any) -> !onnx.any
    %u1 = onnx.node "Tanh"(%t1) : (!onnx.any) -> !onnx.any
    %v1 = onnx.node "Add"(%one, %u1) : (tensor<f32>, !onnx.any) -> !onnx.any
    %w1 = onnx.node "Mul"(%y, %v1) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    %x1 = onnx.node "Mul"(%half, %w1) : (tensor<f32>, !onnx.any) -> !onnx.any
    %p2 = onnx.node "Mul"(%z, %z) : (tensor<?xf32>, tensor<?xf32>) -> !onnx.any
    %q2 = onnx.node "Mul"(%p2, %c2) : (!onnx.any, tensor<f32>) -> !onnx.any
    %r2 = onnx.node "Add"(%q2, %c1) : (!onnx.any, tensor<f32>) -> !onnx.any
    %s2 = onnx.node "Mul"(%r2, %z) : (!onnx.any, tensor<?xf32>) -> !onnx.any
    %t2 = onnx.node "Tanh"(%s2) : (!onnx.any) -> !onnx.any
    %u2 = onnx.node "Mul"(%t2, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %v2 = onnx.node "Add"(%u2, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %w2 = onnx.node "Mul"(%z, %v2) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    %f = onnx.node "com.microsoft" "FastGelu"(%w2) : (!onnx.any) -> !onnx.any
    %g = onnx.node "com.microsoft" "FastGelu"(%z) : (tensor<?xf32>) -> !onnx.any
    %h = onnx.node "Add"(%f, %g) : (!onnx.any, !onnx.any) -> !onnx.any
    return %w, %x1, %w2, %h : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// SiLU and quick GELU.
// CHECK-LABEL: func.func @swish
// CHECK-SAME: (%[[X:.*]]: tensor<?xf32>)
// CHECK: onnx.node "Swish"(%[[X]]) {alpha = 1.000000e+00 : f32}
// CHECK: onnx.node "Swish"(%[[X]]) {alpha = 1.702000e+00 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @swish(%x: tensor<?xf32>) -> (!onnx.any, !onnx.any) {
    %c = onnx.node "Constant"() {value = dense<1.702> : tensor<f32>} : () -> tensor<f32>
    %s = onnx.node "Sigmoid"(%x) : (tensor<?xf32>) -> !onnx.any
    %y = onnx.node "Mul"(%s, %x) : (!onnx.any, tensor<?xf32>) -> !onnx.any
    %a = onnx.node "Mul"(%x, %c) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %b = onnx.node "Sigmoid"(%a) : (!onnx.any) -> !onnx.any
    %z = onnx.node "Mul"(%x, %b) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}

// -----

// Near misses: another constant, a gate of another value; older opsets have no such operator.
// CHECK-LABEL: func.func @others
// CHECK: "Erf"
// CHECK: "Sigmoid"
// CHECK-NOT: "Gelu"
// CHECK-NOT: "Swish"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @others(%x: tensor<?xf32>, %gate: tensor<?xf32>) -> (!onnx.any, !onnx.any) {
    %c = onnx.node "Constant"() {value = dense<0.7> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %a = onnx.node "Mul"(%x, %c) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %b = onnx.node "Erf"(%a) : (!onnx.any) -> !onnx.any
    %d = onnx.node "Add"(%b, %one) : (!onnx.any, tensor<f32>) -> !onnx.any
    %e = onnx.node "Mul"(%x, %d) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    %f = onnx.node "Mul"(%e, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %g = onnx.node "Sigmoid"(%gate) : (tensor<?xf32>) -> !onnx.any
    %h = onnx.node "Mul"(%x, %g) : (tensor<?xf32>, !onnx.any) -> !onnx.any
    return %f, %h : !onnx.any, !onnx.any
  }
}

// -----

// CHECK-LABEL: func.func @softmax
// CHECK: onnx.node "Softmax"(%arg0) {axis = -1 : i64}
// CHECK-NOT: "Exp"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @softmax(%x: tensor<?x4xf32>) -> !onnx.any {
    %axes = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %m = onnx.node "ReduceMax"(%x, %axes) : (tensor<?x4xf32>, tensor<1xi64>) -> !onnx.any
    %d = onnx.node "Sub"(%x, %m) : (tensor<?x4xf32>, !onnx.any) -> !onnx.any
    %e = onnx.node "Exp"(%d) : (!onnx.any) -> !onnx.any
    %s = onnx.node "ReduceSum"(%e, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %y = onnx.node "Div"(%e, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Softmax plus one, exp(x - m) / (exp(-m) + sum(exp(x - m))): a zero beside the others, whose share is dropped.
// CHECK-LABEL: func.func @softmax_plus_one
// CHECK-DAG: %[[ZERO:.*]] = onnx.node "Constant"() {value = dense<0.000000e+00> : tensor<1x1xf32>}
// CHECK: %[[SINK:.*]] = onnx.node "Expand"(%[[ZERO]]
// CHECK: %[[ALL:.*]] = onnx.node "Concat"(%arg0, %[[SINK]]) {axis = -1 : i64}
// CHECK: %[[P:.*]] = onnx.node "Softmax"(%[[ALL]]) {axis = -1 : i64}
// CHECK: onnx.node "Slice"(%[[P]]
// CHECK-NOT: "Exp"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @softmax_plus_one(%x: tensor<?x4xf32>) -> !onnx.any {
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %m = onnx.node "ReduceMax"(%x, %axes) : (tensor<?x4xf32>, tensor<1xi64>) -> !onnx.any
    %d = onnx.node "Sub"(%x, %m) : (tensor<?x4xf32>, !onnx.any) -> !onnx.any
    %e = onnx.node "Exp"(%d) : (!onnx.any) -> !onnx.any
    %s = onnx.node "ReduceSum"(%e, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %n = onnx.node "Neg"(%m) : (!onnx.any) -> !onnx.any
    %one = onnx.node "Exp"(%n) : (!onnx.any) -> !onnx.any
    %t = onnx.node "Add"(%one, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Div"(%e, %t) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Another number than that of the same shift stays.
// CHECK-LABEL: func.func @no_softmax_plus_one
// CHECK-NOT: "Softmax"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @no_softmax_plus_one(%x: tensor<?x4xf32>, %other: tensor<?x1xf32>) -> !onnx.any {
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %m = onnx.node "ReduceMax"(%x, %axes) : (tensor<?x4xf32>, tensor<1xi64>) -> !onnx.any
    %d = onnx.node "Sub"(%x, %m) : (tensor<?x4xf32>, !onnx.any) -> !onnx.any
    %e = onnx.node "Exp"(%d) : (!onnx.any) -> !onnx.any
    %s = onnx.node "ReduceSum"(%e, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %n = onnx.node "Neg"(%other) : (tensor<?x1xf32>) -> !onnx.any
    %one = onnx.node "Exp"(%n) : (!onnx.any) -> !onnx.any
    %t = onnx.node "Add"(%one, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Div"(%e, %t) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// A tensor full of zeros, of the other operand's shape: one zero.
// CHECK-LABEL: func.func @zeros_like
// CHECK: %[[ZERO:.*]] = onnx.node "Constant"() {value = dense<0.000000e+00> : tensor<f32>}
// CHECK: onnx.node "Max"(%arg0, %[[ZERO]])
// CHECK: onnx.node "Where"(%arg1, %arg0, %[[ZERO]])
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @zeros_like(%x: tensor<?x4xf32>, %c: tensor<?x4xi1>) -> (!onnx.any, !onnx.any) {
    %s = onnx.node "Shape"(%x) : (tensor<?x4xf32>) -> tensor<2xi64>
    %z = onnx.node "ConstantOfShape"(%s) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x4xf32>
    %m = onnx.node "Max"(%x, %z) : (tensor<?x4xf32>, tensor<?x4xf32>) -> !onnx.any
    %w = onnx.node "Where"(%c, %x, %z) : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<?x4xf32>) -> !onnx.any
    return %m, %w : !onnx.any, !onnx.any
  }
}
