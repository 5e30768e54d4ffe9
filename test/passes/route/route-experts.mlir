// REQUIRES: onnx
// RUN: rm -rf %t && mkdir -p %t/a %t/b
// RUN: %python %S/Inputs/block.py %t
// RUN: uoe-opt %t/block.mlir --route-experts="profile=%t/profile budget=0.6 expert-size=4" -o %t/a/routed.mlir
// RUN: FileCheck %s --input-file %t/a/routed.mlir

// An always-on core of 8 neurons, a linear router, a threshold, 6 experts of 4 with a row for each that is skipped.
// CHECK-LABEL: func.func @main_graph
// CHECK: %[[CORE:.*]] = uoe.ffn silu %arg0 up(%{{.*}} + %{{.*}}) gate(%{{.*}}) down(%{{.*}}) attributes {uoe.core} : {{.*}} tensor<8x16xf32> -> tensor<?x?x16xf32>
// CHECK: %[[S:.*]] = uoe.score linear %arg0 weights(%{{.*}}) bias(%{{.*}}) : tensor<?x?x16xf32> weights tensor<16x6xf32> bias tensor<6xf32> -> tensor<?x?x6xf32>
// CHECK: %[[R:.*]] = uoe.select %[[S]] threshold {tau = {{[0-9.eE+-]+}} : f32} : tensor<?x?x6xf32> -> <6>
// CHECK: %[[E:.*]] = uoe.experts(%arg0) sliced({{.*}}) axes [1, 1, 0, 0] sizes [6 x 4] routing(%[[R]]) skip(%{{.*}}) combine sum
// CHECK-SAME: name = "layer.0.ffn", uoe.active = {{0\.[45].*}} : f64, uoe.core_size = 8 : i64, uoe.cost = {{0\.(59|60)[0-9]*}} : f64, uoe.error = {{0\.[0-9]+}} : f64, uoe.multiply_adds = 1.536000e+03 : f64, uoe.recipe = "experts"
// CHECK: %[[SUM:.*]] = onnx.node "Add"(%[[CORE]], %[[E]])
// CHECK: %[[Y:.*]] = onnx.node "Add"(%[[SUM]], %{{.*}})
// CHECK: uoe.score linear %[[Y]]
// CHECK: uoe.experts({{.*}}name = "layer.1.ffn"

// The same inputs give the same bytes, weights included; what is routed already stays.
// RUN: uoe-opt %t/block.mlir --route-experts="profile=%t/profile budget=0.6 expert-size=4" -o %t/b/routed.mlir
// RUN: cmp %t/a/routed.mlir.data %t/b/routed.mlir.data
// RUN: diff %t/a/routed.mlir %t/b/routed.mlir
// RUN: uoe-opt %t/a/routed.mlir --route-experts="profile=%t/profile budget=0.3 expert-size=4" -o %t/a/again.mlir && diff %t/a/again.mlir %t/a/routed.mlir

// A block's own budget goes before the option; a budget of 1 leaves it dense.
// RUN: sed 's/name = "layer.0.ffn"/name = "layer.0.ffn", uoe.budget = 1.0 : f64/; s/name = "layer.1.ffn"/name = "layer.1.ffn", uoe.budget = 0.7 : f64/' %t/block.mlir > %t/budgets.mlir
// RUN: uoe-opt %t/budgets.mlir --route-experts="profile=%t/profile budget=0.6 expert-size=4" 2>/dev/null | FileCheck %s --check-prefix=OWN
// OWN: uoe.ffn silu %arg0 {{.*}}name = "layer.0.ffn", uoe.budget = 1.000000e+00 : f64}
// OWN: name = "layer.1.ffn", uoe.active = {{.*}} uoe.budget = 0.69{{.*}} uoe.cost = {{0\.(6[789]|7[012])[0-9]*}} : f64

// Decisions are obeyed when they are edited: a threshold that chooses every expert, one that chooses none, other sizes.
// RUN: sed 's/tau = [0-9.eE+-]* : f32/tau = -1000.0 : f32/' %t/a/routed.mlir > %t/a/all.mlir
// RUN: sed 's/tau = [0-9.eE+-]* : f32/tau = 1000.0 : f32/' %t/a/routed.mlir > %t/a/none.mlir
// RUN: sed 's/sizes \[6 x 4\]/sizes [8, 2, 6, 3, 4, 1]/; s/tensor<16x4xf32>/tensor<16x?xf32>/g; s/tensor<4x16xf32>/tensor<?x16xf32>/g; s/tensor<4xf32>/tensor<?xf32>/g' %t/a/routed.mlir > %t/a/sizes.mlir
// RUN: %python %S/Inputs/differ.py %t routed=a/routed.mlir a/all.mlir a/none.mlir a/sizes.mlir | FileCheck %s --check-prefix=EDIT
// EDIT: a/all.mlir differs, fused and plain agree
// EDIT: a/none.mlir differs, fused and plain agree
// EDIT: a/sizes.mlir differs, fused and plain agree

// Messages.
// RUN: not uoe-opt %t/block.mlir --route-experts="profile=%t/none" 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: route-experts: cannot read '{{.*}}none': No such file
// RUN: not uoe-opt %t/block.mlir --route-experts="profile=%t/x.npy" 2>&1 | FileCheck %s --check-prefix=BROKEN
// BROKEN: error: route-experts: '{{.*}}x.npy' is no profile
// RUN: not uoe-opt %t/block.mlir --route-experts="profile=%t/profile budget=0.05 expert-size=4" 2>&1 | FileCheck %s --check-prefix=LITTLE
// LITTLE: error: layer.0.ffn: expected a budget of at least {{.*}}, found 0.05
// RUN: not uoe-opt %t/block.mlir --route-experts="profile=%t/profile expert-size=0" 2>&1 | FileCheck %s --check-prefix=SIZE
// SIZE: error: layer.0.ffn: expert size: expected at least 1, found 0
// RUN: uoe-opt %s --verify-diagnostics --route-experts="profile=%t/profile"

module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  func.func @main_graph(%x: tensor<?x8xf32>, %u: tensor<8x16xf32>) -> tensor<?x8xf32> {
    %d = onnx.node "Constant"() {value = dense<0.5> : tensor<16x8xf32>} : () -> tensor<16x8xf32>
    // expected-remark @below {{layer.7.ffn is left dense: a weight is no constant}}
    %0 = uoe.ffn relu %x up(%u) down(%d) attributes {layer = 7 : i64} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
    %v = onnx.node "Constant"() {value = dense<0.5> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    // expected-remark @below {{other is left as it is: the profile has no 'other:input'}}
    %1 = uoe.ffn relu %0 up(%v) down(%d) attributes {name = "other"} : tensor<?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x8xf32>
    return %1 : tensor<?x8xf32>
  }
}
