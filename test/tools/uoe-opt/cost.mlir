// What a model costs, counted by hand: 3 samples of 10 tokens, width 8.
// RUN: uoe-opt %s --cost --dim batch=3,sequence=10 --cost-report %t.json -o /dev/null 2>&1 | FileCheck %s --check-prefix=TEXT
// RUN: FileCheck %s --check-prefix=JSON < %t.json
// RUN: not uoe-opt %s --cost --dim length=10 -o /dev/null 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not uoe-opt %s --cost --dim sequence=ten -o /dev/null 2>&1 | FileCheck %s --check-prefix=SIZE
// RUN: not uoe-opt %s --dim sequence=10 -o /dev/null 2>&1 | FileCheck %s --check-prefix=ALONE
// RUN: uoe-opt %s --cost --dim sequence=10 -o /dev/null 2>&1 | FileCheck %s --check-prefix=ASSUMED

// Table 50 x 8; matrices 64; router 8 x 4; experts 4 x (8 x 3 + 3 x 8), of which 2; dense 8 x 6 + 6 x 8; 4 layers share them.
// A token has a row of the table, the matrix, the router, the dense block and at least 2, at most all 4 of the experts.
// TEXT: tables that are looked up 400
// TEXT-NEXT: all 784 296 .. 392

// Causal attention of 2 heads of 4: 55 pairs a sample, 2 x 4 multiply-adds each for scores and values: 3 * 2 * 55 * 8 = 2640, 88 a token.
// Experts 4 rounds x 2 x 48; dense 4 x 96; matrix 64; router 4 x 32.
// TEXT: attention 88
// TEXT-NEXT: experts 384
// TEXT-NEXT: feed-forward 384
// TEXT-NEXT: products 64
// TEXT-NEXT: router 128
// TEXT: all 1048 100.0%

// The most bytes are alive in the dense block: 30 x 8 x 4 of the loop's input and result and of the block's, and 30 x 6 x 4 of hidden units.
// TEXT: weights 3.06 KiB, activations at their most 4.45 KiB; with
// TEXT-SAME: batch=3, sequence=10
// JSON: "tokens": 30.0
// JSON: "parameters": 784.0
// JSON: "multiply_adds": {
// JSON-NEXT: "least": 31440.0
// JSON-NEXT: "most": 31440.0
// JSON: "activation_bytes": 4560.0
// NAME: error: cost: no input has a dimension 'length'; there are batch, sequence
// SIZE: error: --dim: expected NAME=SIZE, found 'sequence=ten'
// ALONE: error: --dim needs --cost or --cost-report
// ASSUMED: batch=1 (assumed), sequence=10
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  onnx.initializer @table : tensor<50x8xf32> = dense<0.1> : tensor<50x8xf32>
  onnx.initializer @matrix : tensor<8x8xf32> = dense<0.1> : tensor<8x8xf32>
  onnx.initializer @router : tensor<8x4xf32> = dense<0.1> : tensor<8x4xf32>
  onnx.initializer @up : tensor<8x12xf32> = dense<0.1> : tensor<8x12xf32>
  onnx.initializer @down : tensor<12x8xf32> = dense<0.1> : tensor<12x8xf32>
  onnx.initializer @u : tensor<8x6xf32> = dense<0.1> : tensor<8x6xf32>
  onnx.initializer @d : tensor<6x8xf32> = dense<0.1> : tensor<6x8xf32>
  func.func @main_graph(%ids: tensor<?x?xi64, #onnx.dims<"batch", "sequence">> {onnx.name = "ids"}) -> (tensor<?x?x8xf32> {onnx.name = "y"}) {
    %table = onnx.weight @table : tensor<50x8xf32>
    %matrix = onnx.weight @matrix : tensor<8x8xf32>
    %router = onnx.weight @router : tensor<8x4xf32>
    %up = onnx.weight @up : tensor<8x12xf32>
    %down = onnx.weight @down : tensor<12x8xf32>
    %u = onnx.weight @u : tensor<8x6xf32>
    %d = onnx.weight @d : tensor<6x8xf32>
    %e = onnx.node "Gather"(%table, %ids) : (tensor<50x8xf32>, tensor<?x?xi64, #onnx.dims<"batch", "sequence">>) -> tensor<?x?x8xf32>
    %m = onnx.node "MatMul"(%e, %matrix) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
    %split = onnx.node "Constant"() {value = dense<[0, 0, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %r4 = onnx.node "Reshape"(%m, %split) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
    %q = onnx.node "Transpose"(%r4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
    %a = uoe.attention %q, %q, %q attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
    %b = onnx.node "Transpose"(%a) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
    %join = onnx.node "Constant"() {value = dense<[0, 0, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
    %x = onnx.node "Reshape"(%b, %join) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
    %y = uoe.recur(%x) times 4 {
    ^bb0(%h: tensor<?x?x8xf32>):
      %s = uoe.score linear %h weights(%router) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
      %c = uoe.select %s token_topk {k = 2 : i64} : tensor<?x?x4xf32> -> <4>
      %o = uoe.experts(%h) sliced(%up, %down) axes [1, 0] sizes [4 x 3] routing(%c) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %ue: tensor<8x3xf32>, %de: tensor<3x8xf32>):
        %f = uoe.ffn relu %t up(%ue) down(%de) : tensor<?x?x8xf32>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
        uoe.yield %f : tensor<?x?x8xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x12xf32>, tensor<12x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
      %g = onnx.node "Add"(%h, %o) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %dense = uoe.ffn relu %g up(%u) down(%d) : tensor<?x?x8xf32>, tensor<8x6xf32> down tensor<6x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %dense : tensor<?x?x8xf32>
    } : tensor<?x?x8xf32> -> tensor<?x?x8xf32>
    return %y : tensor<?x?x8xf32>
  }
}
