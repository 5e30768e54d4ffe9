// RUN: uoe-opt %s --infer-shapes --fold-constants --split-input-file | FileCheck %s
// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=8 --split-input-file | FileCheck %s --check-prefix=SMALL

// Nodes on constants are computed; larger results stay.
// CHECK-LABEL: func.func @evaluate
// CHECK: "Constant"() {value = dense<[2.000000e+00, 3.000000e+00, 5.000000e+00]> : tensor<3xf32>}
// CHECK-NOT: "Sqrt"
// SMALL-LABEL: func.func @evaluate
// SMALL: "Sqrt"
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @w : tensor<3xf32> = dense<[4.0, 9.0, 25.0]> : tensor<3xf32>
  func.func @evaluate() -> tensor<3xf32> {
    %w = onnx.weight @w : tensor<3xf32>
    %y = onnx.node "Sqrt"(%w) fields {result_names = ["y"]} : (tensor<3xf32>) -> tensor<3xf32>
    return %y : tensor<3xf32>
  }
}

// -----

// Quantised weights stay quantised; random numbers are drawn at run time.
// CHECK-LABEL: func.func @kept
// CHECK: "DequantizeLinear"
// CHECK: "RandomNormal"
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @kept() -> (tensor<2xf32>, tensor<2xf32>) {
    %q = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi8>} : () -> tensor<2xi8>
    %s = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %d = onnx.node "DequantizeLinear"(%q, %s) : (tensor<2xi8>, tensor<f32>) -> tensor<2xf32>
    %r = onnx.node "RandomNormal"() {shape = array<i64: 2>} : () -> tensor<2xf32>
    return %d, %r : tensor<2xf32>, tensor<2xf32>
  }
}

// -----

// A computed Reshape is one to constants: 0 copies. Going back and forth is nothing.
// CHECK-LABEL: func.func @reshape
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x96xf32
// CHECK-NEXT: %[[S:.*]] = onnx.node "Constant"() {value = dense<[0, 0, 12, 8]> : tensor<4xi64>}
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Reshape"(%[[X]], %[[S]])
// CHECK-NEXT: %[[Z:.*]] = onnx.node "Relu"(%[[X]])
// CHECK-NEXT: return %[[Y]], %[[Z]]
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @reshape(%x: tensor<?x?x96xf32, #onnx.dims<"b", "s", "">>) -> (tensor<?x?x?x?xf32>, !onnx.any) {
    %shape = onnx.node "Shape"(%x) {end = 2 : i64} : (tensor<?x?x96xf32, #onnx.dims<"b", "s", "">>) -> tensor<2xi64>
    %rest = onnx.node "Constant"() {value = dense<[12, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %target = onnx.node "Concat"(%shape, %rest) {axis = 0 : i64} : (tensor<2xi64>, tensor<2xi64>) -> tensor<4xi64>
    %y = onnx.node "Reshape"(%x, %target) : (tensor<?x?x96xf32, #onnx.dims<"b", "s", "">>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
    %whole = onnx.node "Shape"(%x) : (tensor<?x?x96xf32, #onnx.dims<"b", "s", "">>) -> tensor<3xi64>
    %back = onnx.node "Reshape"(%y, %whole) : (tensor<?x?x?x?xf32>, tensor<3xi64>) -> !onnx.any
    %z = onnx.node "Relu"(%back) : (!onnx.any) -> !onnx.any
    return %y, %z : tensor<?x?x?x?xf32>, !onnx.any
  }
}

// -----

// Nodes that do nothing.
// CHECK-LABEL: func.func @nothing
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Relu"(%[[X]])
// CHECK-NEXT: return %[[Y]]
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @nothing(%x: tensor<?x4xf32, #onnx.dims<"n", "">>) -> tensor<?x4xf32, #onnx.dims<"n", "">> {
    %none = onnx.none
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %zero = onnx.node "Constant"() {value = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
    %yes = onnx.node "Constant"() {value = dense<true> : tensor<i1>} : () -> tensor<i1>
    %axis = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %a = onnx.node "Identity"(%x) : (tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any
    %b = onnx.node "Mul"(%one, %a) : (tensor<f32>, !onnx.any) -> !onnx.any
    %c = onnx.node "Add"(%b, %zero) : (!onnx.any, tensor<1xf32>) -> !onnx.any
    %d = onnx.node "Cast"(%c) {to = 1 : i64} : (!onnx.any) -> !onnx.any
    %e = onnx.node "Where"(%yes, %d, %zero) : (tensor<i1>, !onnx.any, tensor<1xf32>) -> !onnx.any
    %f = onnx.node "Slice"(%e, %axis, %end, %axis) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %g = onnx.node "Dropout"(%f) : (!onnx.any) -> !onnx.any
    %h = onnx.node "Unsqueeze"(%g, %axis) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %i = onnx.node "Squeeze"(%h, %axis) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %j = onnx.node "Transpose"(%i) {perm = array<i64: 1, 0>} : (!onnx.any) -> !onnx.any
    %k = onnx.node "Transpose"(%j) : (!onnx.any) -> !onnx.any
    %l = onnx.node "Concat"(%k) {axis = 1 : i64} : (!onnx.any) -> !onnx.any
    %m = onnx.node "Clip"(%l, %none, %none) : (!onnx.any, none, none) -> !onnx.any
    %n = onnx.node "Neg"(%m) : (!onnx.any) -> !onnx.any
    %o = onnx.node "Neg"(%n) : (!onnx.any) -> !onnx.any
    %ones = onnx.node "Constant"() {value = dense<1> : tensor<2xi64>} : () -> tensor<2xi64>
    %p = onnx.node "Expand"(%o, %ones) : (!onnx.any, tensor<2xi64>) -> !onnx.any
    %y = onnx.node "Relu"(%p) fields {result_names = ["y"]} : (!onnx.any) -> tensor<?x4xf32, #onnx.dims<"n", "">>
    return %y : tensor<?x4xf32, #onnx.dims<"n", "">>
  }
}

// -----

// Weights that happen to be one or zero are weights; a scalar that widens the shape is no neutral element.
// CHECK-LABEL: func.func @weights_stay
// CHECK: "Mul"
// CHECK: "Add"
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @ones : tensor<4xf32> = dense<1.0> : tensor<4xf32>
  func.func @weights_stay(%x: tensor<?x4xf32>, %s: tensor<f32>) -> (!onnx.any, !onnx.any) {
    %ones = onnx.weight @ones : tensor<4xf32>
    %zero = onnx.node "Constant"() {value = dense<0.0> : tensor<1x1xf32>} : () -> tensor<1x1xf32>
    %y = onnx.node "Mul"(%x, %ones) : (tensor<?x4xf32>, tensor<4xf32>) -> !onnx.any
    %z = onnx.node "Add"(%s, %zero) : (tensor<f32>, tensor<1x1xf32>) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}

// -----

// A widening cast and back is exact, a narrowing one is not.
// CHECK-LABEL: func.func @casts
// CHECK-SAME: (%[[H:.*]]: tensor<2xf16>, %[[X:.*]]: tensor<2xf32>)
// CHECK-NEXT: onnx.node "Relu"(%[[H]])
// CHECK-NEXT: onnx.node "Cast"(%[[X]])
// CHECK-NEXT: onnx.node "Cast"
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @casts(%h: tensor<2xf16>, %x: tensor<2xf32>) -> (!onnx.any, !onnx.any) {
    %a = onnx.node "Cast"(%h) {to = 1 : i64} : (tensor<2xf16>) -> !onnx.any
    %b = onnx.node "Cast"(%a) {to = 10 : i64} : (!onnx.any) -> !onnx.any
    %r = onnx.node "Relu"(%b) : (!onnx.any) -> !onnx.any
    %c = onnx.node "Cast"(%x) {to = 10 : i64} : (tensor<2xf32>) -> !onnx.any
    %d = onnx.node "Cast"(%c) {to = 1 : i64} : (!onnx.any) -> !onnx.any
    return %r, %d : !onnx.any, !onnx.any
  }
}

// -----

// Powers and reciprocals have one spelling; constants stand right.
// CHECK-LABEL: func.func @spelling
// CHECK-SAME: (%[[X:.*]]: tensor<?xf32>)
// CHECK-DAG: onnx.node "Mul"(%[[X]], %[[X]])
// CHECK-DAG: onnx.node "Sqrt"(%[[X]])
// CHECK-DAG: onnx.node "Reciprocal"(%[[X]])
// CHECK-DAG: onnx.node "Neg"(%[[X]])
// CHECK-DAG: %[[C:.*]] = onnx.node "Constant"() {value = dense<3.000000e+00>
// CHECK: onnx.node "Add"(%[[X]], %[[C]])
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @spelling(%x: tensor<?xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %minus = onnx.node "Constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
    %three = onnx.node "Constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
    %a = onnx.node "Pow"(%x, %two) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %b = onnx.node "Pow"(%x, %half) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %c = onnx.node "Div"(%one, %x) : (tensor<f32>, tensor<?xf32>) -> !onnx.any
    %d = onnx.node "Mul"(%x, %minus) : (tensor<?xf32>, tensor<f32>) -> !onnx.any
    %e = onnx.node "Add"(%three, %x) : (tensor<f32>, tensor<?xf32>) -> !onnx.any
    return %a, %b, %c, %d, %e : !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// What shape arithmetic remains reads the dimensions where they enter, once.
// CHECK-LABEL: func.func @rebuilt
// CHECK-SAME: (%[[IDS:.*]]: tensor<?x?xi64, #onnx.dims<"b", "s">>
// CHECK-DAG: %[[B:.*]] = onnx.node "Shape"(%[[IDS]]) {end = 1 : i64}
// CHECK-DAG: %[[S:.*]] = onnx.node "Shape"(%[[IDS]]) {start = 1 : i64}
// CHECK: %[[T:.*]] = onnx.node "Concat"(%[[B]], %{{.*}}, %[[S]])
// CHECK: "Expand"(%{{.*}}, %[[T]])
// CHECK: "Expand"(%{{.*}}, %[[T]])
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @table : tensor<100x8xf32> = dense<0.5> : tensor<100x8xf32>
  func.func @rebuilt(%ids: tensor<?x?xi64, #onnx.dims<"b", "s">>, %m: tensor<1x1x?xf32, #onnx.dims<"", "", "s">>) -> (!onnx.any, !onnx.any) {
    %w = onnx.weight @table : tensor<100x8xf32>
    %x = onnx.node "Gather"(%w, %ids) : (tensor<100x8xf32>, tensor<?x?xi64, #onnx.dims<"b", "s">>) -> !onnx.any
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %heads = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %shape1 = onnx.node "Shape"(%x) : (!onnx.any) -> !onnx.any
    %b1 = onnx.node "Gather"(%shape1, %zero) : (!onnx.any, tensor<i64>) -> !onnx.any
    %s1 = onnx.node "Gather"(%shape1, %one) : (!onnx.any, tensor<i64>) -> !onnx.any
    %bu1 = onnx.node "Unsqueeze"(%b1, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %su1 = onnx.node "Unsqueeze"(%s1, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %t1 = onnx.node "Concat"(%bu1, %heads, %su1) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>, !onnx.any) -> !onnx.any
    %y = onnx.node "Expand"(%m, %t1) : (tensor<1x1x?xf32, #onnx.dims<"", "", "s">>, !onnx.any) -> !onnx.any
    %r = onnx.node "Relu"(%x) : (!onnx.any) -> !onnx.any
    %shape2 = onnx.node "Shape"(%r) : (!onnx.any) -> !onnx.any
    %one1 = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %b2 = onnx.node "Slice"(%shape2, %axes, %one1, %axes) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %s2 = onnx.node "Gather"(%shape2, %one1) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %t2 = onnx.node "Concat"(%b2, %heads, %s2) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>, !onnx.any) -> !onnx.any
    %n = onnx.node "Sigmoid"(%m) : (tensor<1x1x?xf32, #onnx.dims<"", "", "s">>) -> !onnx.any
    %z = onnx.node "Expand"(%n, %t2) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}

// -----

// What a stride of 2 makes of a size, (s - 1) // 2 + 1, divides what is not negative: Div rounds towards 0.
// CHECK-LABEL: func.func @strided
// CHECK-SAME: (%[[X:[^:]*]]:
// CHECK-DAG: %[[S:.*]] = onnx.node "Shape"(%[[X]]) {start = 2 : i64}
// CHECK-DAG: %[[ONE:.*]] = onnx.node "Constant"() {value = dense<1>
// CHECK: %[[A:.*]] = onnx.node "Add"(%[[S]], %[[ONE]])
// CHECK: %[[TWO:.*]] = onnx.node "Constant"() {value = dense<2>
// CHECK: %[[H:.*]] = onnx.node "Div"(%[[A]], %[[TWO]])
// CHECK: onnx.node "Concat"({{.*}}%[[H]])
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @strided(%x: tensor<?x4x?xf32, #onnx.dims<"b", "", "s">>, %w: tensor<4x4x3xf32>, %e: tensor<1xf32>) -> !onnx.any {
    %c = onnx.node "Conv"(%x, %w) {kernel_shape = array<i64: 3>, pads = array<i64: 1, 1>, strides = array<i64: 2>} : (tensor<?x4x?xf32, #onnx.dims<"b", "", "s">>, tensor<4x4x3xf32>) -> !onnx.any
    %shape = onnx.node "Shape"(%c) : (!onnx.any) -> !onnx.any
    %ones = onnx.node "Expand"(%e, %shape) : (tensor<1xf32>, !onnx.any) -> !onnx.any
    return %ones : !onnx.any
  }
}

// -----

// An output keeps its name: it moves to the node that makes the value, or an Identity carries it.
// CHECK-LABEL: func.func @names
// CHECK-SAME: (%[[X:.*]]: tensor<2xf32>)
// CHECK: %[[R:.*]] = onnx.node "Relu"(%[[X]]) fields {result_names = ["out"]}
// CHECK: %[[I:.*]] = onnx.node "Identity"(%[[X]]) fields {result_names = ["same"]}
// CHECK: return %[[R]], %[[I]]
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @names(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
    %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %r = onnx.node "Relu"(%x) fields {result_names = ["r"]} : (tensor<2xf32>) -> tensor<2xf32>
    %o = onnx.node "Mul"(%r, %one) fields {result_names = ["out"]} : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
    %s = onnx.node "Identity"(%x) fields {result_names = ["same"]} : (tensor<2xf32>) -> tensor<2xf32>
    return %o, %s : tensor<2xf32>, tensor<2xf32>
  }
}

// -----

// In subgraphs too, with values from outside.
// CHECK-LABEL: func.func @subgraph
// CHECK: "then_branch" {
// CHECK-NEXT: onnx.yield %{{.*}} : tensor<2xf32>
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @subgraph(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.node "If"(%c) subgraphs "then_branch" {
      %one = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %t = onnx.node "Mul"(%x, %one) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
      onnx.yield %t : tensor<2xf32>
    }, "else_branch" {
      %e = onnx.node "Relu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %e : tensor<2xf32>
    } : (tensor<i1>) -> tensor<2xf32>
    return %y : tensor<2xf32>
  }
}

// -----

// A branch whose condition is known takes the place of its If; the other may be wrong for these shapes.
// CHECK-LABEL: func.func @taken
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Relu"(%arg0) fields {result_names = ["y"]}
// CHECK-NEXT: return %[[Y]]
module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  func.func @taken(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %axes = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %shape = onnx.node "Shape"(%x) : (tensor<?x2xf32>) -> tensor<2xi64>
    %rank = onnx.node "Size"(%shape) : (tensor<2xi64>) -> tensor<i64>
    %c = onnx.node "Equal"(%rank, %two) : (tensor<i64>, tensor<1xi64>) -> tensor<1xi1>
    %y = onnx.node "If"(%c) subgraphs "then_branch" {
      %t = onnx.node "Relu"(%x) fields {result_names = ["inner"]} : (tensor<?x2xf32>) -> tensor<?x2xf32>
      onnx.yield %t : tensor<?x2xf32>
    }, "else_branch" {
      %e = onnx.node "Squeeze"(%x, %axes) : (tensor<?x2xf32>, tensor<1xi64>) -> !onnx.any
      onnx.yield %e : !onnx.any
    } fields {result_names = ["y"]} : (tensor<1xi1>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}
