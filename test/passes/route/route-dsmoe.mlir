// A pretrained block as DSMoE starts from it.
// REQUIRES: uoe-run
// RUN: rm -rf %t && mkdir -p %t
// RUN: uoe-opt %s --route-dsmoe="experts=4 seed=3" -o %t/a.mlir 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: FileCheck %s < %t/a.mlir

// Ten neurons in four groups, as they lie; the bias of the down matrix is added once, outside.
// CHECK: %[[S:.*]] = uoe.score linear %arg0 weights(%{{.*}}) : tensor<?x?x8xf32{{.*}}> weights tensor<8x4xf32> -> tensor<?x?x4xf32{{.*}}>
// CHECK: %[[R:.*]] = uoe.select %[[S]] threshold {scaling = #uoe<scaling n_over_active>, scoring = #uoe<scoring sigmoid>, tau = 5.000000e-01 : f32, weight = #uoe<weight_rule gate>}
// CHECK: %[[E:.*]] = uoe.experts(%arg0) sliced(%[[U:.*]], %[[G:.*]], %[[D:.*]], %{{.*}}) axes [1, 1, 0, 0] sizes [2 x 3, 2 x 2] routing(%[[R]]) combine sum
// CHECK-SAME: name = "layer.0.ffn", uoe.recipe = "dsmoe"
// CHECK: uoe.ffn silu
// CHECK: onnx.node "Add"(%[[E]], %{{.*}})
// REMARK: remark: narrow is left dense: it has 3 neurons for 4 experts

// The same seed gives the same router, another seed another.
// RUN: uoe-opt %s --route-dsmoe="experts=4 seed=3" -o %t/b.mlir 2>/dev/null
// RUN: uoe-opt %s --route-dsmoe="experts=4 seed=4" -o %t/c.mlir 2>/dev/null
// RUN: diff %t/a.mlir %t/b.mlir
// RUN: not diff -q %t/a.mlir %t/c.mlir

// All gates open: the dense block. At the paper's threshold it is another one, and with zero weights nothing is active.
// RUN: uoe-opt %s --route-dsmoe="experts=4 tau=-1 weight=unit" -o %t/open.mlir 2>/dev/null
// RUN: uoe-run compare %s %t/open.mlir --seq 7 --batch 3 --runs 3 --tolerance 1e-6
// RUN: uoe-run compare %s %t/open.mlir --seq 7 --batch 3 --tolerance 1e-6 --no-fuse
// RUN: not uoe-run compare %s %t/a.mlir --seq 7 --batch 3 --tolerance 1e-2
// RUN: uoe-opt %s --route-dsmoe="experts=4 router=zero" -o %t/none.mlir 2>/dev/null
// RUN: uoe-run run %t/none.mlir --seq 7 | FileCheck %s --check-prefix=NONE
// Every gate is exactly at tau, which is not above it: what is left is the bias, 0.25.
// NONE: y {{.*}}0.25

// RUN: not uoe-opt %s --route-dsmoe="experts=0" -o /dev/null 2>&1 | FileCheck %s --check-prefix=EXPERTS
// EXPERTS: error: route-dsmoe: experts is at least 1, found 0
// RUN: not uoe-opt %s --route-dsmoe="tau=1" -o /dev/null 2>&1 | FileCheck %s --check-prefix=TAU
// TAU: error: route-dsmoe: tau is below 1, which no sigmoid exceeds, found 1
// RUN: not uoe-opt %s --route-dsmoe="weight=half" -o /dev/null 2>&1 | FileCheck %s --check-prefix=WEIGHT
// WEIGHT: error: route-dsmoe: weight is gate or unit, found 'half'
// RUN: not uoe-opt %s --route-dsmoe="router=random" -o /dev/null 2>&1 | FileCheck %s --check-prefix=ROUTER
// ROUTER: error: route-dsmoe: router is seeded or zero, found 'random'
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  onnx.initializer @u : tensor<8x10xf32> = dense<"0x00000000000000000000003F0000803F000080BF000040BF0000203F0000803F000000BF0000C0BE0000403F000000BE000000BF0000403F000000BF000080BE0000803E0000003E000060BF000080BF0000403F0000003F0000403F0000003E0000203F0000C0BE000000BE0000203F000040BF0000C0BE000040BF000000BE0000803F000040BF000080BE000080BE0000603F000020BF00000000000000BF000080BF0000003F000060BF000000BF0000000000000000000060BF0000803F0000003F0000803F000060BF0000003F000000BF0000003E0000603F000000BF0000003F000040BF0000C0BE0000803F000000BE00000000000000BF000060BF000000BE0000803E000000BE0000203F000080BE0000803E0000203F0000603F000000BE000080BF0000003F000000000000403F000000BE000080BE000060BF"> : tensor<8x10xf32>
  onnx.initializer @g : tensor<8x10xf32> = dense<"0x000000BE0000803E0000203F0000403F000020BF0000803E0000203F000000BF0000C0BE0000403F0000003E000000000000C03E000000000000803F0000003F000080BF000040BF0000003E0000203F000060BF0000C03E0000003F0000203F0000403F000020BF0000003E0000203F000080BE000020BF00000000000060BF000020BF0000403F0000C03E0000403F0000403F0000403F0000C0BE000000000000803E000000BF0000603F000080BF0000403F0000803E000000BF0000003F000000BE0000403F0000803F000000BF000000BE000020BF0000C03E0000803E0000403F0000203F0000803F0000803F0000603F000040BF000080BF000000000000C0BE0000603F0000203F000000BE0000003E0000803E0000603F000080BF000000000000C03E000000BE0000603F0000803F0000403F000000BE0000603F"> : tensor<8x10xf32>
  onnx.initializer @bu : tensor<10xf32> = dense<0.125> : tensor<10xf32>
  onnx.initializer @d : tensor<10x8xf32> = dense<"0x000060BF0000C03E000000BF000000BF0000C03E0000203F0000603F000020BF0000403F0000403F0000C0BE000060BF0000203F0000403F000000BE000040BF000040BF000080BE0000003F0000C0BE000080BF0000C03E0000003F000020BF0000003E000080BE00000000000080BF0000803E000000BF0000003E000000BE0000803E000060BF000080BE0000803E0000203F000080BE000080BF0000003F000000000000C03E000040BF000000BE0000603F0000403F0000C0BE0000803E000060BF0000203F000000BF0000C0BE0000803F0000003E0000403F000020BF0000003F0000803F000060BF000000BF000040BF000000BF0000C0BE000060BF0000603F000000BF0000603F0000003F000040BF0000C03E0000203F000040BF000040BF000080BE000060BF000000BE000000000000C03E0000003E000000BE"> : tensor<10x8xf32>
  onnx.initializer @bd : tensor<8xf32> = dense<0.25> : tensor<8xf32>
  onnx.initializer @narrow : tensor<8x3xf32> = dense<0.5> : tensor<8x3xf32>
  onnx.initializer @back : tensor<3x8xf32> = dense<0.0> : tensor<3x8xf32>
  func.func @main_graph(%x: tensor<?x?x8xf32, #onnx.dims<"batch", "seq", "">> {onnx.name = "x"}) -> (tensor<?x?x8xf32> {onnx.name = "y"}, tensor<?x?x8xf32> {onnx.name = "z"}) {
    %u = onnx.weight @u : tensor<8x10xf32>
    %g = onnx.weight @g : tensor<8x10xf32>
    %bu = onnx.weight @bu : tensor<10xf32>
    %d = onnx.weight @d : tensor<10x8xf32>
    %bd = onnx.weight @bd : tensor<8xf32>
    %n = onnx.weight @narrow : tensor<8x3xf32>
    %b = onnx.weight @back : tensor<3x8xf32>
    %y = uoe.ffn silu %x up(%u + %bu) gate(%g) down(%d + %bd) attributes {name = "layer.0.ffn"} : tensor<?x?x8xf32, #onnx.dims<"batch", "seq", "">>, tensor<8x10xf32>, tensor<10xf32> gate tensor<8x10xf32> down tensor<10x8xf32>, tensor<8xf32> -> tensor<?x?x8xf32>
    %z = uoe.ffn relu %x up(%n) down(%b) attributes {name = "narrow"} : tensor<?x?x8xf32, #onnx.dims<"batch", "seq", "">>, tensor<8x3xf32> down tensor<3x8xf32> -> tensor<?x?x8xf32>
    return %y, %z : tensor<?x?x8xf32>, tensor<?x?x8xf32>
  }
}
