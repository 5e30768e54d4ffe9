// RUN: uoe-opt %s --lower-experts-to-moe 2>/dev/null | FileCheck %s
// RUN: uoe-opt %s --lower-experts-to-moe=approximate=true --lower-uoe-to-onnx 2>/dev/null | FileCheck %s --check-prefix=ALL
// RUN: uoe-opt %s --lower-experts-to-moe --verify-diagnostics -o /dev/null

// CHECK: module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}}
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  // Thresholds: logits are 0 for the chosen, -1e4 for the others; the result times their number, and rows of those that were skipped.
  // CHECK-LABEL: func.func @threshold
  // CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[S:.*]]: tensor<?x2xf32>
  func.func @threshold(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>, %skip: tensor<2x8xf32>) -> tensor<?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %r = uoe.select %s threshold {tau = 0.5 : f32} : tensor<?x2xf32> -> <2>
    // CHECK: onnx.node "Transpose"(%{{.*}}) {perm = array<i64: 1, 0>} : (tensor<8x16xf32>)
    // CHECK: value = dense<[2, 8, 8]>
    // CHECK: %[[UP:.*]] = onnx.node "Reshape"
    // CHECK: %[[ROWS:.*]] = onnx.node "Reshape"
    // CHECK: %[[DOWN:.*]] = onnx.node "Transpose"(%[[ROWS]]) {perm = array<i64: 0, 2, 1>}
    // CHECK: %[[CHOSEN:.*]] = uoe.experts() sliced(%{{.*}}) axes [1] sizes [2 x 1] routing(%{{.*}}) combine concat
    // CHECK: %[[ABOVE:.*]] = onnx.node "Greater"(%[[CHOSEN]], %{{.*}})
    // CHECK: value = dense<-1.000000e+04>
    // CHECK: %[[LOGITS:.*]] = onnx.node "Where"(%[[ABOVE]], %{{.*}}, %{{.*}})
    // CHECK: %[[SUM:.*]] = onnx.node "ReduceSum"(%[[CHOSEN]], %{{.*}}) {keepdims = 1 : i64}
    // CHECK: %[[Y:.*]] = onnx.node "com.microsoft" "MoE"(%[[X]], %[[LOGITS]], %[[UP]], %{{.*}}, %[[DOWN]]) {activation_type = "relu", k = 2 : i64, normalize_routing_weights = 1 : i64}
    // CHECK: %[[SCALED:.*]] = onnx.node "Mul"(%[[Y]], %[[SUM]])
    // CHECK: %[[NOT:.*]] = onnx.node "Sub"(%{{.*}}, %[[CHOSEN]])
    // CHECK: %[[SKIPPED:.*]] = onnx.node "MatMul"(%[[NOT]], %{{.*}})
    // CHECK: onnx.node "Add"(%[[SCALED]], %[[SKIPPED]])
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [8, 8] routing(%r) skip(%skip) combine sum {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x8xf32>, %de: tensor<8x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x8xf32>
      uoe.yield %o : tensor<?x8xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> skip tensor<2x8xf32> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }

  // The k best by softmax: the operator's own routing. Gate and up are interleaved; a neuron of zeros fills the smaller expert.
  // CHECK-LABEL: func.func @gated
  // CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[S:.*]]: tensor<?x?x2xf32>)
  func.func @gated(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>) -> tensor<?x?x8xf32> {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x15xf32>} : () -> tensor<8x15xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<15x8xf32>} : () -> tensor<15x8xf32>
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring softmax>, weight = #uoe<weight_rule gate>} : tensor<?x?x2xf32> -> <2>
    // CHECK: onnx.node "Pad"
    // CHECK: value = dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]> : tensor<16xi64>
    // CHECK: onnx.node "Concat"({{.*}}) {axis = 2 : i64}
    // CHECK: value = dense<[2, 16, 8]>
    // CHECK: %[[BOTH:.*]] = onnx.node "Reshape"
    // CHECK: %[[LOGITS:.*]] = onnx.node "Reshape"(%[[S]], %{{.*}})
    // CHECK: onnx.node "com.microsoft" "MoE"(%[[X]], %[[LOGITS]], %[[BOTH]], %{{.*}}, %{{.*}}) {activation_alpha = 1.000000e+00 : f32, activation_beta = 0.000000e+00 : f32, activation_type = "swiglu", k = 1 : i64, normalize_routing_weights = 0 : i64, swiglu_fusion = 1 : i64}
    // CHECK-NEXT: return
    %y = uoe.experts(%x) sliced(%u, %u, %d) axes [1, 1, 0] sizes [8, 7] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x?xf32>, %ge: tensor<8x?xf32>, %de: tensor<?x8xf32>):
      %o = uoe.ffn silu %t up(%ue) gate(%ge) down(%de) : tensor<?x?x8xf32>, tensor<8x?xf32> gate tensor<8x?xf32> down tensor<?x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x15xf32>, tensor<8x15xf32>, tensor<15x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }

  // What the operator cannot say.
  // CHECK-LABEL: func.func @left
  // CHECK-NOT: "MoE"
  // ALL-LABEL: func.func @left
  // ALL-COUNT-1: "MoE"
  // ALL-NOT: "MoE"
  func.func @left(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %n = onnx.node "Constant"() {value = dense<0.5> : tensor<16x4xf32>} : () -> tensor<16x4xf32>
    %r = uoe.select %s threshold {tau = 0.5 : f32} : tensor<?x2xf32> -> <2>
    // expected-remark @below {{layer.3.ffn is not written as com.microsoft.MoE: gelu is not among its activations}}
    %0 = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [8, 8] routing(%r) combine sum attributes {name = "layer.3.ffn"} {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x8xf32>, %de: tensor<8x8xf32>):
      %o = uoe.ffn gelu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x8xf32>
      uoe.yield %o : tensor<?x8xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
    // expected-remark @below {{experts is not written as com.microsoft.MoE: its output is 4 wide, its input 8}}
    %1 = uoe.experts(%x) sliced(%u, %n) axes [1, 0] sizes [8, 8] routing(%r) combine sum {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x8xf32>, %de: tensor<8x4xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x8xf32> down tensor<8x4xf32> -> tensor<?x4xf32>
      uoe.yield %o : tensor<?x4xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<16x4xf32> routing !uoe.routing<2> -> tensor<?x4xf32>
    // expected-remark @below {{its experts differ too much in size: padded to 12 neurons they would have 24 instead of 16}}
    %2 = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [12, 4] routing(%r) combine sum {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x?xf32>, %de: tensor<?x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x?xf32> down tensor<?x8xf32> -> tensor<?x8xf32>
      uoe.yield %o : tensor<?x8xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
    // expected-remark @below {{a gate with gelu_tanh is not among its activations}}
    %3 = uoe.experts(%x) sliced(%u, %u, %d) axes [1, 1, 0] sizes [8, 8] routing(%r) combine sum {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x8xf32>, %ge: tensor<8x8xf32>, %de: tensor<8x8xf32>):
      %o = uoe.ffn gelu_tanh %t up(%ue) gate(%ge) down(%de) : tensor<?x8xf32>, tensor<8x8xf32> gate tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x8xf32>
      uoe.yield %o : tensor<?x8xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> -> tensor<?x8xf32>
    return %0, %1, %2, %3 : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  }
}
