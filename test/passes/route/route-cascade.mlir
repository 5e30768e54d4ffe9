// REQUIRES: onnx
// RUN: rm -rf %t && mkdir -p %t/a %t/b
// RUN: %python %S/Inputs/block.py %t
// RUN: uoe-opt %t/block.mlir --route-cascade="profile=%t/profile budget=0.6" -o %t/a/routed.mlir
// RUN: FileCheck %s --input-file %t/a/routed.mlir

// Four stages: channels of the input into the gate, neurons by their gate, channels into the up matrix, neurons into the down matrix.
// CHECK-LABEL: func.func @main_graph
// CHECK: %[[Z:.*]] = onnx.node "Sub"(%arg0, %{{.*}})
// CHECK: %[[S1:.*]] = uoe.score magnitude %[[Z]]
// CHECK: %[[R1:.*]] = uoe.select %[[S1]] threshold {tau = {{[0-9.]+}} : f32} : tensor<?x?x16xf32> -> <16>
// CHECK: %[[G1:.*]] = uoe.experts() sliced(%[[Z]], %{{.*}}) axes [2, 0] sizes [16 x 1] routing(%[[R1]]) combine sum
// CHECK: %[[G2:.*]] = onnx.node "Add"(%[[G1]]
// CHECK: %[[SIGMA:.*]] = onnx.node "Sigmoid"(%[[G2]])
// CHECK: %[[G:.*]] = onnx.node "Mul"(%[[G2]], %[[SIGMA]])
// CHECK: %[[S2:.*]] = uoe.score magnitude %[[G]]
// CHECK: %[[R2:.*]] = uoe.select %[[S2]] threshold {tau = {{[0-9.]+}} : f32} : tensor<?x?x32xf32> -> <32>
// CHECK: %[[S3:.*]] = uoe.score magnitude %[[Z]]
// CHECK: %[[R3:.*]] = uoe.select %[[S3]] threshold
// CHECK: %[[U1:.*]] = uoe.experts() sliced(%[[Z]], %{{.*}}) axes [2, 0] sizes [16 x 1] routing(%[[R3]]) combine sum
// CHECK: %[[U:.*]] = onnx.node "Add"(%[[U1]]
// CHECK: %[[H:.*]] = uoe.experts() sliced(%[[G]], %[[U]]) axes [2, 2] sizes [32 x 1] routing(%[[R2]]) combine concat
// CHECK: %[[S4:.*]] = uoe.score magnitude %[[H]]
// CHECK: %[[R4:.*]] = uoe.select %[[S4]] threshold
// CHECK: uoe.experts() sliced(%[[H]], %{{.*}}) axes [2, 0] sizes [32 x 1] routing(%[[R4]]) combine sum attributes {name = "layer.0.ffn", uoe.cost = {{0\.(5[89]|6[01])[0-9]*}} : f64, uoe.error = {{0\.0[0-9]+}} : f64, uoe.multiply_adds = 1.536000e+03 : f64, uoe.recipe = "cascade"}
// CHECK: name = "layer.1.ffn"

// A block without a gate has two stages.
// RUN: %python %S/Inputs/block.py %t/plain plain
// RUN: uoe-opt %t/plain/block.mlir --route-cascade="profile=%t/plain/profile budget=0.6" -o %t/plain/routed.mlir
// RUN: FileCheck %s --input-file %t/plain/routed.mlir --check-prefix=PLAIN
// PLAIN-COUNT-4: uoe.experts() sliced({{.*}}) axes [2, 0] sizes
// PLAIN-NOT: uoe.experts(

// Both are executed by one call a block, also after activations took their canonical spelling (Swish).
// RUN: uoe-opt %t/a/routed.mlir --pass-pipeline="builtin.module(execute)" | FileCheck %s --check-prefix=FUSED
// RUN: uoe-opt %t/plain/routed.mlir --pass-pipeline="builtin.module(execute)" | FileCheck %s --check-prefix=FUSED
// FUSED-COUNT-2: rt.call "uoe" "Cascade"
// FUSED-NOT: onnx.node

// The same inputs give the same bytes; what is routed already stays.
// RUN: uoe-opt %t/block.mlir --route-cascade="profile=%t/profile budget=0.6" -o %t/b/routed.mlir
// RUN: sed 's,%t/a,%t/b,' %t/a/routed.mlir | diff - %t/b/routed.mlir
// RUN: uoe-opt %t/a/routed.mlir --route-cascade="profile=%t/profile budget=0.3" | diff - %t/a/routed.mlir

// Budgets: a block's own, and one that leaves it dense. Without the search the rates are measured ones.
// RUN: sed 's/name = "layer.0.ffn"/name = "layer.0.ffn", uoe.budget = 1.0 : f64/; s/name = "layer.1.ffn"/name = "layer.1.ffn", uoe.budget = 0.8 : f64/' %t/block.mlir > %t/budgets.mlir
// RUN: uoe-opt %t/budgets.mlir --route-cascade="profile=%t/profile budget=0.6 search=false" 2>/dev/null | FileCheck %s --check-prefix=OWN
// OWN: uoe.ffn silu %arg0 {{.*}}name = "layer.0.ffn", uoe.budget = 1.000000e+00 : f64}
// OWN: name = "layer.1.ffn", uoe.budget = 8.000000e-01 : f64, uoe.cost = {{0\.(79|8[01])[0-9]*}} : f64

// Thresholds are obeyed when they are edited.
// RUN: sed 's/tau = [0-9.eE+-]* : f32/tau = -1.0 : f32/' %t/a/routed.mlir > %t/all.mlir
// RUN: sed 's/tau = [0-9.eE+-]* : f32/tau = 0.5 : f32/' %t/a/routed.mlir > %t/half.mlir
// RUN: sed 's/tau = [0-9.eE+-]* : f32/tau = -1.0 : f32/' %t/plain/routed.mlir > %t/plain-all.mlir
// RUN: %python %S/Inputs/differ.py %t routed=a/routed.mlir all.mlir half.mlir | FileCheck %s --check-prefix=EDIT
// RUN: %python %S/Inputs/differ.py %t routed=plain/routed.mlir plain-all.mlir | FileCheck %s --check-prefix=EDIT-PLAIN
// EDIT: all.mlir differs, fused and plain agree
// EDIT: half.mlir differs, fused and plain agree
// EDIT-PLAIN: plain-all.mlir differs, fused and plain agree

// Messages.
// RUN: not uoe-opt %t/block.mlir --route-cascade="profile=%t/none" 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: route-cascade: cannot read '{{.*}}none': No such file
// RUN: uoe-opt %s --verify-diagnostics --route-cascade="profile=%t/profile"

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @nan : tensor<8x16xf32> = dense<0x7FC00000> : tensor<8x16xf32>
  func.func @main_graph(%x: tensor<?x8xf16>, %z: tensor<*xf32>) -> (tensor<?x8xf16>, tensor<*xf32>) {
    %u = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf16>} : () -> tensor<8x16xf16>
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf16>} : () -> tensor<16x8xf16>
    // expected-remark @below {{layer.7.ffn is left dense: its activations are no float32}}
    %0 = uoe.ffn relu %x up(%u) down(%d) attributes {layer = 7 : i64} : tensor<?x8xf16>, tensor<8x16xf16> down tensor<16x8xf16> -> tensor<?x8xf16>
    %v = onnx.weight @nan : tensor<8x16xf32>
    %e = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    // expected-remark @below {{unranked is left dense: its rank is not known}}
    %1 = uoe.ffn relu %z up(%v) down(%e) attributes {name = "unranked"} : tensor<*xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<*xf32>
    return %0, %1 : tensor<?x8xf16>, tensor<*xf32>
  }
}
