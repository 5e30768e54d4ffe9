// Relaxed recursive transformers (arXiv 2410.20672): a tied loop with a low-rank residual of its own for each iteration, W_r = W + A_r B_r. With the full rank of
// W_r − W it is exactly the model with untied weights; with rank 0 it is pure tying.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE relaxed
// CHECK: uoe.recur(%{{.*}}) each(%{{.*}}, %{{.*}}) times 3
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x8xf32>, %a: tensor<3x8x8xf32>, %b: tensor<3x8x8xf32>) -> tensor<?x?x8xf32> {
    %y = uoe.recur(%x) each(%a, %b) times 3 {
    ^bb0(%h: tensor<?x?x8xf32>, %ar: tensor<8x8xf32>, %br: tensor<8x8xf32>):
      %tied = onnx.node "MatMul"(%h, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %own = uoe.ffn identity %h up(%ar) down(%br) : tensor<?x?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x?x8xf32>
      %sum = onnx.node "Add"(%tied, %own) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %o = onnx.node "Tanh"(%sum) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : tensor<?x?x8xf32> each tensor<3x8x8xf32>, tensor<3x8x8xf32> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Keys and values have residuals and a cache of their own in every iteration.
// CASE relaxed_cached
// CHECK: uoe.recur(%{{.*}}) each(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) times 3
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xk: tensor<3x?x1x?x8xf32>, %xv: tensor<3x?x1x?x8xf32>, %w: tensor<8x8xf32>, %a: tensor<3x8x2xf32>, %b: tensor<3x2x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "y"}, tensor<3x?x1x?x8xf32> {onnx.name = "yk"}, tensor<3x?x1x?x8xf32> {onnx.name = "yv"}) {
    %y:3 = uoe.recur(%x) each(%a, %b, %xk, %xv) times 3 {
    ^bb0(%h: tensor<?x?x8xf32>, %ar: tensor<8x2xf32>, %br: tensor<2x8xf32>, %kpast: tensor<?x1x?x8xf32>, %vpast: tensor<?x1x?x8xf32>):
      %tied = onnx.node "MatMul"(%h, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %own = uoe.ffn identity %h up(%ar) down(%br) : tensor<?x?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x?x8xf32>
      %sum = onnx.node "Add"(%tied, %own) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q = onnx.node "Unsqueeze"(%h, %one) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
      %k = onnx.node "Unsqueeze"(%sum, %one) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
      %kall = onnx.node "Concat"(%kpast, %k) {axis = 2 : i64} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
      %vall = onnx.node "Concat"(%vpast, %q) {axis = 2 : i64} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
      %att = uoe.attention %q, %kall, %vall attributes {scale = 0.3 : f32, causal} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
      %z = onnx.node "Squeeze"(%att, %one) : (tensor<?x1x?x8xf32>, tensor<1xi64>) -> tensor<?x?x8xf32>
      %next = onnx.node "Add"(%h, %z) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %next, %kall, %vall : tensor<?x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>
    } : tensor<?x?x8xf32> each tensor<3x8x2xf32>, tensor<3x2x8xf32>, tensor<3x?x1x?x8xf32>, tensor<3x?x1x?x8xf32> -> tensor<?x?x8xf32>, tensor<3x?x1x?x8xf32>, tensor<3x?x1x?x8xf32>
    return %y#0, %y#1, %y#2 : tensor<?x?x8xf32>, tensor<3x?x1x?x8xf32>, tensor<3x?x1x?x8xf32>
  }
}
