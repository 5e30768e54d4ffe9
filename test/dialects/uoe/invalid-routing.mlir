// Constraints of uoe.score, uoe.select, uoe.experts and uoe.recur, by number; the first ones are in invalid.mlir.
// RUN: uoe-opt %s --split-input-file --verify-diagnostics

// uoe.score (C1)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{of kind linear needs 1 weights, found 2}}
  %0 = uoe.score linear %x weights(%w, %w) : tensor<?x8xf32> weights tensor<8x4xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C4)
func.func @f(%x: tensor<?x8xf32>, %p: tensor<8x2xf32>, %e: tensor<3x4xf32>) {
  // expected-error @below {{needs directions [d, experts], or [d, e] and [e, experts]}}
  %0 = uoe.score cosine %x weights(%p, %e) : tensor<?x8xf32> weights tensor<8x2xf32>, tensor<3x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C4)
func.func @f(%x: tensor<?x8xf32>, %e: tensor<8x4xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{of cosine has no bias}}
  %0 = uoe.score cosine %x weights(%e) bias(%b) : tensor<?x8xf32> weights tensor<8x4xf32> bias tensor<4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C4)
func.func @f(%x: tensor<?x8xf32>, %e: tensor<8x4xf32>) {
  // expected-error @below {{needs experts' directions, and a projection before them if there is one; found 3}}
  %0 = uoe.score cosine %x weights(%e, %e, %e) : tensor<?x8xf32> weights tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C5)
func.func @f(%x: tensor<?x8xf32>, %v: tensor<8x6xf32>, %c: tensor<5xf32>, %w: tensor<6x4xf32>) {
  // expected-error @below {{needs weights [d, h], [h], [h, experts]}}
  %0 = uoe.score mlp %x weights(%v, %c, %w) {activation = #uoe<activation relu>} : tensor<?x8xf32> weights tensor<8x6xf32>, tensor<5xf32>, tensor<6x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C5)
func.func @f(%x: tensor<?x8xf32>, %v: tensor<8x6xf32>, %c: tensor<6xf32>, %w: tensor<6x4xf32>) {
  // expected-error @below {{of kind mlp needs an activation}}
  %0 = uoe.score mlp %x weights(%v, %c, %w) : tensor<?x8xf32> weights tensor<8x6xf32>, tensor<6xf32>, tensor<6x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C5)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{of kind linear takes no activation}}
  %0 = uoe.score linear %x weights(%w) {activation = #uoe<activation relu>} : tensor<?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C6)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x6xf32>) {
  // expected-error @below {{needs a multiple of 4 columns}}
  %0 = uoe.score mass %x weights(%g) : tensor<?x8xf32> weights tensor<8x6xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C6)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x8xf32>, %u: tensor<8x4xf32>) {
  // expected-error @below {{needs weights of one shape [d, columns]}}
  %0 = uoe.score mass %x weights(%g, %u) : tensor<?x8xf32> weights tensor<8x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C7)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x12xf32>) {
  // expected-error @below {{has 2 sizes that add up to 16}}
  %0 = uoe.score activation %x weights(%g) {activation = #uoe<activation relu>, sizes = array<i64: 8, 8>} : tensor<?x8xf32> weights tensor<8x12xf32> -> tensor<?x2xf32>
  return
}

// -----

// uoe.score (C7)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x12xf32>) {
  // expected-error @below {{needs positive sizes, found 0}}
  %0 = uoe.score activation %x weights(%g) {activation = #uoe<activation relu>, sizes = array<i64: 12, 0>} : tensor<?x8xf32> weights tensor<8x12xf32> -> tensor<?x2xf32>
  return
}

// -----

// uoe.score (C7)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x12xf32>) {
  // expected-error @below {{without sizes has one expert per column}}
  %0 = uoe.score activation %x weights(%g) {activation = #uoe<activation relu>} : tensor<?x8xf32> weights tensor<8x12xf32> -> tensor<?x2xf32>
  return
}

// -----

// uoe.score (C7)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{of kind linear takes no sizes}}
  %0 = uoe.score linear %x weights(%w) {sizes = array<i64: 1, 1, 1, 1>} : tensor<?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C8)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>, %p: tensor<?x3xf32>, %m: tensor<4x4xf32>) {
  // expected-error @below {{needs a matrix [m, experts] for previous scores of m experts}}
  %0 = uoe.score linear %x weights(%w) previous(%p, %m) : tensor<?x8xf32> weights tensor<8x4xf32> previous tensor<?x3xf32>, tensor<4x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C9)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{needs a patch of at least 1 token with 'over patch', and only there}}
  %0 = uoe.score linear %x weights(%w) {patch = 2 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  return
}

// -----

// uoe.score (C9)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{needs a patch of at least 1 token}}
  %0 = uoe.score linear %x weights(%w) {over = #uoe<over patch>, patch = 0 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  return
}

// -----

// uoe.score (C9)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{over sample_mean needs an input [batch, tokens, d]}}
  %0 = uoe.score linear %x weights(%w) {over = #uoe<over sample_mean>} : tensor<?x8xf32> weights tensor<8x4xf32> -> tensor<4xf32>
  return
}

// -----

// uoe.score (C9)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{needs scores of rank 2}}
  %0 = uoe.score linear %x weights(%w) {over = #uoe<over sample_mean>} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  return
}

// -----

// uoe.score (C10)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<32x4xf32>) {
  // expected-error @below {{over sample needs a known number of tokens}}
  %0 = uoe.score linear %x weights(%w) {over = #uoe<over sample>} : tensor<?x?x8xf32> weights tensor<32x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.select (C2): the two smallest groups hold one expert each
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs k from 1 to 2 for token_topk}}
  %0 = uoe.select %s token_topk {k = 4 : i64, groups = array<i64: 0, 1, 1, 2>, group_k = 2 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C3)
func.func @f(%s: tensor<?x4xf32>, %t: tensor<4xf32>) {
  // expected-error @below {{needs tau, a number, for threshold, or thresholds}}
  %0 = uoe.select %s threshold thresholds(%t) {tau = 0.5 : f32} : tensor<?x4xf32> thresholds tensor<4xf32> -> <4>
  return
}

// -----

// uoe.select (C3)
func.func @f(%s: tensor<?x4xf32>, %t: tensor<3xf32>) {
  // expected-error @below {{needs one threshold per expert}}
  %0 = uoe.select %s threshold thresholds(%t) : tensor<?x4xf32> thresholds tensor<3xf32> -> <4>
  return
}

// -----

// uoe.select (C5)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs p above 0 and at most 1}}
  %0 = uoe.select %s top_p {p = 1.5 : f32, scoring = #uoe<scoring softmax>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C5)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{adds up gates for top_p, which needs scoring softmax}}
  %0 = uoe.select %s top_p {p = 0.5 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C5)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has a p, which only top_p takes}}
  %0 = uoe.select %s all {p = 0.5 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C6)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs positive temperatures}}
  %0 = uoe.select %s all {temperature = 0.0 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C7)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{which no gate exceeds}}
  %0 = uoe.select %s threshold {tau = 1.0 : f32, scoring = #uoe<scoring sigmoid>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C7)
func.func @f(%x: tensor<?x8xf32>, %e: tensor<8x4xf32>) {
  %s = uoe.score cosine %x weights(%e) : tensor<?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  // expected-error @below {{which no gate exceeds}}
  %0 = uoe.select %s threshold {tau = 1.5 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C8)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs a group for each of 4 experts, found 3}}
  %0 = uoe.select %s all {groups = array<i64: 0, 0, 1>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C8)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has no expert in group 1}}
  %0 = uoe.select %s all {groups = array<i64: 0, 0, 2, 2>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C8)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs groups numbered from 0 without gaps, found -1}}
  %0 = uoe.select %s all {groups = array<i64: 0, 0, -1, 1>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C9)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has group_k or group_scores but no groups}}
  %0 = uoe.select %s all {group_k = 1 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C9)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs group_k from 1 to 2, found 3}}
  %0 = uoe.select %s all {groups = array<i64: 0, 0, 1, 1>, group_k = 3 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C9)
func.func @f(%s: tensor<?x4xf32>, %g: tensor<?x3xf32>) {
  // expected-error @below {{needs scores for 2 groups}}
  %0 = uoe.select %s all group_scores(%g) {groups = array<i64: 0, 0, 1, 1>, scoring = #uoe<scoring softmax>} : tensor<?x4xf32> group_scores tensor<?x3xf32> -> <4>
  return
}

// -----

// uoe.select (C9)
func.func @f(%s: tensor<?x4xf32>, %g: tensor<?x2xf32>) {
  // expected-error @below {{with scores of groups needs scoring softmax}}
  %0 = uoe.select %s all group_scores(%g) {groups = array<i64: 0, 0, 1, 1>} : tensor<?x4xf32> group_scores tensor<?x2xf32> -> <4>
  return
}

// -----

// uoe.select (C10)
func.func @f(%s: tensor<?x4xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{needs one selection bias per expert}}
  %0 = uoe.select %s all selection_bias(%b) : tensor<?x4xf32> selection_bias tensor<5xf32> -> <4>
  return
}

// -----

// uoe.select (C11)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs a capacity of at least 1, found 0}}
  %0 = uoe.select %s all {capacity = 0 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C11)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs a capacity_share above 0 and at most 1}}
  %0 = uoe.select %s all {capacity_share = 1.5 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C11)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{pads with tokens, which needs a capacity}}
  %0 = uoe.select %s all {padding = #uoe<padding token>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C12)
func.func @f(%s: tensor<4xf32>) {
  // expected-error @below {{among rows of a sample needs scores [rows, experts]}}
  %0 = uoe.select %s all {capacity = 2 : i64} : tensor<4xf32> -> <4>
  return
}

// -----

// uoe.select (C12)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{over the batch needs scores [batch, rows, experts]}}
  %0 = uoe.select %s all {normalize = #uoe<axis batch>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C13)
func.func @f(%s: tensor<?x4xf32>, %o: tensor<?x5xf32>) {
  %r = uoe.select %o all : tensor<?x5xf32> -> <5>
  // expected-error @below {{chooses among 4 experts within a routing over 5}}
  %0 = uoe.select %s all within(%r) : tensor<?x4xf32> within !uoe.routing<5> -> <4>
  return
}

// -----

// uoe.experts (C3)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>) {
  %r = uoe.select %s all : tensor<?x2xf32> -> <2>
  // expected-error @below {{has 3 slots, its routing 2}}
  %0 = uoe.experts(%x) sizes [1] routing(%r) slots [0, 0, 0] combine sum {
  ^bb0(%t: tensor<?x8xf32>):
    uoe.yield %t : tensor<?x8xf32>
  } : shared tensor<?x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>) {
  %r = uoe.select %s all : tensor<?x2xf32> -> <2>
  // expected-error @below {{has a slot for expert 1, which is none of -1 to 0}}
  %0 = uoe.experts(%x) sizes [1] routing(%r) slots [0, 1] combine sum {
  ^bb0(%t: tensor<?x8xf32>):
    uoe.yield %t : tensor<?x8xf32>
  } : shared tensor<?x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C7)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{has slots, which need a routing}}
  %0 = uoe.experts(%x) sizes [1] slots [0] combine sum {
  ^bb0(%t: tensor<?x8xf32>):
    uoe.yield %t : tensor<?x8xf32>
  } : shared tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C8)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{needs a select with a capacity}}
  %0 = uoe.experts(%x) sizes [1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C8)
func.func @f(%x: tensor<?x?x8xf32>) {
  // expected-error @below {{gathers, which needs a routing of tokens}}
  %0 = uoe.experts(%x) sizes [1] gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C8)
func.func @f(%x: tensor<?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{gathers along axis 1, which needs shared operands of rank 2 or more}}
  %0 = uoe.experts(%x) sizes [1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?xf32>):
    uoe.yield %t : tensor<?xf32>
  } : shared tensor<?xf32> routing !uoe.routing<1> -> tensor<?xf32>
  return
}

// -----

// uoe.experts (C4)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{needs flags of valid places}}
  %0 = uoe.experts(%x) sizes [1] routing(%r) gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %v: tensor<?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C9)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>) {
  %r = uoe.select %s all : tensor<?x2xf32> -> <2>
  // expected-error @below {{merges, which needs a routing and no shared operands}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) combine merge {
  ^bb0(%t: tensor<?x8xf32>):
    uoe.yield %t : tensor<?x8xf32>
  } : shared tensor<?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.recur (C1)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs times of at least 1, found 0}}
  %0 = uoe.recur(%x) times 0 {
  ^bb0(%h: tensor<?x8xf32>):
    uoe.yield %h : tensor<?x8xf32>
  } : tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.recur (C2)
func.func @f(%x: tensor<?x8xf32>, %e: tensor<2x8xf32>) {
  // expected-error @below {{needs one row for each of 3 iterations}}
  %0 = uoe.recur(%x) each(%e) times 3 {
  ^bb0(%h: tensor<?x8xf32>, %r: tensor<8xf32>):
    uoe.yield %h : tensor<?x8xf32>
  } : tensor<?x8xf32> each tensor<2x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.recur (C3)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs a body of one block with arguments}}
  %0 = uoe.recur(%x) times 3 {
  ^bb0(%h: tensor<?x7xf32>):
    uoe.yield %h : tensor<?x7xf32>
  } : tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.recur (C4)
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x7xf32>) {
  // expected-error @below {{needs a body that yields}}
  %0 = uoe.recur(%x) times 3 {
  ^bb0(%h: tensor<?x8xf32>):
    uoe.yield %y : tensor<?x7xf32>
  } : tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.recur (C4)
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{needs 3 rows in a stacked result}}
  %0:2 = uoe.recur(%x) times 3 {
  ^bb0(%h: tensor<4x8xf32>):
    uoe.yield %h, %h : tensor<4x8xf32>, tensor<4x8xf32>
  } : tensor<4x8xf32> -> tensor<4x8xf32>, tensor<2x4x8xf32>
  return
}

// -----

// uoe.recur (C5)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs a result for each of 2 carried values, found 1}}
  %0 = uoe.recur(%x, %x) times 3 {
  ^bb0(%h: tensor<?x8xf32>, %g: tensor<?x8xf32>):
    uoe.yield %h : tensor<?x8xf32>
  } : tensor<?x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.score (C6)
func.func @f(%x: tensor<?x8xf32>, %g: tensor<8x4xf32>) {
  // expected-error @below {{needs one or two weights, found 3}}
  %0 = uoe.score mass %x weights(%g, %g, %g) : tensor<?x8xf32> weights tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C4)
func.func @f(%x: tensor<?x8xf32>, %e: tensor<8x4xf32>) {
  // expected-error @below {{of kind cosine needs experts' directions, and a projection before them if there is one; found 3 weights}}
  %0 = uoe.score cosine %x weights(%e, %e, %e) : tensor<?x8xf32> weights tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C8): the short form cannot say it.
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>, %p: tensor<?x4xf32>) {
  // expected-error @below {{needs a matrix for its previous scores}}
  %0 = "uoe.score"(%x, %w, %p) <{kind = #uoe<score_kind linear>, operandSegmentSizes = array<i32: 1, 1, 0, 1, 0>}> : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

// uoe.select (C2)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs k from 1 to 4 for token_topk}}
  %0 = uoe.select %s token_topk {k = 0 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C2): the one group that is chosen has two experts.
func.func @f(%s: tensor<?x5xf32>) {
  // expected-error @below {{needs k from 1 to 2 for token_topk}}
  %0 = uoe.select %s token_topk {k = 3 : i64, groups = array<i64: 0, 0, 0, 1, 1>, group_k = 1 : i64} : tensor<?x5xf32> -> <5>
  return
}

// -----

// uoe.select (C7): whatever the scores are.
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has tau inf, which no gate exceeds; give a finite tau}}
  %0 = uoe.select %s threshold {tau = 0x7F800000 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C7)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has tau 1.000000e+00, which no gate exceeds: gates are at most 1; give a tau below 1}}
  %0 = uoe.select %s threshold {tau = 1.0 : f32, scoring = #uoe<scoring sigmoid>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.recur (C4)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{carries 'tensor<?x8xf32>' to a result of 'tensor<?x7xf32>'}}
  %0 = uoe.recur(%x) times 3 {
  ^bb0(%h: tensor<?x8xf32>):
    uoe.yield %h : tensor<?x8xf32>
  } : tensor<?x8xf32> -> tensor<?x7xf32>
  return
}

// -----

// uoe.select (C14)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  %s = uoe.score linear %x weights(%w) {over = #uoe<over patch>, patch = 3 : i64} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
  // expected-error @below {{has scores over patch, which choose '!uoe.routing<4 per 3>', found '!uoe.routing<4>'}}
  %0 = uoe.select %s token_topk {k = 2 : i64} : tensor<?x?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C14)
func.func @f(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) {
  %s = uoe.score linear %x weights(%w) {over = #uoe<over sample_mean>} : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x4xf32>
  // expected-error @below {{has scores over sample_mean, which choose '!uoe.routing<4 per sample>', found '!uoe.routing<4>'}}
  %0 = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.experts (C10)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x2xf32> -> <2>
  // expected-error @below {{needs a rank for each of its 2 experts, found 3}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) shard [0, 1, 1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C10)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x2xf32> -> <2>
  // expected-error @below {{places expert 1 on rank -1}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) shard [0, -1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C11)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x2xf32> -> <2>
  // expected-error @below {{has shard, which needs a routing, combine sum, and no gathered tokens}}
  %0 = uoe.experts(%x) sizes [2 x 1] shard [0, 1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C11)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x2xf32> -> <2>
  // expected-error @below {{has shard, which needs a routing, combine sum, and no gathered tokens}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) shard [0, 1] combine concat {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x16xf32>
  return
}

// -----

// uoe.experts (C11)
func.func @f(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x2xf32> -> <2>
  // expected-error @below {{has shard, which needs a routing, combine sum, and no gathered tokens}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) shard [0, 1] gathered combine sum {
  ^bb0(%t: tensor<?x?x8xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C12)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{has pairs, which needs gathered tokens}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) combine sum attributes {pairs = array<i64: 1>} {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C12)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{lists 2 in pairs, which numbers its 2 shared operands, each once}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered pairs [2] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C12)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{lists 1 in pairs, which numbers its 2 shared operands, each once}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered pairs [1, 1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C12)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{has something for each pair of tokens, which is [batch, tokens, tokens, ...], found 'tensor<?x?xf32>'}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered pairs [1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C12)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x4x5xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{has something for each pair of tokens, which is [batch, tokens, tokens, ...], found 'tensor<?x4x5xf32>'}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered pairs [1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x4x5xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C13)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{has compacted, which needs gathered tokens}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) combine sum attributes {compacted = array<i64: 1>} {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C13)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{lists -1 in compacted, which numbers its 2 shared operands, each once}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered compacted [-1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C13)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x?x?xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{has compacted operands only, and no tokens to gather}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered compacted [0, 1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x?xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x?x?xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}

// -----

// uoe.experts (C4)
func.func @f(%x: tensor<?x?x8xf32>, %m: tensor<?x5x5xf32>, %s: tensor<?x?x1xf32>) {
  %r = uoe.select %s all {capacity = 2 : i64} : tensor<?x?x1xf32> -> <1>
  // expected-error @below {{passes 'tensor<?x?x?xf32>' to a body argument of type 'tensor<?x?x5xf32>'}}
  %0 = uoe.experts(%x, %m) sizes [1] routing(%r) gathered pairs [1] combine sum {
  ^bb0(%t: tensor<?x?x8xf32>, %n: tensor<?x?x5xf32>):
    uoe.yield %t : tensor<?x?x8xf32>
  } : shared tensor<?x?x8xf32>, tensor<?x5x5xf32> routing !uoe.routing<1> -> tensor<?x?x8xf32>
  return
}
