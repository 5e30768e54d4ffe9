// RUN: uoe-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @call
func.func @call(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) -> tensor<?x4xf32> {
  %none = onnx.none
  // CHECK: rt.call "uoe" "Linear" version 1(%{{.*}}, %{{.*}}, %{{.*}}) {transposed = 0 : i64} : (tensor<?x8xf32>, tensor<8x4xf32>, none) -> tensor<?x4xf32>
  %y = rt.call "uoe" "Linear" version 1 (%x, %w, %none) {transposed = 0 : i64} : (tensor<?x8xf32>, tensor<8x4xf32>, none) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// (C2)
func.func @yield(%c: tensor<i1>) {
  // expected-error @below {{needs one block that ends in rt.yield in each region}}
  %y = "rt.call"(%c) <{domain = "", entry = "If", version = 24 : i64, params = {}, region_names = ["then_branch"]}> ({
    %n = onnx.none
  }) : (tensor<i1>) -> tensor<f32>
  return
}

// -----

// (C1)
func.func @names(%c: tensor<i1>) {
  // expected-error @below {{has 1 regions but 0 region names}}
  %y = "rt.call"(%c) <{domain = "", entry = "If", version = 24 : i64, params = {}}> ({
    rt.yield
  }) : (tensor<i1>) -> tensor<f32>
  return
}
