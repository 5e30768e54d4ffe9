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
