// RUN: uoe-opt %s --decompose-attention=groups=2 --split-input-file -verify-diagnostics | FileCheck %s
// RUN: uoe-opt %s --decompose-attention=groups=2 --lower-uoe-to-onnx --infer-shapes --split-input-file 2>/dev/null | FileCheck %s --check-prefix=ONNX

// As many query as key heads, three over two experts: sizes 2 and 1. The query's bias goes with its heads, the
// output's is added once. A matrix that serves queries and keys is one operand.
// CHECK-LABEL: func.func @uneven
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x12xf32, {{.*}}>)
// CHECK-DAG: %[[Q:.*]] = onnx.weight @q
// CHECK-DAG: %[[BQ:.*]] = onnx.weight @bq
// CHECK: %[[VQ:.*]] = onnx.node "Reshape"(%[[Q]], %{{.*}}) {{.*}} -> tensor<12x3x4xf32>
// CHECK: %[[VB:.*]] = onnx.node "Reshape"(%[[BQ]], %{{.*}}) {{.*}} -> tensor<3x4xf32>
// CHECK: %[[Y:.*]] = uoe.experts(%[[X]]) sliced(%[[VQ]], %[[VB]], %{{.*}}, %{{.*}}) axes [1, 0, 1, 0] sizes [2, 1] combine sum
// CHECK: ^bb0(%[[T:.*]]: tensor<?x?x12xf32, {{.*}}>, %{{.*}}: tensor<12x?x4xf32>, %{{.*}}: tensor<?x4xf32>, %{{.*}}: tensor<12x?x4xf32>, %{{.*}}: tensor<?x4x12xf32>)
// CHECK: "MatMul"(%[[T]], %{{.*}}) : ({{.*}}, tensor<12x?xf32>)
// CHECK: dense<[0, 0, -1, 4]>
// CHECK: %[[A:.*]] = uoe.attention %{{.*}}, %{{.*}}, %{{.*}} {{.*}}causal, scale = 5.000000e-01 : f32
// CHECK-SAME: tensor<?x?x?x4xf32
// CHECK: %[[P:.*]] = onnx.node "MatMul"(%{{.*}}) {{.*}}-> tensor<?x?x12xf32>
// CHECK: uoe.yield %[[P]]
// CHECK: onnx.node "Add"(%[[Y]], %{{.*}})
// CHECK-NOT: uoe.attention
// CHECK-NOT: "MatMul"
// The experts' numbers of heads differ, so that the exported form reads them where it runs.
// ONNX-LABEL: func.func @uneven
// ONNX-NOT: uoe.{{experts|attention}}
// ONNX-COUNT-2: "Softmax"
// ONNX-NOT: "Softmax"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<12x12xf32> = dense<0.25> : tensor<12x12xf32>
  onnx.initializer @bq : tensor<12xf32> = dense<0.5> : tensor<12xf32>
  onnx.initializer @o : tensor<12x12xf32> = dense<2.0> : tensor<12x12xf32>
  func.func @uneven(%x: tensor<?x?x12xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x12xf32> {
    %wq = onnx.weight @q : tensor<12x12xf32>
    %bq = onnx.weight @bq : tensor<12xf32>
    %wo = onnx.weight @o : tensor<12x12xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 12]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x12xf32, #onnx.dims<"b", "s", "">>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %1 = onnx.node "Add"(%0, %bq) : (tensor<?x?x12xf32>, tensor<12xf32>) -> tensor<?x?x12xf32>
    %2 = onnx.node "Reshape"(%1, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %q = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %3 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x12xf32, #onnx.dims<"b", "s", "">>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %4 = onnx.node "Reshape"(%3, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %k = onnx.node "Transpose"(%4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %5 = onnx.node "MatMul"(%x, %wo) : (tensor<?x?x12xf32, #onnx.dims<"b", "s", "">>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %6 = onnx.node "Reshape"(%5, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %v = onnx.node "Transpose"(%6) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %y = uoe.attention %q, %k, %v attributes {causal, scale = 0.5 : f32} : (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) -> tensor<?x3x?x4xf32>
    %7 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x3x?x4xf32>) -> tensor<?x?x3x4xf32>
    %8 = onnx.node "Reshape"(%7, %flat) : (tensor<?x?x3x4xf32>, tensor<3xi64>) -> tensor<?x?x12xf32>
    %9 = onnx.node "MatMul"(%8, %wo) : (tensor<?x?x12xf32>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %10 = onnx.node "Add"(%9, %bq) : (tensor<?x?x12xf32>, tensor<12xf32>) -> tensor<?x?x12xf32>
    return %10 : tensor<?x?x12xf32>
  }
}

// -----

// Four query heads on two key heads, queries, keys and values packed in one product; rotary embedding, and past keys and values
// that are cut by heads. The cache that the model returns stays whole. uoe.groups asks for more experts than there are key heads.
// CHECK-LABEL: func.func @grouped
// CHECK-SAME: %[[PK:[a-z0-9]*]]: tensor<?x2x?x4xf32>, %[[PV:[a-z0-9]*]]: tensor<?x2x?x4xf32>
// CHECK: %[[K:.*]] = onnx.node "Concat"(%[[PK]], %{{.*}}) {axis = 2
// CHECK: onnx.node "Slice"(%[[W:[0-9]+]], %{{.*}}) {{.*}} -> tensor<16x16xf32>
// CHECK: -> tensor<16x2x8xf32>
// CHECK: onnx.node "Slice"(%[[W]], %{{.*}}) {{.*}} -> tensor<16x8xf32>
// CHECK: -> tensor<16x2x4xf32>
// CHECK: %[[Y:.*]] = uoe.experts({{.*}}) sliced(%{{.*}}, %[[PK]], %{{.*}}, %[[PV]], %{{.*}}, %{{.*}}) axes [1, 1, 1, 1, 1, 0] sizes [2 x 1]
// CHECK: "RotaryEmbedding"(%{{.*}}) : (tensor<?x2x?x4xf32>, {{.*}} -> tensor<?x2x?x4xf32>
// CHECK: "RotaryEmbedding"(%{{.*}}) : (tensor<?x1x?x4xf32>, {{.*}} -> tensor<?x1x?x4xf32>
// CHECK: "Concat"(%{{.*}}) {axis = 2 : i64} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
// CHECK: uoe.attention {{.*}} bias({{.*}}) {{.*}}(tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>)
// CHECK: return %[[Y]], %[[K]]
// ONNX-LABEL: func.func @grouped
// ONNX-NOT: uoe.{{experts|attention}}
// ONNX: return %{{.*}}, %{{.*}} : tensor<?x?x16xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @qkv : tensor<16x32xf32> = dense<0.25> : tensor<16x32xf32>
  onnx.initializer @o : tensor<16x16xf32> = dense<2.0> : tensor<16x16xf32>
  func.func @grouped(%x: tensor<?x?x16xf32>, %pk: tensor<?x2x?x4xf32>, %pv: tensor<?x2x?x4xf32>, %cos: tensor<?x?x2xf32>, %sin: tensor<?x?x2xf32>, %mask: tensor<?x1x?x?xf32>) -> (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>) {
    %w = onnx.weight @qkv : tensor<16x32xf32>
    %wo = onnx.weight @o : tensor<16x16xf32>
    %parts = onnx.node "Constant"() {value = dense<[16, 8, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %four = onnx.node "Constant"() {value = dense<[0, 0, 4, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %two = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 16]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %w) : (tensor<?x?x16xf32>, tensor<16x32xf32>) -> tensor<?x?x32xf32>
    %s:3 = onnx.node "Split"(%0, %parts) {axis = -1 : i64} : (tensor<?x?x32xf32>, tensor<3xi64>) -> (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>)
    %1 = onnx.node "Reshape"(%s#0, %four) : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x4x4xf32>
    %2 = onnx.node "Transpose"(%1) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x4x4xf32>) -> tensor<?x4x?x4xf32>
    %q = onnx.node "RotaryEmbedding"(%2, %cos, %sin) : (tensor<?x4x?x4xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x4x?x4xf32>
    %3 = onnx.node "Reshape"(%s#1, %two) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %4 = onnx.node "Transpose"(%3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %5 = onnx.node "RotaryEmbedding"(%4, %cos, %sin) : (tensor<?x2x?x4xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x2x?x4xf32>
    %k = onnx.node "Concat"(%pk, %5) {axis = 2 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %6 = onnx.node "Reshape"(%s#2, %two) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %7 = onnx.node "Transpose"(%6) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %v = onnx.node "Concat"(%pv, %7) {axis = 2 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    // expected-remark @+1 {{layer.3.attention becomes 2 experts, not 5: it has 2 key and value heads}}
    %y = uoe.attention %q, %k, %v bias(%mask) attributes {layer = 3 : i64, uoe.groups = 5 : i64} : (tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x4x?x4xf32>
    %8 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x4x?x4xf32>) -> tensor<?x?x4x4xf32>
    %9 = onnx.node "Reshape"(%8, %flat) : (tensor<?x?x4x4xf32>, tensor<3xi64>) -> tensor<?x?x16xf32>
    %10 = onnx.node "MatMul"(%9, %wo) : (tensor<?x?x16xf32>, tensor<16x16xf32>) -> tensor<?x?x16xf32>
    return %10, %k : tensor<?x?x16xf32>, tensor<?x2x?x4xf32>
  }
}

// -----

// A norm over all heads at once needs all of them: it stays whole, on experts of its own set side by side.
// CHECK-LABEL: func.func @mixed
// CHECK-SAME: (%[[X:.*]]: tensor<1x?x8xf32>,
// CHECK: %[[P:.*]] = uoe.experts(%[[X]]) sliced(%{{.*}}) axes [1] sizes [2 x 1] combine concat
// CHECK: "MatMul"
// CHECK: %[[N:.*]] = onnx.node "RMSNormalization"(%[[P]], %{{.*}}) {axis = -1 : i64} : (tensor<1x?x8xf32>, tensor<8xf32>)
// CHECK: %[[V:.*]] = onnx.node "Reshape"(%[[N]], %{{.*}}) {{.*}} -> tensor<1x?x2x4xf32>
// CHECK: uoe.experts() sliced(%[[V]], %{{.*}}) axes [2, 1, 1, 0] sizes [2 x 1] combine sum
// CHECK: uoe.attention
// CHECK-NOT: RMSNormalization
// ONNX-LABEL: func.func @mixed
// ONNX-COUNT-2: "Softmax"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @g : tensor<8xf32> = dense<1.0> : tensor<8xf32>
  func.func @mixed(%x: tensor<1x?x8xf32>, %k: tensor<1x2x?x4xf32>, %v: tensor<1x2x?x4xf32>) -> tensor<1x?x8xf32> {
    %wq = onnx.weight @q : tensor<8x8xf32>
    %g = onnx.weight @g : tensor<8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<1x?x8xf32>, tensor<8x8xf32>) -> tensor<1x?x8xf32>
    %1 = onnx.node "RMSNormalization"(%0, %g) {axis = -1 : i64} fields {name = "q_norm"} : (tensor<1x?x8xf32>, tensor<8xf32>) -> tensor<1x?x8xf32>
    %2 = onnx.node "Reshape"(%1, %heads) : (tensor<1x?x8xf32>, tensor<4xi64>) -> tensor<1x?x2x4xf32>
    %q = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x?x2x4xf32>) -> tensor<1x2x?x4xf32>
    %y = uoe.attention %q, %k, %v : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
    %3 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x2x?x4xf32>) -> tensor<1x?x2x4xf32>
    %4 = onnx.node "Reshape"(%3, %flat) : (tensor<1x?x2x4xf32>, tensor<3xi64>) -> tensor<1x?x8xf32>
    %5 = onnx.node "MatMul"(%4, %wq) : (tensor<1x?x8xf32>, tensor<8x8xf32>) -> tensor<1x?x8xf32>
    return %5 : tensor<1x?x8xf32>
  }
}

// -----

// Heads that are results themselves don't meet in a projection.
// CHECK-LABEL: func.func @open
// CHECK-NOT: uoe.experts
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @open(%q: tensor<1x2x?x4xf32>, %k: tensor<1x2x?x4xf32>, %v: tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32> {
    // expected-remark @+1 {{attention is left dense: its use takes its heads' results and is no output projection}}
    %y = uoe.attention %q, %k, %v : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
    return %y : tensor<1x2x?x4xf32>
  }
}

// -----

// A norm over heads and channels has no single axis of all heads.
// CHECK-LABEL: func.func @closed
// CHECK-NOT: uoe.experts
// CHECK: uoe.attention {{.*}} attributes {uoe.dense = "LayerNormalization 'norm' (LayerNormalization) mixes what the experts would compute apart"}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @g : tensor<2x4xf32> = dense<1.0> : tensor<2x4xf32>
  func.func @closed(%x: tensor<1x?x8xf32>, %k: tensor<1x2x?x4xf32>, %v: tensor<1x2x?x4xf32>) -> tensor<1x?x8xf32> {
    %wq = onnx.weight @q : tensor<8x8xf32>
    %g = onnx.weight @g : tensor<2x4xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<1x?x8xf32>, tensor<8x8xf32>) -> tensor<1x?x8xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<1x?x8xf32>, tensor<4xi64>) -> tensor<1x?x2x4xf32>
    %2 = onnx.node "LayerNormalization"(%1, %g) {axis = -2 : i64} fields {name = "norm"} : (tensor<1x?x2x4xf32>, tensor<2x4xf32>) -> tensor<1x?x2x4xf32>
    %q = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x?x2x4xf32>) -> tensor<1x2x?x4xf32>
    // expected-remark @+1 {{attention is left dense: LayerNormalization 'norm' (LayerNormalization) mixes what the experts would compute apart}}
    %y = uoe.attention %q, %k, %v : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
    %3 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x2x?x4xf32>) -> tensor<1x?x2x4xf32>
    %4 = onnx.node "Reshape"(%3, %flat) : (tensor<1x?x2x4xf32>, tensor<3xi64>) -> tensor<1x?x8xf32>
    %5 = onnx.node "MatMul"(%4, %wq) : (tensor<1x?x8xf32>, tensor<8x8xf32>) -> tensor<1x?x8xf32>
    return %5 : tensor<1x?x8xf32>
  }
}

// -----

// Heads in another order: every view is reordered along its axis of heads, the rows of the output matrix too.
// CHECK-LABEL: func.func @permuted
// CHECK-COUNT-4: onnx.node "Gather"(%{{.*}}, %{{.*}}) {axis = {{[01]}} : i64}
// CHECK: uoe.experts(%{{.*}}) sliced({{.*}}) axes [1, 1, 1, 0] sizes [1, 2] combine sum
// CHECK-NOT: "Gather"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<12x12xf32> = dense<0.25> : tensor<12x12xf32>
  onnx.initializer @k : tensor<12x12xf32> = dense<0.5> : tensor<12x12xf32>
  onnx.initializer @v : tensor<12x12xf32> = dense<0.75> : tensor<12x12xf32>
  onnx.initializer @o : tensor<12x12xf32> = dense<2.0> : tensor<12x12xf32>
  func.func @permuted(%x: tensor<?x?x12xf32>) -> tensor<?x?x12xf32> {
    %wq = onnx.weight @q : tensor<12x12xf32>
    %wk = onnx.weight @k : tensor<12x12xf32>
    %wv = onnx.weight @v : tensor<12x12xf32>
    %wo = onnx.weight @o : tensor<12x12xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 12]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x12xf32>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %1 = onnx.node "MatMul"(%x, %wk) : (tensor<?x?x12xf32>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %2 = onnx.node "MatMul"(%x, %wv) : (tensor<?x?x12xf32>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    %3 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %4 = onnx.node "Reshape"(%1, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %5 = onnx.node "Reshape"(%2, %heads) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
    %6 = onnx.node "Transpose"(%3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %7 = onnx.node "Transpose"(%4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %8 = onnx.node "Transpose"(%5) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %y = uoe.attention %6, %7, %8 attributes {uoe.permutation = array<i64: 2, 0, 1>, uoe.sizes = array<i64: 1, 2>} : (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) -> tensor<?x3x?x4xf32>
    %9 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x3x?x4xf32>) -> tensor<?x?x3x4xf32>
    %10 = onnx.node "Reshape"(%9, %flat) : (tensor<?x?x3x4xf32>, tensor<3xi64>) -> tensor<?x?x12xf32>
    %11 = onnx.node "MatMul"(%10, %wo) : (tensor<?x?x12xf32>, tensor<12x12xf32>) -> tensor<?x?x12xf32>
    return %11 : tensor<?x?x12xf32>
  }
}

// -----

// A fused operator is split as what it stands for: its packed projection, the core, the cache.
// CHECK-LABEL: func.func @fused
// CHECK-NOT: "com.microsoft"
// CHECK: %[[W:.*]] = onnx.weight @w
// CHECK-DAG: onnx.node "Slice"(%[[W]], {{.*}} -> tensor<8x8xf32>
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes {{.*}} sizes [2 x 1] combine sum
// CHECK: uoe.attention {{.*}}scale = 5.000000e-01 : f32
// CHECK-NOT: uoe.attention
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  onnx.initializer @w : tensor<8x24xf32> = dense<0.25> : tensor<8x24xf32>
  onnx.initializer @b : tensor<24xf32> = dense<0.5> : tensor<24xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<2.0> : tensor<8x8xf32>
  func.func @fused(%x: tensor<?x?x8xf32>, %past: tensor<2x?x2x?x4xf32>, %mask: tensor<?x?xi32>) -> (tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>) {
    %w = onnx.weight @w : tensor<8x24xf32>
    %b = onnx.weight @b : tensor<24xf32>
    %o = onnx.weight @o : tensor<8x8xf32>
    %y:2 = uoe.attention attributes {fused = "com.microsoft.Attention"} spelled {
      %a:2 = onnx.node "com.microsoft" "Attention"(%x, %w, %b, %mask, %past) {num_heads = 2 : i64, unidirectional = 1 : i64} : (tensor<?x?x8xf32>, tensor<8x24xf32>, tensor<24xf32>, tensor<?x?xi32>, tensor<2x?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>)
      uoe.yield %a#0, %a#1 : tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>
    } : -> tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>
    %p = onnx.node "MatMul"(%y#0, %o) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %p, %y#1 : tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>
  }
}

// -----

// ONNX's own operator over three dimensions, with a cache: heads are taken apart, rows without any key are 0.
// CHECK-LABEL: func.func @standard
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32, {{.*}}>, %[[PK:.*]]: tensor<?x2x?x4xf32>, %[[PV:.*]]: tensor<?x2x?x4xf32>)
// CHECK: %[[PRESENT:.*]] = onnx.node "Concat"(%[[PK]], %{{.*}}) {axis = 2 : i64}
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes {{.*}} sizes [2 x 1] combine sum
// CHECK: uoe.attention {{.*}}boolean_zero, causal, scale = 5.000000e-01 : f32
// CHECK-NOT: uoe.attention
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<2.0> : tensor<8x8xf32>
  func.func @standard(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, %pk: tensor<?x2x?x4xf32>, %pv: tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>) {
    %wq = onnx.weight @q : tensor<8x8xf32>
    %wo = onnx.weight @o : tensor<8x8xf32>
    %q = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %y:3 = uoe.attention attributes {fused = "Attention"} spelled {
      %n = onnx.none
      %a:3 = onnx.node "Attention"(%q, %q, %q, %n, %pk, %pv) {is_causal = 1 : i64, q_num_heads = 2 : i64, kv_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, none, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
      uoe.yield %a#0, %a#1, %a#2 : tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
    } : -> tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
    %p = onnx.node "MatMul"(%y#0, %wo) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %p, %y#1 : tensor<?x?x8xf32>, tensor<?x2x?x4xf32>
  }
}

// -----

// One that can't be spelled stays.
// CHECK-LABEL: func.func @sink
// CHECK: "com.microsoft" "GroupQueryAttention"
// CHECK-NOT: uoe.experts
// CHECK-NOT: "Range"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {
  onnx.initializer @o : tensor<8x8xf32> = dense<2.0> : tensor<8x8xf32>
  func.func @sink(%x: tensor<1x?x16xf32>, %n: tensor<1xi32>, %t: tensor<1xi32>) -> tensor<1x?x8xf32> {
    %none = onnx.none
    %o = onnx.weight @o : tensor<8x8xf32>
    // expected-remark @+1 {{attention is left dense: the operator com.microsoft.GroupQueryAttention has a head sink}}
    %y = uoe.attention attributes {fused = "com.microsoft.GroupQueryAttention"} spelled {
      %a = onnx.node "com.microsoft" "GroupQueryAttention"(%x, %none, %none, %none, %none, %n, %t) {kv_num_heads = 1 : i64, num_heads = 2 : i64, smooth_softmax = 1 : i64} : (tensor<1x?x16xf32>, none, none, none, none, tensor<1xi32>, tensor<1xi32>) -> tensor<1x?x8xf32>
      uoe.yield %a : tensor<1x?x8xf32>
    } : -> tensor<1x?x8xf32>
    %p = onnx.node "MatMul"(%y, %o) : (tensor<1x?x8xf32>, tensor<8x8xf32>) -> tensor<1x?x8xf32>
    return %p : tensor<1x?x8xf32>
  }
}
