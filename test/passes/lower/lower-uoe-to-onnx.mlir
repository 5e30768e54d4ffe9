// RUN: uoe-opt %s --lower-uoe-to-onnx | FileCheck %s
// RUN: uoe-opt %s --lower-uoe-to-onnx=unroll=true | FileCheck %s --check-prefix=UNROLL

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  // A block without a spelling is spelled out; one with a spelling gets it back.
  // CHECK-LABEL: func.func @ffn
  // CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[U:.*]]: tensor<8x16xf32>, %[[G:.*]]: tensor<8x16xf32>, %[[D:.*]]: tensor<16x8xf32>)
  func.func @ffn(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %g: tensor<8x16xf32>, %d: tensor<16x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    // CHECK: %[[H:.*]] = onnx.node "MatMul"(%[[X]], %[[U]])
    // CHECK: %[[A:.*]] = onnx.node "MatMul"(%[[X]], %[[G]])
    // CHECK: %[[S:.*]] = onnx.node "Sigmoid"(%[[A]])
    // CHECK: %[[SILU:.*]] = onnx.node "Mul"(%[[A]], %[[S]])
    // CHECK: %[[P:.*]] = onnx.node "Mul"(%[[SILU]], %[[H]])
    // CHECK: %[[Y:.*]] = onnx.node "MatMul"(%[[P]], %[[D]]) : ({{.*}}) -> tensor<?x8xf32>
    %0 = uoe.ffn silu %x up(%u) gate(%g) down(%d) : tensor<?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
    // CHECK: %[[N:.*]] = onnx.node "Neg"(%[[X]])
    // CHECK: return %[[Y]], %[[N]]
    %1 = uoe.ffn silu %x up(%u) gate(%g) down(%d) spelled {
      %n = onnx.node "Neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
      uoe.yield %n : tensor<?x8xf32>
    } : tensor<?x8xf32>, tensor<8x16xf32> gate tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
    return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
  }

  // Routed experts: hidden units are masked by their expert's weight; skipped experts add their rows.
  // CHECK-LABEL: func.func @routed
  // UNROLL-LABEL: func.func @routed
  func.func @routed(%x: tensor<?x8xf32>, %s: tensor<?x2xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>, %skip: tensor<2x8xf32>) -> tensor<?x8xf32> {
    // CHECK: %[[ABOVE:.*]] = onnx.node "Greater"(%{{.*}}, %{{.*}})
    // CHECK: %[[CHOSEN:.*]] = onnx.node "Where"(%[[ABOVE]], %{{.*}}, %{{.*}})
    %r = uoe.select %s threshold {tau = 0.5 : f32} : tensor<?x2xf32> -> <2>
    // CHECK: value = dense<[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]>
    // CHECK: %[[MASK:.*]] = onnx.node "Gather"(%[[CHOSEN]], %{{.*}}) {axis = -1 : i64}
    // CHECK: onnx.node "Relu"
    // CHECK: onnx.node "Mul"(%{{.*}}, %[[MASK]])
    // CHECK: %[[NOT:.*]] = onnx.node "Sub"(%{{.*}}, %[[CHOSEN]])
    // CHECK: onnx.node "MatMul"(%[[NOT]], %{{.*}})
    // UNROLL: onnx.node "Slice"
    // UNROLL-COUNT-2: onnx.node "Relu"
    // UNROLL-NOT: onnx.node "Relu"
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [10, 6] routing(%r) skip(%skip) combine sum {
    ^bb0(%t: tensor<?x8xf32>, %ue: tensor<8x?xf32>, %de: tensor<?x8xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x8xf32>, tensor<8x?xf32> down tensor<?x8xf32> -> tensor<?x8xf32>
      uoe.yield %o : tensor<?x8xf32>
    } : shared tensor<?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> skip tensor<2x8xf32> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }

  // Channels chosen by magnitude: a mask on the input.
  // CHECK-LABEL: func.func @channels
  // UNROLL-LABEL: func.func @channels
  // CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[N:.*]]: tensor<8xf32>, %[[W:.*]]: tensor<8x16xf32>)
  func.func @channels(%x: tensor<?x8xf32>, %n: tensor<8xf32>, %w: tensor<8x16xf32>) -> tensor<?x16xf32> {
    // CHECK: %[[ABS:.*]] = onnx.node "Abs"(%[[X]])
    // CHECK: onnx.node "Mul"(%[[ABS]], %[[N]])
    // CHECK: %[[M:.*]] = onnx.node "Where"
    // CHECK: %[[Z:.*]] = onnx.node "Mul"(%[[X]], %[[M]])
    // CHECK: onnx.node "MatMul"(%[[Z]], %[[W]])
    %score = uoe.score magnitude %x weights(%n) : tensor<?x8xf32> weights tensor<8xf32> -> tensor<?x8xf32>
    %r = uoe.select %score threshold {tau = 0.1 : f32} : tensor<?x8xf32> -> <8>
    %y = uoe.experts() sliced(%x, %w) axes [1, 0] sizes [8 x 1] routing(%r) combine sum {
    ^bb0(%xe: tensor<?x1xf32>, %we: tensor<1x16xf32>):
      %o = onnx.node "MatMul"(%xe, %we) : (tensor<?x1xf32>, tensor<1x16xf32>) -> tensor<?x16xf32>
      uoe.yield %o : tensor<?x16xf32>
    } : sliced tensor<?x8xf32>, tensor<8x16xf32> routing !uoe.routing<8> -> tensor<?x16xf32>
    return %y : tensor<?x16xf32>
  }

  // Top-k with weights that are renormalised over the chosen.
  // CHECK-LABEL: func.func @topk
  // CHECK: %[[G:.*]] = onnx.node "Softmax"
  // CHECK: onnx.node "TopK"(%arg1
  // CHECK: onnx.node "ScatterElements"
  // CHECK: onnx.node "ReduceSum"
  // CHECK: onnx.node "Div"
  func.func @topk(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>) -> tensor<?x8xf32> {
    %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring softmax>, normalize = #uoe<axis experts>, weight = #uoe<weight_rule gate>} : tensor<?x4xf32> -> <4>
    %y = uoe.experts() sliced(%x) axes [1] sizes [4 x 2] routing(%r) combine concat {
    ^bb0(%a: tensor<?x2xf32>):
      %o = onnx.node "Relu"(%a) : (tensor<?x2xf32>) -> tensor<?x2xf32>
      uoe.yield %o : tensor<?x2xf32>
    } : sliced tensor<?x8xf32> routing !uoe.routing<4> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }

  // A function without a name, step by step: max(x, 0) where x is above 2, else tanh.
  // CHECK-LABEL: func.func @custom
  // CHECK: %[[H:.*]] = onnx.node "MatMul"
  // CHECK: %[[TWO:.*]] = onnx.node "Constant"() {value = dense<2.000000e+00> : tensor<f32>}
  // CHECK: %[[C:.*]] = onnx.node "Greater"(%[[H]], %[[TWO]]) {{.*}} -> tensor<*xi1>
  // CHECK: %[[R:.*]] = onnx.node "Relu"(%[[H]])
  // CHECK: %[[T:.*]] = onnx.node "Tanh"(%[[H]])
  // CHECK: %[[W:.*]] = onnx.node "Where"(%[[C]], %[[R]], %[[T]]) {{.*}} -> tensor<*xf32>
  // CHECK: onnx.node "MatMul"(%[[W]]
  func.func @custom(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>) -> tensor<?x8xf32> {
    %y = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", 2.0 : f32, "Greater", "x", "Relu", "x", "Tanh", "Where"]}
        : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
