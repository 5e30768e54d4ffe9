// RUN: uoe-opt %s --split-input-file --distribute-experts="rank=1 ranks=2" | FileCheck %s
// RUN: uoe-opt %s --split-input-file --distribute-experts | FileCheck %s --check-prefix=ALL
// RUN: not uoe-opt %s --split-input-file --distribute-experts="rank=2 ranks=2" 2>&1 | FileCheck %s --check-prefix=RANK
// RANK: error: distribute-experts: expected a rank below the 2 ranks, found 2

// A rank takes the neurons of its experts: 1 has expert 1, 4 to 7, and experts 3 and 4, 12 to 19. Other weights are gone. One process takes all.
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<8x20xf32> = dense<1.0> : tensor<8x20xf32>
  onnx.initializer @b : tensor<20xf32> = dense<1.0> : tensor<20xf32>
  onnx.initializer @d : tensor<8x20xf32> = dense<1.0> : tensor<8x20xf32>
  // CHECK-LABEL: func.func @slices
  // ALL-LABEL: func.func @slices
  func.func @slices(%x: tensor<?x8xf32>, %o: tensor<?xi64>, %i: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    // CHECK: %[[U:.*]] = onnx.weight @u
    // ALL: %[[U:.*]] = onnx.weight @u
    %u = onnx.weight @u : tensor<8x20xf32>
    %b = onnx.weight @b : tensor<20xf32>
    %d = onnx.weight @d : tensor<8x20xf32>
    %none = onnx.none
    // CHECK: %[[U1:.*]] = onnx.node "Slice"(%[[U]], %{{.*}}) : {{.*}} -> tensor<8x4xf32>
    // CHECK: %[[U2:.*]] = onnx.node "Slice"(%[[U]], %{{.*}}) : {{.*}} -> tensor<8x8xf32>
    // CHECK: %[[UP:.*]] = onnx.node "Concat"(%[[U1]], %[[U2]]) {axis = 1 : i64} : {{.*}} -> tensor<8x12xf32>
    // CHECK: %[[DOWN:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {axis = 1 : i64} : {{.*}} -> tensor<8x12xf32>
    // CHECK: %[[BIAS:.*]] = onnx.node "Concat"(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<4xf32>, tensor<8xf32>) -> tensor<12xf32>
    // CHECK: rt.call "uoe" "ShardedExperts" version 1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[UP]], %{{.*}}, %[[DOWN]], %[[BIAS]], {{[^)]*}})
    // CHECK-SAME: rank = 1 : i64, ranks = 2 : i64, shard = array<i64: 0, 1, 0, 1, 1>, sizes = array<i64: 4, 4, 4, 4, 4>
    // ALL: rt.call "uoe" "ShardedExperts" version 1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[U]], %{{.*}}) {{.*}}rank = 0 : i64, ranks = 1 : i64
    %y = rt.call "uoe" "Experts" version 1(%x, %o, %i, %none, %u, %none, %d, %b, %none, %none, %none)
      {activation = 1 : i64, shard = array<i64: 0, 1, 0, 1, 1>, sizes = array<i64: 4, 4, 4, 4, 4>, tokens = 1 : i64, transposed = 64 : i64}
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x20xf32>, none, tensor<8x20xf32>, tensor<20xf32>, none, none, none) -> tensor<?x8xf32>
    // Without a placement every rank computes all.
    // CHECK: rt.call "uoe" "Experts" version 1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[U]], %{{.*}})
    // ALL: rt.call "uoe" "Experts"
    %z = rt.call "uoe" "Experts" version 1(%x, %o, %i, %none, %u, %none, %d, %b, %none, %none, %none)
      {activation = 1 : i64, sizes = array<i64: 4, 4, 4, 4, 4>, tokens = 1 : i64, transposed = 64 : i64}
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x20xf32>, none, tensor<8x20xf32>, tensor<20xf32>, none, none, none) -> tensor<?x8xf32>
    return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// -----

// As exports lay experts out, in one tensor of three dimensions: what is computed of it is computed of one expert's part alone. Layers that share a weight share
// the part.
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<2x8x8xf16> = dense<1.0> : tensor<2x8x8xf16>
  onnx.initializer @a : tensor<4x8xf32> = dense<1.0> : tensor<4x8xf32>
  onnx.initializer @c : tensor<4x8xf32> = dense<2.0> : tensor<4x8xf32>
  // CHECK-LABEL: func.func @layouts
  func.func @layouts(%x: tensor<?x8xf32>, %o: tensor<?xi64>, %i: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    // CHECK: %[[W:.*]] = onnx.weight @w
    %w = onnx.weight @w : tensor<2x8x8xf16>
    %a = onnx.weight @a : tensor<4x8xf32>
    // CHECK: %[[C:.*]] = onnx.weight @c
    %c = onnx.weight @c : tensor<4x8xf32>
    %none = onnx.none
    %begin = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %axis = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %shape = onnx.node "Constant"() {value = dense<[8, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    // CHECK: %[[EXPERT:.*]] = onnx.node "Slice"(%[[W]], %{{.*}}) : {{.*}} -> tensor<1x8x8xf16>
    // CHECK: %[[HALF:.*]] = onnx.node "Slice"(%[[EXPERT]], %{{.*}}) : {{.*}} -> tensor<1x4x8xf16>
    // CHECK: %[[CAST:.*]] = onnx.node "Cast"(%[[HALF]]) {{.*}} -> tensor<1x4x8xf32>
    // CHECK: %[[UP:.*]] = onnx.node "Reshape"(%[[CAST]], %{{.*}}) {{.*}} -> tensor<4x8xf32>
    // CHECK-NOT: onnx.node "Concat"
    // CHECK: rt.call "uoe" "ShardedExperts" version 1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[UP]], %{{.*}}, %[[C]], %{{.*}})
    // CHECK-NOT: onnx.node
    // CHECK: rt.call "uoe" "ShardedExperts" version 1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[UP]], %{{.*}}, %[[C]], %{{.*}})
    %half = onnx.node "Slice"(%w, %begin, %end, %axis) : (tensor<2x8x8xf16>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x4x8xf16>
    %cast = onnx.node "Cast"(%half) {to = 1 : i64} : (tensor<2x4x8xf16>) -> tensor<2x4x8xf32>
    %u = onnx.node "Reshape"(%cast, %shape) : (tensor<2x4x8xf32>, tensor<2xi64>) -> tensor<8x8xf32>
    %d = onnx.node "Concat"(%a, %c) {axis = 0 : i64} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
    %y = rt.call "uoe" "Experts" version 1(%x, %o, %i, %none, %u, %none, %d, %none, %none, %none, %none)
      {activation = 1 : i64, shard = array<i64: 0, 1>, sizes = array<i64: 4, 4>, tokens = 1 : i64, transposed = 16 : i64}
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x8xf32>, none, tensor<8x8xf32>, none, none, none, none) -> tensor<?x8xf32>
    %z = rt.call "uoe" "Experts" version 1(%y, %o, %i, %none, %u, %none, %d, %none, %none, %none, %none)
      {activation = 1 : i64, shard = array<i64: 0, 1>, sizes = array<i64: 4, 4>, tokens = 1 : i64, transposed = 16 : i64}
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x8xf32>, none, tensor<8x8xf32>, none, none, none, none) -> tensor<?x8xf32>
    return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// -----

// A rank without experts takes nothing.
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<8x8xf32> = dense<1.0> : tensor<8x8xf32>
  // CHECK-LABEL: func.func @idle
  func.func @idle(%x: tensor<?x8xf32>, %o: tensor<?xi64>, %i: tensor<?xi32>) -> tensor<?x8xf32> {
    %u = onnx.weight @u : tensor<8x8xf32>
    %none = onnx.none
    // CHECK: rt.call "uoe" "ShardedExperts" {{.*}} : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x0xf32>, none, tensor<0x8xf32>, none, none, none, none)
    %y = rt.call "uoe" "Experts" version 1(%x, %o, %i, %none, %u, %none, %u, %none, %none, %none, %none)
      {activation = 1 : i64, shard = array<i64: 0, 0>, sizes = array<i64: 4, 4>, tokens = 1 : i64, transposed = 0 : i64}
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?xi32>, none, tensor<8x8xf32>, none, tensor<8x8xf32>, none, none, none, none) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
