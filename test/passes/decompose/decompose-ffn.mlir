// RUN: uoe-opt %s --decompose-ffn=experts=2 --split-input-file -verify-diagnostics | FileCheck %s
// RUN: uoe-opt %s --decompose-ffn="experts=2 keep-dense" --split-input-file 2>/dev/null | FileCheck %s --check-prefix=KEEP

// The biases of the neurons are cut with them, the output's is added once.
// CHECK-LABEL: func.func @even
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>, %[[U:.*]]: tensor<4x6xf32>, %[[D:.*]]: tensor<6x4xf32>, %[[BU:.*]]: tensor<6xf32>, %[[BD:.*]]: tensor<4xf32>)
// CHECK: %[[Y:.*]] = uoe.experts(%[[X]]) sliced(%[[U]], %[[D]], %[[BU]]) axes [1, 0, 0] sizes [2 x 3] combine sum attributes {layer = 1 : i64}
// CHECK: ^bb0(%[[T:.*]]: tensor<?x4xf32>, %[[UE:.*]]: tensor<4x3xf32>, %[[DE:.*]]: tensor<3x4xf32>, %[[BE:.*]]: tensor<3xf32>)
// CHECK: uoe.ffn gelu %[[T]] up(%[[UE]] + %[[BE]]) down(%[[DE]])
// CHECK: %[[Z:.*]] = onnx.node "Add"(%[[Y]], %[[BD]])
// CHECK-NOT: uoe.ffn
// CHECK: return %[[Z]]
// KEEP-LABEL: func.func @even
// KEEP: %[[Z:.*]] = onnx.node "Add"
// KEEP: %[[Y:.*]] = uoe.ffn gelu
// KEEP-DAG: uoe.probe "layer.1.ffn:dense" %[[Y]]
// KEEP-DAG: uoe.probe "layer.1.ffn:experts" %[[Z]]
// KEEP: return %[[Z]]
func.func @even(%x: tensor<?x4xf32>, %u: tensor<4x6xf32>, %d: tensor<6x4xf32>, %bu: tensor<6xf32>, %bd: tensor<4xf32>) -> tensor<?x4xf32> {
  %y = uoe.ffn gelu %x up(%u + %bu) down(%d + %bd) attributes {layer = 1 : i64} : tensor<?x4xf32>, tensor<4x6xf32>, tensor<6xf32> down tensor<6x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// A number of experts that does not divide: the first ones are larger by one.
// CHECK-LABEL: func.func @uneven
// CHECK: uoe.experts({{.*}}) sliced({{.*}}) axes [1, 1, 0] sizes [4, 3] combine sum
// CHECK: ^bb0(%{{.*}}: tensor<?x4xf32>, %[[U:.*]]: tensor<4x?xf32>, %[[G:.*]]: tensor<4x?xf32>, %[[D:.*]]: tensor<?x4xf32>)
// CHECK: uoe.ffn silu %{{.*}} up(%[[U]]) gate(%[[G]]) down(%[[D]])
func.func @uneven(%x: tensor<?x4xf32>, %u: tensor<4x7xf32>, %g: tensor<4x7xf32>, %d: tensor<7x4xf32>) -> tensor<?x4xf32> {
  %y = uoe.ffn silu %x up(%u) gate(%g) down(%d) : tensor<?x4xf32>, tensor<4x7xf32> gate tensor<4x7xf32> down tensor<7x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// No more experts than neurons.
// CHECK-LABEL: func.func @single
// CHECK: sizes [1] combine
func.func @single(%x: tensor<?x4xf32>, %u: tensor<4x1xf32>, %d: tensor<1x4xf32>) -> tensor<?x4xf32> {
  %y = uoe.ffn relu %x up(%u) down(%d) : tensor<?x4xf32>, tensor<4x1xf32> down tensor<1x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// The block's own partition goes before the option; every matrix and bias is reordered alike.
// CHECK-LABEL: func.func @own
// CHECK-SAME: (%{{.*}}: tensor<?x4xf32>, %[[U:.*]]: tensor<4x4xf32>, %[[D:.*]]: tensor<4x4xf32>, %[[B:.*]]: tensor<4xf32>)
// CHECK: dense<[3, 1, 0, 2]>
// CHECK: %[[UP:.*]] = onnx.node "Gather"(%[[U]], %{{.*}}) {axis = 1 : i64}
// CHECK: %[[DOWN:.*]] = onnx.node "Gather"(%[[D]], %{{.*}}) {axis = 0 : i64}
// CHECK: %[[BIAS:.*]] = onnx.node "Gather"(%[[B]], %{{.*}}) {axis = 0 : i64}
// CHECK: uoe.experts({{.*}}) sliced(%[[UP]], %[[DOWN]], %[[BIAS]]) axes [1, 0, 0] sizes [1, 2, 1]
func.func @own(%x: tensor<?x4xf32>, %u: tensor<4x4xf32>, %d: tensor<4x4xf32>, %b: tensor<4xf32>) -> tensor<?x4xf32> {
  %y = uoe.ffn relu %x up(%u + %b) down(%d) attributes {uoe.permutation = array<i64: 3, 1, 0, 2>, uoe.sizes = array<i64: 1, 2, 1>} : tensor<?x4xf32>, tensor<4x4xf32>, tensor<4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Activations that are quantised: the block is split as it is spelled. The scale of the hidden neurons needs all of them,
// so that they come from experts of their own, side by side; their order is that of the model again.
// CHECK-LABEL: func.func @dynamic
// CHECK: %[[XQ:.*]]:3 = onnx.node "DynamicQuantizeLinear"
// CHECK: %[[H:.*]] = uoe.experts(%[[XQ]]#0, %[[XQ]]#2{{.*}}) sliced(%{{.*}}) axes [1] sizes [2 x 2] combine concat attributes {layer = 0 : i64, uoe.block = "ffn"}
// CHECK: "MatMulInteger"
// CHECK: "Relu"
// CHECK: %[[BACK:.*]] = onnx.node "Constant"() {value = dense<[1, 2, 3, 0]>
// CHECK: %[[O:.*]] = onnx.node "Gather"(%[[H]], %[[BACK]]) {axis = 1 : i64}
// CHECK: %[[HQ:.*]]:3 = onnx.node "DynamicQuantizeLinear"(%[[O]])
// CHECK: %[[Y:.*]] = uoe.experts(%[[HQ]]#2{{.*}}) sliced({{.*}}) axes [1, 0] sizes [2 x 2] combine sum
// CHECK: "MatMulInteger"
// CHECK: "Cast"(%[[Y]]) {to = 1 : i64}
// CHECK-NOT: uoe.ffn
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<4x4xi8> = dense<3> : tensor<4x4xi8>
  onnx.initializer @d : tensor<4x4xi8> = dense<5> : tensor<4x4xi8>
  func.func @dynamic(%x: tensor<?x4xf32>, %uf: tensor<4x4xf32>, %df: tensor<4x4xf32>) -> tensor<?x4xf32> {
    %u = onnx.weight @u : tensor<4x4xi8>
    %d = onnx.weight @d : tensor<4x4xi8>
    %y = uoe.ffn relu %x up(%uf) down(%df) attributes {layer = 0 : i64, uoe.permutation = array<i64: 3, 0, 1, 2>} spelled {
      %q:3 = onnx.node "DynamicQuantizeLinear"(%x) : (tensor<?x4xf32>) -> (tensor<?x4xui8>, tensor<f32>, tensor<ui8>)
      %h = onnx.node "MatMulInteger"(%q#0, %u, %q#2) : (tensor<?x4xui8>, tensor<4x4xi8>, tensor<ui8>) -> tensor<?x4xi32>
      %f = onnx.node "Cast"(%h) {to = 1 : i64} : (tensor<?x4xi32>) -> tensor<?x4xf32>
      %s = onnx.node "Mul"(%f, %q#1) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
      %r = onnx.node "Relu"(%s) : (tensor<?x4xf32>) -> tensor<?x4xf32>
      %t:3 = onnx.node "DynamicQuantizeLinear"(%r) : (tensor<?x4xf32>) -> (tensor<?x4xui8>, tensor<f32>, tensor<ui8>)
      %o = onnx.node "MatMulInteger"(%t#0, %d, %t#2) : (tensor<?x4xui8>, tensor<4x4xi8>, tensor<ui8>) -> tensor<?x4xi32>
      %p = onnx.node "Cast"(%o) {to = 1 : i64} : (tensor<?x4xi32>) -> tensor<?x4xf32>
      %e = onnx.node "Mul"(%p, %t#1) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
      uoe.yield %e : tensor<?x4xf32>
    } : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
}

// -----

// Scales that are given: one step, rounding and all.
// CHECK-LABEL: func.func @static
// CHECK: uoe.experts(%{{.*}}) sliced({{.*}}) axes [1, 0] sizes [2 x 2] combine sum
// CHECK: "MatMul"
// CHECK: "Relu"
// CHECK: "QuantizeLinear"
// CHECK: "DequantizeLinear"
// CHECK: "MatMul"
// CHECK: uoe.yield
// CHECK-NOT: uoe.ffn
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @u : tensor<4x4xf32> = dense<3.0> : tensor<4x4xf32>
  onnx.initializer @d : tensor<4x4xf32> = dense<5.0> : tensor<4x4xf32>
  onnx.initializer @s : tensor<f32> = dense<0.5> : tensor<f32>
  onnx.initializer @z : tensor<ui8> = dense<3> : tensor<ui8>
  func.func @static(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %u = onnx.weight @u : tensor<4x4xf32>
    %d = onnx.weight @d : tensor<4x4xf32>
    %s = onnx.weight @s : tensor<f32>
    %z = onnx.weight @z : tensor<ui8>
    %y = uoe.ffn relu %x up(%u) down(%d) spelled {
      %h = onnx.node "MatMul"(%x, %u) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
      %r = onnx.node "Relu"(%h) : (tensor<?x4xf32>) -> tensor<?x4xf32>
      %q = onnx.node "QuantizeLinear"(%r, %s, %z) : (tensor<?x4xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x4xui8>
      %f = onnx.node "DequantizeLinear"(%q, %s, %z) : (tensor<?x4xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x4xf32>
      %o = onnx.node "MatMul"(%f, %d) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
      uoe.yield %o : tensor<?x4xf32>
    } : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
}

// -----

// A quantised block with a node that mixes neurons otherwise.
// CHECK-LABEL: func.func @mixing
// CHECK-NOT: uoe.experts
// CHECK: uoe.ffn
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @d : tensor<4x4xf32> = dense<5.0> : tensor<4x4xf32>
  func.func @mixing(%x: tensor<?x4xf32>, %u: tensor<4x4xf32>) -> tensor<?x4xf32> {
    %d = onnx.weight @d : tensor<4x4xf32>
    // expected-remark @+1 {{layer.0.ffn is left dense: Softmax 'mix' (Softmax) mixes what the experts would compute apart}}
    %y = uoe.ffn relu %x up(%u) down(%d) attributes {layer = 0 : i64} spelled {
      %q:3 = onnx.node "DynamicQuantizeLinear"(%x) : (tensor<?x4xf32>) -> (tensor<?x4xui8>, tensor<f32>, tensor<ui8>)
      %f = onnx.node "DequantizeLinear"(%q#0, %q#1, %q#2) : (tensor<?x4xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x4xf32>
      %h = onnx.node "MatMul"(%f, %u) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
      %r = onnx.node "Softmax"(%h) {axis = -1 : i64} fields {name = "mix"} : (tensor<?x4xf32>) -> tensor<?x4xf32>
      %o = onnx.node "MatMul"(%r, %d) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
      uoe.yield %o : tensor<?x4xf32>
    } : tensor<?x4xf32>, tensor<4x4xf32> down tensor<4x4xf32> -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
}

// -----

// CHECK-LABEL: func.func @unknown
// CHECK-NOT: uoe.experts
func.func @unknown(%x: tensor<?x4xf32>, %u: tensor<4x?xf32>, %d: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{ffn is left dense: its number of neurons is not known}}
  %y = uoe.ffn relu %x up(%u) down(%d) : tensor<?x4xf32>, tensor<4x?xf32> down tensor<?x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// A function without a name is every expert's.
// CHECK-LABEL: func.func @custom
// CHECK: uoe.experts
// CHECK: uoe.ffn custom %{{.*}} attributes {function = ["x", "x", "Softplus", "Tanh", "Mul"]}
func.func @custom(%x: tensor<?x4xf32>, %u: tensor<4x6xf32>, %d: tensor<6x4xf32>) -> tensor<?x4xf32> {
  %y = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", "x", "Softplus", "Tanh", "Mul"]} : tensor<?x4xf32>, tensor<4x6xf32> down tensor<6x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}
