// HC-SMoE (arXiv 2410.08589): merged experts keep the router; the slots of a cluster alias its one expert, W = Σ f_e W_e / Σ f_e. Two picks of one merged expert
// add up. REAP and SEER-MoE prune: the pruned expert's slot is served by nobody.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE aliases
// CHECK: slots [0, 1, 1, 0, 2, 3] combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x6xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %r = uoe.select %s token_topk {k = 3 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, weight = #uoe<weight_rule gate>} : tensor<?x?x6xf32> -> <6>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) slots [0, 1, 1, 0, 2, 3] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE pruned
// CHECK: slots [0, -1, 1, 2, -1, 3] combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %w: tensor<8x6xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%w) : tensor<?x?x8xf32> weights tensor<8x6xf32> -> tensor<?x?x6xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x?x6xf32> -> <6>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) slots [0, -1, 1, 2, -1, 3] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn silu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<6> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
