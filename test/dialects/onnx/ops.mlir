// Every op, type and attribute prints as it parses.
// RUN: uoe-opt %s --verify-roundtrip | FileCheck %s
// RUN: uoe-opt %s --emit-bytecode | uoe-opt | FileCheck %s

// CHECK: onnx.initializer @w : tensor<384x384xf32> = #onnx.file<"{{.*}}weights.bin", 1024, 589824> : tensor<384x384xf32>
onnx.initializer @w : tensor<384x384xf32> = #onnx.file<"weights.bin", 1024, 589824> : tensor<384x384xf32>
// CHECK: onnx.initializer @packed : tensor<3xui4> = #onnx.file<"{{.*}}weights.bin", 0, 2> : tensor<3xui4>
onnx.initializer @packed : tensor<3xui4> = #onnx.file<"weights.bin", 0, 2> : tensor<3xui4>
// CHECK: onnx.initializer @small : tensor<2xi64> = dense<[1, -1]> : tensor<2xi64> fields {doc_string = "a shape", name = "a/b"}
onnx.initializer @small : tensor<2xi64> = dense<[1, -1]> : tensor<2xi64> fields {doc_string = "a shape", name = "a/b"}
// CHECK: onnx.initializer @words : tensor<2x!onnx.string> = dense<["x", "y"]> : tensor<2x!onnx.string>
onnx.initializer @words : tensor<2x!onnx.string> = dense<["x", "y"]> : tensor<2x!onnx.string>
// CHECK: onnx.initializer @sparse : tensor<4xf32> = #onnx.proto<"SparseTensorProto", "1804"> : tensor<4xf32>
onnx.initializer @sparse : tensor<4xf32> = #onnx.proto<"SparseTensorProto", "1804"> : tensor<4xf32>

// CHECK-LABEL: func.func @nodes
// CHECK-SAME: tensor<?x384xf32, #onnx.dims<"batch", "">>
func.func @nodes(%x: tensor<?x384xf32, #onnx.dims<"batch", "">>, %c: tensor<i1>) -> !onnx.any {
  // CHECK: %[[W:.*]] = onnx.weight @w : tensor<384x384xf32>
  %w = onnx.weight @w : tensor<384x384xf32>
  // CHECK: %[[NONE:.*]] = onnx.none
  %none = onnx.none
  // CHECK: onnx.node "MatMul"(%{{.*}}, %[[W]]) fields {name = "m", result_names = ["y"]} : (tensor<?x384xf32, #onnx.dims<"batch", "">>, tensor<384x384xf32>) -> tensor<?x384xf32>
  %y = onnx.node "MatMul"(%x, %w) fields {name = "m", result_names = ["y"]} : (tensor<?x384xf32, #onnx.dims<"batch", "">>, tensor<384x384xf32>) -> tensor<?x384xf32>
  // CHECK: onnx.node "com.microsoft" "FastGelu"(%{{.*}}, %[[NONE]]) : (tensor<?x384xf32>, none) -> tensor<*xf32>
  %z = onnx.node "com.microsoft" "FastGelu"(%y, %none) : (tensor<?x384xf32>, none) -> tensor<*xf32>
  // CHECK: onnx.node "Odd"(%{{.*}}) {f = 1.500000e+00 : f32, fs = array<f32: 1.000000e+00, 0x7FC00000>, i = 3 : i64, is = array<i64: 1, 2>, p = #onnx.proto<"AttributeProto", "0A0170">, r = #onnx.ref<"axis", 2>, s = "a\00\FFb", ss = ["a", "b"]} : (tensor<*xf32>) -> (!onnx.sequence<tensor<?xf32>>, !onnx.optional<tensor<*x!onnx.any>>, none, !onnx.opaque<"2A00">)
  %q:4 = onnx.node "Odd"(%z) {i = 3 : i64, f = 1.5 : f32, s = "a\00\FFb", is = array<i64: 1, 2>, fs = array<f32: 1.0, 0x7FC00000>, ss = ["a", "b"], r = #onnx.ref<"axis", 2>, p = #onnx.proto<"AttributeProto", "0A0170">} : (tensor<*xf32>) -> (!onnx.sequence<tensor<?xf32>>, !onnx.optional<tensor<*x!onnx.any>>, none, !onnx.opaque<"2A00">)
  // CHECK: onnx.node "If"(%{{.*}}) subgraphs "then_branch" {
  // CHECK:   onnx.yield %{{.*}} : tensor<*xf32>
  // CHECK: }, "else_branch" {
  // CHECK:   %[[N:.*]] = onnx.node "Neg"
  // CHECK:   onnx.yield %[[N]] : !onnx.any
  // CHECK: } : (tensor<i1>) -> !onnx.any
  %r = onnx.node "If"(%c) subgraphs "then_branch" {
    onnx.yield %z : tensor<*xf32>
  }, "else_branch" {
    %n = onnx.node "Neg"(%z) : (tensor<*xf32>) -> !onnx.any
    onnx.yield %n : !onnx.any
  } : (tensor<i1>) -> !onnx.any
  return %r : !onnx.any
}
