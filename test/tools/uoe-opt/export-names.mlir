// Values that passes have made get names; outputs keep theirs.
// RUN: uoe-opt %s -o %t.onnx && uoe-opt %t.onnx | FileCheck %s

module attributes {onnx.ir_version = 8 : i64, onnx.opset_import = {ai.onnx = 17 : i64}} {
  // The symbol that a pass has made; the IR version allows initializers that are no inputs.
  // CHECK: onnx.initializer @new : tensor<2xf32>
  onnx.initializer @new : tensor<2xf32> = dense<[1.0, 2.0]> : tensor<2xf32>
  // CHECK: func.func @main_graph(%[[X:.*]]: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "same"}, tensor<2xf32> {onnx.name = "twin"}, tensor<2xf32> {onnx.name = "y"}, tensor<2xf32> {onnx.name = "w"})
  func.func @main_graph(%x: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "same"}, tensor<2xf32> {onnx.name = "twin"},
                                                              tensor<2xf32> {onnx.name = "y"}, tensor<2xf32> {onnx.name = "w"}) {
    %w = onnx.weight @new : tensor<2xf32>
    %again = onnx.weight @new : tensor<2xf32>
    // CHECK: onnx.node "Neg"(%[[X]]) fields {result_names = ["a"]}
    %a = onnx.node "Neg"(%x) fields {result_names = ["a"]} : (tensor<2xf32>) -> tensor<2xf32>
    // A copy that a pass has made: the name is taken.
    // CHECK: onnx.node "Abs"({{.*}}) fields {result_names = ["a_1"]}
    %b = onnx.node "Abs"(%a) fields {result_names = ["a"]} : (tensor<2xf32>) -> tensor<2xf32>
    // CHECK: %[[ADD:.*]] = onnx.node "Add"({{.*}}) fields {result_names = ["Add_out0"]}
    %c = onnx.node "Add"(%b, %again) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    // An output takes its name from the graph's result.
    // CHECK: %[[Y:.*]] = onnx.node "com.microsoft" "FastGelu"(%[[ADD]]) fields {result_names = ["y"]}
    %y = onnx.node "com.microsoft" "FastGelu"(%c) fields {result_names = ["old name"]} : (tensor<2xf32>) -> tensor<2xf32>
    // CHECK: %[[SAME:.*]] = onnx.node "Identity"(%[[X]]) fields {result_names = ["same"]}
    // CHECK: %[[TWIN:.*]] = onnx.node "Identity"(%[[X]]) fields {result_names = ["twin"]}
    // CHECK: %[[W:.*]] = onnx.node "Identity"({{.*}}) fields {result_names = ["w"]}
    // CHECK: return %[[SAME]], %[[TWIN]], %[[Y]], %[[W]]
    return %x, %x, %y, %w : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
  }
}
// The domain that a pass has brought in is imported.
// RUN: uoe-opt %t.onnx | FileCheck %s --check-prefix=IMPORT
// IMPORT: onnx.opset_import = {ai.onnx = 17 : i64, com.microsoft = 1 : i64}
