// RUN: uoe-opt %s --widen-blocks | FileCheck %s

// A block of half precision is computed in float32 between casts, its spelling is gone; weights are cast, too.
// CHECK-LABEL: func.func @main_graph
// CHECK-SAME: %[[X:.*]]: tensor<?x2xf16>
// CHECK: %[[WIDE:.*]] = onnx.node "Cast"(%[[X]]) {to = 1 : i64}{{.*}}-> tensor<?x2xf32>
// CHECK: %[[UP:.*]] = onnx.node "Cast"(%{{.*}}) {to = 1 : i64}{{.*}}-> tensor<2x3xf32>
// CHECK: %[[DOWN:.*]] = onnx.node "Cast"(%{{.*}}) {to = 1 : i64}{{.*}}-> tensor<3x2xf32>
// CHECK: %[[Y:.*]] = uoe.ffn  relu %[[WIDE]] up(%[[UP]]) down(%[[DOWN]])
// CHECK-NOT: spelled
// CHECK-SAME: -> tensor<?x2xf32>
// CHECK: %[[HALF:.*]] = onnx.node "Cast"(%[[Y]]) {to = 10 : i64}{{.*}}-> tensor<?x2xf16>
// CHECK: return %[[HALF]]
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  onnx.initializer @up : tensor<2x3xf16> = dense<0.5> : tensor<2x3xf16>
  onnx.initializer @down : tensor<3x2xf16> = dense<0.25> : tensor<3x2xf16>
  func.func @main_graph(%x: tensor<?x2xf16> {onnx.name = "x"}) -> (tensor<?x2xf16> {onnx.name = "y"}) {
    %up = onnx.weight @up : tensor<2x3xf16>
    %down = onnx.weight @down : tensor<3x2xf16>
    %y = uoe.ffn relu %x up(%up) down(%down) spelled {
      %a = onnx.node "MatMul"(%x, %up) : (tensor<?x2xf16>, tensor<2x3xf16>) -> tensor<?x3xf16>
      %b = onnx.node "Relu"(%a) : (tensor<?x3xf16>) -> tensor<?x3xf16>
      %c = onnx.node "MatMul"(%b, %down) : (tensor<?x3xf16>, tensor<3x2xf16>) -> tensor<?x2xf16>
      uoe.yield %c : tensor<?x2xf16>
    } : tensor<?x2xf16>, tensor<2x3xf16> down tensor<3x2xf16> -> tensor<?x2xf16>
    return %y : tensor<?x2xf16>
  }
}
