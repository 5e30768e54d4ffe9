// A conversion refuses a model in which a choice looks ahead of causal attention, and writes nothing; or warns, if asked to.
// RUN: rm -rf %t && mkdir %t
// RUN: not uoe-opt %s --experts 2 -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=ERROR
// RUN: not ls %t/out.mlir
// RUN: uoe-opt %s --experts 2 --allow-look-ahead -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=WARNING
// RUN: FileCheck %s --check-prefix=OUT < %t/out.mlir
// ERROR: error: uoe.select looks ahead in a model whose attention is causal: capacity_share: each expert chooses its tokens among all of a sample
// ERROR: note: causal attention is here
// WARNING: warning: uoe.select looks ahead
// OUT: capacity_share
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x2x?x8xf32> {onnx.name = "x"}, %t: tensor<?x?x8xf32> {onnx.name = "t"}, %s: tensor<?x?x2xf32> {onnx.name = "s"}, %u: tensor<8x16xf32> {onnx.name = "u"},
                        %d: tensor<16x8xf32> {onnx.name = "d"}) -> (tensor<?x2x?x8xf32> {onnx.name = "a"}, tensor<?x?x8xf32> {onnx.name = "y"}) {
    %a = uoe.attention %x, %x, %x attributes {scale = 0.5 : f32, causal} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %r = uoe.select %s all {scoring = #uoe<scoring softmax>, capacity_share = 0.5 : f32} : tensor<?x?x2xf32> -> <2>
    %y = uoe.experts(%t) sliced(%u, %d) axes [1, 0] sizes [2 x 8] routing(%r) combine sum {
    ^bb0(%h: tensor<?x?x8xf32>, %ui: tensor<8x8xf32>, %di: tensor<8x8xf32>):
      %o = uoe.ffn relu %h up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x?x8xf32>
      uoe.yield %o : tensor<?x?x8xf32>
    } : shared tensor<?x?x8xf32> sliced tensor<8x16xf32>, tensor<16x8xf32> routing !uoe.routing<2> -> tensor<?x?x8xf32>
    return %a, %y : tensor<?x2x?x8xf32>, tensor<?x?x8xf32>
  }
}
