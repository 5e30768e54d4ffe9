// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx --split-input-file | FileCheck %s

// GPT's mask, scores·m − 1e4·(1 − m) with m cut out of a triangle of ones, chooses between the scores and −1e4.
// CHECK-LABEL: func.func @triangle
// CHECK: %[[M:.*]] = onnx.node "Slice"
// CHECK: %[[C:.*]] = onnx.node "Cast"(%[[M]]) {to = 9 : i64}
// CHECK: onnx.node "Where"(%[[C]], %arg0, %{{.*}})
// CHECK-NOT: "Sub"
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @triangle(%s: tensor<?x2x?x?xf32>, %n: tensor<1xi64>) -> tensor<?x2x?x?xf32> {
    %t = onnx.node "Constant"() {value = dense<[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]> : tensor<3x3xf32>} : () -> tensor<3x3xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %c = onnx.node "Constant"() {value = dense<1.0e4> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "Slice"(%t, %zero, %n, %zero) : (tensor<3x3xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
    %kept = onnx.node "Mul"(%s, %m) : (tensor<?x2x?x?xf32>, tensor<?x3xf32>) -> tensor<?x2x?x?xf32>
    %not = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %fill = onnx.node "Mul"(%not, %c) : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
    %y = onnx.node "Sub"(%kept, %fill) : (tensor<?x2x?x?xf32>, tensor<?x3xf32>) -> tensor<?x2x?x?xf32>
    return %y : tensor<?x2x?x?xf32>
  }
}

// -----

// A gate that is not 0 or 1 mixes: the arithmetic stays.
// CHECK-LABEL: func.func @half
// CHECK-NOT: "Where"
// CHECK: "Add"
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @half(%s: tensor<?x2xf32>, %n: tensor<1xi64>) -> tensor<?x2xf32> {
    %t = onnx.node "Constant"() {value = dense<[[1.0, 0.5], [0.0, 1.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %c = onnx.node "Constant"() {value = dense<-1.0e4> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "Slice"(%t, %zero, %n, %zero) : (tensor<2x2xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2xf32>
    %kept = onnx.node "Mul"(%m, %s) : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    %not = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    %fill = onnx.node "Mul"(%not, %c) : (tensor<?x2xf32>, tensor<f32>) -> tensor<?x2xf32>
    %y = onnx.node "Add"(%fill, %kept) : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}

// -----

// TensorFlow's Select, m·x + (1 − m)·y with the complement spelled apart, chooses between any two values.
// CHECK-LABEL: func.func @select
// CHECK-SAME: (%[[C:.*]]: tensor<?x1xi1>, %[[X:.*]]: tensor<?x4xf32>, %[[Y:.*]]: tensor<?x4xf32>)
// CHECK: %[[R:.*]] = onnx.node "Where"(%[[C]], %[[X]], %[[Y]])
// CHECK: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @select(%c: tensor<?x1xi1>, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %m = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<?x1xi1>) -> tensor<?x1xf32>
    %not = onnx.node "Not"(%c) : (tensor<?x1xi1>) -> tensor<?x1xi1>
    %n = onnx.node "Cast"(%not) {to = 1 : i64} : (tensor<?x1xi1>) -> tensor<?x1xf32>
    %a = onnx.node "Mul"(%y, %n) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %b = onnx.node "Mul"(%m, %x) : (tensor<?x1xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %s = onnx.node "Add"(%a, %b) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    return %s : tensor<?x4xf32>
  }
}

// -----

// The same factor twice is no choice, and numbers that are not 0 or 1 mix.
// CHECK-LABEL: func.func @no_select
// CHECK-NOT: "Where"
// CHECK: return
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @no_select(%c: tensor<?x1xi1>, %g: tensor<?x1xf32>, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
    %m = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<?x1xi1>) -> tensor<?x1xf32>
    %a = onnx.node "Mul"(%y, %m) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %b = onnx.node "Mul"(%m, %x) : (tensor<?x1xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %s = onnx.node "Add"(%a, %b) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %h = onnx.node "Sub"(%one, %g) : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
    %d = onnx.node "Mul"(%y, %h) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %e = onnx.node "Mul"(%g, %x) : (tensor<?x1xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %t = onnx.node "Add"(%d, %e) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    return %s, %t : tensor<?x4xf32>, tensor<?x4xf32>
  }
}

// -----

// Probabilities masked after the softmax, scaled to a sum of 1 again, 0 for rows without any: JAX's attention as exported.
// CHECK-LABEL: func.func @late
// CHECK-SAME: (%[[S:.*]]: tensor<2x4x9x9xf32>, %[[C:.*]]: tensor<2x4x9x9xi1>)
// CHECK: %[[HIDDEN:.*]] = onnx.node "Where"(%[[C]], %[[S]], %{{.*}})
// CHECK: %[[P:.*]] = onnx.node "Softmax"(%[[HIDDEN]])
// CHECK: %[[R:.*]] = onnx.node "Where"(%[[C]], %[[P]], %{{.*}})
// CHECK-NEXT: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @late(%s: tensor<2x4x9x9xf32>, %c: tensor<2x4x9x9xi1>) -> tensor<2x4x9x9xf32> {
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %p = onnx.node "Softmax"(%s) {axis = 3 : i64} : (tensor<2x4x9x9xf32>) -> tensor<2x4x9x9xf32>
    %m = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<2x4x9x9xi1>) -> tensor<2x4x9x9xf32>
    %q = onnx.node "Mul"(%p, %m) : (tensor<2x4x9x9xf32>, tensor<2x4x9x9xf32>) -> tensor<2x4x9x9xf32>
    %sum = onnx.node "ReduceSum"(%q, %axes) {keepdims = 1 : i64} : (tensor<2x4x9x9xf32>, tensor<1xi64>) -> tensor<2x4x9x1xf32>
    %any = onnx.node "Greater"(%sum, %zero) : (tensor<2x4x9x1xf32>, tensor<f32>) -> tensor<2x4x9x1xi1>
    %divisor = onnx.node "Where"(%any, %sum, %one) : (tensor<2x4x9x1xi1>, tensor<2x4x9x1xf32>, tensor<f32>) -> tensor<2x4x9x1xf32>
    %r = onnx.node "Div"(%q, %divisor) : (tensor<2x4x9x9xf32>, tensor<2x4x9x1xf32>) -> tensor<2x4x9x9xf32>
    %y = onnx.node "Where"(%any, %r, %zero) : (tensor<2x4x9x1xi1>, tensor<2x4x9x9xf32>, tensor<f32>) -> tensor<2x4x9x9xf32>
    return %y : tensor<2x4x9x9xf32>
  }
}

// -----

// A small number added to the sum, and scores that were multiplied with the mask as well.
// CHECK-LABEL: func.func @late_small
// CHECK-SAME: (%[[S:.*]]: tensor<3x5xf32>, %[[C:.*]]: tensor<3x5xi1>)
// CHECK: onnx.node "Where"(%[[C]], %[[S]], %{{.*}})
// CHECK: onnx.node "Softmax"
// CHECK-NOT: "Div"
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @late_small(%s: tensor<3x5xf32>, %c: tensor<3x5xi1>) -> tensor<3x5xf32> {
    %axes = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %small = onnx.node "Constant"() {value = dense<1.0e-13> : tensor<f32>} : () -> tensor<f32>
    %m = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<3x5xi1>) -> tensor<3x5xf32>
    %scores = onnx.node "Mul"(%s, %m) : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
    %p = onnx.node "Softmax"(%scores) : (tensor<3x5xf32>) -> tensor<3x5xf32>
    %q = onnx.node "Mul"(%m, %p) : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
    %sum = onnx.node "ReduceSum"(%q, %axes) {keepdims = 1 : i64} : (tensor<3x5xf32>, tensor<1xi64>) -> tensor<3x1xf32>
    %divisor = onnx.node "Add"(%sum, %small) : (tensor<3x1xf32>, tensor<f32>) -> tensor<3x1xf32>
    %r = onnx.node "Div"(%q, %divisor) : (tensor<3x5xf32>, tensor<3x1xf32>) -> tensor<3x5xf32>
    return %r : tensor<3x5xf32>
  }
}

// -----

// A sum over other probabilities, or one that is not small beside it, scales otherwise.
// CHECK-LABEL: func.func @late_other
// CHECK-NOT: "Where"
// CHECK: return
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @late_other(%s: tensor<2x5xf32>, %c: tensor<2x5xi1>) -> (tensor<2x5xf32>, tensor<2x5xf32>) {
    %axes = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %large = onnx.node "Constant"() {value = dense<1.0e-2> : tensor<f32>} : () -> tensor<f32>
    %p = onnx.node "Softmax"(%s) : (tensor<2x5xf32>) -> tensor<2x5xf32>
    %m = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<2x5xi1>) -> tensor<2x5xf32>
    %q = onnx.node "Mul"(%p, %m) : (tensor<2x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32>
    %all = onnx.node "ReduceSum"(%p, %axes) {keepdims = 1 : i64} : (tensor<2x5xf32>, tensor<1xi64>) -> tensor<2x1xf32>
    %a = onnx.node "Div"(%q, %all) : (tensor<2x5xf32>, tensor<2x1xf32>) -> tensor<2x5xf32>
    %sum = onnx.node "ReduceSum"(%q, %axes) {keepdims = 1 : i64} : (tensor<2x5xf32>, tensor<1xi64>) -> tensor<2x1xf32>
    %more = onnx.node "Add"(%sum, %large) : (tensor<2x1xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b = onnx.node "Div"(%q, %more) : (tensor<2x5xf32>, tensor<2x1xf32>) -> tensor<2x5xf32>
    return %a, %b : tensor<2x5xf32>, tensor<2x5xf32>
  }
}

// -----

// Rows without a key that are set to zero in arithmetic, c * 0 + (1 - c) * y: what is chosen of zeros adds nothing.
// CHECK-LABEL: func.func @zero_rows
// CHECK: %[[N:.*]] = onnx.node "Cast"
// CHECK: %[[Y:.*]] = onnx.node "Mul"(%arg0, %[[N]])
// CHECK-NEXT: return %[[Y]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @zero_rows(%y: tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>, %c: tensor<?x?x1x1xi1, #onnx.dims<"b", "s", "", "">>) -> !onnx.any {
    %shape = onnx.node "Shape"(%y) : (tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>) -> !onnx.any
    %zeros = onnx.node "ConstantOfShape"(%shape) : (!onnx.any) -> !onnx.any
    %f = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<?x?x1x1xi1, #onnx.dims<"b", "s", "", "">>) -> !onnx.any
    %none = onnx.node "Mul"(%f, %zeros) : (!onnx.any, !onnx.any) -> !onnx.any
    %o = onnx.node "Not"(%c) : (tensor<?x?x1x1xi1, #onnx.dims<"b", "s", "", "">>) -> !onnx.any
    %n = onnx.node "Cast"(%o) {to = 1 : i64} : (!onnx.any) -> !onnx.any
    %kept = onnx.node "Mul"(%y, %n) : (tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>, !onnx.any) -> !onnx.any
    %r = onnx.node "Add"(%none, %kept) : (!onnx.any, !onnx.any) -> !onnx.any
    return %r : !onnx.any
  }
}
