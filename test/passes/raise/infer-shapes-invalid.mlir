// RUN: uoe-opt %s --infer-shapes --split-input-file --verify-diagnostics

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @matmul(%x: tensor<2x3xf32>, %w: tensor<4x5xf32>) -> !onnx.any {
    // expected-error @below {{MatMul "" needs equal inner sizes, found f32[2, 3] and f32[4, 5]}}
    // expected-note @below {{operand 0 is f32[2, 3]}}
    // expected-note @below {{operand 1 is f32[4, 5]}}
    %y = onnx.node "MatMul"(%x, %w) : (tensor<2x3xf32>, tensor<4x5xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @broadcast(%x: tensor<2x3xf32>, %w: tensor<4xf32>) -> !onnx.any {
    // expected-error @below {{Add "" needs shapes that broadcast, found [2, 3] and [4]}}
    // expected-note @below {{operand 0}}
    // expected-note @below {{operand 1}}
    %y = onnx.node "Add"(%x, %w) : (tensor<2x3xf32>, tensor<4xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @reshape(%x: tensor<2x3xf32>) -> !onnx.any {
    %s = onnx.node "Constant"() {value = dense<[4, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
    // expected-error @below {{Reshape "" needs as many elements as it is given, found f32[2, 3] and [4, 2]}}
    // expected-note @below {{operand 0}}
    // expected-note @below {{operand 1}}
    %y = onnx.node "Reshape"(%x, %s) : (tensor<2x3xf32>, tensor<2xi64>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @axis(%x: tensor<2x3xf32>) -> !onnx.any {
    // expected-error @below {{Concat "" needs an axis in [-2, 2), found 2}}
    // expected-note @below {{operand 0}}
    %y = onnx.node "Concat"(%x) {axis = 2 : i64} : (tensor<2x3xf32>) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @declared(%x: tensor<2x3xf32>) -> tensor<2x4xf32> {
    // expected-warning @below {{Relu "" declares 'tensor<2x4xf32>' where size 3 of axis 1 is inferred}}
    %y = onnx.node "Relu"(%x) : (tensor<2x3xf32>) -> tensor<2x4xf32>
    return %y : tensor<2x4xf32>
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @element(%x: tensor<2x3xf32>) -> tensor<2x3xi64> {
    // expected-warning @below {{declares 'tensor<2x3xi64>' where element type f32 is inferred}}
    %y = onnx.node "Relu"(%x) : (tensor<2x3xf32>) -> tensor<2x3xi64>
    return %y : tensor<2x3xi64>
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 17 : i64}} {
  func.func @subgraphs(%c: tensor<i1>, %x: tensor<4xf32>) -> !onnx.any {
    // expected-error @below {{If "" needs subgraphs with 1 results, found 1 and 2}}
    // expected-note @below {{operand 0}}
    %y = onnx.node "If"(%c) subgraphs "then_branch" {
      onnx.yield %x : tensor<4xf32>
    }, "else_branch" {
      onnx.yield %x, %x : tensor<4xf32>, tensor<4xf32>
    } : (tensor<i1>) -> !onnx.any
    return %y : !onnx.any
  }
}
