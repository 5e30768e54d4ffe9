// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=0 --canonicalize-onnx --split-input-file | FileCheck %s

// Convolutions of one element over a sequence, as SqueezeBERT has them: matrices, and no transposition is left between them.
// CHECK-LABEL: func.func @pointwise
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x4xf32
// CHECK: %[[UP:.*]] = onnx.node "Transpose"(%{{.*}}) {perm = array<i64: 1, 0>}{{.*}} -> tensor<4x6xf32>
// CHECK: %[[H:.*]] = onnx.node "MatMul"(%[[X]], %[[UP]])
// CHECK: %[[A:.*]] = onnx.node "Add"(%[[H]], %{{.*}})
// CHECK: %[[G:.*]] = onnx.node "Gelu"(%[[A]])
// CHECK: %[[DOWN:.*]] = onnx.node "Transpose"(%{{.*}}) {perm = array<i64: 1, 0>}{{.*}} -> tensor<6x4xf32>
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[G]], %[[DOWN]])
// CHECK: %[[R:.*]] = onnx.node "Add"(%[[Y]], %[[X]])
// CHECK-NEXT: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @up : tensor<6x4x1xf32> = dense<2.0> : tensor<6x4x1xf32>
  onnx.initializer @bias : tensor<6xf32> = dense<1.0> : tensor<6xf32>
  onnx.initializer @down : tensor<4x6x1xf32> = dense<2.0> : tensor<4x6x1xf32>
  func.func @pointwise(%x: tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any {
    %up = onnx.weight @up : tensor<6x4x1xf32>
    %bias = onnx.weight @bias : tensor<6xf32>
    %down = onnx.weight @down : tensor<4x6x1xf32>
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 1>} : (tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any
    %h = onnx.node "Conv"(%t, %up, %bias) {kernel_shape = array<i64: 1>} : (!onnx.any, tensor<6x4x1xf32>, tensor<6xf32>) -> !onnx.any
    %g = onnx.node "Gelu"(%h) : (!onnx.any) -> !onnx.any
    %d = onnx.node "Conv"(%g, %down) {kernel_shape = array<i64: 1>, pads = array<i64: 0, 0>, strides = array<i64: 1>} : (!onnx.any, tensor<4x6x1xf32>) -> !onnx.any
    %r = onnx.node "Add"(%d, %t) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Transpose"(%r) {perm = array<i64: 0, 2, 1>} : (!onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Strides, groups, longer kernels and computed kernels stay.
// CHECK-LABEL: func.func @no_pointwise
// CHECK-COUNT-4: onnx.node "Conv"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @a : tensor<6x4x1xf32> = dense<2.0> : tensor<6x4x1xf32>
  onnx.initializer @b : tensor<6x2x1xf32> = dense<2.0> : tensor<6x2x1xf32>
  onnx.initializer @c : tensor<6x4x2xf32> = dense<2.0> : tensor<6x4x2xf32>
  func.func @no_pointwise(%x: tensor<?x4x?xf32>, %k: tensor<6x4x1xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %a = onnx.weight @a : tensor<6x4x1xf32>
    %b = onnx.weight @b : tensor<6x2x1xf32>
    %c = onnx.weight @c : tensor<6x4x2xf32>
    %1 = onnx.node "Conv"(%x, %a) {strides = array<i64: 2>} : (tensor<?x4x?xf32>, tensor<6x4x1xf32>) -> !onnx.any
    %2 = onnx.node "Conv"(%x, %b) {group = 2 : i64} : (tensor<?x4x?xf32>, tensor<6x2x1xf32>) -> !onnx.any
    %3 = onnx.node "Conv"(%x, %c) : (tensor<?x4x?xf32>, tensor<6x4x2xf32>) -> !onnx.any
    %4 = onnx.node "Conv"(%x, %k) : (tensor<?x4x?xf32>, tensor<6x4x1xf32>) -> !onnx.any
    return %1, %2, %3, %4 : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// Heads that share one key and value: [B, S*H, D] times [B, D, T] is a product of [B, H, S, D]; the mask follows.
// CHECK-LABEL: func.func @shared_head
// CHECK-SAME: (%[[Q:.*]]: tensor<?x?x4x8xf32{{.*}}, %[[K:.*]]: tensor<?x?x8xf32{{.*}}, %[[V:.*]]: tensor<?x?x8xf32{{.*}}, %[[M:.*]]: tensor
// CHECK: %[[QT:.*]] = onnx.node "Transpose"(%[[Q]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[K1:.*]] = onnx.node "Unsqueeze"(%[[K]]
// CHECK: %[[KT:.*]] = onnx.node "Transpose"(%[[K1]]) {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[P:.*]] = onnx.node "MatMul"(%[[QT]], %[[KT]]){{.*}} -> tensor<?x4x?x?xf32
// CHECK: %[[MT:.*]] = onnx.node "Reshape"(%[[M]]
// CHECK: %[[A:.*]] = onnx.node "Add"(%[[P]], %[[MT]])
// CHECK: %[[S:.*]] = onnx.node "Softmax"(%[[A]]) {axis = -1 : i64}
// CHECK: %[[V1:.*]] = onnx.node "Unsqueeze"(%[[V]]
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[S]], %[[V1]]){{.*}} -> tensor<?x4x?x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[Y]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: onnx.node "Reshape"(%[[T]]{{.*}} -> tensor<?x?x32xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @shared_head(%q: tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>, %k: tensor<?x?x8xf32, #onnx.dims<"b", "t", "">>, %v: tensor<?x?x8xf32, #onnx.dims<"b", "t", "">>, %m: tensor<?x?x1x?xf32, #onnx.dims<"b", "s", "", "t">>) -> !onnx.any {
    %flat = onnx.node "Constant"() {value = dense<[0, -1, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %qm = onnx.node "Reshape"(%q, %flat) : (tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<3xi64>) -> !onnx.any
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 2, 1>} : (tensor<?x?x8xf32, #onnx.dims<"b", "t", "">>) -> !onnx.any
    %p = onnx.node "MatMul"(%qm, %kt) : (!onnx.any, !onnx.any) -> !onnx.any
    %bs = onnx.node "Shape"(%q) {end = 3 : i64} : (tensor<?x?x4x8xf32, #onnx.dims<"b", "s", "", "">>) -> !onnx.any
    %tt = onnx.node "Shape"(%k) {start = 1 : i64, end = 2 : i64} : (tensor<?x?x8xf32, #onnx.dims<"b", "t", "">>) -> !onnx.any
    %shape = onnx.node "Concat"(%bs, %tt) {axis = 0 : i64} : (!onnx.any, !onnx.any) -> !onnx.any
    %p4 = onnx.node "Reshape"(%p, %shape) : (!onnx.any, !onnx.any) -> !onnx.any
    %a = onnx.node "Add"(%p4, %m) : (!onnx.any, tensor<?x?x1x?xf32, #onnx.dims<"b", "s", "", "t">>) -> !onnx.any
    %s = onnx.node "Softmax"(%a) {axis = 3 : i64} : (!onnx.any) -> !onnx.any
    %sshape = onnx.node "Constant"() {value = dense<[0, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %back = onnx.node "Concat"(%sshape, %tt) {axis = 0 : i64} : (tensor<2xi64>, !onnx.any) -> !onnx.any
    %sm = onnx.node "Reshape"(%s, %back) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "MatMul"(%sm, %v) : (!onnx.any, tensor<?x?x8xf32, #onnx.dims<"b", "t", "">>) -> !onnx.any
    %out = onnx.node "Constant"() {value = dense<[0, -1, 32]> : tensor<3xi64>} : () -> tensor<3xi64>
    %r = onnx.node "Reshape"(%y, %out) : (!onnx.any, tensor<3xi64>) -> !onnx.any
    return %r : !onnx.any
  }
}

// -----

// Heads split off and merged with the batch in one Reshape, as torch.nn.MultiheadAttention does: split, transposed, merged.
// CHECK-LABEL: func.func @split_and_merged
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x32xf32
// CHECK: %[[S:.*]] = onnx.node "Reshape"(%[[X]]{{.*}} -> tensor<?x?x4x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[S]]) {perm = array<i64: 1, 2, 0, 3>}
// CHECK: %[[M:.*]] = onnx.node "Reshape"(%[[T]]{{.*}} -> tensor<?x?x8xf32
// CHECK: return %[[M]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @split_and_merged(%x: tensor<?x?x32xf32, #onnx.dims<"s", "b", "">>) -> !onnx.any {
    %shape = onnx.node "Constant"() {value = dense<[0, -1, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %m = onnx.node "Reshape"(%x, %shape) : (tensor<?x?x32xf32, #onnx.dims<"s", "b", "">>, tensor<3xi64>) -> !onnx.any
    %t = onnx.node "Transpose"(%m) {perm = array<i64: 1, 0, 2>} : (!onnx.any) -> !onnx.any
    return %t : !onnx.any
  }
}

// -----

// A transposition that others read stays where it is, and so does one that meets an operand in another order.
// CHECK-LABEL: func.func @stays
// CHECK-SAME: (%[[X:.*]]: tensor<3x4xf32>, %[[Z:.*]]: tensor<4x3xf32>)
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[X]])
// CHECK: %[[R:.*]] = onnx.node "Relu"(%[[T]])
// CHECK: %[[A:.*]] = onnx.node "Add"(%{{.*}}, %[[Z]])
// CHECK: return %[[T]], %[[R]], %[[A]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @stays(%x: tensor<3x4xf32>, %z: tensor<4x3xf32>) -> (!onnx.any, !onnx.any, !onnx.any) {
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 1, 0>} : (tensor<3x4xf32>) -> !onnx.any
    %r = onnx.node "Relu"(%t) : (!onnx.any) -> !onnx.any
    %n = onnx.node "Sin"(%x) : (tensor<3x4xf32>) -> !onnx.any
    %u = onnx.node "Transpose"(%n) {perm = array<i64: 1, 0>} : (!onnx.any) -> !onnx.any
    %a = onnx.node "Add"(%u, %z) : (!onnx.any, tensor<4x3xf32>) -> !onnx.any
    return %t, %r, %a : !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// Heads that are repeated for groups of queries: the axis that the repetition fills is inserted behind the transposition.
// CHECK-LABEL: func.func @repeated_heads
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x2x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[X]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[U:.*]] = onnx.node "{{Reshape|Unsqueeze}}"(%[[T]]{{.*}} -> tensor<?x2x1x?x8xf32
// CHECK: onnx.node "Expand"(%[[U]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @repeated_heads(%x: tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, %to: tensor<5xi64>) -> !onnx.any {
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>) -> !onnx.any
    %axis = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %u = onnx.node "Unsqueeze"(%t, %axis) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Expand"(%u, %to) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    return %e : !onnx.any
  }
}

// -----

// Keys that groups of heads share, repeated before they are transposed and rotated (Llama's first code, Falcon): transposed and rotated
// once for each group, then repeated.
// CHECK-LABEL: func.func @repeated
// CHECK-SAME: (%[[K:.*]]: tensor<?x?x2x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[K]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[R:.*]] = onnx.node "RotaryEmbedding"(%[[T]], %{{.*}}, %{{.*}}) {{.*}}-> tensor<?x2x?x8xf32
// CHECK: %[[U:.*]] = onnx.node "Unsqueeze"(%[[R]]
// CHECK: %[[E:.*]] = onnx.node "Expand"(%[[U]], %{{.*}}) {{.*}}-> tensor<?x2x3x?x8xf32
// CHECK: %[[M:.*]] = onnx.node "Reshape"(%[[E]], %{{.*}}) {{.*}}-> tensor<?x6x?x8xf32
// CHECK: return %[[M]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @repeated(%k: tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, %cos: tensor<?x?x4xf32, #onnx.dims<"b", "s", "">>, %sin: tensor<?x?x4xf32, #onnx.dims<"b", "s", "">>) -> !onnx.any {
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 1, 1, 3, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %merged = onnx.node "Constant"() {value = dense<[0, 0, 6, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %0 = onnx.node "Unsqueeze"(%k, %three) : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<1xi64>) -> !onnx.any
    %1 = onnx.node "Expand"(%0, %times) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %2 = onnx.node "Reshape"(%1, %merged) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %3 = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    %4 = onnx.node "RotaryEmbedding"(%3, %cos, %sin) : (!onnx.any, tensor<?x?x4xf32, #onnx.dims<"b", "s", "">>, tensor<?x?x4xf32, #onnx.dims<"b", "s", "">>) -> !onnx.any
    return %4 : !onnx.any
  }
}

// -----

// 1x1 convolutions over images are matrices where they are a feed-forward block: two with an activation between. The transpositions between them cancel.
// CHECK-LABEL: func.func @image_block
// CHECK: %[[ROWS:.*]] = onnx.node "Transpose"(%arg0) {perm = array<i64: 0, 2, 3, 1>}
// CHECK: %[[UP:.*]] = onnx.node "MatMul"(%[[ROWS]], %{{.*}}) : (tensor<?x4x4x3xf32>, tensor<3x6xf32>) -> tensor<?x4x4x6xf32>
// CHECK: %[[ACT:.*]] = onnx.node "Relu"(%[[UP]])
// CHECK: %[[DOWN:.*]] = onnx.node "MatMul"(%[[ACT]], %{{.*}}) : (tensor<?x4x4x6xf32>, tensor<6x3xf32>) -> tensor<?x4x4x3xf32>
// CHECK: %[[OUT:.*]] = onnx.node "Transpose"(%[[DOWN]]) {perm = array<i64: 0, 3, 1, 2>}
// CHECK: return %[[OUT]]
// CHECK-LABEL: func.func @image_alone
// CHECK: onnx.node "Conv"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @image_block(%x: tensor<?x3x4x4xf32>) -> tensor<?x3x4x4xf32> {
    %up = onnx.node "Constant"() {value = dense<0.5> : tensor<6x3x1x1xf32>} : () -> tensor<6x3x1x1xf32>
    %down = onnx.node "Constant"() {value = dense<0.25> : tensor<3x6x1x1xf32>} : () -> tensor<3x6x1x1xf32>
    %h = onnx.node "Conv"(%x, %up) {kernel_shape = array<i64: 1, 1>} : (tensor<?x3x4x4xf32>, tensor<6x3x1x1xf32>) -> tensor<?x6x4x4xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x6x4x4xf32>) -> tensor<?x6x4x4xf32>
    %y = onnx.node "Conv"(%a, %down) {kernel_shape = array<i64: 1, 1>} : (tensor<?x6x4x4xf32>, tensor<3x6x1x1xf32>) -> tensor<?x3x4x4xf32>
    return %y : tensor<?x3x4x4xf32>
  }
  func.func @image_alone(%x: tensor<?x3x4x4xf32>) -> tensor<?x6x4x4xf32> {
    %up = onnx.node "Constant"() {value = dense<0.5> : tensor<6x3x1x1xf32>} : () -> tensor<6x3x1x1xf32>
    %h = onnx.node "Conv"(%x, %up) {kernel_shape = array<i64: 1, 1>} : (tensor<?x3x4x4xf32>, tensor<6x3x1x1xf32>) -> tensor<?x6x4x4xf32>
    %a = onnx.node "Relu"(%h) : (tensor<?x6x4x4xf32>) -> tensor<?x6x4x4xf32>
    return %a : tensor<?x6x4x4xf32>
  }
}

// -----

// (K·Qᵀ)ᵀ is Q·Kᵀ, wherever the transposition has gone in between.
// CHECK-LABEL: func.func @swapped_product
// CHECK-SAME: (%[[Q:.*]]: tensor<?x4x?x8xf32{{.*}}, %[[K:.*]]: tensor<?x4x?x8xf32
// CHECK: %[[KT:.*]] = onnx.node "Transpose"(%[[K]]) {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[S:.*]] = onnx.node "MatMul"(%[[Q]], %[[KT]])
// CHECK: onnx.node "Mul"(%[[S]]
// CHECK-NOT: "Transpose"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @swapped_product(%q: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, %k: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "t", "">>) -> !onnx.any {
    %scale = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %qt = onnx.node "Transpose"(%q) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>) -> !onnx.any
    %s = onnx.node "MatMul"(%k, %qt) : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "t", "">>, !onnx.any) -> !onnx.any
    %t = onnx.node "Transpose"(%s) {perm = array<i64: 0, 1, 3, 2>} : (!onnx.any) -> !onnx.any
    %y = onnx.node "Mul"(%t, %scale) : (!onnx.any, tensor<f32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Heads that are rotated side by side, [B, S, H·D], are rotated one by one.
// CHECK-LABEL: func.func @rotate_heads
// CHECK: %[[H:.*]] = onnx.node "Reshape"(%arg0, %{{.*}}) {{.*}} -> tensor<?x?x4x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[H]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[R:.*]] = onnx.node "RotaryEmbedding"(%[[T]], %arg1, %arg2, %arg3) {interleaved = 1 : i64}
// CHECK: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @rotate_heads(%x: tensor<?x?x32xf32, #onnx.dims<"n", "s", "">>, %c: tensor<64x4xf32>, %s: tensor<64x4xf32>, %p: tensor<?x?xi64, #onnx.dims<"n", "s">>) -> !onnx.any {
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 4, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %r = onnx.node "RotaryEmbedding"(%x, %c, %s, %p) {num_heads = 4 : i64, interleaved = 1 : i64} : (tensor<?x?x32xf32, #onnx.dims<"n", "s", "">>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<?x?xi64, #onnx.dims<"n", "s">>) -> !onnx.any
    %h = onnx.node "Reshape"(%r, %heads) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %t = onnx.node "Transpose"(%h) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    return %t : !onnx.any
  }
}

// -----

// The same with the scale between the product and the transposition.
// CHECK-LABEL: func.func @swapped_scaled
// CHECK-SAME: (%[[Q:.*]]: tensor<?x4x?x8xf32{{.*}}, %[[K:.*]]: tensor<?x4x?x8xf32
// CHECK: %[[KT:.*]] = onnx.node "Transpose"(%[[K]]) {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[S:.*]] = onnx.node "MatMul"(%[[Q]], %[[KT]])
// CHECK: onnx.node "Mul"(%[[S]]
// CHECK-NOT: "Transpose"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @swapped_scaled(%q: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, %k: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "t", "">>) -> !onnx.any {
    %scale = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %qt = onnx.node "Transpose"(%q) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>) -> !onnx.any
    %s = onnx.node "MatMul"(%k, %qt) : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "t", "">>, !onnx.any) -> !onnx.any
    %m = onnx.node "Mul"(%s, %scale) : (!onnx.any, tensor<f32>) -> !onnx.any
    %t = onnx.node "Transpose"(%m) {perm = array<i64: 0, 1, 3, 2>} : (!onnx.any) -> !onnx.any
    return %t : !onnx.any
  }
}

// -----

// A batch of heads that was merged for the product and is taken apart after it: the product over both, as einsums are exported.
// CHECK-LABEL: func.func @apart
// CHECK-SAME: (%[[Q:.*]]: tensor<?x4x?x8xf32{{.*}}, %[[K:.*]]: tensor<?x4x8x?xf32
// CHECK: %[[S:.*]] = onnx.node "MatMul"(%[[Q]], %[[K]]) {{.*}} -> tensor<?x4x?x?xf32
// CHECK: onnx.node "Reshape"(%[[S]]{{.*}} -> tensor<?x4x?x?x1xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @apart(%q: tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, %k: tensor<?x4x8x?xf32, #onnx.dims<"n", "", "", "t">>) -> !onnx.any {
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %four = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %width = onnx.node "Constant"() {value = dense<8> : tensor<1xi64>} : () -> tensor<1xi64>
    %n = onnx.node "Shape"(%q) {start = 0 : i64, end = 1 : i64} : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>) -> !onnx.any
    %s = onnx.node "Shape"(%q) {start = 2 : i64, end = 3 : i64} : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>) -> !onnx.any
    %t = onnx.node "Shape"(%k) {start = 3 : i64, end = 4 : i64} : (tensor<?x4x8x?xf32, #onnx.dims<"n", "", "", "t">>) -> !onnx.any
    %nh = onnx.node "Mul"(%n, %four) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %qshape = onnx.node "Concat"(%nh, %s, %width) {axis = 0 : i64} : (!onnx.any, !onnx.any, tensor<1xi64>) -> !onnx.any
    %kshape = onnx.node "Concat"(%nh, %width, %t) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>, !onnx.any) -> !onnx.any
    %shape = onnx.node "Concat"(%n, %four, %s, %t, %one) {axis = 0 : i64} : (!onnx.any, tensor<1xi64>, !onnx.any, !onnx.any, tensor<1xi64>) -> !onnx.any
    %a = onnx.node "Reshape"(%q, %qshape) : (tensor<?x4x?x8xf32, #onnx.dims<"n", "", "s", "">>, !onnx.any) -> !onnx.any
    %b = onnx.node "Reshape"(%k, %kshape) : (tensor<?x4x8x?xf32, #onnx.dims<"n", "", "", "t">>, !onnx.any) -> !onnx.any
    %p = onnx.node "MatMul"(%a, %b) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Reshape"(%p, %shape) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Axes that are split, moved side by side and merged again are moved whole; so are axes of one element, which a Squeeze drops from a Reshape.
// CHECK-LABEL: func.func @moved_whole
// CHECK: %[[A:.*]] = onnx.node "Transpose"(%arg0) {perm = array<i64: 0, 2, 1, 3>}{{.*}}-> tensor<?x?x4x8xf32
// CHECK: %[[R:.*]] = onnx.node "Reshape"(%{{.*}}) {{.*}}-> tensor<?x32xf32
// CHECK: return %[[A]], %[[R]]
// CHECK-LABEL: func.func @parted
// CHECK: onnx.node "Transpose"{{.*}} {perm = array<i64: 0, 3, 2, 1, 4>}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @moved_whole(%x: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> (!onnx.any, !onnx.any) {
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %split = onnx.node "Constant"() {value = dense<[0, 2, 2, -1, 8]> : tensor<5xi64>} : () -> tensor<5xi64>
    %merge = onnx.node "Constant"() {value = dense<[0, 0, 4, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %one = onnx.node "Constant"() {value = dense<[1, -1, 4, 0, 8]> : tensor<5xi64>} : () -> tensor<5xi64>
    %rows = onnx.node "Constant"() {value = dense<[1, -1, 32]> : tensor<3xi64>} : () -> tensor<3xi64>
    %a0 = onnx.node "Reshape"(%x, %split) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<5xi64>) -> !onnx.any
    %a1 = onnx.node "Transpose"(%a0) {perm = array<i64: 0, 3, 1, 2, 4>} : (!onnx.any) -> !onnx.any
    %a = onnx.node "Reshape"(%a1, %merge) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %n = onnx.node "Neg"(%x) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> !onnx.any
    %r0 = onnx.node "Reshape"(%n, %one) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %r1 = onnx.node "Transpose"(%r0) {perm = array<i64: 0, 1, 3, 2, 4>} : (!onnx.any) -> !onnx.any
    %r2 = onnx.node "Reshape"(%r1, %rows) : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %r = onnx.node "Squeeze"(%r2, %zero) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    return %a, %r : !onnx.any, !onnx.any
  }
  func.func @parted(%x: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> !onnx.any {
    %split = onnx.node "Constant"() {value = dense<[0, 2, 2, -1, 8]> : tensor<5xi64>} : () -> tensor<5xi64>
    %merge = onnx.node "Constant"() {value = dense<[0, 0, 4, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %0 = onnx.node "Reshape"(%x, %split) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<5xi64>) -> !onnx.any
    %1 = onnx.node "Transpose"(%0) {perm = array<i64: 0, 3, 2, 1, 4>} : (!onnx.any) -> !onnx.any
    %y = onnx.node "Reshape"(%1, %merge) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    return %y : !onnx.any
  }
}
