// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx --split-input-file | FileCheck %s
// RUN: uoe-opt %s --infer-shapes --fold-constants --canonicalize-onnx=rotary=false --split-input-file | FileCheck %s --check-prefix=OFF

// cos and sin of (angles, angles): half of each is the operator's cache, for every batch element.
// CHECK-LABEL: func.func @computed
// CHECK-SAME: (%[[X:.*]]: tensor<?x4x?x8xf32, {{.*}}, %[[A:.*]]: tensor<1x?x4xf32
// CHECK: %[[C:.*]] = onnx.node "Cos"(%[[A]]) : {{.*}} -> tensor<1x?x4xf32
// CHECK: %[[CE:.*]] = onnx.node "Expand"(%{{.*}}) : {{.*}} -> tensor<?x?x4xf32, #onnx.dims<"b", "s", "">>
// CHECK: %[[S:.*]] = onnx.node "Sin"(%[[A]])
// CHECK: %[[SE:.*]] = onnx.node "Expand"
// CHECK: onnx.node "RotaryEmbedding"(%[[X]], %[[CE]], %[[SE]])
// CHECK-NOT: "Neg"
// OFF-LABEL: func.func @computed
// OFF: "Neg"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @computed(%x: tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, %angles: tensor<1x?x4xf32, #onnx.dims<"", "s", "">>) -> !onnx.any {
    %axis1 = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %half = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %twice = onnx.node "Concat"(%angles, %angles) {axis = -1 : i64} : (tensor<1x?x4xf32, #onnx.dims<"", "s", "">>, tensor<1x?x4xf32, #onnx.dims<"", "s", "">>) -> !onnx.any
    %cos = onnx.node "Cos"(%twice) : (!onnx.any) -> !onnx.any
    %sin = onnx.node "Sin"(%twice) : (!onnx.any) -> !onnx.any
    %c = onnx.node "Unsqueeze"(%cos, %axis1) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %s = onnx.node "Unsqueeze"(%sin, %axis1) : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %x1 = onnx.node "Slice"(%x, %zero, %half, %last) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %x2 = onnx.node "Slice"(%x, %half, %end, %last) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %n = onnx.node "Neg"(%x2) : (!onnx.any) -> !onnx.any
    %r = onnx.node "Concat"(%n, %x1) {axis = -1 : i64} : (!onnx.any, !onnx.any) -> !onnx.any
    %a = onnx.node "Mul"(%x, %c) : (tensor<?x4x?x8xf32, #onnx.dims<"b", "", "s", "">>, !onnx.any) -> !onnx.any
    %b = onnx.node "Mul"(%r, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    %y = onnx.node "Add"(%a, %b) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// A constant table is taken if its rows repeat, and halved by Split. The other table does not repeat.
// CHECK-LABEL: func.func @table
// CHECK: onnx.node "RotaryEmbedding"
// CHECK-NOT: onnx.node "RotaryEmbedding"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @cos : tensor<2x4xf32> = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0]]> : tensor<2x4xf32>
  onnx.initializer @sin : tensor<2x4xf32> = dense<[[5.0, 6.0, 5.0, 6.0], [7.0, 8.0, 7.0, 8.0]]> : tensor<2x4xf32>
  onnx.initializer @odd : tensor<2x4xf32> = dense<[[5.0, 6.0, 5.0, 6.0], [7.0, 8.0, 9.0, 8.0]]> : tensor<2x4xf32>
  func.func @table(%x: tensor<1x3x2x4xf32>) -> (!onnx.any, !onnx.any) {
    %cos = onnx.weight @cos : tensor<2x4xf32>
    %sin = onnx.weight @sin : tensor<2x4xf32>
    %odd = onnx.weight @odd : tensor<2x4xf32>
    %h:2 = onnx.node "Split"(%x) {axis = 3 : i64, num_outputs = 2 : i64} : (tensor<1x3x2x4xf32>) -> (!onnx.any, !onnx.any)
    %n = onnx.node "Neg"(%h#1) : (!onnx.any) -> !onnx.any
    %r = onnx.node "Concat"(%n, %h#0) {axis = 3 : i64} : (!onnx.any, !onnx.any) -> !onnx.any
    %a = onnx.node "Mul"(%x, %cos) : (tensor<1x3x2x4xf32>, tensor<2x4xf32>) -> !onnx.any
    %b = onnx.node "Mul"(%r, %sin) : (!onnx.any, tensor<2x4xf32>) -> !onnx.any
    %y = onnx.node "Add"(%b, %a) : (!onnx.any, !onnx.any) -> !onnx.any
    %c = onnx.node "Mul"(%r, %odd) : (!onnx.any, tensor<2x4xf32>) -> !onnx.any
    %z = onnx.node "Add"(%a, %c) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y, %z : !onnx.any, !onnx.any
  }
}
