// RUN: uoe-opt %s --split-input-file --raise-attention | FileCheck %s
// RUN: uoe-opt %s --split-input-file --raise-attention --raise-report -o /dev/null 2>&1 | FileCheck %s --check-prefix=REASON

// Half of the scale on each side, an additive mask, a guard against rows without keys.
// CHECK-LABEL: func.func @scaled
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%arg3) attributes {boolean_zero, layer = 0 : i64, name = "layer.0.attention", scale = 2.500000e-01 : f32} spelled {
// CHECK: "IsNaN"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @scaled(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x4x?x8xf32> {
    %c = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %qs = onnx.node "Mul"(%q, %c) : (tensor<?x4x?x8xf32>, tensor<f32>) -> tensor<?x4x?x8xf32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %ks = onnx.node "Mul"(%kt, %c) : (tensor<?x4x8x?xf32>, tensor<f32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%qs, %ks) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %b = onnx.node "Add"(%m, %s) : (tensor<?x1x?x?xf32>, tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%b) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %nan = onnx.node "IsNaN"(%p) : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xi1>
    %z = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %g = onnx.node "Where"(%nan, %z, %p) : (tensor<?x4x?x?xi1>, tensor<f32>, tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%g, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// A boolean mask beside a bias: one sum of both.
// CHECK-LABEL: func.func @masked
// CHECK: %[[W:.*]] = onnx.node "Where"(%arg4, {{.*}}) attributes {uoe.operand}
// CHECK: %[[B:.*]] = onnx.node "Add"(%arg3, %[[W]]) attributes {uoe.operand}
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%[[B]]) attributes {{{.*}}scale = 5.000000e-01 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @masked(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %m: tensor<?x1x?x?xf32>, %b: tensor<?x1x?x?xi1>) -> tensor<?x4x?x8xf32> {
    %c = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %f = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %d = onnx.node "Div"(%s, %c) : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %a = onnx.node "Add"(%d, %m) : (tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x4x?x?xf32>
    %w = onnx.node "Where"(%b, %a, %f) : (tensor<?x1x?x?xi1>, tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%w) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// A soft cap between scale and mask.
// CHECK-LABEL: func.func @softcap
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%arg3) attributes {{{.*}}scale = 1.250000e-01 : f32, softcap = 5.000000e+01 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @softcap(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x4x?x8xf32> {
    %c = onnx.node "Constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
    %i = onnx.node "Constant"() {value = dense<0.02> : tensor<f32>} : () -> tensor<f32>
    %cap = onnx.node "Constant"() {value = dense<50.0> : tensor<f32>} : () -> tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %d = onnx.node "Mul"(%s, %c) : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %e = onnx.node "Div"(%d, %cap) : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %t = onnx.node "Tanh"(%e) : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %u = onnx.node "Mul"(%t, %cap) : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %a = onnx.node "Add"(%u, %m) : (tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%a) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Products spelled as sums over indices.
// CHECK-LABEL: func.func @einsum
// CHECK: uoe.attention %arg0, %arg1, %arg2 attributes {{{.*}}scale = 2.500000e-01 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @einsum(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32> {
    %c = onnx.node "Constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
    %s0 = onnx.node "Einsum"(%q, %k) {equation = "bhid,bhjd->bhij"} : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x?xf32>
    %s = onnx.node "Mul"(%s0, %c) : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%s) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "Einsum"(%p, %v) {equation = "bhij, bhjd -> bhid"} : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Grouped queries: keys and values are read before they are repeated.
// CHECK-LABEL: func.func @grouped
// CHECK: uoe.attention %arg0, %arg1, %arg2 attributes
// CHECK: } : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @grouped(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>, %sh: tensor<5xi64>) -> tensor<?x4x?x8xf32> {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %to = onnx.node "Constant"() {value = dense<[0, 4, -1, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %k5 = onnx.node "Unsqueeze"(%k, %two) : (tensor<?x2x?x8xf32>, tensor<1xi64>) -> tensor<?x2x1x?x8xf32>
    %ke = onnx.node "Expand"(%k5, %sh) : (tensor<?x2x1x?x8xf32>, tensor<5xi64>) -> tensor<?x2x2x?x8xf32>
    %kr = onnx.node "Reshape"(%ke, %to) : (tensor<?x2x2x?x8xf32>, tensor<4xi64>) -> tensor<?x4x?x8xf32>
    %v5 = onnx.node "Unsqueeze"(%v, %two) : (tensor<?x2x?x8xf32>, tensor<1xi64>) -> tensor<?x2x1x?x8xf32>
    %ve = onnx.node "Expand"(%v5, %sh) : (tensor<?x2x1x?x8xf32>, tensor<5xi64>) -> tensor<?x2x2x?x8xf32>
    %vr = onnx.node "Reshape"(%ve, %to) : (tensor<?x2x2x?x8xf32>, tensor<4xi64>) -> tensor<?x4x?x8xf32>
    %kt = onnx.node "Transpose"(%kr) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%s) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %vr) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Keys that were transposed for their product before they are repeated.
// CHECK-LABEL: func.func @grouped_across
// CHECK: uoe.attention %arg0, %arg1, %arg2 attributes
// CHECK: } : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @grouped_across(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32> {
    %groups = onnx.node "Constant"() {value = dense<[0, 0, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x8xf32>) -> tensor<?x2x8x?xf32>
    %kr = onnx.node "Gather"(%kt, %groups) {axis = 1 : i64} : (tensor<?x2x8x?xf32>, tensor<4xi64>) -> tensor<?x4x8x?xf32>
    %vr = onnx.node "Gather"(%v, %groups) {axis = 1 : i64} : (tensor<?x2x?x8xf32>, tensor<4xi64>) -> tensor<?x4x?x8xf32>
    %s = onnx.node "MatMul"(%q, %kr) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%s) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %vr) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Batch and heads in one dimension; the mask is added with both apart.
// CHECK-LABEL: func.func @batched_heads
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%arg3)
// CHECK-COUNT-2: onnx.node "MatMul"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @batched_heads(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %m: tensor<?x1x?x?xf32>, %to3: tensor<3xi64>, %to4: tensor<4xi64>) -> tensor<?x4x?x8xf32> {
    %q3 = onnx.node "Reshape"(%q, %to3) : (tensor<?x4x?x8xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %k3 = onnx.node "Reshape"(%k, %to3) : (tensor<?x4x?x8xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %v3 = onnx.node "Reshape"(%v, %to3) : (tensor<?x4x?x8xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %kt = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1>} : (tensor<?x?x8xf32>) -> tensor<?x8x?xf32>
    %s3 = onnx.node "MatMul"(%q3, %kt) : (tensor<?x?x8xf32>, tensor<?x8x?xf32>) -> tensor<?x?x?xf32>
    %s4 = onnx.node "Reshape"(%s3, %to4) : (tensor<?x?x?xf32>, tensor<4xi64>) -> tensor<?x4x?x?xf32>
    %b = onnx.node "Add"(%s4, %m) : (tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x4x?x?xf32>
    %b3 = onnx.node "Reshape"(%b, %to3) : (tensor<?x4x?x?xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
    %p = onnx.node "Softmax"(%b3) {axis = 2 : i64} : (tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
    %y3 = onnx.node "MatMul"(%p, %v3) : (tensor<?x?x?xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Reshape"(%y3, %to4) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// A fused operator with more than the core keeps its results.
// CHECK-LABEL: func.func @fused
// CHECK: uoe.attention attributes {fused = "com.microsoft.GroupQueryAttention", layer = 0 : i64, name = "layer.0.attention"} spelled {
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @fused(%q: tensor<?x?x32xf32>, %k: tensor<?x?x32xf32>, %v: tensor<?x?x32xf32>) -> (tensor<?x?x32xf32>, tensor<?x4x?x8xf32>) {
    %y:3 = onnx.node "com.microsoft" "GroupQueryAttention"(%q, %k, %v) {num_heads = 4 : i64, kv_num_heads = 4 : i64} : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> (tensor<?x?x32xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>)
    return %y#0, %y#1 : tensor<?x?x32xf32>, tensor<?x4x?x8xf32>
  }
}

// -----

// ONNX's own operator over four dimensions has the block's operands. Rows without any key are 0 to it.
// CHECK-LABEL: func.func @standard
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%arg3) attributes {boolean_zero, fused = "Attention", {{.*}}scale = 2.500000e-01 : f32}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @standard(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %b: tensor<?x1x?x?xi1>) -> tensor<?x4x?x8xf32> {
    %y = onnx.node "Attention"(%q, %k, %v, %b) {scale = 0.25 : f32} : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x1x?x?xi1>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Its keys and values that were repeated for the queries of their group are the block's as they were before; one for all heads too.
// CHECK-LABEL: func.func @standard_groups
// CHECK: uoe.attention %arg0, %arg1, %arg2 attributes {fused = "Attention", {{.*}}scale = 2.500000e-01 : f32} spelled {
// CHECK: "Expand"
// CHECK: "Attention"
// CHECK: } : (tensor<?x4x?x8xf32{{.*}}>, tensor<?x2x?x8xf32{{.*}}>, tensor<?x2x?x8xf32{{.*}}>)
// CHECK: uoe.attention %arg0, %arg3, %arg3
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @standard_groups(%q: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, %k: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, %v: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, %one: tensor<?x1x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) {
    %axis = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 1, 2, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 4, -1, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %four = onnx.node "Constant"() {value = dense<[1, 4, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %k1 = onnx.node "Unsqueeze"(%k, %axis) : (tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<1xi64>) -> tensor<?x2x1x?x8xf32, #onnx.dims<"b", "", "", "s", "">>
    %k2 = onnx.node "Expand"(%k1, %times) : (tensor<?x2x1x?x8xf32, #onnx.dims<"b", "", "", "s", "">>, tensor<5xi64>) -> tensor<?x2x2x?x8xf32, #onnx.dims<"b", "", "", "s", "">>
    %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x2x2x?x8xf32, #onnx.dims<"b", "", "", "s", "">>, tensor<4xi64>) -> tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>
    %v1 = onnx.node "Unsqueeze"(%v, %axis) : (tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<1xi64>) -> tensor<?x2x1x?x8xf32, #onnx.dims<"b", "", "", "s", "">>
    %v2 = onnx.node "Expand"(%v1, %times) : (tensor<?x2x1x?x8xf32, #onnx.dims<"b", "", "", "s", "">>, tensor<5xi64>) -> tensor<?x2x2x?x8xf32, #onnx.dims<"b", "", "", "s", "">>
    %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x2x2x?x8xf32, #onnx.dims<"b", "", "", "s", "">>, tensor<4xi64>) -> tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>
    %y = onnx.node "Attention"(%q, %k3, %v3) {scale = 0.25 : f32} : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> tensor<?x4x?x8xf32>
    %all = onnx.node "Expand"(%one, %four) : (tensor<?x1x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<4xi64>) -> tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>
    %z = onnx.node "Attention"(%q, %all, %all) {scale = 0.25 : f32} : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> tensor<?x4x?x8xf32>
    return %y, %z : tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>
  }
}

// -----

// A function between scores and softmax that attention does not have.
// CHECK-LABEL: func.func @odd
// CHECK-NOT: uoe.attention
// REASON: missed attention at Softmax: scores: Cos stands between the product and the softmax (at Cos)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @odd(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32> {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %t = onnx.node "Cos"(%s) : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%t) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Normalised over the queries.
// CHECK-LABEL: func.func @queries
// CHECK-NOT: uoe.attention
// REASON: missed attention at Softmax: softmax: along axis 2, not the last
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @queries(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32> {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%s) {axis = 2 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Probabilities that nothing multiplies.
// CHECK-LABEL: func.func @unused
// CHECK-NOT: uoe.attention
// REASON: missed attention at Softmax: values: no product takes the probabilities of Softmax
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @unused(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>) -> tensor<?x4x?x?xf32> {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%s) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    return %p : tensor<?x4x?x?xf32>
  }
}

// -----

// A mask that hides nothing.
// CHECK-LABEL: func.func @weak
// CHECK-NOT: uoe.attention
// REASON: missed attention at Softmax: mask: Where fills with -1.000000, which does not hide a key (at Where)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  func.func @weak(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %b: tensor<?x1x?x?xi1>) -> tensor<?x4x?x8xf32> {
    %f = onnx.node "Constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %w = onnx.node "Where"(%b, %s, %f) : (tensor<?x1x?x?xi1>, tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%w) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Grouped queries stacked along the query axis, as lower-uoe-to-onnx writes them: the block is over all heads, so that a mask [S, T] is theirs.
// CHECK-LABEL: func.func @stacked
// CHECK: uoe.attention %arg0, %arg1, %arg2 bias(%arg3) attributes {{{.*}}scale = 5.000000e-01 : f32}
// CHECK-SAME: spelled
// CHECK: uoe.yield %{{.*}} : tensor<?x4x?x8xf32>
// CHECK: (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<?x?xf32> -> tensor<?x4x?x8xf32>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @stacked(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>, %m: tensor<?x?xf32>) -> tensor<?x4x?x8xf32> {
    %groups = onnx.node "Constant"() {value = dense<[0, 2, -1, 0]> : tensor<4xi64>} : () -> tensor<4xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 4, -1, 0]> : tensor<4xi64>} : () -> tensor<4xi64>
    %c = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %qs = onnx.node "Mul"(%q, %c) : (tensor<?x4x?x8xf32>, tensor<f32>) -> tensor<?x4x?x8xf32>
    %qg = onnx.node "Reshape"(%qs, %groups) : (tensor<?x4x?x8xf32>, tensor<4xi64>) -> tensor<?x2x?x8xf32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x8xf32>) -> tensor<?x2x8x?xf32>
    %s = onnx.node "MatMul"(%qg, %kt) : (tensor<?x2x?x8xf32>, tensor<?x2x8x?xf32>) -> tensor<?x2x?x?xf32>
    %sh = onnx.node "Reshape"(%s, %heads) : (tensor<?x2x?x?xf32>, tensor<4xi64>) -> tensor<?x4x?x?xf32>
    %b = onnx.node "Add"(%sh, %m) : (tensor<?x4x?x?xf32>, tensor<?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%b) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %pg = onnx.node "Reshape"(%p, %groups) : (tensor<?x4x?x?xf32>, tensor<4xi64>) -> tensor<?x2x?x?xf32>
    %o = onnx.node "MatMul"(%pg, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %y = onnx.node "Reshape"(%o, %heads) : (tensor<?x2x?x8xf32>, tensor<4xi64>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// The same with the result left stacked: no heads that a mask of scores by head could belong to.
// CHECK-LABEL: func.func @left_stacked
// CHECK: uoe.attention attributes
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @left_stacked(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>, %m: tensor<?x?xf32>) -> tensor<?x2x?x8xf32> {
    %groups = onnx.node "Constant"() {value = dense<[0, 2, -1, 0]> : tensor<4xi64>} : () -> tensor<4xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 4, -1, 0]> : tensor<4xi64>} : () -> tensor<4xi64>
    %qg = onnx.node "Reshape"(%q, %groups) : (tensor<?x4x?x8xf32>, tensor<4xi64>) -> tensor<?x2x?x8xf32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x8xf32>) -> tensor<?x2x8x?xf32>
    %s = onnx.node "MatMul"(%qg, %kt) : (tensor<?x2x?x8xf32>, tensor<?x2x8x?xf32>) -> tensor<?x2x?x?xf32>
    %sh = onnx.node "Reshape"(%s, %heads) : (tensor<?x2x?x?xf32>, tensor<4xi64>) -> tensor<?x4x?x?xf32>
    %b = onnx.node "Add"(%sh, %m) : (tensor<?x4x?x?xf32>, tensor<?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%b) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %pg = onnx.node "Reshape"(%p, %groups) : (tensor<?x4x?x?xf32>, tensor<4xi64>) -> tensor<?x2x?x?xf32>
    %o = onnx.node "MatMul"(%pg, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    return %o : tensor<?x2x?x8xf32>
  }
}

// -----

// A factor for each head (a learned temperature) is the queries'.
// CHECK-LABEL: func.func @temperature
// CHECK: %[[Q:.*]] = onnx.node "Mul"(%arg0, %arg3) attributes {uoe.operand} : (tensor<?x4x?x8xf32>, tensor<4x1x1xf32>)
// CHECK: uoe.attention %[[Q]], %arg1, %arg2 bias(%arg4)
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @temperature(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x8xf32>, %t: tensor<4x1x1xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x4x?x8xf32> {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32>) -> tensor<?x4x8x?xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %w = onnx.node "Mul"(%s, %t) : (tensor<?x4x?x?xf32>, tensor<4x1x1xf32>) -> tensor<?x4x?x?xf32>
    %b = onnx.node "Add"(%w, %m) : (tensor<?x4x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%b) {axis = -1 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// A sink: one more score for each row, whose probability is dropped. It is one more key and value of zeros, whose score the bias gives. What is
// subtracted from all scores of a row, the largest one, does not matter to the softmax.
// CHECK-LABEL: func.func @sink
// CHECK: %[[LAST:.*]] = onnx.node "Cast"(%{{.*}}) {to = 9 : i64} attributes {uoe.operand} : (tensor<4xf32>) -> tensor<4xi1>
// CHECK: %[[BIAS:.*]] = onnx.node "Where"(%[[LAST]], %arg3, %{{.*}}) attributes {uoe.operand} : {{.*}} -> tensor<2x4x3x4xf32>
// CHECK: %[[K:.*]] = onnx.node "Pad"(%arg1, %{{.*}}) attributes {uoe.operand} : {{.*}} -> tensor<2x4x4x8xf32>
// CHECK: %[[V:.*]] = onnx.node "Pad"(%arg2, %{{.*}}) attributes {uoe.operand}
// CHECK: uoe.attention %arg0, %[[K]], %[[V]] bias(%[[BIAS]]) attributes {layer = 0 : i64, name = "layer.0.attention"} spelled {
// CHECK: "ReduceMax"
// CHECK: uoe.yield
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @sink(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x8xf32>, %sink: tensor<2x4x3x1xf32>) -> tensor<2x4x3x8xf32> {
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<2x4x3x8xf32>) -> tensor<2x4x8x3xf32>
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<2x4x3x8xf32>, tensor<2x4x8x3xf32>) -> tensor<2x4x3x3xf32>
    %c = onnx.node "Concat"(%s, %sink) {axis = -1 : i64} : (tensor<2x4x3x3xf32>, tensor<2x4x3x1xf32>) -> tensor<2x4x3x4xf32>
    %max = onnx.node "ReduceMax"(%c, %end) {keepdims = 1 : i64} : (tensor<2x4x3x4xf32>, tensor<1xi64>) -> tensor<2x4x3x1xf32>
    %d = onnx.node "Sub"(%c, %max) : (tensor<2x4x3x4xf32>, tensor<2x4x3x1xf32>) -> tensor<2x4x3x4xf32>
    %p = onnx.node "Softmax"(%d) {axis = -1 : i64} : (tensor<2x4x3x4xf32>) -> tensor<2x4x3x4xf32>
    %r = onnx.node "Slice"(%p, %zero, %end, %end) : (tensor<2x4x3x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x4x3x3xf32>
    %y = onnx.node "MatMul"(%r, %v) : (tensor<2x4x3x3xf32>, tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32>
    return %y : tensor<2x4x3x8xf32>
  }
}

// -----

// Whatever stands between two products is named, on both sides of the softmax.
// CHECK-LABEL: func.func @sine
// CHECK-NOT: uoe.attention
// REASON: missed attention at Softmax 'p': scores: Sin 'odd' stands between the product and the softmax
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @sine(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x8x?xf32>, %v: tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32> {
    %s = onnx.node "MatMul"(%q, %k) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %o = onnx.node "Sin"(%s) fields {name = "odd"} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Softmax"(%o) {axis = -1 : i64} fields {name = "p"} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %c = onnx.node "Cos"(%p) : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%c, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
}

// -----

// Weights that are no softmax: a block without operands, whose heads are independent all the same. A mixture's matrices are no keys.
// CHECK-LABEL: func.func @sigmoid
// CHECK: %[[Y:.*]] = uoe.attention attributes {{.*}}spelled {
// CHECK: onnx.node "Sigmoid"
// CHECK: onnx.node "Where"
// CHECK: onnx.node "MatMul"
// CHECK: return %[[Y]]
// CHECK-LABEL: func.func @chosen_matrices
// CHECK-NOT: uoe.attention
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @sigmoid(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x8x?xf32>, %v: tensor<?x4x?x8xf32>, %m: tensor<?x1x?x?xi1>) -> tensor<?x4x?x8xf32> {
    %zero = onnx.node "Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %s = onnx.node "MatMul"(%q, %k) : (tensor<?x4x?x8xf32>, tensor<?x4x8x?xf32>) -> tensor<?x4x?x?xf32>
    %g = onnx.node "Sigmoid"(%s) : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
    %p = onnx.node "Where"(%m, %g, %zero) : (tensor<?x1x?x?xi1>, tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x4x?x?xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
    return %y : tensor<?x4x?x8xf32>
  }
  func.func @chosen_matrices(%x: tensor<?x2x1x8xf32>, %i: tensor<?x2xi64>) -> tensor<?x2x1x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x16xf32>} : () -> tensor<4x8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x16x8xf32>} : () -> tensor<4x16x8xf32>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<4x8x16xf32>, tensor<?x2xi64>) -> tensor<?x2x8x16xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<4x16x8xf32>, tensor<?x2xi64>) -> tensor<?x2x16x8xf32>
    %h = onnx.node "MatMul"(%x, %ug) : (tensor<?x2x1x8xf32>, tensor<?x2x8x16xf32>) -> tensor<?x2x1x16xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x2x1x16xf32>) -> tensor<?x2x1x16xf32>
    %y = onnx.node "MatMul"(%a, %dg) : (tensor<?x2x1x16xf32>, tensor<?x2x16x8xf32>) -> tensor<?x2x1x8xf32>
    return %y : tensor<?x2x1x8xf32>
  }
}
