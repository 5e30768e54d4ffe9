// RUN: uoe-opt %s --split-input-file --verify-diagnostics --shard-experts="ranks=2"

func.func @count(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 1 : i64} : tensor<?x2xf32> -> <2>
  // expected-error @below {{shard-experts: expected a load in uoe.load for each of the 2 experts, found 3}}
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 2] routing(%r) combine sum attributes {uoe.load = array<f64: 1.0, 1.0, 1.0>} {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x4xf32>, tensor<4x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @negative(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) -> tensor<?x8xf32> {
  %r = uoe.select %s token_topk {k = 1 : i64} : tensor<?x2xf32> -> <2>
  // expected-error @below {{shard-experts: expected finite loads of 0 or more in uoe.load, found -1}}
  %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 2] routing(%r) combine sum attributes {uoe.load = array<f64: 1.0, -1.0>} {
  ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x2xf32>, %de: tensor<2x8xf32>):
    %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x2xf32> down tensor<2x8xf32> -> tensor<?x8xf32>
    uoe.yield %o : tensor<?x8xf32>
  } : shared tensor<?x8xf32> sliced tensor<8x4xf32>, tensor<4x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
