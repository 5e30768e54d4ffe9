// RUN: uoe-opt %s --split-input-file --outline-elementwise | FileCheck %s

module attributes {onnx.opset_import = {ai.onnx = 21 : i64}} {
  onnx.initializer @eps : tensor<f32> = dense<1.0e-5> : tensor<f32>
  onnx.initializer @two : tensor<f32> = dense<2.0> : tensor<f32>

  // A chain is one loop; constants of one element are part of it, a vector that repeats is an operand.
  // CHECK-LABEL: func.func @chain
  // CHECK-SAME: (%[[X:.*]]: tensor<?x32xf32, #{{.*}}>, %[[B:.*]]: tensor<32xf32>)
  // CHECK: %[[Y:.*]] = rt.elementwise(%[[X]], %[[B]]) : (tensor<?x32xf32, #{{.*}}>, tensor<32xf32>) -> tensor<?x32xf32, #{{.*}}> {
  // CHECK-NEXT: ^bb0(%[[x:.*]]: f32, %[[b:.*]]: f32):
  // CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[x]], %[[b]] : f32
  // CHECK-NEXT: %[[SQUARE:.*]] = arith.mulf %[[SUM]], %[[SUM]] : f32
  // CHECK-NEXT: %[[EPS:.*]] = arith.constant 9.99999974E-6 : f32
  // CHECK-NEXT: %[[SHIFTED:.*]] = arith.addf %[[SQUARE]], %[[EPS]] : f32
  // CHECK-NEXT: %[[ROOT:.*]] = math.sqrt %[[SHIFTED]] : f32
  // CHECK-NEXT: rt.yield %[[ROOT]] : f32
  // CHECK: return %[[Y]]
  func.func @chain(%x: tensor<?x32xf32, #onnx.dims<"n", "">>, %b: tensor<32xf32>) -> tensor<?x32xf32, #onnx.dims<"n", "">> {
    %eps = onnx.weight @eps : tensor<f32>
    %two = onnx.weight @two : tensor<f32>
    %0 = onnx.node "Add"(%x, %b) : (tensor<?x32xf32, #onnx.dims<"n", "">>, tensor<32xf32>) -> tensor<?x32xf32, #onnx.dims<"n", "">>
    %1 = onnx.node "Pow"(%0, %two) : (tensor<?x32xf32, #onnx.dims<"n", "">>, tensor<f32>) -> tensor<?x32xf32, #onnx.dims<"n", "">>
    %2 = onnx.node "Add"(%1, %eps) : (tensor<?x32xf32, #onnx.dims<"n", "">>, tensor<f32>) -> tensor<?x32xf32, #onnx.dims<"n", "">>
    %3 = onnx.node "Sqrt"(%2) : (tensor<?x32xf32, #onnx.dims<"n", "">>) -> tensor<?x32xf32, #onnx.dims<"n", "">>
    return %3 : tensor<?x32xf32, #onnx.dims<"n", "">>
  }

  // What is read outside is a result, where its shape is known to be the loop's. Here it is by name.
  // CHECK-LABEL: func.func @results
  // CHECK: %[[Y:.*]]:2 = rt.elementwise
  // CHECK: rt.yield %{{.*}}, %{{.*}} : f32, i1
  // CHECK: return %[[Y]]#0, %[[Y]]#1
  func.func @results(%x: tensor<?xf32, #onnx.dims<"n">>) -> (tensor<?xf32, #onnx.dims<"n">>, tensor<?xi1, #onnx.dims<"n">>) {
    %0 = onnx.node "Exp"(%x) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    %1 = onnx.node "Less"(%0, %x) : (tensor<?xf32, #onnx.dims<"n">>, tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xi1, #onnx.dims<"n">>
    return %0, %1 : tensor<?xf32, #onnx.dims<"n">>, tensor<?xi1, #onnx.dims<"n">>
  }

  // Nothing tells whether the first sum is as large as the second: inside it may repeat, as a result it may not.
  // CHECK-LABEL: func.func @unknown
  // CHECK: onnx.node "Exp"
  // CHECK: %[[Y:.*]] = rt.elementwise
  func.func @unknown(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
    %0 = onnx.node "Exp"(%x) : (tensor<?xf32>) -> tensor<?xf32>
    %1 = onnx.node "Neg"(%x) : (tensor<?xf32>) -> tensor<?xf32>
    %2 = onnx.node "Add"(%0, %1) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
    return %0, %2 : tensor<?xf32>, tensor<?xf32>
  }

  // A row that is spread over a matrix is computed once, not once per row.
  // CHECK-LABEL: func.func @smaller
  // CHECK: onnx.node "Exp"
  // CHECK: rt.elementwise
  // CHECK: arith.addf
  // CHECK: arith.mulf
  func.func @smaller(%x: tensor<512xf32>, %y: tensor<4x512xf32>) -> tensor<4x512xf32> {
    %0 = onnx.node "Exp"(%x) : (tensor<512xf32>) -> tensor<512xf32>
    %1 = onnx.node "Add"(%y, %0) : (tensor<4x512xf32>, tensor<512xf32>) -> tensor<4x512xf32>
    %2 = onnx.node "Mul"(%1, %y) : (tensor<4x512xf32>, tensor<4x512xf32>) -> tensor<4x512xf32>
    return %2 : tensor<4x512xf32>
  }

  // A path that leaves a group and comes back: the sum would wait for itself.
  // CHECK-LABEL: func.func @cycle
  // CHECK: %[[A:.*]] = onnx.node "Exp"
  // CHECK: onnx.node "CumSum"(%[[A]]
  // CHECK: rt.elementwise(%[[A]]
  func.func @cycle(%x: tensor<?xf32, #onnx.dims<"n">>, %axis: tensor<i64>) -> tensor<?xf32, #onnx.dims<"n">> {
    %0 = onnx.node "Exp"(%x) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    %1 = onnx.node "CumSum"(%0, %axis) : (tensor<?xf32, #onnx.dims<"n">>, tensor<i64>) -> tensor<?xf32, #onnx.dims<"n">>
    %2 = onnx.node "Add"(%0, %1) : (tensor<?xf32, #onnx.dims<"n">>, tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    %3 = onnx.node "Neg"(%2) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    return %3 : tensor<?xf32, #onnx.dims<"n">>
  }

  // Stays: one operator alone, shape arithmetic, division by an integer that may be zero, what is constant.
  // CHECK-LABEL: func.func @stays
  // CHECK-NOT: rt.elementwise
  // CHECK: return
  func.func @stays(%x: tensor<?xf32>, %n: tensor<2xi64>, %d: tensor<?xi64>) -> (tensor<?xf32>, tensor<2xi64>, tensor<?xi64>, tensor<512xf32>) {
    %two = onnx.weight @two : tensor<f32>
    %0 = onnx.node "Exp"(%x) : (tensor<?xf32>) -> tensor<?xf32>
    %1 = onnx.node "Mul"(%n, %n) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
    %2 = onnx.node "Add"(%1, %n) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
    %3 = onnx.node "Div"(%d, %d) : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
    %4 = onnx.node "Neg"(%3) : (tensor<?xi64>) -> tensor<?xi64>
    %w = onnx.node "Constant"() {value = dense<1.0> : tensor<512xf32>} : () -> tensor<512xf32>
    %5 = onnx.node "Exp"(%w) : (tensor<512xf32>) -> tensor<512xf32>
    %6 = onnx.node "Mul"(%5, %two) : (tensor<512xf32>, tensor<f32>) -> tensor<512xf32>
    return %0, %2, %4, %6 : tensor<?xf32>, tensor<2xi64>, tensor<?xi64>, tensor<512xf32>
  }

  // Operators over rows join their neighbours: the sum before a normalisation, which others read as well.
  // CHECK-LABEL: func.func @norm
  // CHECK: %[[Y:.*]]:2 = rt.elementwise
  // CHECK: %[[SUM:.*]] = arith.addf
  // CHECK: rt.reduce add %[[SUM]] : f32
  // CHECK: rt.row_length
  // CHECK: rt.reduce add
  // CHECK: rt.yield %[[SUM]], %{{.*}} : f32, f32
  // CHECK: return %[[Y]]#0, %[[Y]]#1
  func.func @norm(%x: tensor<?x384xf32, #onnx.dims<"n", "">>, %s: tensor<384xf32>, %b: tensor<384xf32>) -> (tensor<?x384xf32, #onnx.dims<"n", "">>, tensor<?x384xf32, #onnx.dims<"n", "">>) {
    %0 = onnx.node "Add"(%x, %b) : (tensor<?x384xf32, #onnx.dims<"n", "">>, tensor<384xf32>) -> tensor<?x384xf32, #onnx.dims<"n", "">>
    %1 = onnx.node "LayerNormalization"(%0, %s, %b) {axis = -1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x384xf32, #onnx.dims<"n", "">>, tensor<384xf32>, tensor<384xf32>) -> tensor<?x384xf32, #onnx.dims<"n", "">>
    return %0, %1 : tensor<?x384xf32, #onnx.dims<"n", "">>, tensor<?x384xf32, #onnx.dims<"n", "">>
  }

  // What is computed once a row stands between the loops over it.
  // CHECK-LABEL: func.func @rows
  // CHECK: %[[Y:.*]]:2 = rt.elementwise(%{{.*}}) : (tensor<?x384xf32, #{{.*}}>) -> (tensor<?x1xf32, #{{.*}}>, tensor<?x384xf32, #{{.*}}>)
  // CHECK: %[[TOP:.*]] = rt.reduce max
  // CHECK: %[[ABS:.*]] = math.absf %[[TOP]] : f32
  // CHECK: %[[Q:.*]] = arith.divf %{{.*}}, %[[ABS]] : f32
  // CHECK: rt.yield %[[ABS]], %[[Q]] : f32, f32
  func.func @rows(%x: tensor<?x384xf32, #onnx.dims<"n", "">>) -> (tensor<?x1xf32, #onnx.dims<"n", "">>, tensor<?x384xf32, #onnx.dims<"n", "">>) {
    %0 = onnx.node "ReduceMax"(%x) {axes = array<i64: 1>} : (tensor<?x384xf32, #onnx.dims<"n", "">>) -> tensor<?x1xf32, #onnx.dims<"n", "">>
    %1 = onnx.node "Abs"(%0) : (tensor<?x1xf32, #onnx.dims<"n", "">>) -> tensor<?x1xf32, #onnx.dims<"n", "">>
    %2 = onnx.node "Div"(%x, %1) : (tensor<?x384xf32, #onnx.dims<"n", "">>, tensor<?x1xf32, #onnx.dims<"n", "">>) -> tensor<?x384xf32, #onnx.dims<"n", "">>
    return %1, %2 : tensor<?x1xf32, #onnx.dims<"n", "">>, tensor<?x384xf32, #onnx.dims<"n", "">>
  }

  // Rows that are known to be short cost more than they save.
  // CHECK-LABEL: func.func @short_rows
  // CHECK-NOT: rt.elementwise
  // CHECK: return
  func.func @short_rows(%x: tensor<?x8xf32, #onnx.dims<"n", "">>, %y: tensor<?x8xf32, #onnx.dims<"n", "">>) -> tensor<?x8xf32, #onnx.dims<"n", "">> {
    %0 = onnx.node "Add"(%x, %y) : (tensor<?x8xf32, #onnx.dims<"n", "">>, tensor<?x8xf32, #onnx.dims<"n", "">>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    %1 = onnx.node "Softmax"(%0) {axis = -1 : i64} : (tensor<?x8xf32, #onnx.dims<"n", "">>) -> tensor<?x8xf32, #onnx.dims<"n", "">>
    return %1 : tensor<?x8xf32, #onnx.dims<"n", "">>
  }

  // Rows of what may repeat are not reduced: the sum would count its elements several times.
  // CHECK-LABEL: func.func @unknown_rows
  // CHECK-NOT: rt.elementwise
  // CHECK: return
  func.func @unknown_rows(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>) -> tensor<?x?xf32> {
    %0 = onnx.node "Softmax"(%x) {axis = -1 : i64} : (tensor<?x?xf32>) -> tensor<?x?xf32>
    %1 = onnx.node "Add"(%0, %y) : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
    return %1 : tensor<?x?xf32>
  }
}
