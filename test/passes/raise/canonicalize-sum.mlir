// RUN: uoe-opt %s --infer-shapes --fold-constants=max-bytes=0 --canonicalize-onnx --split-input-file | FileCheck %s

// x·W + b + 2·(x·A)·B, LoRA that was not merged: x·(W + 2·A·B) + b, the product of A and B in double.
// CHECK-LABEL: func.func @low_rank
// CHECK: %[[AB:.*]] = onnx.node "MatMul"(%{{.*}}, %{{.*}}) : (tensor<8x2xf64>, tensor<2x8xf64>) -> tensor<8x8xf64>
// CHECK: %[[NARROW:.*]] = onnx.node "Cast"(%[[AB]])
// CHECK: %[[SCALED:.*]] = onnx.node "Mul"(%[[NARROW]], %{{.*}})
// CHECK: %[[W:.*]] = onnx.node "Add"(%[[SCALED]], %{{.*}})
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%arg0, %[[W]])
// CHECK: %[[R:.*]] = onnx.node "Add"(%[[Y]], %{{.*}})
// CHECK: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  onnx.initializer @bias : tensor<8xf32> = dense<0.5> : tensor<8xf32>
  onnx.initializer @a : tensor<8x2xf32> = dense<0.25> : tensor<8x2xf32>
  onnx.initializer @b : tensor<2x8xf32> = dense<0.25> : tensor<2x8xf32>
  func.func @low_rank(%x: tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any {
    %w = onnx.weight @w : tensor<8x8xf32>
    %bias = onnx.weight @bias : tensor<8xf32>
    %a = onnx.weight @a : tensor<8x2xf32>
    %b = onnx.weight @b : tensor<2x8xf32>
    %two = onnx.node "Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %xw = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x8xf32>) -> !onnx.any
    %base = onnx.node "Add"(%xw, %bias) : (!onnx.any, tensor<8xf32>) -> !onnx.any
    %xa = onnx.node "MatMul"(%x, %a) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x2xf32>) -> !onnx.any
    %xab = onnx.node "MatMul"(%xa, %b) : (!onnx.any, tensor<2x8xf32>) -> !onnx.any
    %s = onnx.node "Mul"(%xab, %two) : (!onnx.any, tensor<f32>) -> !onnx.any
    %y = onnx.node "Add"(%base, %s) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// DoRA takes the product again, less its bias, times a factor of each column.
// CHECK-LABEL: func.func @again
// CHECK: %[[Y:.*]] = onnx.node "MatMul"(%arg0, %{{.*}})
// CHECK: %[[R:.*]] = onnx.node "Add"(%[[Y]], %{{.*}})
// CHECK: return %[[R]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  onnx.initializer @bias : tensor<8xf32> = dense<0.5> : tensor<8xf32>
  onnx.initializer @m : tensor<1x8xf32> = dense<0.75> : tensor<1x8xf32>
  func.func @again(%x: tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>) -> !onnx.any {
    %w = onnx.weight @w : tensor<8x8xf32>
    %bias = onnx.weight @bias : tensor<8xf32>
    %m = onnx.weight @m : tensor<1x8xf32>
    %xw = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32, #onnx.dims<"n", "s", "">>, tensor<8x8xf32>) -> !onnx.any
    %base = onnx.node "Add"(%xw, %bias) : (!onnx.any, tensor<8xf32>) -> !onnx.any
    %less = onnx.node "Sub"(%base, %bias) : (!onnx.any, tensor<8xf32>) -> !onnx.any
    %more = onnx.node "Mul"(%less, %m) : (!onnx.any, tensor<1x8xf32>) -> !onnx.any
    %y = onnx.node "Add"(%base, %more) : (!onnx.any, !onnx.any) -> !onnx.any
    return %y : !onnx.any
  }
}

// -----

// Products of different inputs, a matrix whose product is read elsewhere too, and a product of two wide matrices stay.
// CHECK-LABEL: func.func @stay
// CHECK-COUNT-6: onnx.node "MatMul"
// CHECK-NOT: onnx.node "MatMul"
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
  onnx.initializer @w : tensor<8x8xf32> = dense<0.5> : tensor<8x8xf32>
  onnx.initializer @v : tensor<8x8xf32> = dense<0.25> : tensor<8x8xf32>
  func.func @stay(%x: tensor<?x8xf32>, %z: tensor<?x8xf32>) -> (!onnx.any, !onnx.any, !onnx.any, !onnx.any) {
    %w = onnx.weight @w : tensor<8x8xf32>
    %v = onnx.weight @v : tensor<8x8xf32>
    %0 = onnx.node "MatMul"(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> !onnx.any
    %1 = onnx.node "MatMul"(%z, %v) : (tensor<?x8xf32>, tensor<8x8xf32>) -> !onnx.any
    %2 = onnx.node "Add"(%0, %1) : (!onnx.any, !onnx.any) -> !onnx.any
    %3 = onnx.node "MatMul"(%z, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> !onnx.any
    %4 = onnx.node "Relu"(%3) : (!onnx.any) -> !onnx.any
    %5 = onnx.node "Add"(%1, %3) : (!onnx.any, !onnx.any) -> !onnx.any
    %6 = onnx.node "MatMul"(%x, %v) : (tensor<?x8xf32>, tensor<8x8xf32>) -> !onnx.any
    %7 = onnx.node "Sigmoid"(%6) : (!onnx.any) -> !onnx.any
    %8 = onnx.node "MatMul"(%7, %v) : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %9 = onnx.node "MatMul"(%8, %w) : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %10 = onnx.node "Add"(%9, %7) : (!onnx.any, !onnx.any) -> !onnx.any
    return %2, %4, %5, %10 : !onnx.any, !onnx.any, !onnx.any, !onnx.any
  }
}
