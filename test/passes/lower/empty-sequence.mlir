// A mixture over sequences of any length, none included, in every form that it is lowered to. The last Reshape goes to a shape of run time, in which a 0 is an
// empty sequence and not "as the input has it" (allowzero).
// RUN: uoe-opt %s --lower-uoe-to-onnx | FileCheck %s
// RUN: uoe-opt %s --lower-uoe-to-onnx -o %t.masked.onnx
// RUN: uoe-run compare %s %t.masked.onnx --dim B=2 --dim S=5 --tolerance 1e-5
// RUN: uoe-run compare %s %t.masked.onnx --dim B=2 --dim S=0 --tolerance 1e-5 | FileCheck %s --check-prefix=EMPTY
// RUN: uoe-opt %s --moe-to-experts --lower-experts-to-gather --lower-uoe-to-onnx -o %t.gathered.onnx
// RUN: uoe-run compare %s %t.gathered.onnx --dim B=2 --dim S=5 --tolerance 1e-5
// RUN: uoe-run compare %s %t.gathered.onnx --dim B=2 --dim S=0 --tolerance 1e-5 | FileCheck %s --check-prefix=EMPTY
// EMPTY: y 0 0
// CHECK: onnx.node "Reshape"(%{{.*}}, %{{.*}}) {allowzero = 1 : i64} : {{.*}} -> tensor<?x?x8xf32
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "x"}, %w: tensor<8x4xf32> {onnx.name = "w"}, %u: tensor<4x8x16xf32> {onnx.name = "u"},
                        %g: tensor<4x8x16xf32> {onnx.name = "g"}, %d: tensor<4x16x8xf32> {onnx.name = "d"}) -> (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "y"}) {
    %flat = onnx.node "Constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
    %rows = onnx.node "Reshape"(%x, %flat) : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<2xi64>) -> tensor<?x8xf32>
    %s = onnx.node "MatMul"(%rows, %w) : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %y = uoe.moe silu top 2 scoring softmax normalized input(%x : tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>) scores(%s : tensor<?x4xf32>)
        up(%u : tensor<4x8x16xf32>) gate(%g : tensor<4x8x16xf32>) down(%d : tensor<4x16x8xf32>) -> tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
    return %y : tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
  }
}
