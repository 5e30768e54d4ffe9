// RUN: uoe-opt %s --inline-functions --split-input-file --verify-diagnostics | FileCheck %s

// Calls of calls; attributes are passed on; the output keeps its name and the functions go.
// CHECK-LABEL: func.func @main_graph
// CHECK-SAME: (%[[X:.*]]: tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.node "LeakyRelu"(%[[X]]) {alpha = 2.500000e-01 : f32}
// CHECK: %[[B:.*]] = onnx.node "Add"(%[[A]], %[[X]]) fields {result_names = ["out"]}
// CHECK: return %[[B]]
// CHECK-NOT: func.func
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @main_graph(%x: tensor<2xf32> {onnx.name = "x"}) -> (!onnx.any {onnx.name = "out"}) {
    %y = onnx.node "mine" "Residual"(%x) {slope = 0.25 : f32} fields {result_names = ["out"]} : (tensor<2xf32>) -> !onnx.any
    return %y : !onnx.any
  }
  func.func @Residual(%x: !onnx.any) -> !onnx.any attributes {onnx.function = {attributes = ["slope"], domain = "mine", name = "Residual"}, onnx.opset_import = {ai.onnx = 18 : i64}} {
    %a = onnx.node "mine" "Act"(%x) {alpha = #onnx.ref<"slope", 1>} fields {result_names = ["a"]} : (!onnx.any) -> !onnx.any
    %b = onnx.node "Add"(%a, %x) fields {result_names = ["b"]} : (!onnx.any, !onnx.any) -> !onnx.any
    return %b : !onnx.any
  }
  func.func @Act(%x: !onnx.any) -> !onnx.any attributes {onnx.function = {attributes = ["alpha"], domain = "mine", name = "Act"}, onnx.opset_import = {ai.onnx = 18 : i64}} {
    %a = onnx.node "LeakyRelu"(%x) {alpha = #onnx.ref<"alpha", 1>} : (!onnx.any) -> !onnx.any
    return %a : !onnx.any
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @main_graph(%x: tensor<2xf32>) -> !onnx.any {
    %y = onnx.node "mine" "Again"(%x) : (tensor<2xf32>) -> !onnx.any
    return %y : !onnx.any
  }
  func.func @Again(%x: !onnx.any) -> !onnx.any attributes {onnx.function = {domain = "mine", name = "Again"}} {
    // expected-error @below {{nest deeper than 64, or in a circle}}
    %a = onnx.node "mine" "Again"(%x) : (!onnx.any) -> !onnx.any
    return %a : !onnx.any
  }
}

// -----

// Domain and name are told apart, whatever the two spell together.
// CHECK-LABEL: func.func @main_graph
// CHECK: %[[A:.*]] = onnx.node "Neg"
// CHECK: onnx.node "Abs"(%[[A]])
module attributes {onnx.opset_import = {ai.onnx = 18 : i64}} {
  func.func @main_graph(%x: tensor<2xf32>) -> !onnx.any {
    %y = onnx.node "ab" "c"(%x) : (tensor<2xf32>) -> !onnx.any
    %z = onnx.node "a" "bc"(%y) : (!onnx.any) -> !onnx.any
    return %z : !onnx.any
  }
  func.func @f(%x: !onnx.any) -> !onnx.any attributes {onnx.function = {domain = "ab", name = "c"}, onnx.opset_import = {ai.onnx = 18 : i64}} {
    %a = onnx.node "Neg"(%x) : (!onnx.any) -> !onnx.any
    return %a : !onnx.any
  }
  func.func @g(%x: !onnx.any) -> !onnx.any attributes {onnx.function = {domain = "a", name = "bc"}, onnx.opset_import = {ai.onnx = 18 : i64}} {
    %a = onnx.node "Abs"(%x) : (!onnx.any) -> !onnx.any
    return %a : !onnx.any
  }
}
