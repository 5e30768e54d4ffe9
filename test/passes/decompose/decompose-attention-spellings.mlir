// RUN: uoe-opt %s --infer-shapes --decompose-attention=groups=2 --split-input-file | FileCheck %s

// Ways from the projections to the heads, as exporters write them: each expert gets its columns.

// One product, [B, S, 3, H, D], transposed and taken apart by Split and Squeeze (timm, PyTorch's MultiheadAttention).
// CHECK-LABEL: func.func @unbound
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes [{{.*}}] sizes [2 x 1] combine sum
// CHECK: "Squeeze"({{.*}}) : (tensor<1x?x1x?x4xf32
// CHECK: uoe.attention
// CHECK-SAME: tensor<?x1x?x4xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @qkv : tensor<8x24xf32> = dense<0.25> : tensor<8x24xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  func.func @unbound(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x8xf32> {
    %qkv = onnx.weight @qkv : tensor<8x24xf32>
    %o = onnx.weight @o : tensor<8x8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 3, 2, 4]> : tensor<5xi64>} : () -> tensor<5xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %qkv) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x24xf32>) -> tensor<?x?x24xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x24xf32>, tensor<5xi64>) -> tensor<?x?x3x2x4xf32>
    %2 = onnx.node "Transpose"(%1) {perm = array<i64: 2, 0, 3, 1, 4>} : (tensor<?x?x3x2x4xf32>) -> tensor<3x?x2x?x4xf32>
    %3:3 = onnx.node "Split"(%2) {axis = 0 : i64, num_outputs = 3 : i64} : (tensor<3x?x2x?x4xf32>) -> (tensor<1x?x2x?x4xf32>, tensor<1x?x2x?x4xf32>, tensor<1x?x2x?x4xf32>)
    %q = onnx.node "Squeeze"(%3#0, %zero) : (tensor<1x?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x2x?x4xf32>
    %k = onnx.node "Squeeze"(%3#1, %zero) : (tensor<1x?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x2x?x4xf32>
    %v = onnx.node "Squeeze"(%3#2, %zero) : (tensor<1x?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x2x?x4xf32>
    %y = uoe.attention %q, %k, %v attributes {scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %4 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
    %5 = onnx.node "Reshape"(%4, %flat) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %6 = onnx.node "MatMul"(%5, %o) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %6 : tensor<?x?x8xf32>
  }
}

// -----

// Rotation of interleaved pairs (GPT-J, Cohere, GLM): the heads' axis stays while [D] becomes [D/2, 2] behind an axis of unknown
// length and back. The second half of each key is one rotated part that all heads share (DeepSeek): it is computed once, and each
// expert takes its copy.
// CHECK-LABEL: func.func @rotated
// CHECK: %[[SHARED:.*]] = onnx.node "Expand"
// CHECK: uoe.experts({{.*}}) sliced({{.*}}%[[SHARED]]{{.*}}) axes
// CHECK: "Reshape"({{.*}}) {{.*}} -> tensor<?x1x?x2x2xf32
// CHECK: "Concat"({{.*}}) {axis = 3
// CHECK-SAME: -> tensor<?x1x?x4xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @k : tensor<8x4xf32> = dense<0.125> : tensor<8x4xf32>
  onnx.initializer @kr : tensor<8x2xf32> = dense<0.375> : tensor<8x2xf32>
  onnx.initializer @v : tensor<8x8xf32> = dense<0.75> : tensor<8x8xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  func.func @rotated(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x8xf32> {
    %wq = onnx.weight @q : tensor<8x8xf32>
    %wk = onnx.weight @k : tensor<8x4xf32>
    %wkr = onnx.weight @kr : tensor<8x2xf32>
    %wv = onnx.weight @v : tensor<8x8xf32>
    %o = onnx.weight @o : tensor<8x8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 2, -1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %pairs = onnx.node "Constant"() {value = dense<[0, 0, 0, 2, 2]> : tensor<5xi64>} : () -> tensor<5xi64>
    %whole = onnx.node "Constant"() {value = dense<[0, 0, 0, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %times = onnx.node "Constant"() {value = dense<[1, 2, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %2 = onnx.node "Transpose"(%1) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %3 = onnx.node "Reshape"(%2, %pairs) : (tensor<?x2x?x4xf32>, tensor<5xi64>) -> tensor<?x2x?x2x2xf32>
    %4 = onnx.node "Neg"(%3) : (tensor<?x2x?x2x2xf32>) -> tensor<?x2x?x2x2xf32>
    %q = onnx.node "Reshape"(%4, %whole) : (tensor<?x2x?x2x2xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
    %5 = onnx.node "MatMul"(%x, %wk) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
    %6 = onnx.node "Reshape"(%5, %heads) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x2x2xf32>
    %7 = onnx.node "Transpose"(%6) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x2xf32>) -> tensor<?x2x?x2xf32>
    %8 = onnx.node "MatMul"(%x, %wkr) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x2xf32>) -> tensor<?x?x2xf32>
    %9 = onnx.node "Unsqueeze"(%8, %one) : (tensor<?x?x2xf32>, tensor<1xi64>) -> tensor<?x1x?x2xf32>
    %10 = onnx.node "Expand"(%9, %times) : (tensor<?x1x?x2xf32>, tensor<4xi64>) -> tensor<?x2x?x2xf32>
    %k = onnx.node "Concat"(%7, %10) {axis = 3 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x4xf32>
    %11 = onnx.node "MatMul"(%x, %wv) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %12 = onnx.node "Reshape"(%11, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %v = onnx.node "Transpose"(%12) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %y = uoe.attention %q, %k, %v attributes {causal, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %13 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
    %14 = onnx.node "Reshape"(%13, %flat) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %15 = onnx.node "MatMul"(%14, %o) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %15 : tensor<?x?x8xf32>
  }
}

// -----

// Queries of three heads with one key and one value head behind each other in an axis (Falcon): one expert, each matrix once.
// CHECK-LABEL: func.func @multi_query
// CHECK: onnx.node "Slice"(%[[W:[0-9]+]], {{.*}} -> tensor<8x12xf32>
// CHECK: onnx.node "Slice"(%[[W]], {{.*}} -> tensor<8x4xf32>
// CHECK: onnx.node "Slice"(%[[W]], {{.*}} -> tensor<8x4xf32>
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes {{.*}} sizes [1] combine sum
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @qkv : tensor<8x20xf32> = dense<0.25> : tensor<8x20xf32>
  onnx.initializer @o : tensor<12x8xf32> = dense<0.5> : tensor<12x8xf32>
  func.func @multi_query(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x8xf32> {
    %qkv = onnx.weight @qkv : tensor<8x20xf32>
    %o = onnx.weight @o : tensor<12x8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %first = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-2> : tensor<1xi64>} : () -> tensor<1xi64>
    %axis = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %ik = onnx.node "Constant"() {value = dense<-2> : tensor<1xi64>} : () -> tensor<1xi64>
    %iv = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 12]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %qkv) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x20xf32>) -> tensor<?x?x20xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x20xf32>, tensor<4xi64>) -> tensor<?x?x5x4xf32>
    %2 = onnx.node "Slice"(%1, %first, %last, %axis) : (tensor<?x?x5x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x3x4xf32>
    %3 = onnx.node "Gather"(%1, %ik) {axis = 2 : i64} : (tensor<?x?x5x4xf32>, tensor<1xi64>) -> tensor<?x?x1x4xf32>
    %4 = onnx.node "Gather"(%1, %iv) {axis = 2 : i64} : (tensor<?x?x5x4xf32>, tensor<1xi64>) -> tensor<?x?x1x4xf32>
    %q = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32>
    %k = onnx.node "Transpose"(%3) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
    %v = onnx.node "Transpose"(%4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
    %y = uoe.attention %q, %k, %v attributes {causal, scale = 0.5 : f32} : (tensor<?x3x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x3x?x4xf32>
    %5 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x3x?x4xf32>) -> tensor<?x?x3x4xf32>
    %6 = onnx.node "Reshape"(%5, %flat) : (tensor<?x?x3x4xf32>, tensor<3xi64>) -> tensor<?x?x12xf32>
    %7 = onnx.node "MatMul"(%6, %o) : (tensor<?x?x12xf32>, tensor<12x8xf32>) -> tensor<?x?x8xf32>
    return %7 : tensor<?x?x8xf32>
  }
}

// -----

// Four query heads on two key heads, of unit length; keys and values with one more of zeros (sinks, gpt-oss), the value's batch behind an axis of
// one element. The bias differs by heads before axes of unknown size: heads come last to be taken apart.
// CHECK-LABEL: func.func @sinks
// CHECK-SAME: %[[B:[a-z0-9]*]]: tensor<?x4x?x?xf32
// CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[B]]) {perm = array<i64: 0, 2, 3, 1>}
// CHECK: %[[V:.*]] = onnx.node "Reshape"(%[[T]], {{.*}} -> tensor<?x?x?x2x2xf32>
// CHECK: uoe.experts({{.*}}) sliced({{.*}}%[[V]]{{.*}}) axes [{{.*}}] sizes [2 x 1] combine sum
// CHECK: "ReduceL2"({{.*}} -> tensor<?x2x?x1xf32
// CHECK: "Pad"({{.*}} -> tensor<?x1x?x4xf32
// CHECK: "Squeeze"({{.*}} -> tensor<?x1x?x4xf32
// CHECK: uoe.attention {{.*}} bias({{.*}}) {{.*}}tensor<?x2x?x4xf32
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x16xf32> = dense<0.25> : tensor<8x16xf32>
  onnx.initializer @k : tensor<8x8xf32> = dense<0.125> : tensor<8x8xf32>
  onnx.initializer @v : tensor<8x8xf32> = dense<0.75> : tensor<8x8xf32>
  onnx.initializer @o : tensor<16x8xf32> = dense<0.5> : tensor<16x8xf32>
  func.func @sinks(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, %bias: tensor<?x4x?x?xf32, #onnx.dims<"b", "", "s", "t">>) -> tensor<?x?x8xf32> {
    %wq = onnx.weight @q : tensor<8x16xf32>
    %wk = onnx.weight @k : tensor<8x8xf32>
    %wv = onnx.weight @v : tensor<8x8xf32>
    %o = onnx.weight @o : tensor<16x8xf32>
    %four = onnx.node "Constant"() {value = dense<[0, 0, 4, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %two = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 16]> : tensor<3xi64>} : () -> tensor<3xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %lead = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %pads = onnx.node "Constant"() {value = dense<[0, 0, 0, 0, 0, 0, 1, 0]> : tensor<8xi64>} : () -> tensor<8xi64>
    %drop = onnx.node "Constant"() {value = dense<[-1, 2, 0, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %batch = onnx.node "Shape"(%x) {end = 1 : i64} : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<1xi64>
    %length = onnx.node "Shape"(%x) {start = 1 : i64, end = 2 : i64} : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<1xi64>
    %heads = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %size = onnx.node "Constant"() {value = dense<4> : tensor<1xi64>} : () -> tensor<1xi64>
    %shape = onnx.node "Concat"(%batch, %heads, %length, %size) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x16xf32>) -> tensor<?x?x16xf32>
    %1 = onnx.node "Reshape"(%0, %four) : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x4x4xf32>
    %2 = onnx.node "Transpose"(%1) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x4x4xf32>) -> tensor<?x4x?x4xf32>
    %3 = onnx.node "ReduceL2"(%2, %last) {keepdims = 1 : i64} : (tensor<?x4x?x4xf32>, tensor<1xi64>) -> tensor<?x4x?x1xf32>
    %q = onnx.node "Div"(%2, %3) : (tensor<?x4x?x4xf32>, tensor<?x4x?x1xf32>) -> tensor<?x4x?x4xf32>
    %4 = onnx.node "MatMul"(%x, %wk) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %5 = onnx.node "Reshape"(%4, %two) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %6 = onnx.node "Transpose"(%5) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %k = onnx.node "Pad"(%6, %pads) : (tensor<?x2x?x4xf32>, tensor<8xi64>) -> tensor<?x2x?x4xf32>
    %7 = onnx.node "MatMul"(%x, %wv) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %8 = onnx.node "Reshape"(%7, %two) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %9 = onnx.node "Transpose"(%8) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %10 = onnx.node "Unsqueeze"(%9, %lead) : (tensor<?x2x?x4xf32>, tensor<1xi64>) -> tensor<1x?x2x?x4xf32>
    %11 = onnx.node "Reshape"(%10, %shape) : (tensor<1x?x2x?x4xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
    %v = onnx.node "Pad"(%11, %pads) : (tensor<?x2x?x4xf32>, tensor<8xi64>) -> tensor<?x2x?x4xf32>
    %y = uoe.attention %q, %k, %v bias(%bias) attributes {scale = 0.5 : f32} : (tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) bias tensor<?x4x?x?xf32, #onnx.dims<"b", "", "s", "t">> -> tensor<?x4x?x4xf32>
    %12 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x4x?x4xf32>) -> tensor<?x?x4x4xf32>
    %13 = onnx.node "Reshape"(%12, %flat) : (tensor<?x?x4x4xf32>, tensor<3xi64>) -> tensor<?x?x16xf32>
    %14 = onnx.node "MatMul"(%13, %o) : (tensor<?x?x16xf32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
    return %14 : tensor<?x?x8xf32>
  }
}

// -----

// Keys that are learned (memory tokens), repeated for each row of the batch: each expert has its heads of them.
// CHECK-LABEL: func.func @memory
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes [{{.*}}] sizes [2 x 1] combine sum
// CHECK: %[[TO:.*]] = onnx.node "Concat"({{.*}}) {axis = 0 : i64} {{.*}} -> tensor<4xi64>
// CHECK: %[[MEMORY:.*]] = onnx.node "Expand"(%{{.*}}, %[[TO]]) {{.*}}: (tensor<1x1x3x4xf32>, tensor<4xi64>) -> tensor<?x1x3x4xf32
// CHECK: onnx.node "Concat"(%[[MEMORY]], %{{.*}}) {axis = 2 : i64}
// CHECK: uoe.attention
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @q : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @tokens : tensor<1x2x3x4xf32> = dense<0.25> : tensor<1x2x3x4xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  func.func @memory(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x8xf32> {
    %wq = onnx.weight @q : tensor<8x8xf32>
    %m = onnx.weight @tokens : tensor<1x2x3x4xf32>
    %o = onnx.weight @o : tensor<8x8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rest = onnx.node "Constant"() {value = dense<[2, 3, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
    %b = onnx.node "Shape"(%x) {start = 0 : i64, end = 1 : i64} : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<1xi64>
    %shape = onnx.node "Concat"(%b, %rest) {axis = 0 : i64} : (tensor<1xi64>, tensor<3xi64>) -> tensor<4xi64>
    %0 = onnx.node "MatMul"(%x, %wq) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %q = onnx.node "Transpose"(%1) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %more = onnx.node "Expand"(%m, %shape) : (tensor<1x2x3x4xf32>, tensor<4xi64>) -> tensor<?x2x3x4xf32>
    %k = onnx.node "Concat"(%more, %q) {axis = 2 : i64} : (tensor<?x2x3x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %y = uoe.attention %q, %k, %k attributes {scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %2 = onnx.node "Transpose"(%y) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
    %3 = onnx.node "Reshape"(%2, %flat) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %4 = onnx.node "MatMul"(%3, %o) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %4 : tensor<?x?x8xf32>
  }
}

// -----

// Axes of one element that come and go between the heads and the output projection, as an einsum over both is exported (Keras).
// CHECK-LABEL: func.func @einsum
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes [{{.*}}] sizes [2 x 1] combine sum
// CHECK: uoe.attention
// CHECK: "Unsqueeze"({{.*}}) {{.*}} -> tensor<?x1x1x?x4xf32
// CHECK: "Squeeze"({{.*}}) {{.*}} -> tensor<?x?x1x4xf32
// CHECK-NOT: uoe.attention
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  onnx.initializer @o : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  func.func @einsum(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>) -> tensor<?x?x8xf32> {
    %w = onnx.weight @w : tensor<8x8xf32>
    %o = onnx.weight @o : tensor<8x8xf32>
    %heads = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %flat = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %0 = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", "">>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %1 = onnx.node "Reshape"(%0, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %q = onnx.node "Transpose"(%1) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %y = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %2 = onnx.node "Unsqueeze"(%y, %one) : (tensor<?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x1x2x?x4xf32>
    %3 = onnx.node "Transpose"(%2) {perm = array<i64: 0, 3, 1, 2, 4>} : (tensor<?x1x2x?x4xf32>) -> tensor<?x?x1x2x4xf32>
    %4 = onnx.node "Squeeze"(%3, %two) : (tensor<?x?x1x2x4xf32>, tensor<1xi64>) -> tensor<?x?x2x4xf32>
    %5 = onnx.node "Reshape"(%4, %flat) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %6 = onnx.node "MatMul"(%5, %o) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    return %6 : tensor<?x?x8xf32>
  }
}
