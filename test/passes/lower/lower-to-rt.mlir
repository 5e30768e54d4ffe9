// RUN: uoe-opt %s --split-input-file --verify-diagnostics --lower-uoe-to-rt --lower-to-rt | FileCheck %s

module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @u : tensor<2x4xf32> = dense<1.0> : tensor<2x4xf32>
  onnx.initializer @d : tensor<4x2xf32> = dense<1.0> : tensor<4x2xf32>
  onnx.initializer @b : tensor<4xf32> = dense<1.0> : tensor<4xf32>

  // Blocks with constant weights are one call; a product takes its bias along; a transposed weight is passed as it lies.
  // CHECK-LABEL: func.func @fused
  func.func @fused(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x4xf32>) {
    %u = onnx.weight @u : tensor<2x4xf32>
    %d = onnx.weight @d : tensor<4x2xf32>
    %b = onnx.weight @b : tensor<4xf32>
    // CHECK: rt.call "uoe" "Ffn" version 1({{.*}}) {activation = 1 : i64, transposed = 0 : i64}
    %y = uoe.ffn relu %x up(%u) down(%d) : tensor<?x2xf32>, tensor<2x4xf32> down tensor<4x2xf32> -> tensor<?x2xf32>
    // CHECK-NOT: "Transpose"
    // CHECK: rt.call "uoe" "Linear" version 1({{.*}}) {transposed = 2 : i64}
    // CHECK-NOT: "Add"
    %t = onnx.node "Transpose"(%d) {perm = array<i64: 1, 0>} : (tensor<4x2xf32>) -> tensor<2x4xf32>
    %m = onnx.node "MatMul"(%x, %t) : (tensor<?x2xf32>, tensor<2x4xf32>) -> tensor<?x4xf32>
    %a = onnx.node "Add"(%m, %b) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    return %y, %a : tensor<?x2xf32>, tensor<?x4xf32>
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  // Subgraphs become subprograms.
  // CHECK-LABEL: func.func @branch
  // CHECK: rt.call "" "If" version 21
  // CHECK: rt.yield
  func.func @branch(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.node "If"(%c) subgraphs "then_branch" {
      %n = onnx.node "Neg"(%x) : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %n : tensor<2xf32>
    }, "else_branch" {
      onnx.yield %x : tensor<2xf32>
    } : (tensor<i1>) -> tensor<2xf32>
    return %y : tensor<2xf32>
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 21 : i64, mine = 1 : i64}} {
  func.func @unknown(%x: tensor<2xf32>) -> tensor<2xf32> {
    // expected-error @below {{mine.Secret('tensor<2xf32>') cannot be executed: the runtime has no kernel for operator mine.Secret}}
    %y = onnx.node "mine" "Secret"(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return %y : tensor<2xf32>
  }
}
