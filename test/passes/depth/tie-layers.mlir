// RUN: uoe-opt %s --split-input-file --tie-layers="rank=0" 2>&1 | FileCheck %s --check-prefix=TIED
// RUN: uoe-opt %s --split-input-file --tie-layers="rank=0 base=first" 2>&1 | FileCheck %s --check-prefix=FIRST
// RUN: uoe-opt %s --split-input-file --tie-layers="rank=1" 2>&1 | FileCheck %s --check-prefix=ONE
// RUN: uoe-opt %s --split-input-file --tie-layers="rank=0 layers=2" 2>&1 | FileCheck %s --check-prefix=GROUPS
// RUN: sed '/^\/\/ -----$/,$d' %s > %t.mlir
// RUN: uoe-opt %t.mlir --tie-layers="rank=0" --roll-layers 2>/dev/null | FileCheck %s --check-prefix=LOOP
// RUN: not uoe-opt %t.mlir --tie-layers="base=median" 2>&1 | FileCheck %s --check-prefix=INVALID
// INVALID: tie-layers: rank is 0 or more, layers 1 or more, base mean or first; found 8, 1 and median

// Full rank is the model itself, rank 1 something else; rolled or not.
// RUN: uoe-opt %t.mlir --tie-layers="rank=2" -o %t.full.mlir
// RUN: uoe-opt %t.mlir --tie-layers="rank=2" --roll-layers="max-untied=0.9" -o %t.loop.mlir && FileCheck %s --check-prefix=EACH --input-file %t.loop.mlir
// RUN: uoe-run compare %t.mlir %t.full.mlir --dim B=5 --tolerance 1e-5
// RUN: uoe-run compare %t.mlir %t.loop.mlir --dim B=5 --tolerance 1e-5
// RUN: uoe-run compare %t.mlir %t.loop.mlir --dim B=0 --tolerance 1e-5
// RUN: uoe-opt %t.mlir --tie-layers="rank=0" -o %t.none.mlir
// RUN: not uoe-run compare %t.mlir %t.none.mlir --dim B=5 --tolerance 1e-2

// The mean, or the first. Vectors are tied as well at rank 0, and kept from rank 1 on.
// TIED: remark: 2 weights are shared by 2 iterations; relative squared error of the matrices 0.0
// TIED-DAG: onnx.initializer @{{"?}}b0.tied{{.*}} dense<[2.000000e+00, 3.000000e+00]>
// TIED-DAG: onnx.initializer @{{"?}}w0.tied{{.*}} dense<{{\[\[}}2.000000e+00, 2.000000e+00], [3.000000e+00, 5.000000e+00]]>
// FIRST: onnx.initializer @{{"?}}w0.tied{{.*}} dense<{{\[\[}}1.000000e+00, 2.000000e+00], [3.000000e+00, 4.000000e+00]]>
// ONE: remark: 1 weights are shared by 2 iterations
// ONE-DAG: onnx.initializer @b0
// ONE-DAG: onnx.initializer @b1
// ONE-DAG: onnx.initializer @{{"?}}w0.tied.in.0{{.*}} tensor<2x1xf32>
// ONE-DAG: onnx.initializer @{{"?}}w0.tied.out.1{{.*}} tensor<1x2xf32>
// LOOP: uoe.recur({{.*}}) times 2
// Two residuals from their mean are each other's negative: one factor is the same, the other and the vector are each iteration's own.
// EACH: uoe.recur({{.*}}) each(%{{[0-9]+}}, %{{[0-9]+}}) times 2
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  onnx.initializer @w0 : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  onnx.initializer @w1 : tensor<2x2xf32> = dense<[[3.0, 2.0], [3.0, 6.0]]> : tensor<2x2xf32>
  onnx.initializer @b0 : tensor<2xf32> = dense<[1.0, 2.0]> : tensor<2xf32>
  onnx.initializer @b1 : tensor<2xf32> = dense<[3.0, 4.0]> : tensor<2xf32>
  func.func @main_graph(%x: tensor<?x2xf32, #onnx.dims<"B", "">> {onnx.name = "x"}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
    %w0 = onnx.weight @w0 : tensor<2x2xf32>
    %w1 = onnx.weight @w1 : tensor<2x2xf32>
    %b0 = onnx.weight @b0 : tensor<2xf32>
    %b1 = onnx.weight @b1 : tensor<2xf32>
    %m0 = onnx.node "MatMul"(%x, %w0) : (tensor<?x2xf32, #onnx.dims<"B", "">>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %a0 = onnx.node "Add"(%m0, %b0) : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
    %h0 = onnx.node "Tanh"(%a0) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m1 = onnx.node "MatMul"(%h0, %w1) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %a1 = onnx.node "Add"(%m1, %b1) : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
    %h1 = onnx.node "Tanh"(%a1) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    return %h1 : tensor<?x2xf32>
  }
}

// -----

// Groups of two layers: the first with the third, the second with the fourth.
// GROUPS: remark: nothing is tied: no layers are alike but for their weights, or they do not fill two groups of 2
// GROUPS: remark: 2 weights are shared by 2 iterations; relative squared error of the matrices 0
// GROUPS-DAG: onnx.initializer @{{"?}}a.tied
// GROUPS-DAG: onnx.initializer @{{"?}}b.tied
// GROUPS: func.func
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  onnx.initializer @a : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  onnx.initializer @b : tensor<2x2xf32> = dense<[[5.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  onnx.initializer @c : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.5]]> : tensor<2x2xf32>
  onnx.initializer @d : tensor<2x2xf32> = dense<[[5.0, 2.0], [3.0, 4.5]]> : tensor<2x2xf32>
  func.func @main_graph(%x: tensor<?x2xf32> {onnx.name = "x"}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
    %a = onnx.weight @a : tensor<2x2xf32>
    %b = onnx.weight @b : tensor<2x2xf32>
    %c = onnx.weight @c : tensor<2x2xf32>
    %d = onnx.weight @d : tensor<2x2xf32>
    %m0 = onnx.node "MatMul"(%x, %a) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h0 = onnx.node "Tanh"(%m0) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m1 = onnx.node "MatMul"(%h0, %b) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h1 = onnx.node "Tanh"(%m1) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m2 = onnx.node "MatMul"(%h1, %c) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h2 = onnx.node "Tanh"(%m2) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m3 = onnx.node "MatMul"(%h2, %d) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h3 = onnx.node "Tanh"(%m3) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    return %h3 : tensor<?x2xf32>
  }
}
