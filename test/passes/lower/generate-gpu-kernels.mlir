// Kernels of elementwise loops on a GPU: in the gpu dialect, in NVVM, as PTX.
// RUN: uoe-opt %S/Inputs/elementwise.mlir --generate-gpu-kernels | FileCheck %s
// RUN: uoe-opt %S/Inputs/elementwise.mlir --generate-gpu-kernels --lower-gpu-kernels | FileCheck %s --check-prefix NVVM
// RUN: uoe-opt %S/Inputs/elementwise.mlir --emit-ptx=chip=sm_90a -o /dev/null | FileCheck %s --check-prefix PTX
// RUN: uoe-opt %S/Inputs/elementwise.mlir --emit-ptx="chip=sm_80 file=%t.ptx" -o /dev/null
// RUN: FileCheck %s --check-prefix SM80 --input-file %t.ptx
// RUN: not uoe-opt %S/Inputs/elementwise.mlir --emit-ptx=chip=sm_8x -o /dev/null 2>&1 | FileCheck %s --check-prefix CHIP
// RUN: not uoe-opt %s --emit-ptx -o /dev/null 2>&1 | FileCheck %s --check-prefix NONE

// Every element of the first is a turn of a grid-stride loop. Operands are found from the loops' lengths and strides.
// CHECK: gpu.module @generated
// CHECK: gpu.func @elementwise_0(%{{.*}}: !llvm.ptr<1>, {{.*}}, %[[COUNT:.*]]: i64) kernel
// CHECK: gpu.thread_id x
// CHECK: gpu.block_id x
// CHECK: gpu.block_dim x
// CHECK: gpu.grid_dim x
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[COUNT]] step %{{.*}} : i64
// CHECK: arith.divui
// CHECK: gpu.return

// A row is a warp's: lanes take elements in turn, and what they have is joined by shuffles.
// CHECK: gpu.func @elementwise_1
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: arith.subf
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: gpu.return
// CHECK: gpu.func @elementwise_2

// NVVM: llvm.func @elementwise_0{{.*}} attributes {{{.*}}nvvm.kernel
// NVVM: nvvm.read.ptx.sreg.tid.x
// NVVM-NOT: __nv_
// NVVM: llvm.func @elementwise_1
// NVVM-COUNT-10: nvvm.shfl.sync bfly

// No function is called, and the target is the one that was asked for.
// PTX: .target sm_90a
// PTX-NOT: call
// PTX-NOT: __nv_
// PTX: .visible .entry elementwise_0(
// PTX: ld.global
// PTX: sqrt.rn.f32
// PTX: st.global
// PTX: .visible .entry elementwise_1(
// PTX-COUNT-10: shfl.sync.bfly.b32
// PTX: .visible .entry elementwise_2(
// PTX-NOT: .extern
// SM80: .target sm_80

// CHIP: unknown chip 'sm_8x'; expected one such as sm_80 or sm_90a
// NONE: has no rt.elementwise to make kernels of; run pass outline-elementwise first
