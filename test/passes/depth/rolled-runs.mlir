// A loop, its iterations, and the loop that is found in these again compute the same: groups of two layers (attention with caches, routed experts), twice.
// RUN: rm -rf %t && mkdir %t
// RUN: uoe-opt %s --unroll-recur -o %t/plain.mlir && FileCheck %s --check-prefix=PLAIN --input-file %t/plain.mlir
// RUN: uoe-opt %t/plain.mlir --roll-layers -o %t/rolled.mlir && FileCheck %s --check-prefix=ROLLED --input-file %t/rolled.mlir
// RUN: uoe-opt %t/rolled.mlir --unroll-recur -o %t/again.mlir && FileCheck %s --check-prefix=PLAIN --input-file %t/again.mlir
// RUN: uoe-run compare %t/plain.mlir %t/rolled.mlir --dim B=2 --dim S=5 --dim P=3 --runs 2 --tolerance 1e-6 | FileCheck %s
// RUN: uoe-run compare %t/plain.mlir %t/rolled.mlir --dim B=1 --dim S=1 --dim P=0 --tolerance 1e-6 | FileCheck %s
// RUN: uoe-run compare %t/plain.mlir %t/again.mlir --dim B=2 --dim S=5 --dim P=3 --tolerance 1e-6 | FileCheck %s
// RUN: uoe-run compare %s %t/rolled.mlir --dim B=2 --dim S=5 --dim P=3 --no-fuse --tolerance 1e-5 | FileCheck %s
// RUN: uoe-run compare %t/plain.mlir %t/rolled.mlir --dim B=2 --dim S=0 --dim P=3 --tolerance 1e-6

// And in standard ONNX, whose layers are found again without any trace of the loop.
// RUN: uoe-opt %s --lower-uoe-to-onnx --infer-shapes -o %t/plain.onnx
// RUN: uoe-opt %t/plain.onnx --canonical --roll-layers -o %t/found.mlir && FileCheck %s --check-prefix=FOUND --input-file %t/found.mlir
// RUN: uoe-run compare %t/plain.onnx %t/found.mlir --dim B=2 --dim S=5 --dim P=3 --tolerance 1e-5 | FileCheck %s

// CHECK: y {{.*}} 1 {{.*}}100.00%
// PLAIN-COUNT-2: uoe.experts
// PLAIN-NOT: uoe.experts
// PLAIN-NOT: "Gather"
// PLAIN-NOT: uoe.recur
// ROLLED-NOT: uoe.experts
// ROLLED: uoe.recur({{.*}}) each({{.*}}) times 2
// ROLLED: uoe.attention
// ROLLED: uoe.experts
// ROLLED: uoe.yield {{.*}}, {{.*}} : tensor<?x?x8xf32
// ROLLED-NOT: uoe.experts
// FOUND: uoe.recur({{.*}} times 2
module attributes {onnx.ir_version = 10 : i64, onnx.opset_import = {ai.onnx = 20 : i64}} {
  func.func @main_graph(%x: tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "x"}, %p0: tensor<?x?x8xf32, #onnx.dims<"B", "P", "">> {onnx.name = "past_0"},
                        %p1: tensor<?x?x8xf32, #onnx.dims<"B", "P", "">> {onnx.name = "past_1"}, %wq: tensor<8x8xf32> {onnx.name = "wq"}, %wk: tensor<8x8xf32> {onnx.name = "wk"},
                        %wr: tensor<8x4xf32> {onnx.name = "wr"}, %u: tensor<8x64xf32> {onnx.name = "u"}, %d: tensor<64x8xf32> {onnx.name = "d"})
      -> (tensor<?x?x8xf32> {onnx.name = "y"}, tensor<?x?x8xf32> {onnx.name = "present_0"}, tensor<?x?x8xf32> {onnx.name = "present_1"}) {
    %axis = onnx.node "Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %head = onnx.node "Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
    %zero = onnx.node "Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
    %one = onnx.node "Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %in = onnx.node "Identity"(%x) : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>) -> tensor<?x?x8xf32>
    %q0 = onnx.node "Unsqueeze"(%p0, %axis) : (tensor<?x?x8xf32, #onnx.dims<"B", "P", "">>, tensor<1xi64>) -> tensor<1x?x?x8xf32>
    %q1 = onnx.node "Unsqueeze"(%p1, %axis) : (tensor<?x?x8xf32, #onnx.dims<"B", "P", "">>, tensor<1xi64>) -> tensor<1x?x?x8xf32>
    %past = onnx.node "Concat"(%q0, %q1) {axis = 0 : i64} : (tensor<1x?x?x8xf32>, tensor<1x?x?x8xf32>) -> tensor<2x?x?x8xf32>
    %y:2 = uoe.recur(%in) each(%past) times 2 {
    ^bb0(%h: tensor<?x?x8xf32>, %before: tensor<?x?x8xf32>):
      %q = onnx.node "MatMul"(%h, %wq) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %k = onnx.node "MatMul"(%h, %wk) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
      %all = onnx.node "Concat"(%before, %k) {axis = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %qh = onnx.node "Unsqueeze"(%q, %head) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
      %kh = onnx.node "Unsqueeze"(%all, %head) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32>
      %a = uoe.attention %qh, %kh, %kh attributes {scale = 0.35 : f32, causal} : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x1x?x8xf32>
      %o = onnx.node "Squeeze"(%a, %head) : (tensor<?x1x?x8xf32>, tensor<1xi64>) -> tensor<?x?x8xf32>
      %m = onnx.node "Add"(%h, %o) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      %s = uoe.score linear %m weights(%wr) : tensor<?x?x8xf32> weights tensor<8x4xf32> -> tensor<?x?x4xf32>
      %r = uoe.select %s token_topk {k = 2 : i64, scoring = #uoe<scoring sigmoid>, weight = #uoe<weight_rule gate>} : tensor<?x?x4xf32> -> <4>
      %f = uoe.experts(%m) sliced(%u, %d) axes [1, 0] sizes [4 x 16] routing(%r) combine sum {
      ^bb0(%t: tensor<?x?x8xf32>, %ui: tensor<8x16xf32>, %di: tensor<16x8xf32>):
        %e = uoe.ffn relu %t up(%ui) down(%di) : tensor<?x?x8xf32>, tensor<8x16xf32> down tensor<16x8xf32> -> tensor<?x?x8xf32>
        uoe.yield %e : tensor<?x?x8xf32>
      } : shared tensor<?x?x8xf32> sliced tensor<8x64xf32>, tensor<64x8xf32> routing !uoe.routing<4> -> tensor<?x?x8xf32>
      %next = onnx.node "Add"(%m, %f) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      uoe.yield %next, %all : tensor<?x?x8xf32>, tensor<?x?x8xf32>
    } : tensor<?x?x8xf32> each tensor<2x?x?x8xf32> -> tensor<?x?x8xf32>, tensor<2x?x?x8xf32>
    %c0 = onnx.node "Gather"(%y#1, %zero) {axis = 0 : i64} : (tensor<2x?x?x8xf32>, tensor<i64>) -> tensor<?x?x8xf32>
    %c1 = onnx.node "Gather"(%y#1, %one) {axis = 0 : i64} : (tensor<2x?x?x8xf32>, tensor<i64>) -> tensor<?x?x8xf32>
    return %y#0, %c0, %c1 : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
  }
}
