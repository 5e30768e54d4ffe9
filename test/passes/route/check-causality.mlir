// A choice that looks ahead, in a model whose attention is causal: each property of a choice, and beside it what is causal.
// RUN: uoe-opt %s --split-input-file --check-causality --verify-diagnostics
// RUN: sed '/expected-/d' %s | uoe-opt --split-input-file --check-causality=severity=warning -o /dev/null 2>&1 | FileCheck %s --check-prefix=WARNING
// RUN: sed '/expected-/d' %s | not uoe-opt --split-input-file --check-causality=severity=none -o /dev/null 2>&1 | FileCheck %s --check-prefix=SEVERITY

// WARNING-NOT: error:
// WARNING: warning: uoe.select looks ahead in a model whose attention is causal: capacity: each expert chooses its tokens
// WARNING-NOT: error:
// SEVERITY: severity is error or warning, found none

// Expert choice.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{uoe.select looks ahead in a model whose attention is causal: capacity: each expert chooses its tokens among all of a sample (expert choice), so that a later token takes an earlier one's place; let tokens choose: rule token_topk, threshold or top_p without a capacity}}
  %r = uoe.select %s all {capacity = 3 : i64, scoring = #uoe<scoring softmax>} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// Attention that sees everything has nothing to lose by it.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %r = uoe.select %s all {capacity = 3 : i64, scoring = #uoe<scoring softmax>} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// A capacity that drops tokens which chose.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{capacity: an expert drops the tokens of the lowest gates of a sample, so that a later token takes an earlier one's place; remove capacity}}
  %r = uoe.select %s token_topk {k = 2 : i64, capacity = 3 : i64} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// A share of the rows.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{capacity_share: an expert drops}}
  %r = uoe.select %s token_topk {k = 2 : i64, capacity_share = 0.5 : f32} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// A share of 1 has room for all.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %r = uoe.select %s token_topk {k = 2 : i64, capacity_share = 1.0 : f32} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// As many as the fullest expert has, in any sample of the batch.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{an expert drops}}
  %r = uoe.select %s token_topk {k = 2 : i64, capacity_takers, capacity_share = 1.0 : f32} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// Blank places that stay blank, and some that tokens fill.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{padding token: which tokens fill an expert depends on how many later ones chose it; remove the capacity and its padding}}
  // expected-error @below {{capacity: an expert drops}}
  %r = uoe.select %s token_topk {k = 2 : i64, capacity = 3 : i64, padding = #uoe<padding token>} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// Gates over tokens.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{normalize tokens: gates are divided by a sum over the tokens of the sample; normalize over experts}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// Gates over the batch: other samples.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{normalize batch: gates are divided by a sum over the samples of the batch}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis batch>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// Each token for itself: highest gates, a threshold, a sum of gates, groups of experts, gates over experts.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>) {
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, groups = array<i64: 0, 0, 1, 1>, group_k = 1 : i64, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
  %t = uoe.select %s threshold {tau = 0.5 : f32, scoring = #uoe<scoring sigmoid>, empty = #uoe<empty argmax>, scaling = #uoe<scaling n_over_active>} : tensor<?x?x4xf32> -> <4>
  %p = uoe.select %s top_p {p = 0.9 : f32, scoring = #uoe<scoring softmax>} : tensor<?x?x4xf32> -> <4>
  %w = uoe.select %s token_topk within(%t) {k = 1 : i64} : tensor<?x?x4xf32> within !uoe.routing<4> -> <4>
  return
}

// -----

// The whole sample chooses.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %c = uoe.score linear %x weights(%w) {over = #uoe<over sample_mean>} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  // expected-error @below {{over sample_mean: the scores are a mean over all tokens of a sample; score over token, where each token chooses for itself}}
  %r = uoe.select %c token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
  return
}

// -----

// Its tokens laid end to end.
func.func @f(%q: tensor<?x2x?x8xf32>, %x: tensor<?x6x8xf32>, %w: tensor<48x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %c = uoe.score linear %x weights(%w) {over = #uoe<over sample>} : tensor<?x6x8xf32> weights tensor<48x4xf32> -> tensor<?x4xf32>
  // expected-error @below {{over sample: the scores are made of all tokens of a sample}}
  %r = uoe.select %c token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
  return
}

// -----

// A patch of tokens chooses by its mean.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %c = uoe.score linear %x weights(%w) {over = #uoe<over patch>, patch = 3 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  // expected-error @below {{over patch: a token's experts depend on the mean score of the 3 tokens of its patch, later ones included; use patches of 1 token, or score over token}}
  %r = uoe.select %c token_topk {k = 2 : i64} : tensor<?x?x4xf32> -> <4 per 3>
  return
}

// -----

// A patch of one token is a token.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %c = uoe.score linear %x weights(%w) {over = #uoe<over patch>, patch = 1 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  %r = uoe.select %c token_topk {k = 2 : i64} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// First the sample chooses, then the token: the sample's choice is reported, once.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %c = uoe.score linear %x weights(%w) {over = #uoe<over sample_mean>} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  // expected-error @below {{over sample_mean}}
  %r = uoe.select %c token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
  %n = uoe.select %s token_topk within(%r) {k = 1 : i64} : tensor<?x?x4xf32> within !uoe.routing<4 per sample> -> <4>
  return
}

// -----

// The choice of a sample that was made elsewhere.
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %x: tensor<?x?x8xf32>, %given: !uoe.routing<4 per sample>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{within: the experts that are eligible were chosen by the whole sample; choose within a routing of single tokens}}
  %n = uoe.select %s token_topk within(%given) {k = 1 : i64} : tensor<?x?x4xf32> within !uoe.routing<4 per sample> -> <4>
  return
}

// -----

// Attention over an expert's tokens.
func.func @f(%q: tensor<?x2x?x8xf32>, %r: !uoe.routing<2>, %x: tensor<?x?x8xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  // expected-error @below {{uoe.experts looks ahead in a model whose attention is causal: gathered: attention over an expert's tokens lets each see later ones; make the attention in the body causal; gathered tokens keep their order}}
  %y = uoe.experts(%x) sizes [2 x 1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    %axis = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %h = onnx.node "Unsqueeze"(%t, %axis) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
    %b = uoe.attention %h, %h, %h attributes {scale = 0.5 : f32} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
    %o = onnx.node "Squeeze"(%b, %axis) : (tensor<?x1x?x8xf32>, tensor<1xi64>) -> tensor<?x?x8xf32>
    uoe.yield %o : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// Attention over an expert's tokens, each of which sees those before it.
func.func @f(%q: tensor<?x2x?x8xf32>, %r: !uoe.routing<2>, %x: tensor<?x?x8xf32>) {
  %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %y = uoe.experts(%x) sizes [2 x 1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    %axis = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %h = onnx.node "Unsqueeze"(%t, %axis) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
    %b = uoe.attention %h, %h, %h attributes {scale = 0.5 : f32, causal} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
    %o = onnx.node "Squeeze"(%b, %axis) : (tensor<?x1x?x8xf32>, tensor<1xi64>) -> tensor<?x?x8xf32>
    uoe.yield %o : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// Masks that are causal: cut along the diagonal.
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %m: tensor<?x?xf32>, %i: tensor<?x1xi64>, %n: tensor<i64>) {
  %b = onnx.node "Trilu"(%m) {upper = 1 : i64} : (tensor<?x?xf32>) -> tensor<?x?xf32>
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q bias(%b) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<?x?xf32> -> tensor<?x2x?x8xf32>
  // expected-error @below {{normalize tokens}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}

// -----

// Positions of keys compared with those of queries.
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %m: tensor<?x?xf32>, %i: tensor<?x1xi64>, %n: tensor<i64>) {
  %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
  %rows = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
  %range = onnx.node "Range"(%zero, %n, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %key = onnx.node "Unsqueeze"(%range, %axes) : (tensor<?xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %query = onnx.node "Unsqueeze"(%range, %rows) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %b = onnx.node "LessOrEqual"(%key, %query) : (tensor<1x?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q bias(%b) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<?x?xi1> -> tensor<?x2x?x8xf32>
  // expected-error @below {{normalize tokens}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}

// -----

// A triangle of constants.
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %m: tensor<?x?xf32>, %i: tensor<?x1xi64>, %n: tensor<i64>) {
  %b = onnx.node "Constant"() {value = dense<[[0.0, -1.0e9], [0.0, 0.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  // expected-note @below {{causal attention is here}}
  %a = uoe.attention %q, %q, %q bias(%b) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<2x2xf32> -> tensor<?x2x?x8xf32>
  // expected-error @below {{normalize tokens}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}

// -----

// Masks that are not: lengths of the samples.
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %m: tensor<?x?xf32>, %i: tensor<?x1xi64>, %n: tensor<i64>) {
  %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %axes = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
  %rows = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
  %range = onnx.node "Range"(%zero, %n, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %key = onnx.node "Unsqueeze"(%range, %axes) : (tensor<?xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %query = onnx.node "Unsqueeze"(%range, %rows) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %b = onnx.node "Less"(%key, %i) : (tensor<1x?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %a = uoe.attention %q, %q, %q bias(%b) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<?x?xi1> -> tensor<?x2x?x8xf32>
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}

// -----

// A constant that is no triangle.
module attributes {onnx.opset_import = {ai.onnx = 20 : i64}} {
func.func @f(%q: tensor<?x2x?x8xf32>, %s: tensor<?x?x4xf32>, %m: tensor<?x?xf32>, %i: tensor<?x1xi64>, %n: tensor<i64>) {
  %b = onnx.node "Constant"() {value = dense<[[0.0, -1.0], [-1.0, 0.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %a = uoe.attention %q, %q, %q bias(%b) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<2x2xf32> -> tensor<?x2x?x8xf32>
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}

// -----

// An operator that is causal by itself.
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
func.func @f(%q: tensor<?x?x16xf32>, %s: tensor<?x?x4xf32>) {
  // expected-note @below {{causal attention is here}}
  %a = onnx.node "com.microsoft" "MultiHeadAttention"(%q, %q, %q) {num_heads = 2 : i64, unidirectional = 1 : i64} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  // expected-error @below {{normalize tokens}}
  %r = uoe.select %s token_topk {k = 2 : i64, normalize = #uoe<axis tokens>} : tensor<?x?x4xf32> -> <4>
  return
}
}
