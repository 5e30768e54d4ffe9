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
  // CHECK: uoe.score linear %{{.*}}, %{{.*}} bias(%{{.*}})
  %score = uoe.score linear %x, %w bias(%b) : tensor<?x?x8xf32>, tensor<8x4xf32>, tensor<4xf32> -> tensor<?x?x4xf32>
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
  %score = uoe.score magnitude %x, %n : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
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
  // CHECK: uoe.moe relu top 2 weight softmax_chosen input(%{{.*}} : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x16xf32>) down(%{{.*}} : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  %0 = uoe.moe relu top 2 weight softmax_chosen input(%x : tensor<?x8xf32>) scores(%s : tensor<?x4xf32>) up(%u : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
