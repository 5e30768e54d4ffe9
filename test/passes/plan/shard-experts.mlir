// RUN: uoe-opt %s --split-input-file --shard-experts="ranks=3" | FileCheck %s
// RUN: uoe-opt %s --split-input-file --shard-experts="ranks=3 even" | FileCheck %s --check-prefix=EVEN
// RUN: not uoe-opt %s --split-input-file --shard-experts="ranks=0" 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: shard-experts: expected 1 to 65536 ranks, found 0
// RUN: not uoe-opt %s --split-input-file --shard-experts="ranks=2 profile=/dev/null" 2>&1 | FileCheck %s --check-prefix=BROKEN
// BROKEN: error: shard-experts: '/dev/null' is no profile

// The largest expert first, to the rank with the fewest neurons: 9; 6 + 2 + 1; 5 + 3. Even, two experts go to each rank.
// CHECK-LABEL: func.func @size
// EVEN-LABEL: func.func @size
func.func @size(%x: tensor<?x8xf32>, %s: tensor<?x6xf32>, %u: tensor<8x26xf32>, %d: tensor<26x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x6xf32> -> <6>
  // CHECK: sizes [1, 2, 3, 5, 6, 9] routing(%{{.*}}) shard [1, 1, 2, 2, 1, 0] combine sum
  // EVEN: sizes [1, 2, 3, 5, 6, 9] routing(%{{.*}}) shard [0, 1, 2, 2, 1, 0] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [1, 2, 3, 5, 6, 9] routing(%r) combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x?xf32>, %de: tensor<?x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x?xf32> down tensor<?x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x26xf32>, tensor<26x8xf32> routing !uoe.routing<6> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Equal experts, four on three ranks: the surplus of a layer goes where the layers before left room.
// CHECK-LABEL: func.func @layers
func.func @layers(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<8x8xf32>, %d: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x4xf32> -> <4>
  // CHECK: shard [0, 1, 2, 0] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [4 x 2] routing(%r) combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x8xf32>, tensor<8x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  // CHECK: shard [1, 2, 0, 1] combine sum
  %z = uoe.experts(%y) sliced(%u, %d) axes [1, 0] sizes [4 x 2] routing(%r) combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x8xf32>, tensor<8x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// -----

// Loads that the user gives: expert 1 has as much to do as all others together, and is alone.
// CHECK-LABEL: func.func @load
func.func @load(%x: tensor<?x8xf32>, %s: tensor<?x6xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 2 : i64} : tensor<?x6xf32> -> <6>
  // CHECK: shard [1, 0, 2, 1, 2, 2] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [6 x 2] routing(%r) combine sum
      attributes {uoe.load = array<f64: 2.0, 7.0, 2.0, 2.0, 1.0, 0.0>} {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<6> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @unrouted
// Experts without a routing run for every token and stay where they are.
func.func @unrouted(%x: tensor<?x8xf32>, %u: tensor<8x12xf32>, %d: tensor<12x8xf32>) -> tensor<?x8xf32> {
  // CHECK: sizes [6 x 2] combine sum
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [6 x 2] combine sum {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
