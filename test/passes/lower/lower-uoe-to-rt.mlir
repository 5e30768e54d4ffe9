// RUN: uoe-opt %s --split-input-file --lower-uoe-to-rt | FileCheck %s

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<8x32xf32> = dense<1.0> : tensor<8x32xf32>
  onnx.initializer @b : tensor<32xf32> = dense<1.0> : tensor<32xf32>
  onnx.initializer @e : tensor<2x32xf32> = dense<1.0> : tensor<2x32xf32>
  onnx.initializer @s0 : tensor<8x2xf32> = dense<1.0> : tensor<8x2xf32>
  onnx.initializer @s1 : tensor<8x2xf32> = dense<2.0> : tensor<8x2xf32>
  onnx.initializer @d : tensor<32x8xf32> = dense<1.0> : tensor<32x8xf32>
  onnx.initializer @hq : tensor<8x8xf32> = dense<1.0> : tensor<8x8xf32>
  onnx.initializer @hk : tensor<8x8xf32> = dense<1.0> : tensor<8x8xf32>
  onnx.initializer @ho : tensor<8x8xf32> = dense<1.0> : tensor<8x8xf32>
  onnx.initializer @hb : tensor<8xf32> = dense<1.0> : tensor<8xf32>

  // A choice is made once, as lists; experts that share a routing read the same. Unit weights are none.
  // CHECK-LABEL: func.func @lists
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[S:.*]]: tensor<?x?x3xf32>)
  func.func @lists(%x: tensor<?x?x8xf32>, %s: tensor<?x?x3xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
    %u = onnx.weight @u : tensor<8x32xf32>
    %d = onnx.weight @d : tensor<32x8xf32>
    // CHECK: %[[R:.*]]:5 = rt.call "uoe" "Route" version 1(%[[S]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {k = 2 : i64, rule = 2 : i64, tokens = 1 : i64}
    // CHECK-SAME: -> (tensor<?xi64>, tensor<?xi32>, none, tensor<?x?x3xf32>, tensor<?x?x3xi1>)
    %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x?x3xf32> -> <3>
    // CHECK: rt.call "uoe" "Experts" version 1(%[[X]], %[[R]]#0, %[[R]]#1, %{{.*}}) {activation = 1 : i64, sizes = array<i64: 16, 16>, slots = array<i64: 0, 1, 0>, tokens = 1 : i64, transposed = 0 : i64}
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 16] routing(%r) slots [0, 1, 0] combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x16xf32>, %de: tensor<16x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32>, tensor<32x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    // Another body runs on the rows that chose its expert; a copy is its rows.
    // CHECK: %[[ROWS:.*]]:3 = rt.call "uoe" "Rows" version 1(%[[X]], %[[R]]#0, %[[R]]#1, %{{.*}}) {expert = 0 : i64, slots = array<i64: -1, -1, 0>, tokens = 1 : i64} : {{.*}} -> (tensor<1x?x8xf32>, tensor<?xi64>, tensor<?xf32>)
    // CHECK: rt.call "uoe" "AddRows" version 1(%{{.*}}, %[[ROWS]]#0, %[[ROWS]]#1, %[[ROWS]]#2, %[[X]])
    %z = uoe.experts(%x) sizes [1] routing(%r) slots [-1, -1, 0] combine sum {
    ^bb0(%t: tensor<?x?x8xf32>):
      uoe.yield %t : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    return %y, %z : tensor<?x?x8xf32>, tensor<?x?x8xf32>
  }

  // What mixes tokens has no entry: it reads the choice dense.
  // CHECK-LABEL: func.func @mixing
  func.func @mixing(%x: tensor<?x?x8xf32>, %s: tensor<?x?x3xf32>) -> tensor<?x?x8xf32> {
    // CHECK: %[[R:.*]]:5 = rt.call "uoe" "Route"
    // CHECK: %[[DENSE:.*]] = builtin.unrealized_conversion_cast %[[R]]#3, %[[R]]#4 : tensor<?x?x3xf32>, tensor<?x?x3xi1> to !uoe.routing<3>
    // CHECK: uoe.experts(%{{.*}}) sizes [1] routing(%[[DENSE]])
    %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x?x3xf32> -> <3>
    %z = uoe.experts(%x) sizes [1] routing(%r) slots [-1, -1, 0] combine sum {
    ^bb0(%t: tensor<?x?x8xf32>):
      %o = onnx.node "Softmax"(%t) {axis = 1 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> routing !uoe.routing<3> -> tensor<?x?x8xf32>
    return %z : tensor<?x?x8xf32>
  }

  // A choice within a choice reads that one's lists.
  // CHECK-LABEL: func.func @within
  func.func @within(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>, %c: tensor<?x2xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.weight @u : tensor<8x32xf32>
    %d = onnx.weight @d : tensor<32x8xf32>
    // CHECK: %[[OUTER:.*]]:5 = rt.call "uoe" "Route"{{.*}} {rule = 1 : i64, tau = 5.000000e-01 : f32, tokens = 0 : i64}
    // CHECK: %[[R:.*]]:6 = rt.call "uoe" "Route" version 1(%{{.*}}, %[[OUTER]]#0, %[[OUTER]]#1) {capacity = 4 : i64, rule = 0 : i64, scoring = 1 : i64, tokens = 1 : i64, weight = 1 : i64, within_tokens = 0 : i64}
    %sample = uoe.select %c threshold {tau = 0.5 : f32} : tensor<?x2xf32> -> <2 per sample>
    %r = uoe.select %s all within(%sample) {scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>, capacity = 4 : i64}
        : tensor<?x?x2xf32> within !uoe.routing<2 per sample> -> <2>
    // CHECK: rt.call "uoe" "Experts" version 1(%{{.*}}, %[[R]]#0, %[[R]]#1, %[[R]]#2, %{{.*}})
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 16] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x16xf32>, %de: tensor<16x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32>, tensor<32x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }

  // Experts that are one matrix: the columns or the rows of a whole, of any choice, with a bias or without.
  // CHECK-LABEL: func.func @matrices
  func.func @matrices(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) -> tensor<?x?x16xf32> {
    %u = onnx.weight @u : tensor<8x32xf32>
    %b = onnx.weight @b : tensor<32xf32>
    // CHECK: %[[B:.*]] = onnx.weight @b
    // CHECK: %[[R:.*]]:5 = rt.call "uoe" "Route"
    %r = uoe.select %s token_topk {k = 1 : i64} : tensor<?x?x2xf32> -> <2>
    // CHECK: rt.call "uoe" "Products" version 1(%{{.*}}, %[[R]]#0, %[[R]]#1, %{{.*}}, %{{.*}}, %[[B]]) {axis = 1 : i64, experts = 2 : i64, tokens = 1 : i64, transposed = 0 : i64}
    %y = uoe.experts(%x) sliced(%u, %b) axes [1, 0] sizes [2 x 16] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x16xf32>, %c: tensor<16xf32>):
      %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
      %p = onnx.node "Add"(%o, %c) : (tensor<?x?x16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32>
      uoe.yield %p : tensor<?x?x16xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32>, tensor<32xf32> routing !uoe.routing<2> -> tensor<?x?x16xf32>
    return %y : tensor<?x?x16xf32>
  }

  // Heads that attend over the tokens that chose them: projections, rotary tables, a mask, the output projection and what is added to it are one call.
  // CHECK-LABEL: func.func @heads_on_their_tokens
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %{{.*}}: tensor<?x?x2xf32>, %[[C:.*]]: tensor<1x?x2xf32>, %[[S:.*]]: tensor<1x?x2xf32>, %[[M:.*]]: tensor<?x?x?xi1>)
  func.func @heads_on_their_tokens(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>, %c: tensor<1x?x2xf32>, %n: tensor<1x?x2xf32>, %m: tensor<?x?x?xi1>) -> tensor<?x?x8xf32> {
    // CHECK: %[[Q:.*]] = onnx.weight @hq
    // CHECK: %[[K:.*]] = onnx.weight @hk
    // CHECK: %[[O:.*]] = onnx.weight @ho
    // CHECK: %[[B:.*]] = onnx.weight @hb
    %q = onnx.weight @hq : tensor<8x8xf32>
    %k = onnx.weight @hk : tensor<8x8xf32>
    %o = onnx.weight @ho : tensor<8x8xf32>
    %b = onnx.weight @hb : tensor<8xf32>
    // CHECK: %[[R:.*]]:6 = rt.call "uoe" "Route"
    %r = uoe.select %s all {capacity_share = 0.5 : f32} : tensor<?x?x2xf32> -> <2>
    // CHECK: rt.call "uoe" "GatheredAttention" version 1(%[[X]], %[[R]]#0, %[[R]]#1, %{{.*}}, %[[Q]], %[[K]], %[[K]], %[[O]], %[[B]], %{{.*}}, %{{.*}}, %[[C]], %[[S]], %[[M]], %[[X]])
    // CHECK-SAME: {boolean_zero = 1 : i64, causal = 1 : i64, compacted_bias = 0 : i64, compacted_tables = 1 : i64, experts = 2 : i64, heads = 1 : i64, interleaved = 0 : i64, kv_heads = 1 : i64, rotated = 0 : i64, scale = 5.000000e-01 : f32, softcap = 0.000000e+00 : f32, transposed = 0 : i64, window = 0 : i64}
    // CHECK-NEXT: return
    %y = uoe.experts(%x, %c, %n, %m) sliced(%q, %k, %k, %o, %b) axes [1, 1, 1, 0, 0] sizes [2 x 4] routing(%r) gathered pairs [3] compacted [1, 2] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %cos: tensor<1x?x2xf32>, %sin: tensor<1x?x2xf32>, %pairs: tensor<?x?x?xi1>, %qi: tensor<8x4xf32>, %ki: tensor<8x4xf32>, %vi: tensor<8x4xf32>, %oi: tensor<4x8xf32>, %bi: tensor<4xf32>):
      %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q1 = onnx.node "MatMul"(%h, %qi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %q2 = onnx.node "Add"(%q1, %bi) : (tensor<?x?x4xf32>, tensor<4xf32>) -> tensor<?x?x4xf32>
      %q3 = onnx.node "Unsqueeze"(%q2, %one) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %q4 = onnx.node "RotaryEmbedding"(%q3, %cos, %sin) : (tensor<?x1x?x4xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<?x1x?x4xf32>
      %k1 = onnx.node "MatMul"(%h, %ki) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Unsqueeze"(%k1, %one) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %k4 = onnx.node "RotaryEmbedding"(%k3, %cos, %sin) : (tensor<?x1x?x4xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<?x1x?x4xf32>
      %v1 = onnx.node "MatMul"(%h, %vi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Unsqueeze"(%v1, %one) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %mask = onnx.node "Unsqueeze"(%pairs, %one) : (tensor<?x?x?xi1>, tensor<1xi64>) -> tensor<?x1x?x?xi1>
      %a = uoe.attention %q4, %k4, %v3 bias(%mask) attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x?x?xi1> -> tensor<?x1x?x4xf32>
      %z = onnx.node "Squeeze"(%a, %one) : (tensor<?x1x?x4xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
      %p = onnx.node "MatMul"(%z, %oi) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %p : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>, tensor<?x?x?xi1> sliced tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    %sum = onnx.node "Add"(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %sum : tensor<?x?x8xf32>
  }

  // Heads that choose by themselves among such experts are one product of scores, one choice and one call.
  // CHECK-LABEL: func.func @heads
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[N:.*]]: tensor<?x?x8xf32>)
  func.func @heads(%x: tensor<?x?x8xf32>, %n: tensor<?x?x8xf32>) -> tensor<?x?x32xf32> {
    %s0 = onnx.weight @s0 : tensor<8x2xf32>
    %s1 = onnx.weight @s1 : tensor<8x2xf32>
    %u = onnx.weight @u : tensor<8x32xf32>
    // CHECK-DAG: %[[W:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {axis = 1 : i64} : {{.*}} -> tensor<8x64xf32>
    // CHECK-DAG: %[[S:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {axis = 1 : i64} : {{.*}} -> tensor<8x4xf32>
    // CHECK: %[[SCORES:.*]] = uoe.score linear %[[N]] weights(%[[S]])
    // CHECK: %[[R:.*]]:5 = rt.call "uoe" "Route" version 1(%[[SCORES]], {{.*}} {heads = 2 : i64, k = 1 : i64, rule = 2 : i64, tokens = 1 : i64}
    // CHECK: rt.call "uoe" "Products" version 1(%[[X]], %[[R]]#0, %[[R]]#1, %{{.*}}, %[[W]]) {axis = 1 : i64, experts = 4 : i64, heads = 2 : i64, tokens = 1 : i64, transposed = 0 : i64}
    %c0 = uoe.score linear %n weights(%s0) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r0 = uoe.select %c0 token_topk {k = 1 : i64} : tensor<?x?x2xf32> -> <2>
    %v0 = uoe.experts(%x) sliced(%u) axes [1] sizes [2 x 16] routing(%r0) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x16xf32>):
      %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
      uoe.yield %o : tensor<?x?x16xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32> routing !uoe.routing<2> -> tensor<?x?x16xf32>
    %c1 = uoe.score linear %n weights(%s1) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r1 = uoe.select %c1 token_topk {k = 1 : i64} : tensor<?x?x2xf32> -> <2>
    %v1 = uoe.experts(%x) sliced(%u) axes [1] sizes [2 x 16] routing(%r1) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %w: tensor<8x16xf32>):
      %o = onnx.node "MatMul"(%t, %w) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
      uoe.yield %o : tensor<?x?x16xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x32xf32> routing !uoe.routing<2> -> tensor<?x?x16xf32>
    %y = onnx.node "Concat"(%v0, %v1) {axis = -1 : i64} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x32xf32>
    return %y : tensor<?x?x32xf32>
  }

  // Cosines of projected tokens with the experts' embeddings are one call.
  // CHECK-LABEL: func.func @cosine
  func.func @cosine(%x: tensor<?x?x8xf32>) -> tensor<?x?x32xf32> {
    %p = onnx.weight @s0 : tensor<8x2xf32>
    %e = onnx.weight @e : tensor<2x32xf32>
    // CHECK: %[[P:.*]] = onnx.weight @s0
    // CHECK: %[[E:.*]] = onnx.weight @e
    // CHECK: rt.call "uoe" "Cosine" version 1(%{{.*}}, %[[P]], %[[E]]) {} : (tensor<?x?x8xf32>, tensor<8x2xf32>, tensor<2x32xf32>) -> tensor<?x?x32xf32>
    %s = uoe.score cosine %x weights(%p, %e) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x32xf32> -> tensor<?x?x32xf32>
    return %s : tensor<?x?x32xf32>
  }
}
