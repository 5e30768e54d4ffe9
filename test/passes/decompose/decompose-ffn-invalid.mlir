// RUN: uoe-opt %s --decompose-ffn --split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{needs positive expert sizes, found 0}}
  %y = uoe.ffn relu %x up(%w) down(%w) attributes {uoe.sizes = array<i64: 4, 0>} : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{has expert sizes that add up to 5, the block has 4 neurons}}
  %y = uoe.ffn relu %x up(%w) down(%w) attributes {uoe.sizes = array<i64: 2, 3>} : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{has a permutation of 3 neurons, the block has 4}}
  %y = uoe.ffn relu %x up(%w) down(%w) attributes {uoe.permutation = array<i64: 0, 1, 2>} : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{has a permutation with neuron 4 of 4}}
  %y = uoe.ffn relu %x up(%w) down(%w) attributes {uoe.permutation = array<i64: 0, 1, 2, 4>} : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{has a permutation with neuron 2 twice}}
  %y = uoe.ffn relu %x up(%w) down(%w) attributes {uoe.permutation = array<i64: 0, 1, 2, 2>} : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}
