// MoEUT (arXiv 2405.16039): groups of layers shared in depth, `for r in 0..n_layers/G: for layer in G: x = layer(x)`; weights are tied, caches are not. Its layers are σ-MoE (see
// sigma-moe.mlir) and SwitchHead, whose experts are on values and outputs only, head by head:
//
//   v = Σ_{e∈top2(σ(x̂ W_SV))} s_e · x W_V^e;   y = Σ_{e∈top2(σ(x̂ W_SO))} s_e · (A v) W_O^e;   q, k from x̂ = LN(x)
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE group_of_two
// CHECK: uoe.recur(%{{.*}}) times 3
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wa: tensor<8x4xf32>, %ua: tensor<8x12xf32>, %da: tensor<12x8xf32>, %ub: tensor<8x12xf32>, %db: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %y = uoe.recur(%x) times 3 {
    ^bb0(%h: tensor<?x?x8xf32>):
      %s0 = uoe.score linear %h weights(%wa) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
      %r0 = uoe.select %s0 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
      %y0 = uoe.experts(%h) sliced(%ua, %da) axes [1, 0] sizes [4 x 3] routing(%r0) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
        %o = uoe.ffn relu %t up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
        uoe.yield %o : tensor<?x?x8xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
      %h0 = onnx.node "Add"(%h, %y0) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %y1 = uoe.ffn relu %h0 up(%ub) down(%db) : tensor<?x?x8xf32>, tensor<8x12xf32> down tensor<12x8xf32> -> tensor<?x?x8xf32>
      %h1 = onnx.node "Add"(%h0, %y1) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %h1 : tensor<?x?x8xf32>
    } : tensor<?x?x8xf32> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE switch_head
// CHECK: uoe.recur(%{{.*}}) each(%{{.*}}, %{{.*}}) times 2
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xk: tensor<2x?x?x4xf32>, %xv: tensor<2x?x?x4xf32>, %scale: tensor<8xf32>, %wsv: tensor<8x3xf32>, %wso: tensor<8x3xf32>, %wq: tensor<8x4xf32>, %wk: tensor<8x4xf32>, %wv: tensor<8x12xf32>, %wo: tensor<12x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<2x?x?x4xf32> {onnx.name = "b"}, tensor<2x?x?x4xf32> {onnx.name = "c"}) {
    %y:3 = uoe.recur(%x) each(%xk, %xv) times 2 {
    ^bb0(%h: tensor<?x?x8xf32>, %kpast: tensor<?x?x4xf32>, %vpast: tensor<?x?x4xf32>):
      // SwitchHead, one head: value and output experts chosen by sigmoids of the normalised input; queries and keys are dense.
      %n = onnx.node "LayerNormalization"(%h, %scale) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
      %sv = uoe.score linear %n weights(%wsv) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %rv = uoe.select %sv token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %so = uoe.score linear %n weights(%wso) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %ro = uoe.select %so token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %q2 = onnx.node "MatMul"(%n, %wq) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k2 = onnx.node "MatMul"(%n, %wk) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      // The value's input is not normalised.
      %v2 = uoe.experts(%h) sliced(%wv) axes [1] sizes [3 x 4] routing(%rv) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x4xf32>):
        %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
        uoe.yield %o : tensor<?x?x4xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32> routing !uoe.routing<3> -> tensor<?x?x4xf32>
      // The cache holds keys and the values as they were mixed.
      %kall = onnx.node "Concat"(%kpast, %k2) {axis = 1 : i64} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
      %vall = onnx.node "Concat"(%vpast, %v2) {axis = 1 : i64} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
      %head = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q = onnx.node "Unsqueeze"(%q2, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %k = onnx.node "Unsqueeze"(%kall, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %v = onnx.node "Unsqueeze"(%vall, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %a = uoe.attention %q, %k, %v attributes {scale = 0.5 : f32, causal} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
      %z = onnx.node "Squeeze"(%a, %head) : (tensor<?x1x?x4xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
      %o = uoe.experts(%z) sliced(%wo) axes [0] sizes [3 x 4] routing(%ro) combine sum {
      ^bb0(%t: tensor<?x?x4xf32>, %w: tensor<4x8xf32>):
        %p = onnx.node "MatMul"(%t, %w) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
        uoe.yield %p : tensor<?x?x8xf32>
      } : shared tensor<?x?x4xf32> sliced tensor<12x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
      %next = onnx.node "Add"(%h, %o) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %next, %kall, %vall : tensor<?x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>
    } : tensor<?x?x8xf32> each tensor<2x?x?x4xf32>, tensor<2x?x?x4xf32> -> tensor<?x?x8xf32>, tensor<2x?x?x4xf32>, tensor<2x?x?x4xf32>
    return %y#0, %y#1, %y#2 : tensor<?x?x8xf32>, tensor<2x?x?x4xf32>, tensor<2x?x?x4xf32>
  }
}

// -----

// Several heads, each with a choice of its own: the fused path joins their scores, choices and products.
// CASE two_heads
// CHECK-COUNT-4: uoe.experts
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %n: tensor<?x?x8xf32>, %wq: tensor<8x8xf32>, %wk: tensor<8x8xf32>, %wsv0: tensor<8x3xf32>, %wso0: tensor<8x3xf32>, %wsv1: tensor<8x3xf32>, %wso1: tensor<8x3xf32>, %wv0: tensor<8x12xf32>, %wo0: tensor<12x8xf32>, %wv1: tensor<8x12xf32>, %wo1: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    %sv0 = uoe.score linear %n weights(%wsv0) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %rv0 = uoe.select %sv0 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
    %so0 = uoe.score linear %n weights(%wso0) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %ro0 = uoe.select %so0 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
    %sv1 = uoe.score linear %n weights(%wsv1) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %rv1 = uoe.select %sv1 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
    %so1 = uoe.score linear %n weights(%wso1) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
    %ro1 = uoe.select %so1 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
    %shape = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %q2 = onnx.node "MatMul"(%n, %wq) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %q4 = onnx.node "Reshape"(%q2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %q = onnx.node "Transpose"(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %k2 = onnx.node "MatMul"(%n, %wk) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %k4 = onnx.node "Reshape"(%k2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %k = onnx.node "Transpose"(%k4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %v0 = uoe.experts(%x) sliced(%wv0) axes [1] sizes [3 x 4] routing(%rv0) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x4xf32>):
      %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      uoe.yield %o : tensor<?x?x4xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32> routing !uoe.routing<3> -> tensor<?x?x4xf32>
    %v1 = uoe.experts(%x) sliced(%wv1) axes [1] sizes [3 x 4] routing(%rv1) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x4xf32>):
      %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      uoe.yield %o : tensor<?x?x4xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32> routing !uoe.routing<3> -> tensor<?x?x4xf32>
    %v2 = onnx.node "Concat"(%v0, %v1) {axis = -1 : i64} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32>
    %v4 = onnx.node "Reshape"(%v2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %v = onnx.node "Transpose"(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %a = uoe.attention %q, %k, %v attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %h0 = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %z0 = onnx.node "Gather"(%a, %h0) {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<i64>) -> tensor<?x?x4xf32>
    %o0 = uoe.experts(%z0) sliced(%wo0) axes [0] sizes [3 x 4] routing(%ro0) combine sum {
    ^bb0(%t: tensor<?x?x4xf32>, %w: tensor<4x8xf32>):
      %p = onnx.node "MatMul"(%t, %w) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %p : tensor<?x?x8xf32>
    } : shared tensor<?x?x4xf32> sliced tensor<12x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    %h1 = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %z1 = onnx.node "Gather"(%a, %h1) {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<i64>) -> tensor<?x?x4xf32>
    %o1 = uoe.experts(%z1) sliced(%wo1) axes [0] sizes [3 x 4] routing(%ro1) combine sum {
    ^bb0(%t: tensor<?x?x4xf32>, %w: tensor<4x8xf32>):
      %p = onnx.node "MatMul"(%t, %w) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %p : tensor<?x?x8xf32>
    } : shared tensor<?x?x4xf32> sliced tensor<12x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%o0, %o1) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// The same in a loop, with caches.
// CASE two_heads_cached
// CHECK: uoe.recur(%{{.*}}) each(%{{.*}}, %{{.*}}) times 2
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xk: tensor<2x?x2x?x4xf32>, %xv: tensor<2x?x2x?x4xf32>, %scale: tensor<8xf32>, %wq: tensor<8x8xf32>, %wk: tensor<8x8xf32>, %wsv0: tensor<8x3xf32>, %wso0: tensor<8x3xf32>, %wsv1: tensor<8x3xf32>, %wso1: tensor<8x3xf32>, %wv0: tensor<8x12xf32>, %wo0: tensor<12x8xf32>, %wv1: tensor<8x12xf32>, %wo1: tensor<12x8xf32>) -> (tensor<?x?x8xf32> {onnx.name = "a"}, tensor<2x?x2x?x4xf32> {onnx.name = "b"}, tensor<2x?x2x?x4xf32> {onnx.name = "c"}) {
    %out:3 = uoe.recur(%x) each(%xk, %xv) times 2 {
    ^bb0(%h: tensor<?x?x8xf32>, %kpast: tensor<?x2x?x4xf32>, %vpast: tensor<?x2x?x4xf32>):
      %n = onnx.node "LayerNormalization"(%h, %scale) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
      %sv0 = uoe.score linear %n weights(%wsv0) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %rv0 = uoe.select %sv0 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %so0 = uoe.score linear %n weights(%wso0) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %ro0 = uoe.select %so0 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %sv1 = uoe.score linear %n weights(%wsv1) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %rv1 = uoe.select %sv1 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %so1 = uoe.score linear %n weights(%wso1) : tensor<?x?x8xf32> weights tensor<8x3xf32> -> tensor<?x?x3xf32>
      %ro1 = uoe.select %so1 token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x3xf32> -> <3>
      %shape = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %q2 = onnx.node "MatMul"(%n, %wq) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q4 = onnx.node "Reshape"(%q2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q = onnx.node "Transpose"(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %k2 = onnx.node "MatMul"(%n, %wk) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %k4 = onnx.node "Reshape"(%k2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %k = onnx.node "Transpose"(%k4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %v0 = uoe.experts(%h) sliced(%wv0) axes [1] sizes [3 x 4] routing(%rv0) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x4xf32>):
        %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
        uoe.yield %o : tensor<?x?x4xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32> routing !uoe.routing<3> -> tensor<?x?x4xf32>
      %v1 = uoe.experts(%h) sliced(%wv1) axes [1] sizes [3 x 4] routing(%rv1) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x4xf32>):
        %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
        uoe.yield %o : tensor<?x?x4xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32> routing !uoe.routing<3> -> tensor<?x?x4xf32>
      %v2 = onnx.node "Concat"(%v0, %v1) {axis = -1 : i64} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32>
      %v4 = onnx.node "Reshape"(%v2, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %v = onnx.node "Transpose"(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      // The cache holds keys and the values as they were mixed, of each round its own.
      %kall = onnx.node "Concat"(%kpast, %k) {axis = 2 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
      %vall = onnx.node "Concat"(%vpast, %v) {axis = 2 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
      %a = uoe.attention %q, %kall, %vall attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
      %i0 = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
      %z0 = onnx.node "Gather"(%a, %i0) {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<i64>) -> tensor<?x?x4xf32>
      %o0 = uoe.experts(%z0) sliced(%wo0) axes [0] sizes [3 x 4] routing(%ro0) combine sum {
      ^bb0(%t: tensor<?x?x4xf32>, %w: tensor<4x8xf32>):
        %p = onnx.node "MatMul"(%t, %w) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
        uoe.yield %p : tensor<?x?x8xf32>
      } : shared tensor<?x?x4xf32> sliced tensor<12x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
      %i1 = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %z1 = onnx.node "Gather"(%a, %i1) {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<i64>) -> tensor<?x?x4xf32>
      %o1 = uoe.experts(%z1) sliced(%wo1) axes [0] sizes [3 x 4] routing(%ro1) combine sum {
      ^bb0(%t: tensor<?x?x4xf32>, %w: tensor<4x8xf32>):
        %p = onnx.node "MatMul"(%t, %w) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
        uoe.yield %p : tensor<?x?x8xf32>
      } : shared tensor<?x?x4xf32> sliced tensor<12x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
      %y = onnx.node "Add"(%o0, %o1) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %next = onnx.node "Add"(%h, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %next, %kall, %vall : tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
    } : tensor<?x?x8xf32> each tensor<2x?x2x?x4xf32>, tensor<2x?x2x?x4xf32> -> tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>, tensor<2x?x2x?x4xf32>
    return %out#0, %out#1, %out#2 : tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>, tensor<2x?x2x?x4xf32>
  }
}
