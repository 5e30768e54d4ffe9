// RUN: uoe-opt %s --infer-shapes --canonicalize-onnx --split-input-file | FileCheck %s
// RUN: uoe-opt %s --raise --raise-report --split-input-file -o /dev/null 2>&1 | FileCheck %s --check-prefix=RAISED

// A decoder of such heads: the same numbers, and a block that can be split.
// RUN: uoe-opt %S/Inputs/head-modules.mlir --infer-shapes --canonicalize-onnx -o %t.mlir
// RUN: FileCheck %s --check-prefix=DECODER < %t.mlir
// RUN: uoe-run compare %S/Inputs/head-modules.mlir %t.mlir --dim B=2 --dim S=4 --runs 2 --tolerance 1e-6 --no-fuse
// RUN: uoe-opt %S/Inputs/head-modules.mlir --prove --experts 2 -o %t.onnx 2>&1 | FileCheck %s --check-prefix=PROVED
// DECODER-COUNT-1: "Softmax"
// DECODER-NOT: "Softmax"
// PROVED: layer.0.attention {{.*}}2 experts {{.*}}each of 288 weights used once {{.*}}equal

// Two heads of one class, each with projections and a mask of its own: one attention.
// CHECK-LABEL: func.func @masked
// CHECK-DAG: %[[K:.*]] = onnx.node "MatMul"(%arg0, %{{.*}}) : (tensor<?x?x8xf32, {{.*}}>, tensor<8x8xf32>)
// CHECK: onnx.node "Transpose"({{.*}}) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[S:.*]] = onnx.node "MatMul"{{.*}} -> tensor<?x2x?x?xf32
// CHECK: %[[M:.*]] = onnx.node "Where"({{.*}}) {{.*}} -> tensor<?x2x?x?xf32
// CHECK: %[[P:.*]] = onnx.node "Softmax"(%[[M]]) {axis = -1 : i64}
// CHECK: %[[O:.*]] = onnx.node "MatMul"(%[[P]], {{.*}}) {{.*}} -> tensor<?x2x?x4xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[O]])
// CHECK: %[[Y:.*]] = onnx.node "Reshape"(%[[T]], {{.*}}) {{.*}} -> tensor<?x?x8xf32
// CHECK: return %[[Y]]
// RAISED: raised: 0 feed-forward, 1 attention; missed candidates: 0
// RAISED-NEXT: layer.0.attention: 2 heads of 4, scale 0.5000, bias
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @q0 : tensor<8x4xf32> = dense<0.1> : tensor<8x4xf32>
  onnx.initializer @k0 : tensor<8x4xf32> = dense<0.2> : tensor<8x4xf32>
  onnx.initializer @v0 : tensor<8x4xf32> = dense<0.3> : tensor<8x4xf32>
  onnx.initializer @q1 : tensor<8x4xf32> = dense<0.4> : tensor<8x4xf32>
  onnx.initializer @k1 : tensor<8x4xf32> = dense<0.5> : tensor<8x4xf32>
  onnx.initializer @v1 : tensor<8x4xf32> = dense<0.6> : tensor<8x4xf32>
  onnx.initializer @b0 : tensor<4xf32> = dense<0.7> : tensor<4xf32>
  onnx.initializer @b1 : tensor<4xf32> = dense<0.8> : tensor<4xf32>
  onnx.initializer @tril0 : tensor<3x3xi1> = dense<[[0, 1, 1], [0, 0, 1], [0, 0, 0]]> : tensor<3x3xi1>
  onnx.initializer @tril1 : tensor<3x3xi1> = dense<[[0, 1, 1], [0, 0, 1], [0, 0, 0]]> : tensor<3x3xi1>
  func.func @masked(%x: tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, %s: tensor<1xi64>) -> !onnx.any {
    %q0 = onnx.weight @q0 : tensor<8x4xf32>
    %k0 = onnx.weight @k0 : tensor<8x4xf32>
    %v0 = onnx.weight @v0 : tensor<8x4xf32>
    %q1 = onnx.weight @q1 : tensor<8x4xf32>
    %k1 = onnx.weight @k1 : tensor<8x4xf32>
    %v1 = onnx.weight @v1 : tensor<8x4xf32>
    %b0 = onnx.weight @b0 : tensor<4xf32>
    %b1 = onnx.weight @b1 : tensor<4xf32>
    %tril0 = onnx.weight @tril0 : tensor<3x3xi1>
    %tril1 = onnx.weight @tril1 : tensor<3x3xi1>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<2xi64>} : () -> tensor<2xi64>
    %axes = onnx.node "Constant"() {value = dense<[0, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %ends = onnx.node "Concat"(%s, %s) {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %half = onnx.node "Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %low = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %qx0 = onnx.node "MatMul"(%x, %q0) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %qb0 = onnx.node "Add"(%qx0, %b0) : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %kx0 = onnx.node "MatMul"(%x, %k0) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %vx0 = onnx.node "MatMul"(%x, %v0) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %kt0 = onnx.node "Transpose"(%kx0) {perm = array<i64: 0, 2, 1>} : (!onnx.any) -> !onnx.any
    %qk0 = onnx.node "MatMul"(%qb0, %kt0) : (!onnx.any, !onnx.any) -> !onnx.any
    %sc0 = onnx.node "Mul"(%qk0, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %m0 = onnx.node "Slice"(%tril0, %zero, %ends, %axes) : (tensor<3x3xi1>, tensor<2xi64>, !onnx.any, tensor<2xi64>) -> !onnx.any
    %w0 = onnx.node "Where"(%m0, %low, %sc0) : (!onnx.any, tensor<f32>, !onnx.any) -> !onnx.any
    %p0 = onnx.node "Softmax"(%w0) {axis = -1 : si64} : (!onnx.any) -> !onnx.any
    %o0 = onnx.node "MatMul"(%p0, %vx0) : (!onnx.any, !onnx.any) -> !onnx.any
    %qx1 = onnx.node "MatMul"(%x, %q1) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %qb1 = onnx.node "Add"(%b1, %qx1) : (tensor<4xf32>, !onnx.any) -> !onnx.any
    %kx1 = onnx.node "MatMul"(%x, %k1) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %vx1 = onnx.node "MatMul"(%x, %v1) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %kt1 = onnx.node "Transpose"(%kx1) {perm = array<i64: 0, 2, 1>} : (!onnx.any) -> !onnx.any
    %qk1 = onnx.node "MatMul"(%qb1, %kt1) : (!onnx.any, !onnx.any) -> !onnx.any
    %sc1 = onnx.node "Mul"(%qk1, %half) : (!onnx.any, tensor<f32>) -> !onnx.any
    %m1 = onnx.node "Slice"(%tril1, %zero, %ends, %axes) : (tensor<3x3xi1>, tensor<2xi64>, !onnx.any, tensor<2xi64>) -> !onnx.any
    %w1 = onnx.node "Where"(%m1, %low, %sc1) : (!onnx.any, tensor<f32>, !onnx.any) -> !onnx.any
    %p1 = onnx.node "Softmax"(%w1) {axis = -1 : si64} : (!onnx.any) -> !onnx.any
    %o1 = onnx.node "MatMul"(%p1, %vx1) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Concat"(%o0, %o1) {axis = -1 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Rotated queries, the key and value of all heads in common; biases of the heads' own beside the scores.
// CHECK-LABEL: func.func @rotated
// CHECK: onnx.node "MatMul"(%arg0, %{{.*}}) : ({{.*}}, tensor<8x8xf32>)
// CHECK: onnx.node "Slice"{{.*}} -> tensor<?x2x?x2xf32
// CHECK: onnx.node "Concat"{{.*}} {axis = -1 : i64} {{.*}} -> tensor<?x2x?x4xf32
// CHECK: onnx.node "Concat"{{.*}} {axis = 0 : i64} {{.*}} -> tensor<2x1x1xf32>
// CHECK: onnx.node "Softmax"{{.*}} -> tensor<?x2x?x?xf32
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @q0 : tensor<8x4xf32> = dense<0.1> : tensor<8x4xf32>
  onnx.initializer @q1 : tensor<8x4xf32> = dense<0.4> : tensor<8x4xf32>
  func.func @rotated(%x: tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, %k: tensor<?x4x?xf32, #onnx.dims<"n", "", "s">>, %v: tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>,
      %sin: tensor<?x4xf32, #onnx.dims<"s", "">>) -> !onnx.any {
    %q0 = onnx.weight @q0 : tensor<8x4xf32>
    %q1 = onnx.weight @q1 : tensor<8x4xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %four = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %c0 = onnx.node "Constant"() {value = dense<0.25> : tensor<1xf32>} : () -> tensor<1xf32>
    %c1 = onnx.node "Constant"() {value = dense<0.75> : tensor<1xf32>} : () -> tensor<1xf32>
    %qx0 = onnx.node "MatMul"(%x, %q0) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %a0 = onnx.node "Slice"(%qx0, %zero, %two, %two) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %b0 = onnx.node "Slice"(%qx0, %two, %four, %two) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %n0 = onnx.node "Neg"(%b0) : (!onnx.any) -> !onnx.any
    %r0 = onnx.node "Concat"(%n0, %a0) {axis = 2 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    %t0 = onnx.node "Mul"(%r0, %sin) : (!onnx.any, tensor<?x4xf32, #onnx.dims<"s", "">>) -> !onnx.any
    %qk0 = onnx.node "MatMul"(%t0, %k) : (!onnx.any, tensor<?x4x?xf32, #onnx.dims<"n", "", "s">>) -> !onnx.any
    %s0 = onnx.node "Mul"(%qk0, %c0) : (!onnx.any, tensor<1xf32>) -> !onnx.any
    %p0 = onnx.node "Softmax"(%s0) {axis = 2 : si64} : (!onnx.any) -> !onnx.any
    %o0 = onnx.node "MatMul"(%p0, %v) : (!onnx.any, tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any
    %qx1 = onnx.node "MatMul"(%x, %q1) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x4xf32>) -> !onnx.any
    %a1 = onnx.node "Slice"(%qx1, %zero, %two, %two) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %b1 = onnx.node "Slice"(%qx1, %two, %four, %two) : (!onnx.any, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %n1 = onnx.node "Neg"(%b1) : (!onnx.any) -> !onnx.any
    %r1 = onnx.node "Concat"(%n1, %a1) {axis = 2 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    %t1 = onnx.node "Mul"(%r1, %sin) : (!onnx.any, tensor<?x4xf32, #onnx.dims<"s", "">>) -> !onnx.any
    %qk1 = onnx.node "MatMul"(%t1, %k) : (!onnx.any, tensor<?x4x?xf32, #onnx.dims<"n", "", "s">>) -> !onnx.any
    %s1 = onnx.node "Mul"(%qk1, %c1) : (!onnx.any, tensor<1xf32>) -> !onnx.any
    %p1 = onnx.node "Softmax"(%s1) {axis = 2 : si64} : (!onnx.any) -> !onnx.any
    %o1 = onnx.node "MatMul"(%p1, %v) : (!onnx.any, tensor<?x?x4xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any
    %y = onnx.node "Concat"(%o0, %o1) {axis = 2 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Heads on inputs of their own, and products side by side that are no attention, stay.
// CHECK-LABEL: func.func @apart
// CHECK-COUNT-2: onnx.node "Softmax"
// CHECK: onnx.node "Concat"{{.*}} {axis = -1 : si64}
// CHECK: onnx.node "Concat"{{.*}} {axis = -1 : si64}
module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @q : tensor<4x4xf32> = dense<0.1> : tensor<4x4xf32>
  onnx.initializer @r : tensor<4x4xf32> = dense<0.2> : tensor<4x4xf32>
  func.func @apart(%x: tensor<?x3x4xf32, #onnx.dims<"n", "", "">>, %z: tensor<?x3x4xf32, #onnx.dims<"n", "", "">>) -> (!onnx.any, !onnx.any) {
    %q = onnx.weight @q : tensor<4x4xf32>
    %r = onnx.weight @r : tensor<4x4xf32>
    %a = onnx.node "MatMul"(%x, %q) : (tensor<?x3x4xf32, #onnx.dims<"n", "", "">>, tensor<4x4xf32>) -> !onnx.any
    %at = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1>} : (!onnx.any) -> !onnx.any
    %as = onnx.node "MatMul"(%a, %at) : (!onnx.any, !onnx.any) -> !onnx.any
    %ap = onnx.node "Softmax"(%as) {axis = -1 : si64} : (!onnx.any) -> !onnx.any
    %ao = onnx.node "MatMul"(%ap, %a) : (!onnx.any, !onnx.any) -> !onnx.any
    %b = onnx.node "MatMul"(%z, %r) : (tensor<?x3x4xf32, #onnx.dims<"n", "", "">>, tensor<4x4xf32>) -> !onnx.any
    %bt = onnx.node "Transpose"(%b) {perm = array<i64: 0, 2, 1>} : (!onnx.any) -> !onnx.any
    %bs = onnx.node "MatMul"(%b, %bt) : (!onnx.any, !onnx.any) -> !onnx.any
    %bp = onnx.node "Softmax"(%bs) {axis = -1 : si64} : (!onnx.any) -> !onnx.any
    %bo = onnx.node "MatMul"(%bp, %b) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Concat"(%ao, %bo) {axis = -1 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    %c = onnx.node "MatMul"(%x, %q) : (tensor<?x3x4xf32, #onnx.dims<"n", "", "">>, tensor<4x4xf32>) -> !onnx.any
    %d = onnx.node "MatMul"(%x, %r) : (tensor<?x3x4xf32, #onnx.dims<"n", "", "">>, tensor<4x4xf32>) -> !onnx.any
    %w = onnx.node "Concat"(%c, %d) {axis = -1 : si64} : (!onnx.any, !onnx.any) -> !onnx.any
    return %y, %w : !onnx.any, !onnx.any
  }
}
