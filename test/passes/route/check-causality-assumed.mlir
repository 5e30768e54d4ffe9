// A mask that comes from outside: whether it is causal, the caller knows.
// RUN: uoe-opt %s --check-causality -o /dev/null
// RUN: uoe-opt %s --check-causality=assume-causal --verify-diagnostics
func.func @f(%q: tensor<?x2x?x8xf32>, %m: tensor<?x1x?x?xf32>, %s: tensor<?x?x4xf32>) {
  %a = uoe.attention %q, %q, %q bias(%m) attributes {scale = 0.5 : f32} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x2x?x8xf32>
  // expected-error @below {{uoe.select looks ahead in a model whose attention is causal: capacity_share}}
  %r = uoe.select %s token_topk {k = 2 : i64, capacity_share = 0.5 : f32} : tensor<?x?x4xf32> -> <4>
  return
}
