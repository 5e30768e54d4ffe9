// Mixtures that models come with, in the one op that raising makes of them (passes raise-moe, moe-to-experts):
//
//   Mixtral      y = Σ_{e∈top2(l)} softmax(l over the two)_e · FFN_e(x),  l = x W_g       = gates of a softmax over all, normalised over the chosen
//   OLMoE        y = Σ_{e∈top3(p)} p_e · FFN_e(x),  p = softmax(l)                       (top 8 of 64 in the model), not normalised
//   Qwen-MoE     the same, and an expert that all tokens share behind a gate of its own: y + σ(x w_s) · FFN_s(x)
//
// with FFN_e(x) = (silu(x G_e) ⊙ (x U_e)) D_e.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE mixtral
// CHECK: uoe.moe silu top 2 scoring softmax normalized
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<4x8x6xf32>, %g: tensor<4x8x6xf32>, %d: tensor<4x6x8xf32>) -> tensor<?x?x8xf32> {
    %s = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
    %y = uoe.moe silu top 2 scoring softmax normalized input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x?x4xf32>) up(%u : tensor<4x8x6xf32>) gate(%g : tensor<4x8x6xf32>)
        down(%d : tensor<4x6x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The same as routed experts, which is what merging, pruning and export work on.
// CASE mixtral_as_experts
// CHECK: uoe.select %{{.*}} token_topk {k = 2 : i64, normalize = #uoe<axis experts>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>}
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<8x24xf32>, %g: tensor<8x24xf32>, %d: tensor<24x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%u, %g, %d) axes [1, 1, 0] sizes [4 x 6] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x6xf32>, %gi: tensor<8x6xf32>, %di: tensor<6x8xf32>):
      %o = uoe.ffn silu %h up(%ui) gate(%gi) down(%di) : tensor<?x?x8xf32>, tensor<8x6xf32> gate tensor<8x6xf32> down tensor<6x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x24xf32>, tensor<8x24xf32>, tensor<24x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE olmoe
// CHECK: uoe.moe silu top 3 scoring softmax input
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x5xf32>, %u: tensor<5x8x6xf32>, %g: tensor<5x8x6xf32>, %d: tensor<5x6x8xf32>) -> tensor<?x?x8xf32> {
    %s = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x5xf32>) -> tensor<?x?x5xf32>
    %y = uoe.moe silu top 3 scoring softmax input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x?x5xf32>) up(%u : tensor<5x8x6xf32>) gate(%g : tensor<5x8x6xf32>)
        down(%d : tensor<5x6x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE qwen_moe
// CHECK: uoe.moe silu top 2 scoring softmax input
// CHECK: uoe.ffn silu
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %u: tensor<4x8x6xf32>, %g: tensor<4x8x6xf32>, %d: tensor<4x6x8xf32>, %ws: tensor<8x1xf32>, %us: tensor<8x12xf32>, %gs: tensor<8x12xf32>, %ds: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
    %routed = uoe.moe silu top 2 scoring softmax input(%x : tensor<?x?x8xf32>) scores(%s : tensor<?x?x4xf32>) up(%u : tensor<4x8x6xf32>) gate(%g : tensor<4x8x6xf32>)
        down(%d : tensor<4x6x8xf32>) -> tensor<?x?x8xf32>
    %shared = uoe.ffn silu %x up(%us) gate(%gs) down(%ds) : tensor<?x?x8xf32>, tensor<8x12xf32> gate tensor<8x12xf32> down tensor<12x8xf32> -> tensor<?x?x8xf32>
    %l = onnx.node "MatMul"(%x, %ws) : (tensor<?x?x8xf32>, tensor<8x1xf32>) -> tensor<?x?x1xf32>
    %gate = onnx.node "Sigmoid"(%l) : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
    %own = onnx.node "Mul"(%shared, %gate) : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%routed, %own) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
