// RUN: uoe-opt %s --split-input-file --raise-moe | FileCheck %s
// RUN: uoe-opt %s --split-input-file --raise-moe --drop-spelling --moe-to-experts | FileCheck %s --check-prefix=EXPERTS

// gpt-oss: a softmax over the chosen logits; gate and linear part in every second column of one matrix, each with a bias, cut at 7, the linear part plus 1.
// CHECK-LABEL: func.func @interleaved
// CHECK: uoe.moe{{ *}}quick_gelu top 2 scoring {{ *}}softmax normalized input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x6xf32>) bias_up(%{{.*}} : tensor<4x6xf32>) gate(%{{.*}} : tensor<4x8x6xf32>) bias_gate(%{{.*}} : tensor<4x6xf32>) down(%{{.*}} : tensor<4x6x8xf32>) bias_down(%{{.*}} : tensor<4x8xf32>)
// CHECK-SAME: limit = 7.000000e+00 : f32
// CHECK-SAME: up_offset = 1.000000e+00 : f32
// EXPERTS-LABEL: func.func @interleaved
// EXPERTS: uoe.select %{{.*}} token_topk {k = 2 : i64, normalize = #uoe<axis experts>, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>}
// EXPERTS: uoe.ffn quick_gelu {{.*}}limit = 7.000000e+00 : f32, up_offset = 1.000000e+00 : f32
// EXPERTS: combine merge
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @interleaved(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x12xf32>} : () -> tensor<4x8x12xf32>
    %ub = onnx.node "Constant"() {value = dense<0.25> : tensor<4x12xf32>} : () -> tensor<4x12xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x6x8xf32>} : () -> tensor<4x6x8xf32>
    %db = onnx.node "Constant"() {value = dense<0.25> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 2, 1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %rows = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %tok = onnx.node "Constant"() {value = dense<[-1, 2, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %seven = onnx.node "Constant"() {value = dense<7.0> : tensor<f32>} : () -> tensor<f32>
    %minus = onnx.node "Constant"() {value = dense<-7.0> : tensor<f32>} : () -> tensor<f32>
    %unit = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %none = onnx.none
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %t:2 = onnx.node "TopK"(%l, %two) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %w = onnx.node "Softmax"(%t#0) {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %x1 = onnx.node "Unsqueeze"(%x, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %x2 = onnx.node "Expand"(%x1, %rep) : (tensor<?x1x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %x3 = onnx.node "Reshape"(%x2, %rows) : (tensor<?x2x8xf32>, tensor<2xi64>) -> tensor<?x8xf32>
    %x4 = onnx.node "Unsqueeze"(%x3, %one) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
    %wf = onnx.node "Reshape"(%w, %last) : (tensor<?x2xf32>, tensor<1xi64>) -> tensor<?xf32>
    %i = onnx.node "Reshape"(%t#1, %last) : (tensor<?x2xi64>, tensor<1xi64>) -> tensor<?xi64>
    %ug = onnx.node "Gather"(%u, %i) {axis = 0 : i64} : (tensor<4x8x12xf32>, tensor<?xi64>) -> tensor<?x8x12xf32>
    %ubg = onnx.node "Gather"(%ub, %i) {axis = 0 : i64} : (tensor<4x12xf32>, tensor<?xi64>) -> tensor<?x12xf32>
    %m = onnx.node "MatMul"(%x4, %ug) : (tensor<?x1x8xf32>, tensor<?x8x12xf32>) -> tensor<?x1x12xf32>
    %m1 = onnx.node "Squeeze"(%m, %one) : (tensor<?x1x12xf32>, tensor<1xi64>) -> tensor<?x12xf32>
    %b = onnx.node "Add"(%m1, %ubg) : (tensor<?x12xf32>, tensor<?x12xf32>) -> tensor<?x12xf32>
    %even = onnx.node "Slice"(%b, %zero, %end, %one, %two) : (tensor<?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x6xf32>
    %odd = onnx.node "Slice"(%b, %one, %end, %one, %two) : (tensor<?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x6xf32>
    %g = onnx.node "Clip"(%even, %none, %seven) : (tensor<?x6xf32>, none, tensor<f32>) -> tensor<?x6xf32>
    %c = onnx.node "Clip"(%odd, %minus, %seven) : (tensor<?x6xf32>, tensor<f32>, tensor<f32>) -> tensor<?x6xf32>
    %a = onnx.node "Swish"(%g) {alpha = 1.702 : f32} : (tensor<?x6xf32>) -> tensor<?x6xf32>
    %p = onnx.node "Add"(%c, %unit) : (tensor<?x6xf32>, tensor<f32>) -> tensor<?x6xf32>
    %h = onnx.node "Mul"(%p, %a) : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
    %dg = onnx.node "Gather"(%d, %i) {axis = 0 : i64} : (tensor<4x6x8xf32>, tensor<?xi64>) -> tensor<?x6x8xf32>
    %dbg = onnx.node "Gather"(%db, %i) {axis = 0 : i64} : (tensor<4x8xf32>, tensor<?xi64>) -> tensor<?x8xf32>
    %h1 = onnx.node "Unsqueeze"(%h, %one) : (tensor<?x6xf32>, tensor<1xi64>) -> tensor<?x1x6xf32>
    %o = onnx.node "MatMul"(%h1, %dg) : (tensor<?x1x6xf32>, tensor<?x6x8xf32>) -> tensor<?x1x8xf32>
    %o1 = onnx.node "Squeeze"(%o, %one) : (tensor<?x1x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    %o2 = onnx.node "Add"(%o1, %dbg) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %wc = onnx.node "Unsqueeze"(%wf, %last) : (tensor<?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %y1 = onnx.node "Mul"(%o2, %wc) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
    %y2 = onnx.node "Reshape"(%y1, %tok) : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x2x8xf32>
    %y = onnx.node "ReduceSum"(%y2, %one) {keepdims = 0 : i64} : (tensor<?x2x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

// All experts run on all tokens, weighed by what the choice scattered into zeros: as some exports of the same model have it. The results of experts
// that were not chosen count 0 times.
// CHECK-LABEL: func.func @everywhere
// CHECK: uoe.moe{{ *}}quick_gelu top 2 scoring {{ *}}softmax normalized input(%arg0 : tensor<?x8xf32>) scores(%{{.*}} : tensor<?x4xf32>) up(%{{.*}} : tensor<4x8x6xf32>) bias_up(%{{.*}} : tensor<4x6xf32>) gate(%{{.*}} : tensor<4x8x6xf32>) bias_gate(%{{.*}} : tensor<4x6xf32>) down(%{{.*}} : tensor<4x6x8xf32>) bias_down(%{{.*}} : tensor<4x8xf32>)
// CHECK-SAME: limit = 7.000000e+00 : f32
// EXPERTS-LABEL: func.func @everywhere
// EXPERTS: uoe.ffn quick_gelu {{.*}}limit = 7.000000e+00 : f32, up_offset = 1.000000e+00 : f32
// Tokens in another order than the router's: the block is its spelling alone.
// CHECK-LABEL: func.func @shuffled
// CHECK: uoe.moe{{.*}} normalized attributes {layer
// EXPERTS-LABEL: func.func @shuffled
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @everywhere(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x12xf32>} : () -> tensor<4x8x12xf32>
    %ub = onnx.node "Constant"() {value = dense<0.25> : tensor<4x1x12xf32>} : () -> tensor<4x1x12xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x6x8xf32>} : () -> tensor<4x6x8xf32>
    %db = onnx.node "Constant"() {value = dense<0.25> : tensor<4x1x8xf32>} : () -> tensor<4x1x8xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[4, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %each = onnx.node "Constant"() {value = dense<[4, -1, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %seven = onnx.node "Constant"() {value = dense<7.0> : tensor<f32>} : () -> tensor<f32>
    %minus = onnx.node "Constant"() {value = dense<-7.0> : tensor<f32>} : () -> tensor<f32>
    %unit = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %none = onnx.none
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %shape = onnx.node "Shape"(%l) : (tensor<?x4xf32>) -> tensor<2xi64>
    %zeros = onnx.node "ConstantOfShape"(%shape) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x4xf32>
    %t:2 = onnx.node "TopK"(%l, %two) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %w = onnx.node "Softmax"(%t#0) {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %s = onnx.node "ScatterElements"(%zeros, %t#1, %w) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %x1 = onnx.node "Tile"(%x, %rep) : (tensor<?x8xf32>, tensor<2xi64>) -> tensor<?x?xf32>
    %x2 = onnx.node "Reshape"(%x1, %each) : (tensor<?x?xf32>, tensor<3xi64>) -> tensor<4x?x8xf32>
    %m = onnx.node "MatMul"(%x2, %u) : (tensor<4x?x8xf32>, tensor<4x8x12xf32>) -> tensor<4x?x12xf32>
    %b = onnx.node "Add"(%m, %ub) : (tensor<4x?x12xf32>, tensor<4x1x12xf32>) -> tensor<4x?x12xf32>
    %even = onnx.node "Slice"(%b, %zero, %end, %two, %two) : (tensor<4x?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x?x6xf32>
    %odd = onnx.node "Slice"(%b, %one, %end, %two, %two) : (tensor<4x?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x?x6xf32>
    %g = onnx.node "Clip"(%even, %none, %seven) : (tensor<4x?x6xf32>, none, tensor<f32>) -> tensor<4x?x6xf32>
    %c = onnx.node "Clip"(%odd, %minus, %seven) : (tensor<4x?x6xf32>, tensor<f32>, tensor<f32>) -> tensor<4x?x6xf32>
    %a = onnx.node "Swish"(%g) {alpha = 1.702 : f32} : (tensor<4x?x6xf32>) -> tensor<4x?x6xf32>
    %p = onnx.node "Add"(%c, %unit) : (tensor<4x?x6xf32>, tensor<f32>) -> tensor<4x?x6xf32>
    %h = onnx.node "Mul"(%p, %a) : (tensor<4x?x6xf32>, tensor<4x?x6xf32>) -> tensor<4x?x6xf32>
    %o = onnx.node "MatMul"(%h, %d) : (tensor<4x?x6xf32>, tensor<4x6x8xf32>) -> tensor<4x?x8xf32>
    %o1 = onnx.node "Add"(%o, %db) : (tensor<4x?x8xf32>, tensor<4x1x8xf32>) -> tensor<4x?x8xf32>
    %s1 = onnx.node "Transpose"(%s) {perm = array<i64: 1, 0>} : (tensor<?x4xf32>) -> tensor<4x?xf32>
    %s2 = onnx.node "Unsqueeze"(%s1, %last) : (tensor<4x?xf32>, tensor<1xi64>) -> tensor<4x?x1xf32>
    %y1 = onnx.node "Mul"(%o1, %s2) : (tensor<4x?x8xf32>, tensor<4x?x1xf32>) -> tensor<4x?x8xf32>
    %y = onnx.node "ReduceSum"(%y1, %zero) {keepdims = 0 : i64} : (tensor<4x?x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
  func.func @shuffled(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %r = onnx.node "Constant"() {value = dense<0.5> : tensor<8x4xf32>} : () -> tensor<8x4xf32>
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<4x8x12xf32>} : () -> tensor<4x8x12xf32>
    %ub = onnx.node "Constant"() {value = dense<0.25> : tensor<4x1x12xf32>} : () -> tensor<4x1x12xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<4x6x8xf32>} : () -> tensor<4x6x8xf32>
    %db = onnx.node "Constant"() {value = dense<0.25> : tensor<4x1x8xf32>} : () -> tensor<4x1x8xf32>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %two = onnx.node "Constant"() {value = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
    %last = onnx.node "Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %end = onnx.node "Constant"() {value = dense<9223372036854775807> : tensor<1xi64>} : () -> tensor<1xi64>
    %rep = onnx.node "Constant"() {value = dense<[1, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
    %each = onnx.node "Constant"() {value = dense<[4, -1, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %seven = onnx.node "Constant"() {value = dense<7.0> : tensor<f32>} : () -> tensor<f32>
    %minus = onnx.node "Constant"() {value = dense<-7.0> : tensor<f32>} : () -> tensor<f32>
    %unit = onnx.node "Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %none = onnx.none
    %l = onnx.node "MatMul"(%x, %r) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %shape = onnx.node "Shape"(%l) : (tensor<?x4xf32>) -> tensor<2xi64>
    %zeros = onnx.node "ConstantOfShape"(%shape) {value = dense<0.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<?x4xf32>
    %t:2 = onnx.node "TopK"(%l, %two) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<1xi64>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
    %w = onnx.node "Softmax"(%t#0) {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %s = onnx.node "ScatterElements"(%zeros, %t#1, %w) {axis = 1 : i64} : (tensor<?x4xf32>, tensor<?x2xi64>, tensor<?x2xf32>) -> tensor<?x4xf32>
    %x1 = onnx.node "Tile"(%x, %rep) : (tensor<?x8xf32>, tensor<2xi64>) -> tensor<?x?xf32>
    %x2 = onnx.node "Reshape"(%x1, %each) : (tensor<?x?xf32>, tensor<3xi64>) -> tensor<4x?x8xf32>
    %m = onnx.node "MatMul"(%x2, %u) : (tensor<4x?x8xf32>, tensor<4x8x12xf32>) -> tensor<4x?x12xf32>
    %b = onnx.node "Add"(%m, %ub) : (tensor<4x?x12xf32>, tensor<4x1x12xf32>) -> tensor<4x?x12xf32>
    %even = onnx.node "Slice"(%b, %zero, %end, %two, %two) : (tensor<4x?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x?x6xf32>
    %odd = onnx.node "Slice"(%b, %one, %end, %two, %two) : (tensor<4x?x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x?x6xf32>
    %g = onnx.node "Clip"(%even, %none, %seven) : (tensor<4x?x6xf32>, none, tensor<f32>) -> tensor<4x?x6xf32>
    %c = onnx.node "Clip"(%odd, %minus, %seven) : (tensor<4x?x6xf32>, tensor<f32>, tensor<f32>) -> tensor<4x?x6xf32>
    %a = onnx.node "Swish"(%g) {alpha = 1.702 : f32} : (tensor<4x?x6xf32>) -> tensor<4x?x6xf32>
    %p = onnx.node "Add"(%c, %unit) : (tensor<4x?x6xf32>, tensor<f32>) -> tensor<4x?x6xf32>
    %h = onnx.node "Mul"(%p, %a) : (tensor<4x?x6xf32>, tensor<4x?x6xf32>) -> tensor<4x?x6xf32>
    %o = onnx.node "MatMul"(%h, %d) : (tensor<4x?x6xf32>, tensor<4x6x8xf32>) -> tensor<4x?x8xf32>
    %o1 = onnx.node "Add"(%o, %db) : (tensor<4x?x8xf32>, tensor<4x1x8xf32>) -> tensor<4x?x8xf32>
    %s1 = onnx.node "Transpose"(%s) {perm = array<i64: 1, 0>} : (tensor<?x4xf32>) -> tensor<4x?xf32>
    %s2 = onnx.node "Unsqueeze"(%s1, %last) : (tensor<4x?xf32>, tensor<1xi64>) -> tensor<4x?x1xf32>
    %y1 = onnx.node "Mul"(%o1, %s2) : (tensor<4x?x8xf32>, tensor<4x?x1xf32>) -> tensor<4x?x8xf32>
    %y = onnx.node "ReduceSum"(%y1, %zero) {keepdims = 0 : i64} : (tensor<4x?x8xf32>, tensor<1xi64>) -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
