// A generated kernel, as --print-kernels shows it, and that it is one: --no-generate and --no-fuse do without.
// REQUIRES: uoe-run
// RUN: uoe-run bench %s --runs 1 --min-time 0 --dim n=1000 --print-kernels > %t.txt 2> %t.kernels
// RUN: FileCheck %s --input-file %t.kernels
// RUN: FileCheck %s --input-file %t.txt --check-prefix BENCH
// RUN: uoe-run bench %s --runs 1 --min-time 0 --dim n=1000 --no-generate | FileCheck %s --check-prefix NONE
// RUN: uoe-run bench %s --runs 1 --min-time 0 --dim n=1000 --no-fuse | FileCheck %s --check-prefix NONE

// Both layers share one function: the bodies are equal, and bytes hold the bits of bool.
// CHECK: llvm.func @elementwise_0(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: !llvm.ptr)
// CHECK: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK: arith.mulf %{{.*}}, %{{.*}} : vector<16xf32>
// CHECK: arith.addf
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : vector<16xf32>, !llvm.ptr
// CHECK-NOT: llvm.func

// BENCH: compile {{.*}}, of which {{.*}} for 1 generated kernel{{$}}
// BENCH: uoe.Elementwise 2
// NONE-NOT: generated
// NONE-NOT: uoe.Elementwise
// NONE: Mul 2
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @axis : tensor<i64> = dense<0> : tensor<i64>
  func.func @main_graph(%x: tensor<?x8xf32, #onnx.dims<"n", "">> {onnx.name = "x"}, %b: tensor<8xf32> {onnx.name = "b"}) -> (tensor<?x8xf32, #onnx.dims<"n", "">> {onnx.name = "y"}) {
    %axis = onnx.weight @axis : tensor<i64>
    %0 = onnx.node "Mul"(%x, %b) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<8xf32>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    %1 = onnx.node "Add"(%0, %x) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<?x8xf32, #onnx.dims<"n", "">>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    %2 = onnx.node "CumSum"(%1, %axis) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<i64>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    %3 = onnx.node "Mul"(%2, %b) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<8xf32>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    %4 = onnx.node "Add"(%3, %2) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<?x8xf32, #onnx.dims<"n", "">>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    return %4 : tensor<?x8xf32, #onnx.dims<"n", "">>
  }
}
