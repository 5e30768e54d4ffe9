// RUN: uoe-opt %s --split-input-file --verify-diagnostics

// uoe.ffn (C1)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<9x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs up's rows to be the input's last dimension}}
  %0 = uoe.ffn relu %x up(%u) down(%d) : tensor<?x8xf32>, tensor<9x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C1)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<15x8xf32>) {
  // expected-error @below {{needs down's rows to be up's columns}}
  %0 = uoe.ffn relu %x up(%u) down(%d) : tensor<?x8xf32>, tensor<8x16xf32> down tensor<15x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C2)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %g: tensor<8x12xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a gate matrix of up's shape}}
  %0 = uoe.ffn silu %x up(%u) gate(%g) down(%d) : tensor<?x8xf32>, tensor<8x16xf32> gate tensor<8x12xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C3)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %b: tensor<8xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a bias with one element per column}}
  %0 = uoe.ffn relu %x up(%u + %b) down(%d) : tensor<?x8xf32>, tensor<8x16xf32>, tensor<8xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C4)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a spelling that yields the result}}
  %0 = uoe.ffn relu %x up(%u) down(%d) spelled {
    uoe.yield %u : tensor<8x16xf32>
  } : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.attention (C1)
func.func @f() {
  // expected-error @below {{without query, key and value needs a spelling}}
  %0 = uoe.attention : -> tensor<?x8xf32>
  return
}

// -----

// uoe.attention (C2)
func.func @f(%q: tensor<?x6x?x4xf32>, %k: tensor<?x4x?x4xf32>, %v: tensor<?x4x?x4xf32>) {
  // expected-error @below {{needs a number of query heads that is a multiple of the key heads'}}
  %0 = uoe.attention %q, %k, %v : (tensor<?x6x?x4xf32>, tensor<?x4x?x4xf32>, tensor<?x4x?x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.attention (C2)
func.func @f(%q: tensor<?x6x?x4xf32>, %k: tensor<?x6x?x5xf32>, %v: tensor<?x6x?x4xf32>) {
  // expected-error @below {{needs query and key to agree in batch and head size}}
  %0 = uoe.attention %q, %k, %v : (tensor<?x6x?x4xf32>, tensor<?x6x?x5xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.attention (C3)
func.func @f(%q: tensor<?x6x?x4xf32>, %k: tensor<?x6x?x4xf32>, %v: tensor<?x6x?x4xf32>) {
  // expected-error @below {{needs a spelling that yields the results}}
  %0 = uoe.attention %q, %k, %v spelled {
    uoe.yield
  } : (tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.attention (C4)
func.func @f(%b: tensor<?x1x?x?xf32>) {
  // expected-error @below {{has a bias but no query, key and value}}
  %0 = uoe.attention bias(%b) spelled {
    uoe.yield %b : tensor<?x1x?x?xf32>
  } : bias tensor<?x1x?x?xf32> -> tensor<?x1x?x?xf32>
  return
}

// -----

// uoe.score (C1)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<7x4xf32>) {
  // expected-error @below {{needs a weight [d, experts] for its input}}
  %0 = uoe.score linear %x weights(%w) : tensor<?x8xf32> weights tensor<7x4xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.score (C2)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<7xf32>) {
  // expected-error @below {{needs one weight per channel of its input}}
  %0 = uoe.score magnitude %x weights(%w) : tensor<?x8xf32> weights tensor<7xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.score (C2)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) {
  // expected-error @below {{of magnitude has no bias}}
  %0 = uoe.score magnitude %x weights(%w) bias(%b) : tensor<?x8xf32> weights tensor<8xf32> bias tensor<8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.score (C3)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{needs one bias per expert}}
  %0 = uoe.score linear %x weights(%w) bias(%b) : tensor<?x8xf32> weights tensor<8x4xf32> bias tensor<3xf32> -> tensor<?x4xf32>
  return
}

// -----

// uoe.select (C1)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs scores for 5 experts}}
  %0 = uoe.select %s all : tensor<?x4xf32> -> <5>
  return
}

// -----

// uoe.select (C2)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs k from 1 to 4 for token_topk}}
  %0 = uoe.select %s token_topk {k = 5 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C2)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has a k, which only token_topk takes}}
  %0 = uoe.select %s all {k = 2 : i64} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C3)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{needs tau, a number, for threshold}}
  %0 = uoe.select %s threshold : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C3)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{has a tau, which only threshold takes}}
  %0 = uoe.select %s all {tau = 0.5 : f32} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.select (C4)
func.func @f(%s: tensor<?x4xf32>) {
  // expected-error @below {{chooses all experts, so no choice is empty}}
  %0 = uoe.select %s all {empty = #uoe<empty argmax>} : tensor<?x4xf32> -> <4>
  return
}

// -----

// uoe.experts (C1)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>) {
  // expected-error @below {{needs one axis per sliced operand}}
  %0 = uoe.experts() sliced(%x, %w) axes [1] sizes [8 x 1] combine sum {
  ^bb0(%a: tensor<?x1xf32>, %b: tensor<1x16xf32>):
    %o = onnx.node "MatMul"(%a, %b) : (tensor<?x1xf32>, tensor<1x16xf32>) -> tensor<?x16xf32>
    uoe.yield %o : tensor<?x16xf32>
  } : sliced tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  return
}

// -----

// uoe.experts (C2)
func.func @f(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>) {
  // expected-error @below {{has sizes that add up to 7, the sliced dimension is 8}}
  %0 = uoe.experts() sliced(%x, %w) axes [1, 0] sizes [7 x 1] combine sum {
  ^bb0(%a: tensor<?x1xf32>, %b: tensor<1x16xf32>):
    %o = onnx.node "MatMul"(%a, %b) : (tensor<?x1xf32>, tensor<1x16xf32>) -> tensor<?x16xf32>
    uoe.yield %o : tensor<?x16xf32>
  } : sliced tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  return
}

// -----

// uoe.experts (C2)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs positive sizes, found 0}}
  %0 = uoe.experts() sliced(%x) axes [1] sizes [8, 0] combine concat {
  ^bb0(%a: tensor<?x?xf32>):
    uoe.yield %a : tensor<?x?xf32>
  } : sliced tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C3)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>) {
  %r = uoe.select %s all : tensor<?x4xf32> -> <4>
  // expected-error @below {{has 8 experts, its routing 4}}
  %0 = uoe.experts() sliced(%x) axes [1] sizes [8 x 1] routing(%r) combine concat {
  ^bb0(%a: tensor<?x1xf32>):
    uoe.yield %a : tensor<?x1xf32>
  } : sliced tensor<?x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C4)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs a body argument of type 'tensor<?x2xf32>'}}
  %0 = uoe.experts() sliced(%x) axes [1] sizes [4 x 2] combine concat {
  ^bb0(%a: tensor<?x1xf32>):
    uoe.yield %a : tensor<?x1xf32>
  } : sliced tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C4)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs one body argument per operand, found 0}}
  %0 = uoe.experts(%x) sliced(%x) axes [1] sizes [4 x 2] combine concat {
    %c = onnx.node "Constant"() {value_float = 1.0 : f32} : () -> tensor<f32>
    uoe.yield %c : tensor<f32>
  } : shared tensor<?x8xf32> sliced tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C5)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<4x8xf32>) {
  // expected-error @below {{has skip rows, which need a routing, combine sum and no slots}}
  %0 = uoe.experts() sliced(%x) axes [1] sizes [4 x 2] skip(%s) combine concat {
  ^bb0(%a: tensor<?x2xf32>):
    uoe.yield %a : tensor<?x2xf32>
  } : sliced tensor<?x8xf32> skip tensor<4x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C6)
func.func @f(%x: tensor<?x8xf32>, %y: tensor<?x2xf32>) {
  // expected-error @below {{has a body that uses values from outside}}
  %0 = uoe.experts() sliced(%x) axes [1] sizes [4 x 2] combine concat {
  ^bb0(%a: tensor<?x2xf32>):
    uoe.yield %y : tensor<?x2xf32>
  } : sliced tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C5): the short form cannot say it.
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %b: tensor<16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a bias of a gate but no gate}}
  %0 = "uoe.ffn"(%x, %u, %d, %b) <{activation = #uoe<activation relu>, operandSegmentSizes = array<i32: 1, 1, 0, 1, 0, 1, 0>}> ({
  }) : (tensor<?x8xf32>, tensor<8x16xf32>, tensor<16x8xf32>, tensor<16xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C1)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>) {
  // expected-error @below {{needs input, scores, up and down, or a spelling and no operand}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C2)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x5xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs one score per expert}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x5xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C2)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x15x8xf32>) {
  // expected-error @below {{needs up and down to agree in experts and neurons}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x15x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C3)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %b: tensor<16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs a bias with one row per expert}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) bias_up(%b : tensor<16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C4)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{needs a spelling that yields the result}}
  %0 = uoe.moe relu top 2 scoring softmax spelled {
    %y = onnx.node "Relu"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    uoe.yield
  } -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C5)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs k from 1 to the number of experts, found 5}}
  %0 = uoe.moe relu top 5 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C1)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs an up matrix of rank 2, found 'tensor<16xf32>'}}
  %0 = uoe.ffn relu %x up(%u) down(%d) : tensor<?x8xf32>, tensor<16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C1)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<2x16x8xf32>) {
  // expected-error @below {{needs a down matrix of rank 2, found 'tensor<2x16x8xf32>'}}
  %0 = uoe.ffn relu %x up(%u) down(%d) : tensor<?x8xf32>, tensor<8x16xf32> down tensor<2x16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.attention (C1): the short form cannot say it.
func.func @f(%q: tensor<?x6x?x4xf32>) {
  // expected-error @below {{needs query, key and value, or none of them}}
  %0 = "uoe.attention"(%q) <{operandSegmentSizes = array<i32: 1, 0, 0, 0>, scale = 1.0 : f32}> ({
  }) : (tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.attention (C2)
func.func @f(%q: tensor<?x6x?x4xf32>, %k: tensor<?x?x4xf32>) {
  // expected-error @below {{needs query, key and value of rank 4, found 'tensor<?x?x4xf32>'}}
  %0 = uoe.attention %q, %k, %k : (tensor<?x6x?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.attention (C2)
func.func @f(%q: tensor<?x6x?x4xf32>, %k: tensor<?x6x5x4xf32>, %v: tensor<?x6x7x4xf32>) {
  // expected-error @below {{needs key and value to agree in batch, heads and length}}
  %0 = uoe.attention %q, %k, %v : (tensor<?x6x?x4xf32>, tensor<?x6x5x4xf32>, tensor<?x6x7x4xf32>) -> tensor<?x6x?x4xf32>
  return
}

// -----

// uoe.moe (C2)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<8x64xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs stacked matrices of rank 3}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<8x64xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C2)
func.func @f(%x: tensor<?x9xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs up's second size to be the input's last}}
  %0 = uoe.moe relu top 2 scoring softmax input(%x : tensor<?x9xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C2)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %g: tensor<4x8x15xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs a gate of up's shape}}
  %0 = uoe.moe silu top 2 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%g : tensor<4x8x15xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C5)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs k from 1 to the number of experts, found 0}}
  %0 = uoe.moe relu top 0 scoring softmax input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C1)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{has axis 2 for an operand of rank 2}}
  %0 = uoe.experts() sliced(%x) axes [2] sizes [8 x 1] combine concat {
  ^bb0(%a: tensor<?x1xf32>):
    uoe.yield %a : tensor<?x1xf32>
  } : sliced tensor<?x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.experts (C4)
func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @below {{passes 'tensor<?x8xf32>' to a body argument of type 'tensor<?x7xf32>'}}
  %0 = uoe.experts(%x) sizes [1] combine sum {
  ^bb0(%a: tensor<?x7xf32>):
    uoe.yield %a : tensor<?x7xf32>
  } : shared tensor<?x8xf32> -> tensor<?x7xf32>
  return
}

// -----

// uoe.experts (C5)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>, %skip: tensor<2x7xf32>) {
  %r = uoe.select %s token_topk {k = 1 : i64} : tensor<?x2xf32> -> <2>
  // expected-error @below {{needs a skip row of the result's width per expert, found 'tensor<2x7xf32>'}}
  %0 = uoe.experts(%x) sizes [2 x 1] routing(%r) skip(%skip) combine sum {
  ^bb0(%a: tensor<?x8xf32>):
    uoe.yield %a : tensor<?x8xf32>
  } : shared tensor<?x8xf32> routing !uoe.routing<2> skip tensor<2x7xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C5)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs k of at most the 2 experts of its smallest group_k groups, found 3}}
  %0 = uoe.moe silu top 3 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {groups = array<i64: 0, 0, 1, 1>, group_k = 1 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C6)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{needs one selection bias per expert, found}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) selection_bias(%b : tensor<5xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {name = "m"} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs groups and group_k together}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {group_k = 1 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs a group for each of 4 experts, found 3 groups given}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {groups = array<i64: 0, 0, 1>, group_k = 1 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs groups numbered from 0 without gaps, found -1}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {groups = array<i64: 0, 0, 1, -1>, group_k = 1 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{has no expert in group 1; number the groups without gaps}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {groups = array<i64: 0, 0, 2, 2>, group_k = 1 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C7)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs group_k from 1 to 2, found 3}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {groups = array<i64: 0, 0, 1, 1>, group_k = 3 : i64} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C8)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{has a limit or an up_offset, which need a gate}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {limit = 7.0 : f32} -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C8)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs a limit above 0, found 0}}
  %0 = uoe.moe silu top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) gate(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) attributes {limit = 0.0 : f32} -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C6)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a limit or an up_offset, which need a gate}}
  %0 = uoe.ffn silu %x up(%u) down(%d) attributes {up_offset = 1.0 : f32} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C6)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a limit above 0, found -1}}
  %0 = uoe.ffn silu %x up(%u) gate(%u) down(%d) attributes {limit = -1.0 : f32} : tensor<?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C6)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a finite up_offset}}
  %0 = uoe.ffn silu %x up(%u) gate(%u) down(%d) attributes {up_offset = 0x7F800000 : f32} : tensor<?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C7)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a function exactly where its activation is custom}}
  %0 = uoe.ffn custom %x up(%u) down(%d) : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C7)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{needs a function exactly where its activation is custom}}
  %0 = uoe.ffn relu %x up(%u) down(%d) attributes {function = ["x", "Relu"]} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C8)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a function that is none: Mul needs 2 operands, found 1}}
  %0 = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", "Mul"]} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C8)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a function that is none: expected an operator, "x" or a number, found "Conv"}}
  %0 = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", "Conv"]} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C8)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a function that is none: operand 0 of Where is a number}}
  %0 = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", "x", "x", "Where"]} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.ffn (C8)
func.func @f(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) {
  // expected-error @below {{has a function that is none: expected one number at the end, found 2 values}}
  %0 = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", 1.0 : f32]} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
  return
}

// -----

// uoe.moe (C9)
func.func @f(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x8x16xf32>, %d: tensor<4x16x8xf32>) {
  // expected-error @below {{needs an activation with a name}}
  %0 = uoe.moe custom top 2 scoring sigmoid input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return
}
