// Near duplicates: neuron 11 of the first block is 1% off neuron 3, of which 7 is a duplicate.
// REQUIRES: onnx
// RUN: rm -rf %t && mkdir -p %t
// RUN: %python %S/../route/Inputs/block.py %t
// RUN: uoe-opt %t/block.mlir --merge-neurons -o %t/exact.mlir
// RUN: FileCheck %s --input-file %t/exact.mlir --check-prefix=EXACT
// EXACT: uoe.ffn silu {{.*}}name = "layer.0.ffn", {{.*}}uoe.merged = 1 : i64, uoe.multiply_adds = 1.536000e+03 : f64} : {{.*}}tensor<16x31xf32>
// EXACT: uoe.ffn silu {{.*}}attributes {name = "layer.1.ffn"} : {{.*}}tensor<16x32xf32>
// RUN: uoe-opt %t/block.mlir --merge-neurons="profile=%t/profile tolerance=0.05" -o %t/near.mlir
// RUN: FileCheck %s --input-file %t/near.mlir --check-prefix=NEAR
// NEAR: onnx.weight @layer.0.ffn.merged.bias : tensor<16xf32>
// NEAR: uoe.ffn silu {{.*}}name = "layer.0.ffn", uoe.error = {{.*E-[6-9]}} : f64, uoe.merged = 2 : i64, {{.*}}tensor<16x30xf32>

// Exact merging changes nothing but rounding.
// RUN: %python %S/../route/Inputs/differ.py %t routed=block.mlir exact.mlir near.mlir | FileCheck %s --check-prefix=SAME
// SAME: exact.mlir is equal, fused and plain agree
// SAME: near.mlir differs, fused and plain agree

// What is merged is routed afterwards; the budget stays a share of the block as the model came with it.
// RUN: uoe-opt %t/exact.mlir --route-cascade="profile=%t/profile budget=0.6" 2>/dev/null | FileCheck %s --check-prefix=ROUTED
// ROUTED: name = "layer.0.ffn", uoe.cost = {{0\.(5[89]|6[01])[0-9]*}} : f64, {{.*}}uoe.merged = 1 : i64, uoe.multiply_adds = 1.536000e+03 : f64, uoe.recipe = "cascade"

// RUN: not uoe-opt %t/block.mlir --merge-neurons=tolerance=0.1 2>&1 | FileCheck %s --check-prefix=PROFILE
// PROFILE: error: merge-neurons with a tolerance needs a profile
// RUN: not uoe-opt %t/block.mlir --merge-neurons="tolerance=2 profile=%t/profile" 2>&1 | FileCheck %s --check-prefix=TOLERANCE
// TOLERANCE: error: layer.0.ffn: tolerance: expected 0 to 1, found 2
