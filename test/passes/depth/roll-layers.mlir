// RUN: uoe-opt %s --split-input-file --roll-layers | FileCheck %s
// RUN: uoe-opt %s --split-input-file --roll-layers=min-times=4 | FileCheck %s --check-prefix=FEWEST
// FEWEST-NOT: uoe.recur
// FEWEST: uoe.recur({{.*}} times 4
// FEWEST-NOT: uoe.recur

// Three layers with one matrix; what comes before and after stays.
// CHECK-LABEL: func.func @tied
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x8xf32>)
func.func @tied(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[E:.*]] = onnx.node "Neg"(%[[X]])
  // CHECK-NEXT: %[[R:.*]] = uoe.recur(%[[E]]) times 3 {
  // CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<?x8xf32>):
  // CHECK-NEXT: %[[M:.*]] = onnx.node "MatMul"(%[[H]], %[[W]])
  // CHECK-NEXT: %[[A:.*]] = onnx.node "Relu"(%[[M]])
  // CHECK-NEXT: %[[N:.*]] = onnx.node "Add"(%[[H]], %[[A]])
  // CHECK-NEXT: uoe.yield %[[N]]
  // CHECK: %[[Y:.*]] = onnx.node "Abs"(%[[R]])
  // CHECK-NEXT: return %[[Y]]
  %e = onnx.node "Neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %m0 = onnx.node "MatMul"(%e, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a0 = onnx.node "Relu"(%m0) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %h0 = onnx.node "Add"(%e, %a0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m1 = onnx.node "MatMul"(%h0, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a1 = onnx.node "Relu"(%m1) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %h1 = onnx.node "Add"(%h0, %a1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m2 = onnx.node "MatMul"(%h1, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a2 = onnx.node "Relu"(%m2) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %h2 = onnx.node "Add"(%h1, %a2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = onnx.node "Abs"(%h2) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Groups of two layers, A B A B: one iteration is both.
// CHECK-LABEL: func.func @groups_of_two
// CHECK-SAME: %[[WA:[^:]*]]: tensor<8x8xf32>, %[[WB:[^:]*]]: tensor<8x8xf32>)
// CHECK: uoe.recur(%{{.*}}) times 2 {
// CHECK: "MatMul"(%{{.*}}, %[[WA]])
// CHECK: "Add"
// CHECK: "MatMul"(%{{.*}}, %[[WB]])
// CHECK: "Add"
// CHECK-NEXT: uoe.yield
// CHECK-NOT: onnx.node
// CHECK: return
func.func @groups_of_two(%x: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %m0 = onnx.node "MatMul"(%x, %a) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h0 = onnx.node "Add"(%x, %m0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m1 = onnx.node "MatMul"(%h0, %b) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h1 = onnx.node "Add"(%h0, %m1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m2 = onnx.node "MatMul"(%h1, %a) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h2 = onnx.node "Add"(%h1, %m2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m3 = onnx.node "MatMul"(%h2, %b) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h3 = onnx.node "Add"(%h2, %m3) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %h3 : tensor<?x8xf32>
}

// -----

// A group as large as the model shares nothing: no loop.
// CHECK-LABEL: func.func @untied
// CHECK-NOT: uoe.recur
func.func @untied(%x: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %m0 = onnx.node "MatMul"(%x, %a) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h0 = onnx.node "Add"(%x, %m0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m1 = onnx.node "MatMul"(%h0, %b) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h1 = onnx.node "Add"(%h0, %m1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %h1 : tensor<?x8xf32>
}

// -----

// Equal initializers are one weight, under whatever names; others are not.
// CHECK-LABEL: module
// CHECK: onnx.initializer @first
// CHECK-NOT: onnx.initializer @second
// CHECK: onnx.initializer @third
// CHECK: uoe.recur(%{{.*}}) times 2
// CHECK: onnx.node "MatMul"({{.*}}, %[[W:.*]]) : (tensor<?x2xf32>, tensor<2x2xf32>)
// CHECK: return
module {
  onnx.initializer @first : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  onnx.initializer @second : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  onnx.initializer @third : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 5.0]]> : tensor<2x2xf32>
  func.func @equal(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %w0 = onnx.weight @first : tensor<2x2xf32>
    %w1 = onnx.weight @second : tensor<2x2xf32>
    %w2 = onnx.weight @third : tensor<2x2xf32>
    %m0 = onnx.node "MatMul"(%x, %w0) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h0 = onnx.node "Tanh"(%m0) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m1 = onnx.node "MatMul"(%h0, %w1) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h1 = onnx.node "Tanh"(%m1) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %m2 = onnx.node "MatMul"(%h1, %w2) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %h2 = onnx.node "Tanh"(%m2) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    return %h2 : tensor<?x2xf32>
  }
}

// -----

// Caches: each iteration has its own past, and what it makes of it leaves the loop as a row.
// CHECK-LABEL: func.func @caches
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[P0:.*]]: tensor<?x?x8xf32>, %[[P1:.*]]: tensor<?x?x8xf32>, %[[W:.*]]: tensor<8x8xf32>)
// CHECK-DAG: %[[U0:.*]] = onnx.node "Unsqueeze"(%[[P0]], %{{.*}}) {{.*}} -> tensor<1x?x?x8xf32>
// CHECK-DAG: %[[U1:.*]] = onnx.node "Unsqueeze"(%[[P1]], %{{.*}}) {{.*}} -> tensor<1x?x?x8xf32>
// CHECK: %[[P:.*]] = onnx.node "Concat"(%[[U0]], %[[U1]]) {axis = 0 : i64} {{.*}} -> tensor<2x?x?x8xf32>
// CHECK: %[[R:.*]]:2 = uoe.recur(%[[X]]) each(%[[P]]) times 2 {
// CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<?x?x8xf32>, %[[PAST:.*]]: tensor<?x?x8xf32>):
// CHECK: %[[ALL:.*]] = onnx.node "Concat"(%[[PAST]], %{{.*}}) {axis = 1 : i64}
// CHECK: uoe.yield %{{.*}}, %[[ALL]]
// CHECK: %[[A0:.*]] = onnx.node "Gather"(%[[R]]#1, %{{.*}}) {axis = 0 : i64}
// CHECK: %[[A1:.*]] = onnx.node "Gather"(%[[R]]#1, %{{.*}}) {axis = 0 : i64}
// CHECK: return %[[R]]#0, %[[A0]], %[[A1]]
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
func.func @caches(%x: tensor<?x?x8xf32>, %p0: tensor<?x?x8xf32>, %p1: tensor<?x?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %k0 = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %c0 = onnx.node "Concat"(%p0, %k0) {axis = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %s0 = onnx.node "ReduceMean"(%c0) : (tensor<?x?x8xf32>) -> tensor<1x1x1xf32>
  %h0 = onnx.node "Add"(%x, %s0) : (tensor<?x?x8xf32>, tensor<1x1x1xf32>) -> tensor<?x?x8xf32>
  %k1 = onnx.node "MatMul"(%h0, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %c1 = onnx.node "Concat"(%p1, %k1) {axis = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %s1 = onnx.node "ReduceMean"(%c1) : (tensor<?x?x8xf32>) -> tensor<1x1x1xf32>
  %h1 = onnx.node "Add"(%h0, %s1) : (tensor<?x?x8xf32>, tensor<1x1x1xf32>) -> tensor<?x?x8xf32>
  return %h1, %c0, %c1 : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
}
}

// -----

// Low-rank residuals of an iteration are rows of `each`; four iterations, intermediate results read from outside.
// CHECK-LABEL: func.func @low_rank
// CHECK: uoe.recur(%{{.*}}) each(%{{.*}}, %{{.*}}) times 4 {
// CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<?x8xf32>, %[[A:.*]]: tensor<8x1xf32>, %[[B:.*]]: tensor<1x8xf32>):
// CHECK: uoe.ffn identity %[[H]] up(%[[A]]) down(%[[B]])
// CHECK: uoe.yield %[[N:.*]], %[[N]] :
// CHECK: each tensor<4x8x1xf32>, tensor<4x1x8xf32> -> tensor<?x8xf32>, tensor<4x?x8xf32>
module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {
func.func @low_rank(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %a0: tensor<8x1xf32>, %a1: tensor<8x1xf32>, %a2: tensor<8x1xf32>, %a3: tensor<8x1xf32>, %b0: tensor<1x8xf32>, %b1: tensor<1x8xf32>, %b2: tensor<1x8xf32>, %b3: tensor<1x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %m0 = onnx.node "MatMul"(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l0 = uoe.ffn identity %x up(%a0) down(%b0) attributes {layer = 0 : i64, name = "layer.0.ffn"} : tensor<?x8xf32>, tensor<8x1xf32> down tensor<1x8xf32> -> tensor<?x8xf32>
  %h0 = onnx.node "Add"(%m0, %l0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m1 = onnx.node "MatMul"(%h0, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l1 = uoe.ffn identity %h0 up(%a1) down(%b1) attributes {layer = 1 : i64, name = "layer.1.ffn"} : tensor<?x8xf32>, tensor<8x1xf32> down tensor<1x8xf32> -> tensor<?x8xf32>
  %h1 = onnx.node "Add"(%m1, %l1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m2 = onnx.node "MatMul"(%h1, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l2 = uoe.ffn identity %h1 up(%a2) down(%b2) attributes {layer = 2 : i64, name = "layer.2.ffn"} : tensor<?x8xf32>, tensor<8x1xf32> down tensor<1x8xf32> -> tensor<?x8xf32>
  %h2 = onnx.node "Add"(%m2, %l2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %m3 = onnx.node "MatMul"(%h2, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l3 = uoe.ffn identity %h2 up(%a3) down(%b3) attributes {layer = 3 : i64, name = "layer.3.ffn"} : tensor<?x8xf32>, tensor<8x1xf32> down tensor<1x8xf32> -> tensor<?x8xf32>
  %h3 = onnx.node "Add"(%m3, %l3) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %h1, %h3 : tensor<?x8xf32>, tensor<?x8xf32>
}
}

// -----

// Logits that a layer hands to the router of the next (a gating residual) are carried beside the stream; a captured value of a spelling counts as an operand.
// CHECK-LABEL: func.func @two_carried
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[L:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x8xf32>)
// CHECK: %{{.*}}:2 = uoe.recur(%[[A:.*]], %[[B:.*]]) times 2 {
// CHECK: ^bb0(%[[P:.*]]: tensor<?x8xf32>, %[[Q:.*]]: tensor<?x8xf32>):
// CHECK: uoe.ffn relu
// CHECK: "MatMul"(%{{.*}}, %[[W]])
// CHECK: uoe.yield
// CHECK: uoe.yield %{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?x8xf32>
func.func @two_carried(%x: tensor<?x8xf32>, %l: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %s0 = onnx.node "MatMul"(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l0 = onnx.node "Add"(%s0, %l) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %f0 = uoe.ffn relu %l0 up(%w) down(%w) spelled {
    %t = onnx.node "MatMul"(%l0, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %u = onnx.node "Relu"(%t) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %v = onnx.node "MatMul"(%u, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    uoe.yield %v : tensor<?x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x8xf32>
  %h0 = onnx.node "Add"(%x, %f0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s1 = onnx.node "MatMul"(%h0, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %l1 = onnx.node "Add"(%s1, %l0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %f1 = uoe.ffn relu %l1 up(%w) down(%w) spelled {
    %t = onnx.node "MatMul"(%l1, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    %u = onnx.node "Relu"(%t) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %v = onnx.node "MatMul"(%u, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    uoe.yield %v : tensor<?x8xf32>
  } : tensor<?x8xf32>, tensor<8x8xf32> down tensor<8x8xf32> -> tensor<?x8xf32>
  %h1 = onnx.node "Add"(%h0, %f1) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %h1 : tensor<?x8xf32>
}

// -----

// The same matrix behind other functions: not the same layer.
// CHECK-LABEL: func.func @other_function
// CHECK-NOT: uoe.recur
func.func @other_function(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %m0 = onnx.node "MatMul"(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h0 = onnx.node "Tanh"(%m0) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %m1 = onnx.node "MatMul"(%h0, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %h1 = onnx.node "Relu"(%m1) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %h1 : tensor<?x8xf32>
}

// -----

// Caches whose lengths have different names can't be rows of one tensor.
// CHECK-LABEL: func.func @other_lengths
// CHECK-NOT: uoe.recur
func.func @other_lengths(%x: tensor<?x?x8xf32>, %p0: tensor<?x?x8xf32, #onnx.dims<"", "long", "">>, %p1: tensor<?x?x8xf32, #onnx.dims<"", "short", "">>, %w: tensor<8x8xf32>) -> tensor<?x?x8xf32> {
  %k0 = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %c0 = onnx.node "Concat"(%p0, %k0) {axis = 1 : i64} : (tensor<?x?x8xf32, #onnx.dims<"", "long", "">>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %k1 = onnx.node "MatMul"(%c0, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %c1 = onnx.node "Concat"(%p1, %k1) {axis = 1 : i64} : (tensor<?x?x8xf32, #onnx.dims<"", "short", "">>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %c1 : tensor<?x?x8xf32>
}
