// Grouped queries under one mask for all samples and heads: executed as they are, and lowered to ONNX and raised again.
// RUN: uoe-opt %s --lower-uoe-to-onnx --infer-shapes -o %t.onnx
// RUN: uoe-run compare %s %t.onnx --dim B=2 --dim S=7 --dim T=7 --runs 3 --tolerance 1e-5 | FileCheck %s
// RUN: uoe-run compare %s %t.onnx --dim B=3 --dim S=1 --dim T=5 --tolerance 1e-5 | FileCheck %s
// RUN: uoe-run compare %s %t.onnx --dim B=2 --dim S=0 --dim T=7 --tolerance 1e-5
// CHECK: y {{.*}} 1 {{.*}}100.00%
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%q: tensor<?x4x?x8xf32, #onnx.dims<"B", "", "S", "">> {onnx.name = "q"}, %k: tensor<?x2x?x8xf32, #onnx.dims<"B", "", "T", "">> {onnx.name = "k"},
                        %v: tensor<?x2x?x8xf32, #onnx.dims<"B", "", "T", "">> {onnx.name = "v"}, %m: tensor<?x?xf32, #onnx.dims<"S", "T">> {onnx.name = "m"})
      -> (tensor<?x4x?x8xf32, #onnx.dims<"B", "", "S", "">> {onnx.name = "y"}) {
    %y = uoe.attention %q, %k, %v bias(%m) attributes {scale = 0.35 : f32}
        : (tensor<?x4x?x8xf32, #onnx.dims<"B", "", "S", "">>, tensor<?x2x?x8xf32, #onnx.dims<"B", "", "T", "">>, tensor<?x2x?x8xf32, #onnx.dims<"B", "", "T", "">>)
        bias tensor<?x?xf32, #onnx.dims<"S", "T">> -> tensor<?x4x?x8xf32, #onnx.dims<"B", "", "S", "">>
    return %y : tensor<?x4x?x8xf32, #onnx.dims<"B", "", "S", "">>
  }
}
