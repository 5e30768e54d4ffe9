// RUN: uoe-opt %s | uoe-opt | FileCheck %s
// RUN: uoe-opt %s --emit-bytecode | uoe-opt | FileCheck %s

// Blocks, with and without a gate, biases and a spelling.
// CHECK-LABEL: func.func @ffn
func.func @ffn(%x: tensor<?x?x8xf32>, %u: tensor<8x16xf32>, %g: tensor<8x16xf32>, %d: tensor<16x8xf32>, %b: tensor<16xf32>, %c: tensor<8xf32>) -> tensor<?x?x8xf32> {
  // CHECK: uoe.ffn silu %{{.*}} up(%{{.*}}) gate(%{{.*}}) down(%{{.*}}) : tensor<?x?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
  %0 = uoe.ffn silu %x up(%u) gate(%g) down(%d) : tensor<?x?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
  // CHECK: uoe.ffn gelu %{{.*}} up(%{{.*}} + %{{.*}}) down(%{{.*}} + %{{.*}})
  // CHECK: spelled {
  %1 = uoe.ffn gelu %0 up(%u + %b) down(%d + %c) spelled {
    %h = onnx.node "Relu"(%0) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    uoe.yield %h : tensor<?x?x8xf32>
  } : tensor<?x?x8xf32>, tensor<8x16xf32>, tensor<16xf32> down tensor<16x8xf32>, tensor<8xf32> -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x6x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x6x?x4xf32> {
  // CHECK: uoe.attention %{{.*}}, %{{.*}}, %{{.*}} bias(%{{.*}}) attributes {scale = 5.000000e-01 : f32} : (tensor<?x6x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x6x?x4xf32>
  %0 = uoe.attention %q, %k, %v bias(%m) attributes {scale = 0.5 : f32} : (tensor<?x6x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x6x?x4xf32>
  return %0 : tensor<?x6x?x4xf32>
}

// Scores, selection and experts; sizes are printed with runs.
// CHECK-LABEL: func.func @routed
func.func @routed(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>, %s: tensor<4x8xf32>) -> tensor<?x?x8xf32> {
  // CHECK: uoe.score linear %{{.*}} weights(%{{.*}}) bias(%{{.*}})
  %score = uoe.score linear %x weights(%w) bias(%b) : tensor<?x?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x?x4xf32>
  // CHECK: uoe.select %{{.*}} threshold {tau = 2.500000e-01 : f32} : tensor<?x?x4xf32> -> <4>
  %r = uoe.select %score threshold {tau = 0.25 : f32} : tensor<?x?x4xf32> -> <4>
  // CHECK: uoe.experts(%{{.*}}) sliced(%{{.*}}, %{{.*}}) axes [1, 0] sizes [4 x 4] routing(%{{.*}}) skip(%{{.*}}) combine
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 4] routing(%r) skip(%s) combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x4xf32>, %de: tensor<4x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x4xf32> down tensor<4x8xf32> -> tensor<?x?x8xf32>
    uoe.yield %o : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<4> skip tensor<4x8xf32> -> tensor<?x?x8xf32>
  // Uneven experts have dynamic slices.
  // CHECK: sizes [10, 2 x 3]
  %z = uoe.experts(%y) sliced(%u, %d) axes [1, 0] sizes [10, 2 x 3] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x?xf32>, %de: tensor<?x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x?xf32> down tensor<?x8xf32> -> tensor<?x?x8xf32>
    uoe.yield %o : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> -> tensor<?x?x8xf32>
  return %z : tensor<?x?x8xf32>
}

// Experts of single input channels, chosen by their own magnitude.
// CHECK-LABEL: func.func @channels
func.func @channels(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %w: tensor<8x16xf32>) -> tensor<?x16xf32> {
  %score = uoe.score magnitude %x weights(%n) : tensor<?x8xf32> weights tensor<8xf32> -> tensor<?x8xf32>
  %r = uoe.select %score threshold {tau = 0.1 : f32} : tensor<?x8xf32> -> <8>
  // CHECK: uoe.experts() sliced(%{{.*}}, %{{.*}}) axes [1, 0] sizes [8 x 1]
  %y = uoe.experts() sliced(%x, %w) axes [1, 0] sizes [8 x 1] routing(%r) combine sum {
  ^bb0(%xe: tensor<?x1xf32>, %we: tensor<1x16xf32>):
    %o = onnx.node "MatMul"(%xe, %we) : (tensor<?x1xf32>, tensor<1x16xf32>) -> tensor<?x16xf32>
    uoe.yield %o : tensor<?x16xf32>
  } : sliced tensor<?x8xf32>, tensor<8x16xf32> routing !uoe.routing<8> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// A mixture that a model came with.
// CHECK-LABEL: func.func @moe
func.func @moe(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) -> tensor<?x8xf32> {
  // CHECK: uoe.moe relu top 2 scoring softmax normalized input(%{{.*}} : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x16xf32>) down(%{{.*}} : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  %0 = uoe.moe relu top 2 scoring softmax normalized input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Every kind of score.
// CHECK-LABEL: func.func @scores
func.func @scores(%x: tensor<?x?x8xf32>, %l: tensor<2x3x8xf32>, %p: tensor<8x2xf32>, %e: tensor<2x4xf32>, %v: tensor<8x6xf32>, %c: tensor<6xf32>, %w: tensor<6x4xf32>,
                  %g: tensor<8x12xf32>, %flat: tensor<24x4xf32>, %before: tensor<?x?x5xf32>, %mix: tensor<5x4xf32>) {
  // CHECK: uoe.score cosine %{{.*}} weights(%{{.*}}, %{{.*}}) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
  %0 = uoe.score cosine %x weights(%p, %e) : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
  // CHECK: uoe.score mlp %{{.*}} previous(%{{.*}}, %{{.*}}) {activation = #uoe<activation gelu>}
  %1 = uoe.score mlp %x weights(%v, %c, %w) previous(%before, %mix) {activation = #uoe<activation gelu>}
      : tensor<?x?x8xf32> weights tensor<8x6xf32>, tensor<6xf32>, tensor<6x4xf32> previous tensor<?x?x5xf32>, tensor<5x4xf32> -> tensor<?x?x4xf32>
  // CHECK: uoe.score mass
  %2 = uoe.score mass %x weights(%g, %g) : tensor<?x?x8xf32> weights tensor<8x12xf32>, tensor<8x12xf32> -> tensor<?x?x4xf32>
  // CHECK: uoe.score activation %{{.*}} {activation = #uoe<activation silu>, sizes = array<i64: 4, 8>}
  %3 = uoe.score activation %x weights(%g, %g) {activation = #uoe<activation silu>, sizes = array<i64: 4, 8>} : tensor<?x?x8xf32> weights tensor<8x12xf32>, tensor<8x12xf32> -> tensor<?x?x2xf32>
  // CHECK: uoe.score linear %{{.*}} {over = #uoe<over sample>}
  %4 = uoe.score linear %l weights(%flat) {over = #uoe<over sample>} : tensor<2x3x8xf32> weights tensor<24x4xf32> -> tensor<2x4xf32>
  // CHECK: {over = #uoe<over patch>, patch = 4 : i64}
  %5 = uoe.score cosine %x weights(%p, %e) {over = #uoe<over patch>, patch = 4 : i64} : tensor<?x?x8xf32> weights tensor<8x2xf32>, tensor<2x4xf32> -> tensor<?x?x4xf32>
  return
}

// Choices: groups, capacity, one routing within another; what a row speaks for is in the type.
// CHECK-LABEL: func.func @choices
func.func @choices(%s: tensor<?x?x4xf32>, %g: tensor<?x?x2xf32>, %t: tensor<4xf32>, %sample: tensor<?x4xf32>) {
  // CHECK: uoe.select %{{.*}} all group_scores(%{{.*}}) {groups = array<i64: 0, 0, 1, 1>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>}
  %0 = uoe.select %s all group_scores(%g) {groups = array<i64: 0, 0, 1, 1>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>}
      : tensor<?x?x4xf32> group_scores tensor<?x?x2xf32> -> <4>
  // CHECK: uoe.select %{{.*}} threshold thresholds(%{{.*}}) {empty = #uoe<empty argmax>, scaling = #uoe<scaling one_over_active>}
  %1 = uoe.select %s threshold thresholds(%t) {empty = #uoe<empty argmax>, scaling = #uoe<scaling one_over_active>} : tensor<?x?x4xf32> thresholds tensor<4xf32> -> <4>
  // CHECK: uoe.select %{{.*}} token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
  %2 = uoe.select %sample token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4 per sample>
  // CHECK: uoe.select %{{.*}} all within(%{{.*}}) {capacity_share = 5.000000e-01 : f32} : tensor<?x?x4xf32> within !uoe.routing<4 per sample> -> <4>
  %3 = uoe.select %s all within(%2) {capacity_share = 0.5 : f32} : tensor<?x?x4xf32> within !uoe.routing<4 per sample> -> <4>
  // CHECK: -> <4 per 8>
  %4 = uoe.select %s token_topk {k = 1 : i64} : tensor<?x?x4xf32> -> <4 per 8>
  return
}

// Experts on the ranks of several processes or devices.
// CHECK-LABEL: func.func @shard
func.func @shard(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<8x6xf32>, %d: tensor<6x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4>
  // CHECK: uoe.experts(%{{.*}}) sliced(%{{.*}}) axes [1, 0] sizes [2 x 3] routing(%{{.*}}) slots [0, 1, 1, -1] shard [3, 0] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 3] routing(%r) slots [0, 1, 1, -1] shard [3, 0] combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x3xf32>, %de: tensor<3x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x6xf32>, tensor<6x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Experts of unlike kinds share a routing: slots.
// CHECK-LABEL: func.func @slots
func.func @slots(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<8x6xf32>, %d: tensor<6x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4>
  // CHECK: uoe.experts(%{{.*}}) sliced(%{{.*}}) axes [1, 0] sizes [2 x 3] routing(%{{.*}}) slots [0, 1, 1, -1] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 3] routing(%r) slots [0, 1, 1, -1] combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x3xf32>, %de: tensor<3x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x6xf32>, tensor<6x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  // CHECK: uoe.experts(%{{.*}}) sizes [1] routing(%{{.*}}) slots [-1, -1, -1, 0] combine sum
  %z = uoe.experts(%x) sizes [1] routing(%r) slots [-1, -1, -1, 0] combine sum {
  ^bb0(%t: tensor<?x8xf32>):
    uoe.yield %t : tensor<?x8xf32>
  } : shared tensor<?x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  %sum = onnx.node "Add"(%y, %z) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %sum : tensor<?x8xf32>
}

// Experts that see the tokens that chose them; and a loop over depth.
// CHECK-LABEL: func.func @gathered
func.func @gathered(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>, %cache: tensor<3x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<3x?x8xf32>) {
  %r = uoe.select %s all {capacity = 4 : i64} : tensor<?x?x2xf32> -> <2>
  // CHECK: uoe.experts(%{{.*}}) sizes [2 x 1] routing(%{{.*}}) gathered combine sum
  %y = uoe.experts(%x) sizes [2 x 1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %valid: tensor<?x?xi1>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  // CHECK: uoe.recur(%{{.*}}) each(%{{.*}}) times 3 {
  %z:2 = uoe.recur(%y) each(%cache) times 3 {
  ^bb0(%h: tensor<?x?x8xf32>, %c: tensor<?x8xf32>):
    uoe.yield %h, %c : tensor<?x?x8xf32>, tensor<?x8xf32>
  } : tensor<?x?x8xf32> each tensor<3x?x8xf32> -> tensor<?x?x8xf32>, tensor<3x?x8xf32>
  return %z#0, %z#1 : tensor<?x?x8xf32>, tensor<3x?x8xf32>
}
