// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=0 --canonicalize-onnx --split-input-file | FileCheck %s
// RUN: uoe-opt %S/Inputs/repeated-keys.mlir --infer-shapes --canonicalize-onnx -o %t.mlir
// RUN: uoe-run compare %S/Inputs/repeated-keys.mlir %t.mlir --dim B=2 --dim S=4 --runs 2 --tolerance 1e-6 --no-fuse
// RUN: uoe-opt %S/Inputs/repeated-keys.mlir --prove --experts 2 -o %t.onnx 2>&1 | FileCheck %s --check-prefix=PROVED

// Attentions of Keras's spelling, by indices, with keys shared in turn and with queries stacked in groups: split by groups of heads. So is one whose
// weights are no softmax, node by node.
// PROVED: layer.0.attention {{.*}}2 experts {{.*}}each of 200 weights used once {{.*}}equal
// PROVED: layer.1.attention {{.*}}2 experts {{.*}}each of 200 weights used once {{.*}}equal
// PROVED: layer.2.attention {{.*}}2 experts {{.*}}each of 200 weights used once {{.*}}equal
// PROVED: layer.3.attention {{.*}}2 experts {{.*}}each of {{.*}} weights used once {{.*}}equal
// PROVED: layer.4.attention {{.*}}2 experts {{.*}}each of 256 weights used once {{.*}}equal

// Keys and values repeated as [B, T, G, R, D] before they are transposed, with axes of one element for an einsum (Keras): repeated last, as
// [B, G, R, T, D].
// CHECK-LABEL: func.func @before_transposition
// CHECK-SAME: (%[[K:[^:]*]]: {{.*}}, %[[V:[^:]*]]: tensor
// CHECK: %[[KT:.*]] = onnx.node "Transpose"(%[[K]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[KU:.*]] = onnx.node "Unsqueeze"(%[[KT]], %{{.*}}) {{.*}}-> tensor<?x2x1x?x8xf32
// CHECK: %[[KE:.*]] = onnx.node "Expand"(%[[KU]], %{{.*}}) {{.*}}-> tensor<?x2x2x?x8xf32
// CHECK: %[[KH:.*]] = onnx.node "Reshape"(%[[KE]], %{{.*}}) {{.*}}-> tensor<?x4x?x8xf32
// CHECK: %[[KP:.*]] = onnx.node "Transpose"(%[[KH]]) {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[VT:.*]] = onnx.node "Transpose"(%[[V]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[VU:.*]] = onnx.node "Unsqueeze"(%[[VT]], %{{.*}}) {{.*}}-> tensor<?x2x1x?x8xf32
// CHECK: %[[VE:.*]] = onnx.node "Expand"(%[[VU]], %{{.*}}) {{.*}}-> tensor<?x2x2x?x8xf32
// CHECK: %[[VH:.*]] = onnx.node "Reshape"(%[[VE]], %{{.*}}) {{.*}}-> tensor<?x4x?x8xf32
// CHECK: return %[[KP]], %[[VH]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @before_transposition(%k: tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, %v: tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>) -> (!onnx.any, !onnx.any) {
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 1, 1, 2, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 4, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %keys = onnx.node "Constant"() {value = dense<[0, 4, 8, -1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %values = onnx.node "Constant"() {value = dense<[0, 4, -1, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %k0 = onnx.node "Unsqueeze"(%k, %three) : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<1xi64>) -> !onnx.any
    %k1 = onnx.node "Tile"(%k0, %times) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %k2 = onnx.node "Reshape"(%k1, %heads) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %k3 = onnx.node "Unsqueeze"(%k2, %one) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 3, 4, 1, 2>} : (!onnx.any) -> !onnx.any
    %k5 = onnx.node "Reshape"(%k4, %keys) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %v0 = onnx.node "Unsqueeze"(%v, %three) : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<1xi64>) -> !onnx.any
    %v1 = onnx.node "Tile"(%v0, %times) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %v2 = onnx.node "Reshape"(%v1, %heads) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %v3 = onnx.node "Unsqueeze"(%v2, %two) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 3, 1, 2, 4>} : (!onnx.any) -> !onnx.any
    %v5 = onnx.node "Reshape"(%v4, %values) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    return %k5, %v5 : !onnx.any, !onnx.any
  }
}

// -----

// By an Expand, by indices, and copies of all heads in turn (head h is h mod G); the transposition that the product of keys needs stays last.
// CHECK-LABEL: func.func @spellings
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x2x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[X]]) {perm = array<i64: 0, 2, 1, 3>} {{.*}}-> tensor<?x2x?x8xf32
// CHECK: %[[U:.*]] = onnx.node "Unsqueeze"(%[[T]], %{{.*}}) {{.*}}-> tensor<?x2x1x?x8xf32
// CHECK: %[[E:.*]] = onnx.node "Expand"(%[[U]], %{{.*}}) {{.*}}-> tensor<?x2x3x?x8xf32
// CHECK: %[[M:.*]] = onnx.node "Reshape"(%[[E]], %{{.*}}) {{.*}}-> tensor<?x6x?x8xf32
// CHECK: %[[K:.*]] = onnx.node "Transpose"(%[[M]]) {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[U2:.*]] = onnx.node "Unsqueeze"(%[[T]], %{{.*}}) {{.*}}-> tensor<?x1x2x?x8xf32
// CHECK: %[[E2:.*]] = onnx.node "Expand"(%[[U2]], %{{.*}}) {{.*}}-> tensor<?x3x2x?x8xf32
// CHECK: %[[M2:.*]] = onnx.node "Reshape"(%[[E2]], %{{.*}}) {{.*}}-> tensor<?x6x?x8xf32
// CHECK: %[[M3:.*]] = onnx.node "Identity"(%[[M2]])
// CHECK: return %[[K]], %[[M]], %[[M2]], %[[M3]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @spellings(%x: tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 1, 1, 3, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 6, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %each = onnx.node "Constant"() {value = dense<[0, 0, 0, 1, 1, 1]> : tensor<6xi64>} : () -> tensor<6xi64>
    %turn = onnx.node "Constant"() {value = dense<[0, 1, 0, 1, 0, 1]> : tensor<6xi64>} : () -> tensor<6xi64>
    %all = onnx.node "Constant"() {value = dense<[1, 1, 3, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %u = onnx.node "Unsqueeze"(%x, %three) : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Expand"(%u, %times) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %m = onnx.node "Reshape"(%e, %heads) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %a = onnx.node "Transpose"(%m) {perm = array<i64: 0, 2, 3, 1>} : (!onnx.any) -> !onnx.any
    %g = onnx.node "Gather"(%x, %each) {axis = 2 : i64} : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<6xi64>) -> !onnx.any
    %b = onnx.node "Transpose"(%g) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    %h = onnx.node "Gather"(%x, %turn) {axis = 2 : i64} : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<6xi64>) -> !onnx.any
    %c = onnx.node "Transpose"(%h) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    %t = onnx.node "Tile"(%x, %all) : (tensor<?x?x2x8xf32, #onnx.dims<"b", "s", "", "">>, tensor<4xi64>) -> !onnx.any
    %d = onnx.node "Transpose"(%t) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    return %a, %b, %c, %d : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// Rotated and scaled after the repetition, in half as many heads before it: what each head has of its own keeps the repetition where it is.
// CHECK-LABEL: func.func @rotated
// CHECK-NOT: tensor<?x4x?x4xf32
// CHECK: %[[R:.*]] = onnx.node "Add"({{.*}}-> tensor<?x2x?x8xf32
// CHECK: %[[N:.*]] = onnx.node "RMSNormalization"(%[[R]], {{.*}}-> tensor<?x2x?x8xf32
// CHECK: onnx.node "Unsqueeze"(%[[N]],
// CHECK: %[[M:.*]] = onnx.node "Reshape"({{.*}}-> tensor<?x4x?x8xf32
// CHECK: onnx.node "Mul"(%[[M]], %{{.*}}tensor<4x1x1xf32>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @rotated(%x: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, %cos: tensor<?x8xf32, #onnx.dims<"s", "">>, %sin: tensor<?x1x?x8xf32, #onnx.dims<"b", "", "s", "">>, %own: tensor<4x1x1xf32>, %scale: tensor<8xf32>) -> !onnx.any {
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %three = onnx.node "Constant"() {value = dense<3> : tensor<1xi64>} : () -> tensor<1xi64>
    %four = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %eight = onnx.node "Constant"() {value = dense<8> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 1, 2, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %heads = onnx.node "Constant"() {value = dense<[0, 4, -1, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %u = onnx.node "Unsqueeze"(%x, %two) : (tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<1xi64>) -> !onnx.any
    %e = onnx.node "Expand"(%u, %times) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %m = onnx.node "Reshape"(%e, %heads) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %c = onnx.node "Mul"(%m, %cos) : (!onnx.any, tensor<?x8xf32, #onnx.dims<"s", "">>) -> !onnx.any
    %low = onnx.node "Slice"(%m, %zero, %four, %three) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %high = onnx.node "Slice"(%m, %four, %eight, %three) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %n = onnx.node "Neg"(%high) : (!onnx.any) -> !onnx.any
    %half = onnx.node "Concat"(%n, %low) {axis = -1 : i64} : (!onnx.any, !onnx.any) -> !onnx.any
    %s = onnx.node "Mul"(%half, %sin) : (!onnx.any, tensor<?x1x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> !onnx.any
    %r = onnx.node "Add"(%c, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %norm = onnx.node "RMSNormalization"(%r, %scale) {axis = -1 : i64} : (!onnx.any, tensor<8xf32>) -> !onnx.any
    %y = onnx.node "Mul"(%norm, %own) : (!onnx.any, tensor<4x1x1xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// No repetition of heads: copies amid an axis, along the last one, of a size that is not known, in another order; and a Reshape that merges heads.
// CHECK-LABEL: func.func @others
// CHECK: %[[A:.*]] = onnx.node "Neg"
// CHECK: %[[B:.*]] = onnx.node "Neg"
// CHECK: %[[C:.*]] = onnx.node "Neg"
// CHECK: %[[D:.*]] = onnx.node "Neg"
// CHECK: %[[E:.*]] = onnx.node "Reshape"({{.*}}-> tensor<?x4x8xf32
// CHECK: return %[[A]], %[[B]], %[[C]], %[[D]], %[[E]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @others(%x: tensor<2x1x2x3x4xf32>, %y: tensor<?x2x3x4xf32>, %n: tensor<4xi64>, %z: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %middle = onnx.node "Constant"() {value = dense<[2, 4, 2, 3, 4]> : tensor<5xi64>} : () -> tensor<5xi64>
    %merged = onnx.node "Constant"() {value = dense<[1, 16, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %last = onnx.node "Constant"() {value = dense<[1, 1, 1, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %other = onnx.node "Constant"() {value = dense<[0, 1, 1, 0]> : tensor<4xi64>} : () -> tensor<4xi64>
    %each = onnx.node "Constant"() {value = dense<[0, 0, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 4, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %a0 = onnx.node "Expand"(%x, %middle) : (tensor<2x1x2x3x4xf32>, tensor<5xi64>) -> !onnx.any
    %a1 = onnx.node "Reshape"(%a0, %merged) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %a = onnx.node "Neg"(%a1) : (!onnx.any) -> !onnx.any
    %b0 = onnx.node "Tile"(%y, %last) : (tensor<?x2x3x4xf32>, tensor<4xi64>) -> !onnx.any
    %b = onnx.node "Neg"(%b0) : (!onnx.any) -> !onnx.any
    %c0 = onnx.node "Tile"(%y, %n) : (tensor<?x2x3x4xf32>, tensor<4xi64>) -> !onnx.any
    %c = onnx.node "Neg"(%c0) : (!onnx.any) -> !onnx.any
    %d0 = onnx.node "Gather"(%y, %other) {axis = 1 : i64} : (tensor<?x2x3x4xf32>, tensor<4xi64>) -> !onnx.any
    %d = onnx.node "Neg"(%d0) : (!onnx.any) -> !onnx.any
    %e0 = onnx.node "Gather"(%z, %each) {axis = 1 : i64} : (tensor<?x2x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<4xi64>) -> !onnx.any
    %e1 = onnx.node "Transpose"(%e0) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.any) -> !onnx.any
    %e = onnx.node "Reshape"(%e1, %rows) : (!onnx.any, tensor<3xi64>) -> !onnx.any
    return %a, %b, %c, %d, %e : !onnx.any, !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}

// -----

// Head h reads key head h mod G: heads in the order of the groups for both products, in the old one behind. A bias of the heads' own follows.
// CHECK-LABEL: func.func @in_turn
// CHECK-SAME: (%[[Q:[^:]*]]: {{.*}}, %[[KV:[^:]*]]: {{.*}}, %[[B:[^:]*]]: tensor<4x1x1xf32>)
// CHECK-DAG: %[[ORDER:.*]] = onnx.node "Constant"() {value = dense<[0, 2, 1, 3]>
// CHECK-DAG: %[[QG:.*]] = onnx.node "Gather"(%[[Q]], %[[ORDER]]) {axis = 1
// CHECK-DAG: %[[K:.*]] = onnx.node "Reshape"({{.*}}: (tensor<?x2x2x?x8xf32
// CHECK: %[[S:.*]] = onnx.node "Einsum"(%[[QG]], %[[K]])
// CHECK: %[[BG:.*]] = onnx.node "Gather"(%{{.*}}, %{{.*}}) {axis = 1 {{.*}}-> tensor<1x4x1x1xf32>
// CHECK: %[[A:.*]] = onnx.node "Add"(%[[S]], %[[BG]])
// CHECK: %[[P:.*]] = onnx.node "Softmax"(%[[A]])
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[P]], %[[K]])
// CHECK: %[[R:.*]] = onnx.node "Gather"(%[[Y]], %{{.*}}) {axis = 1
// CHECK: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @in_turn(%q: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, %kv: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "t", "">>, %b: tensor<4x1x1xf32>) -> !onnx.any {
    %twice = onnx.node "Constant"() {value = dense<[1, 2, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %k = onnx.node "Tile"(%kv, %twice) : (tensor<?x2x?x8xf32, #onnx.dims<"b", "", "t", "">>, tensor<4xi64>) -> !onnx.any
    %s = onnx.node "Einsum"(%q, %k) {equation = "b h i d, b h j d -> b h i j"} : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, !onnx.any) -> !onnx.any
    %a = onnx.node "Add"(%s, %b) : (!onnx.any, tensor<4x1x1xf32>) -> !onnx.any
    %p = onnx.node "Softmax"(%a) {axis = -1 : i64} : (!onnx.any) -> !onnx.any
    %y = onnx.node "MatMul"(%p, %k) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// An einsum over groups, as two products of [B, G, R*S, ..]: products over all heads of keys that are repeated, the mask in their layout.
// CHECK-LABEL: func.func @stacked
// CHECK: %[[S:.*]] = onnx.node "MatMul"(%{{.*}}) : (tensor<?x4x7x8xf32{{.*}}, tensor<?x4x8x?xf32
// CHECK: %[[W:.*]] = onnx.node "Where"(%{{.*}}, %[[S]], %{{.*}}) : (tensor<?x1x7x?xi1{{.*}}, tensor<?x4x7x?xf32
// CHECK: %[[P:.*]] = onnx.node "Softmax"(%[[W]])
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[P]], %{{.*}}) : {{.*}}tensor<?x4x?x8xf32{{.*}}) -> tensor<?x4x7x8xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[Y]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: return %[[T]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @stacked(%q: tensor<?x7x4x8xf32, #onnx.dims<"b", "", "", "">>, %k: tensor<?x2x8x?xf32, #onnx.dims<"b", "", "", "t">>, %v: tensor<?x2x?x8xf32, #onnx.dims<"b", "", "t", "">>, %m: tensor<?x1x1x7x?xi1, #onnx.dims<"b", "", "", "", "t">>) -> !onnx.any {
    %low = onnx.node "Constant"() {value = dense<-1.0e+09> : tensor<f32>} : () -> tensor<f32>
    %groups = onnx.node "Constant"() {value = dense<[0, 0, 2, 2, 8]> : tensor<5xi64>} : () -> tensor<5xi64>
    %rows = onnx.node "Constant"() {value = dense<[0, 2, 14, -1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %apart = onnx.node "Constant"() {value = dense<[0, 2, 2, 7, -1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %merged = onnx.node "Constant"() {value = dense<[0, 0, 4, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %q0 = onnx.node "Reshape"(%q, %groups) : (tensor<?x7x4x8xf32, #onnx.dims<"b", "", "", "">>, tensor<5xi64>) -> !onnx.any
    %q1 = onnx.node "Transpose"(%q0) {perm = array<i64: 0, 2, 3, 1, 4>} : (!onnx.any) -> !onnx.any
    %q2 = onnx.node "Reshape"(%q1, %rows) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %s0 = onnx.node "MatMul"(%q2, %k) : (!onnx.any, tensor<?x2x8x?xf32, #onnx.dims<"b", "", "", "t">>) -> !onnx.any
    %s1 = onnx.node "Reshape"(%s0, %apart) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %w = onnx.node "Where"(%m, %s1, %low) : (tensor<?x1x1x7x?xi1, #onnx.dims<"b", "", "", "", "t">>, !onnx.any, tensor<f32>) -> !onnx.any
    %p = onnx.node "Softmax"(%w) {axis = -1 : i64} : (!onnx.any) -> !onnx.any
    %p1 = onnx.node "Reshape"(%p, %rows) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %y0 = onnx.node "MatMul"(%p1, %v) : (!onnx.any, tensor<?x2x?x8xf32, #onnx.dims<"b", "", "t", "">>) -> !onnx.any
    %y1 = onnx.node "Reshape"(%y0, %apart) : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %y2 = onnx.node "Transpose"(%y1) {perm = array<i64: 0, 3, 1, 2, 4>} : (!onnx.any) -> !onnx.any
    %y = onnx.node "Reshape"(%y2, %merged) : (!onnx.any, tensor<4xi64>) -> !onnx.any
    return %y : !onnx.any
  }
}
