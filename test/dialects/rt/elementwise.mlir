// RUN: uoe-opt %s --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @chain
func.func @chain(%x: tensor<?x8xf32>, %b: tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x8xi1>) {
  // CHECK: rt.elementwise(%{{.*}}, %{{.*}}) : (tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x8xi1>) {
  // CHECK-NEXT: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: f32):
  // CHECK-NEXT:   %[[S:.*]] = arith.addf %[[A]], %[[B]] : f32
  // CHECK-NEXT:   %[[T:.*]] = math.tanh %[[S]] : f32
  // CHECK-NEXT:   %[[C:.*]] = arith.cmpf olt, %[[A]], %[[B]] : f32
  // CHECK-NEXT:   rt.yield %[[T]], %[[C]] : f32, i1
  %y:2 = rt.elementwise(%x, %b) : (tensor<?x8xf32>, tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x8xi1>) {
  ^bb0(%a: f32, %c: f32):
    %sum = arith.addf %a, %c : f32
    %t = math.tanh %sum : f32
    %less = arith.cmpf olt, %a, %c : f32
    rt.yield %t, %less : f32, i1
  }
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<?x8xi1>
}

// -----

// The row form: the deviation of each row, and the rows without their means.
// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x1xf32>) {
  // CHECK: rt.reduce add %{{.*}} : f32
  // CHECK: rt.row_length : f32
  %y:2 = rt.elementwise(%x) : (tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x1xf32>) {
  ^bb0(%a: f32):
    %sum = rt.reduce add %a : f32
    %n = rt.row_length : f32
    %mean = arith.divf %sum, %n : f32
    %d = arith.subf %a, %mean : f32
    %square = arith.mulf %d, %d : f32
    %squares = rt.reduce add %square : f32
    %deviation = math.sqrt %squares : f32
    rt.yield %d, %deviation : f32, f32
  }
  return %y#0, %y#1 : tensor<?x?xf32>, tensor<?x1xf32>
}

// -----

// (C5)
func.func @row_shape(%x: tensor<2x8xf32>) {
  // expected-error @below {{has results of different shapes}}
  %y:2 = rt.elementwise(%x) : (tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  ^bb0(%a: f32):
    %sum = rt.reduce add %a : f32
    rt.yield %a, %sum : f32, f32
  }
  return
}

// -----

// (C1)
func.func @arguments(%x: tensor<2xf32>) {
  // expected-error @below {{has 1 operands, but the body takes 2}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32, %b: f32):
    rt.yield %a : f32
  }
  return
}

// -----

// (C1)
func.func @argument_type(%x: tensor<2xf32>) {
  // expected-error @below {{operand 0 has elements of another type than the body's 'i32'}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xi32> {
  ^bb0(%a: i32):
    rt.yield %a : i32
  }
  return
}

// -----

// (C2)
func.func @no_yield(%x: tensor<2xf32>) {
  // expected-error @below {{needs a body that ends in rt.yield}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32):
    %b = arith.negf %a : f32
  }
  return
}

// -----

// (C2)
func.func @yields(%x: tensor<2xf32>) {
  // expected-error @below {{has 1 results, but the body yields 2}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32):
    rt.yield %a, %a : f32, f32
  }
  return
}

// -----

// (C2)
func.func @yield_type(%x: tensor<2xf32>) {
  // expected-error @below {{result 0 has elements of another type than the body's 'f32'}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xi32> {
  ^bb0(%a: f32):
    rt.yield %a : f32
  }
  return
}

// -----

// (C3)
func.func @foreign(%x: tensor<2xf32>) {
  // expected-error @below {{has 'onnx.none' in its body; expected ops of arith and math, rt.reduce and rt.row_length alone}}
  %y = rt.elementwise(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32):
    %n = onnx.none
    rt.yield %a : f32
  }
  return
}

// -----

// (C4)
func.func @type(%x: tensor<2xi8>) {
  // expected-error @below {{has elements of type 'i8'; expected f16, bf16, f32, f64, i1, i32 or i64}}
  %y = rt.elementwise(%x) : (tensor<2xi8>) -> tensor<2xi8> {
  ^bb0(%a: i8):
    rt.yield %a : i8
  }
  return
}

// -----

// (C5)
func.func @shapes(%x: tensor<2xf32>) {
  // expected-error @below {{has results of different shapes}}
  %y:2 = rt.elementwise(%x) : (tensor<2xf32>) -> (tensor<2xf32>, tensor<3xf32>) {
  ^bb0(%a: f32):
    rt.yield %a, %a : f32, f32
  }
  return
}

// -----

// (C6)
func.func @rank(%x: tensor<1x2xf32>) {
  // expected-error @below {{operand 0 of type 'tensor<1x2xf32>' does not broadcast to 'tensor<2xf32>'}}
  %y = rt.elementwise(%x) : (tensor<1x2xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32):
    rt.yield %a : f32
  }
  return
}

// -----

// (C6)
func.func @size(%x: tensor<3xf32>) {
  // expected-error @below {{operand 0 of type 'tensor<3xf32>' does not broadcast to 'tensor<2xf32>'}}
  %y = rt.elementwise(%x) : (tensor<3xf32>) -> tensor<2xf32> {
  ^bb0(%a: f32):
    rt.yield %a : f32
  }
  return
}
