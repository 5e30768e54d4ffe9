// Union of Experts (arXiv 2503.02495; released code YujiaoYang-work/UoE).
//
// Equivalent decomposition: y = Σ_i act(x W1_i + b1_i) W2_i + b2_i over n column/row slices; the released code keeps an output bias per expert, so that the dense
// block's is Σ_i b2_i.
//
// Patch-wise selection, an expert picks tokens:
//   S = softmax_e(x Wg + b);  M = onehot(top-k over e);  G = S·M normalised over an axis (released LM code: the batch; LRA code: experts)
//   c = capacity: L/2, or the most takers of any expert, or the least of that and 0.6 L
//   I[e,b,:] = sort_ascending(top-c over t of G[b,:,e]);  y = scatter_add_e(Expert_e(x[b, I[e,b,:]]))     unweighted
// Experts with fewer than c takers are filled with tokens of score zero (code: padding token) or stay blank (figure: padding masked).
//
// SMHA: an expert is a head group; its Q, K and V all come from the c tokens that it gathered.
// Expert selection: logits = Linear(flatten(X)), top-k experts for the whole sample, unweighted. Hierarchy: the sample chooses k of n experts, each of which chooses c of the m patches.
// RUN: uoe-opt %s --split-input-file --verify-roundtrip | FileCheck %s
// RUN: %python %S/check.py %s | FileCheck %s --check-prefix=VALUES
// VALUES-NOT: FAIL
// VALUES: {{[1-9][0-9]*}} passed, 0 failed

// CASE decomposition
// CHECK: sizes [4 x 3] combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<8xf32>) -> tensor<?x?x8xf32> {
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %b2) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_lm
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis batch>, capacity_share = 0.5 : f32, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_blank
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis batch>, capacity_share = 0.5 : f32} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_lra
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_takers
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_takers, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_least
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_takers, capacity_share = 0.6 : f32, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE uome_all
// CHECK: uoe.select
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %u: tensor<8x12xf32>, %b1: tensor<12xf32>, %d: tensor<12x8xf32>, %b2: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 4 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 1.0 : f32} : tensor<?x?x4xf32> -> <4>
    %f = uoe.experts(%x) sliced(%u, %b1, %d) axes [1, 0, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %b1i: tensor<3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui + %b1i) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32>, tensor<3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    // The output biases of the experts that a token got: experts of one row that read no tokens.
    %c = uoe.experts() sliced(%b2) axes [0] sizes [4 x 1] routing(%r) combine merge {
    ^bb0(%row: tensor<1x8xf32>):
      %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%row, %axes) : (tensor<1x8xf32>, tensor<1xi64>) -> tensor<8xf32>
      uoe.yield %o : tensor<8xf32>
    } : sliced tensor<4x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    %y = onnx.node "Add"(%f, %c) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE smha_token
// CHECK: gathered combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %wq: tensor<8x16xf32>, %wk: tensor<8x16xf32>, %wv: tensor<8x16xf32>, %wo: tensor<16x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [4 x 4] routing(%r) gathered combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %wqi: tensor<8x4xf32>, %wki: tensor<8x4xf32>, %wvi: tensor<8x4xf32>, %woi: tensor<4x8xf32>, %valid: tensor<?x?xi1>):
      %head = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q1 = onnx.node "MatMul"(%h, %wqi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %q = onnx.node "Unsqueeze"(%q1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %k1 = onnx.node "MatMul"(%h, %wki) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k = onnx.node "Unsqueeze"(%k1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %v1 = onnx.node "MatMul"(%h, %wvi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v = onnx.node "Unsqueeze"(%v1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %allowed = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention %q, %k, %v bias(%allowed) attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x1x?xi1> -> tensor<?x1x?x4xf32>
      %z = onnx.node "Squeeze"(%a, %head) : (tensor<?x1x?x4xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
      %o = onnx.node "MatMul"(%z, %woi) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE smha_blank
// CHECK: gathered combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %wq: tensor<8x16xf32>, %wk: tensor<8x16xf32>, %wv: tensor<8x16xf32>, %wo: tensor<16x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32, padding = #uoe<padding masked>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [4 x 4] routing(%r) gathered combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %wqi: tensor<8x4xf32>, %wki: tensor<8x4xf32>, %wvi: tensor<8x4xf32>, %woi: tensor<4x8xf32>, %valid: tensor<?x?xi1>):
      %head = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q1 = onnx.node "MatMul"(%h, %wqi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %q = onnx.node "Unsqueeze"(%q1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %k1 = onnx.node "MatMul"(%h, %wki) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k = onnx.node "Unsqueeze"(%k1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %v1 = onnx.node "MatMul"(%h, %wvi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v = onnx.node "Unsqueeze"(%v1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %allowed = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention %q, %k, %v bias(%allowed) attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x1x?xi1> -> tensor<?x1x?x4xf32>
      %z = onnx.node "Squeeze"(%a, %head) : (tensor<?x1x?x4xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
      %o = onnx.node "MatMul"(%z, %woi) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE smha_all
// CHECK: gathered combine
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %bg: tensor<4xf32>, %wq: tensor<8x16xf32>, %wk: tensor<8x16xf32>, %wv: tensor<8x16xf32>, %wo: tensor<16x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) bias(%bg) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s token_topk {k = 4 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 1.0 : f32, padding = #uoe<padding masked>} : tensor<?x?x4xf32> -> <4>
    %y = uoe.experts(%x) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [4 x 4] routing(%r) gathered combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %wqi: tensor<8x4xf32>, %wki: tensor<8x4xf32>, %wvi: tensor<8x4xf32>, %woi: tensor<4x8xf32>, %valid: tensor<?x?xi1>):
      %head = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %q1 = onnx.node "MatMul"(%h, %wqi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %q = onnx.node "Unsqueeze"(%q1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %k1 = onnx.node "MatMul"(%h, %wki) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k = onnx.node "Unsqueeze"(%k1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %v1 = onnx.node "MatMul"(%h, %wvi) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v = onnx.node "Unsqueeze"(%v1, %head) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %allowed = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention %q, %k, %v bias(%allowed) attributes {scale = 0.5 : f32, boolean_zero} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x1x?xi1> -> tensor<?x1x?x4xf32>
      %z = onnx.node "Squeeze"(%a, %head) : (tensor<?x1x?x4xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
      %o = onnx.node "MatMul"(%z, %woi) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Two query heads to a key head stay together. Rotary tables are gathered with the tokens, which keep their true positions (the Long Range Arena code).
// CASE smha_rotary
// CHECK: sizes [2 x 1] routing(%{{.*}}) gathered combine
module attributes {onnx.opset_import = {ai.onnx = 23 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xcos: tensor<?x?x2xf32>, %xsin: tensor<?x?x2xf32>, %wg: tensor<8x2xf32>, %wq: tensor<8x2x8xf32>, %wk: tensor<8x2x4xf32>, %wv: tensor<8x2x4xf32>, %wo: tensor<2x8x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%x, %xcos, %xsin) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [2 x 1] routing(%r) gathered combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %cos: tensor<?x?x2xf32>, %sin: tensor<?x?x2xf32>, %wqi: tensor<8x1x8xf32>, %wki: tensor<8x1x4xf32>, %wvi: tensor<8x1x4xf32>, %woi: tensor<1x8x8xf32>, %valid: tensor<?x?xi1>):
      %flat = onnx.node "Constant"() {value = dense<[8, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
      %heads = onnx.node "Constant"() {value = dense<[0, 0, -1, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %qw = onnx.node "Reshape"(%wqi, %flat) : (tensor<8x1x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %q2 = onnx.node "MatMul"(%h, %qw) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q3 = onnx.node "Reshape"(%q2, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q4 = onnx.node "Transpose"(%q3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %kw = onnx.node "Reshape"(%wki, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %k2 = onnx.node "MatMul"(%h, %kw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %vw = onnx.node "Reshape"(%wvi, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %v2 = onnx.node "MatMul"(%h, %vw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %q5 = onnx.node "RotaryEmbedding"(%q4, %cos, %sin) : (tensor<?x2x?x4xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x2x?x4xf32>
      %k5 = onnx.node "RotaryEmbedding"(%k4, %cos, %sin) : (tensor<?x1x?x4xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %places = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention %q5, %k5, %v4 bias(%places) attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x1x?xi1> -> tensor<?x2x?x4xf32>
      %a3 = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
      %rows = onnx.node "Constant"() {value = dense<[0, 0, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
      %a2 = onnx.node "Reshape"(%a3, %rows) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
      %out = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
      %ow = onnx.node "Reshape"(%woi, %out) : (tensor<1x8x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %o = onnx.node "MatMul"(%a2, %ow) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32> sliced tensor<8x2x8xf32>, tensor<8x2x4xf32>, tensor<8x2x4xf32>, tensor<2x8x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// Positions are ranks among the tokens that an expert took (the language modelling code): it takes the first rows of the tables, here those of all samples.
// CASE smha_rotary_compacted
// CHECK: gathered compacted [1, 2] combine
module attributes {onnx.opset_import = {ai.onnx = 23 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xcos: tensor<1x?x2xf32>, %xsin: tensor<1x?x2xf32>, %wg: tensor<8x2xf32>, %wq: tensor<8x2x8xf32>, %wk: tensor<8x2x4xf32>, %wv: tensor<8x2x4xf32>, %wo: tensor<2x8x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32, padding = #uoe<padding token>} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%x, %xcos, %xsin) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [2 x 1] routing(%r) gathered compacted [1, 2] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %cos: tensor<1x?x2xf32>, %sin: tensor<1x?x2xf32>, %wqi: tensor<8x1x8xf32>, %wki: tensor<8x1x4xf32>, %wvi: tensor<8x1x4xf32>, %woi: tensor<1x8x8xf32>):
      %flat = onnx.node "Constant"() {value = dense<[8, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
      %heads = onnx.node "Constant"() {value = dense<[0, 0, -1, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %qw = onnx.node "Reshape"(%wqi, %flat) : (tensor<8x1x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %q2 = onnx.node "MatMul"(%h, %qw) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q3 = onnx.node "Reshape"(%q2, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q4 = onnx.node "Transpose"(%q3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %kw = onnx.node "Reshape"(%wki, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %k2 = onnx.node "MatMul"(%h, %kw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %vw = onnx.node "Reshape"(%wvi, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %v2 = onnx.node "MatMul"(%h, %vw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %q5 = onnx.node "RotaryEmbedding"(%q4, %cos, %sin) : (tensor<?x2x?x4xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<?x2x?x4xf32>
      %k5 = onnx.node "RotaryEmbedding"(%k4, %cos, %sin) : (tensor<?x1x?x4xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<?x1x?x4xf32>
      %a = uoe.attention %q5, %k5, %v4 attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x2x?x4xf32>
      %a3 = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
      %rows = onnx.node "Constant"() {value = dense<[0, 0, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
      %a2 = onnx.node "Reshape"(%a3, %rows) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
      %out = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
      %ow = onnx.node "Reshape"(%woi, %out) : (tensor<1x8x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %o = onnx.node "MatMul"(%a2, %ow) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32> sliced tensor<8x2x8xf32>, tensor<8x2x4xf32>, tensor<8x2x4xf32>, tensor<2x8x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// A padding mask is gathered with the same indices.
// CASE smha_keys
// CHECK: gathered combine
module attributes {onnx.opset_import = {ai.onnx = 23 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xmask: tensor<?x?xi1>, %wg: tensor<8x2xf32>, %wq: tensor<8x2x8xf32>, %wk: tensor<8x2x4xf32>, %wv: tensor<8x2x4xf32>, %wo: tensor<2x8x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%x, %xmask) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [2 x 1] routing(%r) gathered combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %mask: tensor<?x?xi1>, %wqi: tensor<8x1x8xf32>, %wki: tensor<8x1x4xf32>, %wvi: tensor<8x1x4xf32>, %woi: tensor<1x8x8xf32>, %valid: tensor<?x?xi1>):
      %flat = onnx.node "Constant"() {value = dense<[8, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
      %heads = onnx.node "Constant"() {value = dense<[0, 0, -1, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %qw = onnx.node "Reshape"(%wqi, %flat) : (tensor<8x1x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %q2 = onnx.node "MatMul"(%h, %qw) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q3 = onnx.node "Reshape"(%q2, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q4 = onnx.node "Transpose"(%q3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %kw = onnx.node "Reshape"(%wki, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %k2 = onnx.node "MatMul"(%h, %kw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %vw = onnx.node "Reshape"(%wvi, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %v2 = onnx.node "MatMul"(%h, %vw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %places = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %keys = onnx.node "Unsqueeze"(%mask, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %allowed = onnx.node "And"(%places, %keys) : (tensor<?x1x1x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention %q4, %k4, %v4 bias(%allowed) attributes {scale = 0.5 : f32, boolean_zero} : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x1x?xi1> -> tensor<?x2x?x4xf32>
      %a3 = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
      %rows = onnx.node "Constant"() {value = dense<[0, 0, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
      %a2 = onnx.node "Reshape"(%a3, %rows) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
      %out = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
      %ow = onnx.node "Reshape"(%woi, %out) : (tensor<1x8x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %o = onnx.node "MatMul"(%a2, %ow) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<?x?xi1> sliced tensor<8x2x8xf32>, tensor<8x2x4xf32>, tensor<8x2x4xf32>, tensor<2x8x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// A mask of pairs (here any bias) keeps the rows and columns of the tokens that an expert took; blank places are hidden as well.
// CASE smha_pairs
// CHECK: gathered pairs [1] combine
module attributes {onnx.opset_import = {ai.onnx = 23 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xbias: tensor<?x?x?xf32>, %wg: tensor<8x2xf32>, %wq: tensor<8x2x8xf32>, %wk: tensor<8x2x4xf32>, %wv: tensor<8x2x4xf32>, %wo: tensor<2x8x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%x, %xbias) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [2 x 1] routing(%r) gathered pairs [1] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %bias: tensor<?x?x?xf32>, %wqi: tensor<8x1x8xf32>, %wki: tensor<8x1x4xf32>, %wvi: tensor<8x1x4xf32>, %woi: tensor<1x8x8xf32>, %valid: tensor<?x?xi1>):
      %flat = onnx.node "Constant"() {value = dense<[8, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
      %heads = onnx.node "Constant"() {value = dense<[0, 0, -1, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %qw = onnx.node "Reshape"(%wqi, %flat) : (tensor<8x1x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %q2 = onnx.node "MatMul"(%h, %qw) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q3 = onnx.node "Reshape"(%q2, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q4 = onnx.node "Transpose"(%q3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %kw = onnx.node "Reshape"(%wki, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %k2 = onnx.node "MatMul"(%h, %kw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %vw = onnx.node "Reshape"(%wvi, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %v2 = onnx.node "MatMul"(%h, %vw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %axes = onnx.node "Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
      %places = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %added = onnx.node "Unsqueeze"(%bias, %one) : (tensor<?x?x?xf32>, tensor<1xi64>) -> tensor<?x1x?x?xf32>
      %hidden = onnx.node "Constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
      %both = onnx.node "Where"(%places, %added, %hidden) : (tensor<?x1x1x?xi1>, tensor<?x1x?x?xf32>, tensor<f32>) -> tensor<?x1x?x?xf32>
      %a = uoe.attention %q4, %k4, %v4 bias(%both) attributes {scale = 0.5 : f32, boolean_zero} : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x2x?x4xf32>
      %a3 = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
      %rows = onnx.node "Constant"() {value = dense<[0, 0, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
      %a2 = onnx.node "Reshape"(%a3, %rows) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
      %out = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
      %ow = onnx.node "Reshape"(%woi, %out) : (tensor<1x8x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %o = onnx.node "MatMul"(%a2, %ow) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> sliced tensor<8x2x8xf32>, tensor<8x2x4xf32>, tensor<8x2x4xf32>, tensor<2x8x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// A bias by position, by ranks: its first rows and columns.
// CASE smha_pairs_compacted
// CHECK: gathered pairs [1] compacted [1] combine
module attributes {onnx.opset_import = {ai.onnx = 23 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %xbias: tensor<1x?x?xf32>, %wg: tensor<8x2xf32>, %wq: tensor<8x2x8xf32>, %wk: tensor<8x2x4xf32>, %wv: tensor<8x2x4xf32>, %wo: tensor<2x8x8xf32>) -> tensor<?x?x8xf32> {
    %s = uoe.score linear %x weights(%wg) : tensor<?x?x8xf32> weights tensor<8x2xf32> -> tensor<?x?x2xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, capacity_share = 0.5 : f32, padding = #uoe<padding token>} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%x, %xbias) sliced(%wq, %wk, %wv, %wo) axes [1, 1, 1, 0] sizes [2 x 1] routing(%r) gathered pairs [1] compacted [1] combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %bias: tensor<1x?x?xf32>, %wqi: tensor<8x1x8xf32>, %wki: tensor<8x1x4xf32>, %wvi: tensor<8x1x4xf32>, %woi: tensor<1x8x8xf32>):
      %flat = onnx.node "Constant"() {value = dense<[8, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
      %heads = onnx.node "Constant"() {value = dense<[0, 0, -1, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
      %qw = onnx.node "Reshape"(%wqi, %flat) : (tensor<8x1x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %q2 = onnx.node "MatMul"(%h, %qw) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %q3 = onnx.node "Reshape"(%q2, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
      %q4 = onnx.node "Transpose"(%q3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
      %kw = onnx.node "Reshape"(%wki, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %k2 = onnx.node "MatMul"(%h, %kw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %k3 = onnx.node "Reshape"(%k2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %k4 = onnx.node "Transpose"(%k3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %vw = onnx.node "Reshape"(%wvi, %flat) : (tensor<8x1x4xf32>, tensor<2xi64>) -> tensor<8x4xf32>
      %v2 = onnx.node "MatMul"(%h, %vw) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
      %v3 = onnx.node "Reshape"(%v2, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
      %v4 = onnx.node "Transpose"(%v3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
      %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
      %added = onnx.node "Unsqueeze"(%bias, %one) : (tensor<1x?x?xf32>, tensor<1xi64>) -> tensor<1x1x?x?xf32>
      %a = uoe.attention %q4, %k4, %v4 bias(%added) attributes {scale = 0.5 : f32, boolean_zero, causal} : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) bias tensor<1x1x?x?xf32> -> tensor<?x2x?x4xf32>
      %a3 = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
      %rows = onnx.node "Constant"() {value = dense<[0, 0, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
      %a2 = onnx.node "Reshape"(%a3, %rows) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
      %out = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
      %ow = onnx.node "Reshape"(%woi, %out) : (tensor<1x8x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
      %o = onnx.node "MatMul"(%a2, %ow) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32>, tensor<1x?x?xf32> sliced tensor<8x2x8xf32>, tensor<8x2x4xf32>, tensor<8x2x4xf32>, tensor<2x8x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}

// -----

// CASE expert_selection
// CHECK: {over = #uoe<over sample>}
// CHECK: -> <4 per sample>
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x5x8xf32>, %wg: tensor<40x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x5x8xf32> {
    %s = uoe.score linear %x weights(%wg) {over = #uoe<over sample>} : tensor<?x5x8xf32> weights tensor<40x4xf32> -> tensor<?x4xf32>
    %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x5x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x5x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x5x8xf32>
      uoe.yield %o : tensor<?x5x8xf32>
    } : shared tensor<?x5x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4 per sample> -> tensor<?x5x8xf32>
    return %y : tensor<?x5x8xf32>
  }
}

// -----

// CASE hierarchy
// CHECK: within(%{{.*}})
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x5x8xf32>, %wg: tensor<40x4xf32>, %wt: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x5x8xf32> {
    %s = uoe.score linear %x weights(%wg) {over = #uoe<over sample>} : tensor<?x5x8xf32> weights tensor<40x4xf32> -> tensor<?x4xf32>
    %sample = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
    %t = uoe.score linear %x weights(%wt) : tensor<?x5x8xf32> weights tensor<8x4xf32> -> tensor<?x5x4xf32>
    %r = uoe.select %t all within(%sample) {scoring = #uoe<scoring softmax>, capacity = 2 : i64} : tensor<?x5x4xf32> within !uoe.routing<4 per sample> -> <4>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x5x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x5x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x5x8xf32>
      uoe.yield %o : tensor<?x5x8xf32>
    } : shared tensor<?x5x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x5x8xf32>
    return %y : tensor<?x5x8xf32>
  }
}

// -----

// CASE patches
// CHECK: {over = #uoe<over patch>, patch = 3 : i64}
// CHECK: -> <4 per 3>
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32>, %wg: tensor<8x4xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x?x8xf32> {
    // Patches of 3 tokens, the last one short: expert choice of half of the patches.
    %s = uoe.score linear %x weights(%wg) {over = #uoe<over patch>, patch = 3 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
    %r = uoe.select %s all {scoring = #uoe<scoring softmax>, capacity_share = 0.5 : f32} : tensor<?x?x4xf32> -> <4 per 3>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 3] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x3xf32>, %di: tensor<3x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4 per 3> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
