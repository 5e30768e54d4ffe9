// What has no ONNX form is refused by name, and nothing is written.
// RUN: rm -rf %t && split-file %s %t
// RUN: not uoe-opt %t/op.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=OP
// RUN: not uoe-opt %t/type.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: not uoe-opt %t/two.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=TWO
// RUN: not uoe-opt %t/none.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=NO-GRAPH
// RUN: not uoe-opt %t/attribute.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=ATTRIBUTE
// RUN: not uoe-opt %t/rest.mlir -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=REST
// RUN: not uoe-opt %t/op.mlir --split-input-file -o %t/out.onnx 2>&1 | FileCheck %s --check-prefix=SPLIT
// RUN: not ls %t/out.onnx

// OP: op.mlir:2:8: error: 'math.absf' op has no ONNX form: lower it to onnx.node before export
//--- op.mlir
func.func @main_graph(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = math.absf %x : tensor<2xf32>
  return %y : tensor<2xf32>
}
// TYPE: error: value "index" has type 'tensor<2xindex>', which ONNX does not have
//--- type.mlir
func.func @main_graph(%x: tensor<2xindex> {onnx.name = "index"}) -> tensor<2xindex> {
  return %x : tensor<2xindex>
}
// TWO: two.mlir:4:1: error: {{.*}}has no ONNX form: @main_graph is the graph, and this function lacks onnx.function
//--- two.mlir
func.func @main_graph(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}
func.func @helper(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}
// NO-GRAPH: error: {{.*}}has no function to write as the model's graph
//--- none.mlir
module {}
// ATTRIBUTE: attribute "a" = @somewhere can't be written: has no ONNX form
//--- attribute.mlir
func.func @main_graph(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.node "Neg"(%x) {a = @somewhere} : (tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}
// REST: has broken fields
//--- rest.mlir
func.func @main_graph(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.node "Neg"(%x) fields {rest = #onnx.proto<"NodeProto", "FF">} : (tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}
// SPLIT: error: --split-input-file and --verify-diagnostics give no ONNX model
