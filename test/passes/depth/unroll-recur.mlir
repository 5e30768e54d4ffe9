// RUN: uoe-opt %s --unroll-recur | FileCheck %s
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  // Rows that were stacked are read before the stacking, picked rows are the values themselves.
  // CHECK-LABEL: func.func @caches
  // CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[P0:.*]]: tensor<?x8xf32>, %[[P1:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x8xf32>)
  // CHECK-NOT: "Concat"
  // CHECK-NOT: "Gather"
  // CHECK: %[[M0:.*]] = onnx.node "MatMul"(%[[X]], %[[W]])
  // CHECK-NEXT: %[[A0:.*]] = onnx.node "Add"(%[[M0]], %[[P0]])
  // CHECK: %[[M1:.*]] = onnx.node "MatMul"(%[[A0]], %[[W]])
  // CHECK-NEXT: %[[A1:.*]] = onnx.node "Add"(%[[M1]], %[[P1]])
  // CHECK-NOT: "Concat"
  // CHECK-NOT: "Gather"
  // CHECK: return %[[A1]], %[[M0]]
  func.func @caches(%x: tensor<?x8xf32>, %p0: tensor<?x8xf32>, %p1: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %first = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %u0 = onnx.node "Unsqueeze"(%p0, %zero) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<1x?x8xf32>
    %u1 = onnx.node "Unsqueeze"(%p1, %zero) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<1x?x8xf32>
    %p = onnx.node "Concat"(%u0, %u1) {axis = 0 : i64} : (tensor<1x?x8xf32>, tensor<1x?x8xf32>) -> tensor<2x?x8xf32>
    %y:2 = uoe.recur(%x) each(%p) times 2 {
    ^bb0(%h: tensor<?x8xf32>, %past: tensor<?x8xf32>):
      %m = onnx.node "MatMul"(%h, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
      %a = onnx.node "Add"(%m, %past) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
      uoe.yield %a, %m : tensor<?x8xf32>, tensor<?x8xf32>
    } : tensor<?x8xf32> each tensor<2x?x8xf32> -> tensor<?x8xf32>, tensor<2x?x8xf32>
    %m0 = onnx.node "Gather"(%y#1, %first) {axis = 0 : i64} : (tensor<2x?x8xf32>, tensor<i64>) -> tensor<?x8xf32>
    return %y#0, %m0 : tensor<?x8xf32>, tensor<?x8xf32>
  }

  // Rows of a tensor that the model brings stay picked from it; a loop in a loop.
  // CHECK-LABEL: func.func @nested
  // CHECK-COUNT-2: "Gather"
  // CHECK-NOT: "Gather"
  // CHECK-NOT: uoe.recur
  // CHECK: return
  func.func @nested(%x: tensor<?x8xf32>, %e: tensor<2x8xf32>) -> tensor<?x8xf32> {
    %y = uoe.recur(%x) each(%e) times 2 {
    ^bb0(%h: tensor<?x8xf32>, %r: tensor<8xf32>):
      %z = uoe.recur(%h) times 3 {
      ^bb0(%g: tensor<?x8xf32>):
        %a = onnx.node "Add"(%g, %r) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
        uoe.yield %a : tensor<?x8xf32>
      } : tensor<?x8xf32> -> tensor<?x8xf32>
      uoe.yield %z : tensor<?x8xf32>
    } : tensor<?x8xf32> each tensor<2x8xf32> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
