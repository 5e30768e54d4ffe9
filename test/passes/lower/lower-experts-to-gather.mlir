// RUN: uoe-opt %s --lower-experts-to-gather | FileCheck %s
// RUN: uoe-opt %s --lower-experts-to-gather=max-experts=1 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: sed 's/ai.onnx = 24/ai.onnx = 15/' %s | uoe-opt --lower-experts-to-gather 2>&1 | FileCheck %s --check-prefix=OLD

// MANY: remark: experts does not gather tokens: 2 experts are more than 1
// OLD: remark: experts does not gather tokens: ScatterND adds from opset 16 on, the model imports 15
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  // Each expert's tokens by NonZero; its result, times its weight, is added where they belong.
  // CHECK-LABEL: func.func @weighted
  // CHECK-SAME: (%[[X3:.*]]: tensor<?x?x8xf32>, %[[S:.*]]: tensor<?x?x2xf32>, %[[U:.*]]: tensor<8x10xf32>, %[[D:.*]]: tensor<10x6xf32>)
  func.func @weighted(%x: tensor<?x?x8xf32>, %s: tensor<?x?x2xf32>, %u: tensor<8x10xf32>, %d: tensor<10x6xf32>) -> tensor<?x?x6xf32> {
    // CHECK: %[[R:.*]] = uoe.select %[[S]] token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>}
    %r = uoe.select %s token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x2xf32> -> <2>
    // CHECK: %[[X:.*]] = onnx.node "Reshape"(%[[X3]], %{{.*}})
    // CHECK: %[[UNIT:.*]] = uoe.select %[[S]] token_topk {k = 1 : i64, scoring = #uoe<scoring sigmoid>}
    // CHECK: %[[CHOSEN:.*]] = uoe.experts() {{.*}} routing(%[[UNIT]]) combine concat
    // CHECK: %[[TAKERS:.*]] = onnx.node "Transpose"
    // CHECK: %[[WEIGHT:.*]] = uoe.experts() {{.*}} routing(%[[R]]) combine concat
    // CHECK: %[[WEIGHTS:.*]] = onnx.node "Transpose"
    // CHECK: %[[Y0:.*]] = onnx.node "ConstantOfShape"
    // CHECK: %[[MINE:.*]] = onnx.node "Gather"(%[[TAKERS]], %{{.*}}) {axis = 0 : i64}
    // CHECK: %[[NZ:.*]] = onnx.node "NonZero"(%[[MINE]])
    // CHECK: %[[T:.*]] = onnx.node "Transpose"(%[[NZ]])
    // CHECK: %[[ROWS:.*]] = onnx.node "GatherND"(%[[X]], %[[T]])
    // CHECK: value = dense<0>
    // CHECK: value = dense<7>
    // CHECK: %[[UE:.*]] = onnx.node "Slice"(%[[U]],
    // CHECK: %[[P:.*]] = onnx.node "MatMul"(%[[ROWS]], %[[UE]])
    // CHECK: %[[H:.*]] = onnx.node "Relu"(%[[P]])
    // CHECK: %[[DE:.*]] = onnx.node "Slice"(%[[D]],
    // CHECK: %[[Q:.*]] = onnx.node "MatMul"(%[[H]], %[[DE]])
    // CHECK: %[[ALL:.*]] = onnx.node "Gather"(%[[WEIGHTS]], %{{.*}}) {axis = 0 : i64}
    // CHECK: onnx.node "GatherND"(%[[ALL]], %[[T]])
    // CHECK: %[[W:.*]] = onnx.node "Unsqueeze"
    // CHECK: %[[RESULT:.*]] = onnx.node "Mul"(%[[Q]], %[[W]])
    // CHECK: %[[Y1:.*]] = onnx.node "ScatterND"(%[[Y0]], %[[T]], %[[RESULT]]) {reduction = "add"}
    // CHECK: %[[Y2:.*]] = onnx.node "ScatterND"(%[[Y1]]
    // CHECK-NOT: ScatterND
    // CHECK: onnx.node "Reshape"(%[[Y2]], %{{.*}}) {allowzero = 1 : i64} : ({{.*}}) -> tensor<?x?x6xf32>
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [7, 3] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x?xf32>, %de: tensor<?x6xf32>):
      %o = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x?xf32> down tensor<?x6xf32> -> tensor<?x?x6xf32>
      uoe.yield %o : tensor<?x?x6xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x10xf32>, tensor<10x6xf32> routing !uoe.routing<2> -> tensor<?x?x6xf32>
    return %y : tensor<?x?x6xf32>
  }
}
