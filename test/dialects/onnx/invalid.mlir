// One negative test per constraint of the ops' descriptions.
// RUN: uoe-opt %s --split-input-file --verify-diagnostics

func.func @node_c1(%c: tensor<i1>) {
  // (C1)
  // expected-error @below {{has 0 regions but 1 subgraph names}}
  "onnx.node"(%c) <{op_type = "If", domain = "", node_attrs = {}, subgraph_names = ["then_branch"]}> : (tensor<i1>) -> ()
  return
}

// -----

func.func @node_c2_terminator(%c: tensor<i1>) {
  // (C2)
  // expected-error @below {{needs one block that ends in onnx.yield in each region}}
  onnx.node "If"(%c) subgraphs "then_branch" {
    func.return
  } : (tensor<i1>) -> ()
  return
}

// -----

func.func @node_c2_empty(%c: tensor<i1>) {
  // (C2)
  // expected-error @below {{needs one block that ends in onnx.yield in each region}}
  "onnx.node"(%c) <{op_type = "If", domain = "", node_attrs = {}, subgraph_names = ["then_branch"]}> ({
  }) : (tensor<i1>) -> ()
  return
}

// -----

func.func @node_c3_count(%x: tensor<2xf32>) {
  // (C3)
  // expected-error @below {{needs one string per result in result_names}}
  %y = onnx.node "Neg"(%x) fields {result_names = ["y", "z"]} : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @node_c3_kind(%x: tensor<2xf32>) {
  // (C3)
  // expected-error @below {{needs one string per result in result_names}}
  %y = onnx.node "Neg"(%x) fields {result_names = [1]} : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @node_c4(%x: tensor<2xf32>) {
  // (C4)
  // expected-error @below {{names no operator}}
  %y = onnx.node ""(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

// (C1)
// expected-error @below {{needs a value of type 'tensor<3xf32>', found 'tensor<2xf32>'}}
onnx.initializer @w : tensor<3xf32> = dense<[1.0, 2.0]> : tensor<2xf32>

// -----

// (C1)
// expected-error @below {{needs a value of type 'tensor<2xf32>', found 'i64'}}
onnx.initializer @w : tensor<2xf32> = 1 : i64

// -----

// (C2)
// expected-error @below {{needs 12 bytes, the file attribute has 8}}
onnx.initializer @w : tensor<3xf32> = #onnx.file<"weights.bin", 0, 8> : tensor<3xf32>

// -----

// (C2)
// expected-error @below {{needs 2 bytes, the file attribute has 3}}
onnx.initializer @w : tensor<3xi4> = #onnx.file<"weights.bin", 0, 3> : tensor<3xi4>

// -----

// (C2)
// expected-error @below {{needs a static shape of fixed-size elements for its file}}
onnx.initializer @w : tensor<?xf32> = #onnx.file<"weights.bin", 0, 3> : tensor<?xf32>

// -----

// (C3)
// expected-error @below {{needs a tensor type, found 'i64'}}
onnx.initializer @w : i64 = 1 : i64

// -----

func.func @weight_c1() {
  // (C1)
  // expected-error @below {{refers to @w, which is no onnx.initializer}}
  %w = onnx.weight @w : tensor<2xf32>
  return
}

// -----

func.func private @w()
func.func @weight_c1_other() {
  // (C1)
  // expected-error @below {{refers to @w, which is no onnx.initializer}}
  %w = onnx.weight @w : tensor<2xf32>
  return
}

// -----

onnx.initializer @w : tensor<2xf32> = dense<1.0> : tensor<2xf32>
func.func @weight_c2() {
  // (C2)
  // expected-error @below {{has type 'tensor<3xf32>', the initializer 'tensor<2xf32>'}}
  %w = onnx.weight @w : tensor<3xf32>
  return
}

// -----

// expected-error @below {{needs an even number of hexadecimal digits, found "xyz"}}
func.func private @proto() attributes {onnx.rest = #onnx.proto<"ModelProto", "xyz">}

// -----

// expected-error @below {{needs an even number of hexadecimal digits, found "0"}}
func.func private @opaque(!onnx.opaque<"0">)

// -----

// expected-error @below {{of a tensor of rank 1 needs 1 names, has 2}}
func.func private @dims(tensor<?xf32, #onnx.dims<"a", "b">>)
