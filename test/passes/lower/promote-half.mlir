// RUN: uoe-opt %s --split-input-file --promote-half | FileCheck %s

// float16 and bfloat16 models are computed in float32: weights are cast just before their first reader, rows of a table after
// they are taken; results of blocks widen too; inputs and outputs of the graph keep their types.

// CHECK: %[[TABLE:.*]] = onnx.weight @table : tensor<8x4xf16>
// CHECK: %[[W:.*]] = onnx.weight @w : tensor<4x4xf16>
// CHECK: %[[ROWS:.*]] = onnx.node "Gather"(%[[TABLE]], %{{.*}}) {{.*}} -> tensor<?x4xf16>
// CHECK: %[[X:.*]] = onnx.node "Cast"(%[[ROWS]]) {to = 1 : i64} {{.*}} -> tensor<?x4xf32>
// CHECK: %[[T:.*]] = onnx.node "Tanh"(%[[X]]) {{.*}} -> tensor<?x4xf32>
// CHECK: %[[WIDE:.*]] = onnx.node "Cast"(%[[W]]) {to = 1 : i64} {{.*}} -> tensor<4x4xf32>
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[T]], %[[WIDE]]) {{.*}} -> tensor<?x4xf32>
// CHECK: %[[SCORES:.*]] = uoe.score linear %[[Y]] weights(%[[WIDE]]) : tensor<?x4xf32> {{.*}} -> tensor<?x4xf32>
// CHECK: uoe.select %[[SCORES]] threshold {tau = 5.000000e-01 : f32} : tensor<?x4xf32> -> <4>
// CHECK: %[[OUT:.*]] = onnx.node "Cast"(%[[SCORES]]) {to = 10 : i64} {{.*}} -> tensor<?x4xf16>
// CHECK: return %[[OUT]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @table : tensor<8x4xf16> = dense<1.0> : tensor<8x4xf16>
  onnx.initializer @w : tensor<4x4xf16> = dense<0.5> : tensor<4x4xf16>
  func.func @main_graph(%ids: tensor<?xi64>) -> tensor<?x4xf16> {
    %table = onnx.weight @table : tensor<8x4xf16>
    %w = onnx.weight @w : tensor<4x4xf16>
    %x = onnx.node "Gather"(%table, %ids) : (tensor<8x4xf16>, tensor<?xi64>) -> tensor<?x4xf16>
    %t = onnx.node "Tanh"(%x) : (tensor<?x4xf16>) -> tensor<?x4xf16>
    %y = onnx.node "MatMul"(%t, %w) : (tensor<?x4xf16>, tensor<4x4xf16>) -> tensor<?x4xf16>
    %s = uoe.score linear %y weights(%w) : tensor<?x4xf16> weights tensor<4x4xf16> -> tensor<?x4xf16>
    %r = uoe.select %s threshold {tau = 5.000000e-01 : f32} : tensor<?x4xf16> -> <4>
    return %s : tensor<?x4xf16>
  }
}

// -----

// CHECK: %[[IN:.*]] = onnx.node "Cast"(%arg0) {to = 1 : i64} {{.*}} -> tensor<?x4xf32>
// CHECK: %[[C:.*]] = onnx.node "Constant"() {value = dense<1.500000e+00> : tensor<4xf32>}
// CHECK: %[[SUM:.*]] = onnx.node "Add"(%[[IN]], %[[C]]) {{.*}} -> tensor<?x4xf32>
// CHECK: onnx.node "Cast"(%[[SUM]]) {to = 16 : i64} {{.*}} -> tensor<?x4xbf16>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @main_graph(%x: tensor<?x4xbf16>) -> tensor<?x4xbf16> {
    %c = onnx.node "Constant"() {value = dense<1.5> : tensor<4xbf16>} : () -> tensor<4xbf16>
    %y = onnx.node "Add"(%x, %c) : (tensor<?x4xbf16>, tensor<4xbf16>) -> tensor<?x4xbf16>
    return %y : tensor<?x4xbf16>
  }
}

// -----

// A constant that is rounded stays rounded.
// CHECK: %[[HALF:.*]] = onnx.node "Cast"(%{{.*}}) {to = 10 : i64} {{.*}} -> tensor<4x4xf16>
// CHECK: %[[BACK:.*]] = onnx.node "Cast"(%[[HALF]]) {to = 1 : i64} {{.*}} -> tensor<4x4xf32>
// CHECK: %[[W:.*]] = onnx.node "Cast"(%[[BACK]]) {to = 1 : i64} {{.*}} -> tensor<4x4xf32>
// CHECK: onnx.node "MatMul"(%arg0, %[[W]])
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<4x4xf32> = dense<0.1> : tensor<4x4xf32>
  func.func @main_graph(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %w = onnx.weight @w : tensor<4x4xf32>
    %half = onnx.node "Cast"(%w) {to = 10 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf16>
    %wide = onnx.node "Cast"(%half) {to = 1 : i64} : (tensor<4x4xf16>) -> tensor<4x4xf32>
    %y = onnx.node "MatMul"(%x, %wide) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
}
