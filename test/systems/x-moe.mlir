// X-MoE (arXiv 2204.09179): tokens and experts meet on a sphere of few dimensions.
//
//   s_i = (W h)·e_i / (‖W h‖ ‖e_i‖);  k = argmax s;  out = h + g(s)_k · FFN_k(h),  g = softmax(s/τ) or σ(s/τ)
//
// Zero vectors score 0.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE softmax_gate
// CHECK: uoe.score cosine %{{.*}} weights(%{{.*}}, %{{.*}})
// CHECK: uoe.select %{{.*}} token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, temperature = 
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %p: tensor<8x2xf32>, %e: tensor<2x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<?x?x4xf32> {onnx.name = "b"}) {
    %s = uoe.score cosine %x weights(%p, %e) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, temperature = 0.3 : f32, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn gelu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %h = onnx.node "Add"(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %h, %s : tensor<?x?x8xf32>, tensor<?x?x4xf32>
  }
}

// -----

// CASE sigmoid_gate
// CHECK: uoe.score cosine %{{.*}} weights(%{{.*}}, %{{.*}})
// CHECK: uoe.select %{{.*}} token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>, temperature = 
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %p: tensor<8x2xf32>, %e: tensor<2x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<?x?x4xf32> {onnx.name = "b"}) {
    %s = uoe.score cosine %x weights(%p, %e) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>, temperature = 0.07 : f32, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn gelu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %h = onnx.node "Add"(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %h, %s : tensor<?x?x8xf32>, tensor<?x?x4xf32>
  }
}

// -----

// CASE hot
// CHECK: uoe.score cosine %{{.*}} weights(%{{.*}}, %{{.*}})
// CHECK: uoe.select %{{.*}} token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, temperature = 
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %p: tensor<8x2xf32>, %e: tensor<2x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<?x?x4xf32> {onnx.name = "b"}) {
    %s = uoe.score cosine %x weights(%p, %e) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, temperature = 1.0e6 : f32, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn gelu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %h = onnx.node "Add"(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %h, %s : tensor<?x?x8xf32>, tensor<?x?x4xf32>
  }
}
