// RUN: uoe-opt %s --verify-diagnostics --distribute-experts="rank=0 ranks=2"

func.func @ranks(%x: tensor<?x8xf32>, %o: tensor<?xi64>, %i: tensor<?xi32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %none = onnx.none
  // expected-error @below {{expert 1 is placed on rank 2, but there are 2 ranks; start a process for each rank (mpirun -n N), or place the experts anew (pass shard-experts)}}
  %y = rt.call "uoe" "Experts" version 1(%x, %o, %i, %none, %w, %none, %w, %none, %none, %none, %none)
    {activation = 1 : i64, shard = array<i64: 0, 2>, sizes = array<i64: 4, 4>, tokens = 1 : i64, transposed = 0 : i64}
    : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x8xf32>, none, tensor<8x8xf32>, none, none, none, none) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
