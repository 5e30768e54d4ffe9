// RUN: uoe-opt %s --raise-ffn --raise-report -o /dev/null 2>&1 | FileCheck %s
// RUN: uoe-opt %s --raise-ffn --raise-report="json file=%t.json" -o /dev/null
// RUN: FileCheck %s --check-prefix=JSON --input-file=%t.json
// RUN: uoe-opt %s --raise-report -o /dev/null 2>&1 | FileCheck %s --check-prefix=BEFORE
// RUN: not uoe-opt %s --raise-report="file=%t.missing/report.txt" -o /dev/null 2>&1 | FileCheck %s --check-prefix=UNWRITABLE

// CHECK: raised: 1 feed-forward, 0 attention; missed candidates: 1
// CHECK-NEXT: layer.0.ffn: silu, gated, 8 -> 16 -> 8
// CHECK-NEXT: missed ffn at Gemm 'head': shape: maps 8 to 4, a head rather than a block of a layer

// JSON: "activation": "silu"
// JSON: "gated": true
// JSON: "hidden": 16
// JSON: "layer": 0
// JSON: "name": "layer.0.ffn"
// JSON: "candidate": "Gemm 'head'"
// JSON: "reason": "shape: maps 8 to 4, a head rather than a block of a layer"

// BEFORE: missed ffn at MatMul 'down': not raised yet; run raise-ffn

// UNWRITABLE: error: cannot write the report to
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @f(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>) {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    %c = onnx.node "Constant"() {value = dense<0.5> : tensor<16x4xf32>} : () -> tensor<16x4xf32>
    %g = onnx.node "MatMul"(%x, %u) : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    %s = onnx.node "Swish"(%g) : (tensor<?x16xf32>) -> tensor<?x16xf32>
    %h = onnx.node "MatMul"(%x, %u) : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    %m = onnx.node "Mul"(%s, %h) : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %y = onnx.node "MatMul"(%m, %d) fields {name = "down"} : (tensor<?x16xf32>, tensor<16x8xf32>) -> tensor<?x8xf32>
    %k = onnx.node "MatMul"(%x, %u) : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    %r = onnx.node "Relu"(%k) : (tensor<?x16xf32>) -> tensor<?x16xf32>
    %z = onnx.node "Gemm"(%r, %c) fields {name = "head"} : (tensor<?x16xf32>, tensor<16x4xf32>) -> tensor<?x4xf32>
    return %y, %z : tensor<?x8xf32>, tensor<?x4xf32>
  }
}
