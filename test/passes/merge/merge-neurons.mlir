// RUN: uoe-opt %s --merge-neurons 2>/dev/null | FileCheck %s

// Neurons 0 and 2 have the same column of up and the same bias: their rows of down are added, [1, 2] + [5, 6].
// CHECK: onnx.initializer @layer.0.ffn.merged.down : tensor<2x2xf32> = dense<{{\[}}[6.000000e+00, 8.000000e+00], [3.000000e+00, 4.000000e+00]]>
// CHECK: value = dense<[0, 1]> : tensor<2xi64>
// CHECK: %[[UP:.*]] = onnx.node "Gather"(%{{.*}}, %{{.*}}) {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x2xf32>
// CHECK: uoe.ffn gelu %{{.*}} up(%[[UP]] + %{{.*}}) down(%{{.*}}) attributes {{{.*}}uoe.merged = 1 : i64, uoe.multiply_adds = 1.200000e+01 : f64}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<2x3xf32> = dense<[[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]]> : tensor<2x3xf32>
  onnx.initializer @b : tensor<3xf32> = dense<[0.5, 0.0, 0.5]> : tensor<3xf32>
  onnx.initializer @d : tensor<3x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  func.func @main_graph(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %u = onnx.weight @u : tensor<2x3xf32>
    %b = onnx.weight @b : tensor<3xf32>
    %d = onnx.weight @d : tensor<3x2xf32>
    %y = uoe.ffn gelu %x up(%u + %b) down(%d) attributes {layer = 0 : i64, name = "layer.0.ffn"} : tensor<?x2xf32>, tensor<2x3xf32>, tensor<3xf32> down tensor<3x2xf32> -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}
