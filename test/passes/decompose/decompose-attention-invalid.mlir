// RUN: uoe-opt %s --decompose-attention --split-input-file -verify-diagnostics

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @none(%q: tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32> {
    // expected-error @+1 {{needs at least one group of heads, found 0}}
    %y = uoe.attention %q, %q, %q attributes {uoe.groups = 0 : i64} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
    return %y : tensor<1x2x?x4xf32>
  }
}

// -----

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @text(%q: tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32> {
    // expected-error @+1 {{needs an integer as uoe.groups, found "two"}}
    %y = uoe.attention %q, %q, %q attributes {uoe.groups = "two"} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
    return %y : tensor<1x2x?x4xf32>
  }
}
