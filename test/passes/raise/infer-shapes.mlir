// RUN: uoe-opt %s --infer-shapes --split-input-file | FileCheck %s

// A Reshape to computed sizes: Shape, Gather, Unsqueeze, Concat are followed symbolically.
// CHECK-LABEL: func.func @computed_reshape
// CHECK-SAME: -> tensor<?x?x12x64xf32, #onnx.dims<"batch", "seq", "", "">>
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @computed_reshape(%x: tensor<?x?x768xf32, #onnx.dims<"batch", "seq", "">>) -> !onnx.any {
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %rest = onnx.node "Constant"() {value = dense<[12, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %shape = onnx.node "Shape"(%x) : (tensor<?x?x768xf32, #onnx.dims<"batch", "seq", "">>) -> !onnx.any
    %b = onnx.node "Gather"(%shape, %zero) {axis = 0 : i64} : (!onnx.any, tensor<i64>) -> !onnx.any
    %s = onnx.node "Gather"(%shape, %one) {axis = 0 : i64} : (!onnx.any, tensor<i64>) -> !onnx.any
    %bu = onnx.node "Unsqueeze"(%b, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %su = onnx.node "Unsqueeze"(%s, %axes) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    // CHECK: "Concat"{{.*}} -> tensor<4xi64>
    %target = onnx.node "Concat"(%bu, %su, %rest) {axis = 0 : i64} : (!onnx.any, !onnx.any, tensor<2xi64>) -> !onnx.any
    %y = onnx.node "Reshape"(%x, %target) : (tensor<?x?x768xf32, #onnx.dims<"batch", "seq", "">>, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Sums and products of dimensions have names; a name that is an expression is read as one.
// CHECK-LABEL: func.func @sums
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @sums(%past: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "past", "">>, %new: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "seq", "">>,
                  %mask: tensor<?x1x1x?xf32, #onnx.dims<"b", "", "", "past + seq">>) -> (!onnx.any, !onnx.any) {
    // CHECK: "Concat"{{.*}} -> tensor<?x4x?x8xf32, #onnx.dims<"b", "", "past + seq", "">>
    %k = onnx.node "Concat"(%past, %new) {axis = 2 : i64} : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "past", "">>, tensor<?x4x?x8xf32, #onnx.dims<"b", "", "seq", "">>) -> !onnx.any
    %t = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (!onnx.any) -> !onnx.any
    %s = onnx.node "MatMul"(%new, %t) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "seq", "">>, !onnx.any) -> !onnx.any
    // CHECK: "Add"{{.*}} -> tensor<?x4x?x?xf32, #onnx.dims<"b", "", "seq", "past + seq">>
    %m = onnx.node "Add"(%s, %mask) : (!onnx.any, tensor<?x1x1x?xf32, #onnx.dims<"b", "", "", "past + seq">>) -> !onnx.any
    // CHECK: "Flatten"{{.*}} -> tensor<?x?xf32, #onnx.dims<"4*b*seq", "past + seq">>
    %f = onnx.node "Flatten"(%m) {axis = 3 : i64} : (!onnx.any) -> !onnx.any
    return %m, %f : !onnx.any, !onnx.any
  }
}

// -----

// The torch.expand idiom: Where(Equal(shape, -1), ones, shape). A size is not -1.
// CHECK-LABEL: func.func @expand
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @expand(%x: tensor<?x1x8xf32, #onnx.dims<"n", "", "">>, %like: tensor<?x?xi64, #onnx.dims<"n", "m">>) -> !onnx.any {
    %shape = onnx.node "Shape"(%like) : (tensor<?x?xi64, #onnx.dims<"n", "m">>) -> !onnx.any
    %c = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %target = onnx.node "Concat"(%shape, %c) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %rank = onnx.node "Shape"(%target) : (!onnx.any) -> !onnx.any
    %ones = onnx.node "ConstantOfShape"(%rank) {value = dense<1> : tensor<1xi64>} : (!onnx.any) -> !onnx.any
    %minus = onnx.node "Mul"(%ones, %c) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %keep = onnx.node "Equal"(%target, %minus) : (!onnx.any, !onnx.any) -> !onnx.any
    %sizes = onnx.node "Where"(%keep, %ones, %target) : (!onnx.any, !onnx.any, !onnx.any) -> !onnx.any
    // CHECK: "Expand"{{.*}} -> tensor<?x?x8xf32, #onnx.dims<"n", "m", "">>
    %y = onnx.node "Expand"(%x, %sizes) : (tensor<?x1x8xf32, #onnx.dims<"n", "", "">>, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Slices with symbolic ends, Range, and rounding of convolutions.
// CHECK-LABEL: func.func @slices
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @slices(%x: tensor<?x?xf32, #onnx.dims<"n", "past + seq">>, %p: tensor<?xf32, #onnx.dims<"seq">>, %image: tensor<1x3x?x224xf32, #onnx.dims<"", "", "h", "">>, %w: tensor<32x3x16x16xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %axis = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %seq = onnx.node "Shape"(%p) : (tensor<?xf32, #onnx.dims<"seq">>) -> !onnx.any
    %last = onnx.node "Neg"(%seq) : (!onnx.any) -> !onnx.any
    // CHECK: "Slice"{{.*}} -> tensor<?x?xf32, #onnx.dims<"n", "seq">>
    %a = onnx.node "Slice"(%x, %last, %end, %axis) : (tensor<?x?xf32, #onnx.dims<"n", "past + seq">>, !onnx.any, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %n = onnx.node "Squeeze"(%seq) : (!onnx.any) -> !onnx.any
    // CHECK: "Range"{{.*}} -> tensor<?xi64, #onnx.dims<"seq">>
    %r = onnx.node "Range"(%zero, %n, %one) : (tensor<i64>, !onnx.any, tensor<i64>) -> !onnx.any
    // Positions in floats, and TensorFlow's end.
    %zero_f = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %one_f = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %nf = onnx.node "Cast"(%n) {to = 1 : i64} : (!onnx.any) -> !onnx.any
    // CHECK: "Range"{{.*}} -> tensor<?xf32, #onnx.dims<"seq">>
    %rf = onnx.node "Range"(%zero_f, %nf, %one_f) : (tensor<f32>, !onnx.any, tensor<f32>) -> !onnx.any
    %none = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %tf = onnx.node "Constant"() {value = dense<1000000000> : tensor<1xi64>} : () -> tensor<1xi64>
    // CHECK: "Slice"{{.*}} -> tensor<?x?xf32, #onnx.dims<"n", "past + seq">>
    %whole = onnx.node "Slice"(%x, %none, %tf, %axis) : (tensor<?x?xf32, #onnx.dims<"n", "past + seq">>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    // Ends that TensorFlow's exporter bounds in floats.
    %bounds = onnx.node "Constant"() {value = dense<[1.0e+09, -1.0e+09]> : tensor<2xf32>} : () -> tensor<2xf32>
    %both = onnx.node "Concat"(%none, %seq) {axis = 0 : i64} : (tensor<1xi64>, !onnx.any) -> !onnx.any
    %bf = onnx.node "Cast"(%both) {to = 1 : i64} : (!onnx.any) -> !onnx.any
    %max = onnx.node "Max"(%bf, %bounds) : (!onnx.any, tensor<2xf32>) -> !onnx.any
    %ends = onnx.node "Cast"(%max) {to = 6 : i64} : (!onnx.any) -> !onnx.any
    %starts = onnx.node "Constant"() {value = dense<0> : tensor<2xi32>} : () -> tensor<2xi32>
    %axes = onnx.node "Constant"() {value = dense<[0, 1]> : tensor<2xi32>} : () -> tensor<2xi32>
    // CHECK: "Slice"{{.*}} -> tensor<?x?xf32, #onnx.dims<"n", "seq">>
    %first = onnx.node "Slice"(%x, %starts, %ends, %axes) : (tensor<?x?xf32, #onnx.dims<"n", "past + seq">>, tensor<2xi32>, !onnx.any, tensor<2xi32>) -> !onnx.any
    // CHECK: "Conv"{{.*}} -> tensor<1x32x?x14xf32, #onnx.dims<"", "", "((h - 16) // (16)) + 1", "">>
    %c = onnx.node "Conv"(%image, %w) {strides = array<i64: 16, 16>} : (tensor<1x3x?x224xf32, #onnx.dims<"", "", "h", "">>, tensor<32x3x16x16xf32>) -> !onnx.any
    return %a, %r, %c, %rf, %whole, %first : !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// A size that is left over where sizes of several terms stand on both sides.
// CHECK-LABEL: func.func @left_over
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @left_over(%x: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "(s - 1) // 2 + 1", "">>) -> !onnx.any {
    %open = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %width = onnx.node "Constant"() {value = dense<8> : tensor<1xi64>} : () -> tensor<1xi64>
    %length = onnx.node "Shape"(%x) {start = 2 : i64, end = 3 : i64} : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "(s - 1) // 2 + 1", "">>) -> !onnx.any
    %shape = onnx.node "Concat"(%open, %length, %width) {axis = 0 : i64} : (tensor<1xi64>, !onnx.any, tensor<1xi64>) -> !onnx.any
    // CHECK: "Reshape"{{.*}} -> tensor<?x?x8xf32, #onnx.dims<"4*b",
    %y = onnx.node "Reshape"(%x, %shape) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "(s - 1) // 2 + 1", "">>, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Branches: what both have in common; the condition is not known.
// CHECK-LABEL: func.func @branches
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @branches(%c: tensor<i1>, %x: tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any {
    // CHECK: -> tensor<?x?xf32, #onnx.dims<"n", "">>
    %y = onnx.node "If"(%c) subgraphs "then_branch" {
      // CHECK: "Relu"{{.*}} -> tensor<?x4xf32, #onnx.dims<"n", "">>
      %t = onnx.node "Relu"(%x) : (tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any
      onnx.yield %t : !onnx.any
    }, "else_branch" {
      %e = onnx.node "Concat"(%x, %x) {axis = 1 : i64} : (tensor<?x4xf32, #onnx.dims<"n", "">>, tensor<?x4xf32, #onnx.dims<"n", "">>) -> !onnx.any
      onnx.yield %e : !onnx.any
    } : (tensor<i1>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// A value that a loop carries keeps only what every iteration keeps.
// CHECK-LABEL: func.func @loop
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @loop(%trips: tensor<i64>, %x: tensor<1x4xf32>) -> (!onnx.any, !onnx.any) {
    %none = onnx.none
    // CHECK: -> (tensor<?x4xf32>, tensor<?x4xf32>)
    %y:2 = onnx.node "Loop"(%trips, %none, %x) subgraphs "body" {
    ^bb0(%i: tensor<i64>, %go: tensor<i1>, %carried: !onnx.any):
      %next = onnx.node "Concat"(%carried, %x) {axis = 0 : i64} : (!onnx.any, tensor<1x4xf32>) -> !onnx.any
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %row = onnx.node "ReduceMax"(%carried, %axes) {keepdims = 0 : i64} : (!onnx.any, tensor<1xi64>) -> !onnx.any
      onnx.yield %go, %next, %row : tensor<i1>, !onnx.any, !onnx.any
    } : (tensor<i64>, none, tensor<1x4xf32>) -> (!onnx.any, !onnx.any)
    return %y#0, %y#1 : !onnx.any, !onnx.any
  }
}

// -----

// An operator that is not in the table keeps its declared type; what follows uses it.
// CHECK-LABEL: func.func @unknown
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @unknown(%x: tensor<2xf32>) -> !onnx.any {
    // CHECK: "custom" "Op"{{.*}} -> tensor<?x3xf32, #onnx.dims<"k", "">>
    %y = onnx.node "custom" "Op"(%x) : (tensor<2xf32>) -> tensor<?x3xf32, #onnx.dims<"k", "">>
    // CHECK: "custom" "Other"{{.*}} -> !onnx.any
    // CHECK: "Shape"{{.*}} -> tensor<2xi64>
    %z = onnx.node "custom" "Other"(%x) : (tensor<2xf32>) -> !onnx.any
    %s = onnx.node "Shape"(%y) : (tensor<?x3xf32, #onnx.dims<"k", "">>) -> !onnx.any
    return %s : !onnx.any
  }
}

// -----

// Outputs keep the names that the model gives to their dimensions.
// CHECK-LABEL: func.func @output_names
// CHECK-SAME: -> tensor<?x4xf32, #onnx.dims<"rows", "">>
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @output_names(%x: tensor<?x4xf32, #onnx.dims<"n", "">>) -> tensor<?x?xf32, #onnx.dims<"rows", "cols">> {
    %y = onnx.node "Relu"(%x) : (tensor<?x4xf32, #onnx.dims<"n", "">>) -> tensor<?x?xf32, #onnx.dims<"rows", "cols">>
    return %y : tensor<?x?xf32, #onnx.dims<"rows", "cols">>
  }
}
