// RUN: uoe-opt %S/Inputs/dense-experts.mlir --canonical --raise-moe=remarks | FileCheck %s
// RUN: uoe-opt %S/Inputs/dense-experts.mlir --raise --drop-spelling -o %t.mlir
// RUN: uoe-run compare %S/Inputs/dense-experts.mlir %t.mlir --dim B=2 --dim S=5 --runs 3 --tolerance 1e-6 --no-fuse

// Mixtures that run all experts on all tokens, as Keras spells them: one product with the experts' matrices side by side, seen as [T, E, out] and turned
// to [E, T, out]; weights in one-hot rows. The second has biases, gate and up in turns in the columns, by Slices that name an axis which they leave
// whole, and a result that is used in rows.
// CHECK: uoe.moe {{ *}}silu top 2 scoring {{ *}}softmax normalized input(%arg0 : tensor<?x?x8xf32{{.*}}) scores({{.*}}) up(%{{.*}} : tensor<4x8x6xf32>) gate(%{{.*}} : tensor<4x8x6xf32>) down(%{{.*}} : tensor<4x6x8xf32>)
// CHECK: %[[ROWS:.*]] = onnx.node "Reshape"({{.*}}uoe.operand{{.*}} -> tensor<?x8xf32
// CHECK: uoe.moe {{ *}}silu top 2 scoring {{ *}}softmax normalized input(%[[ROWS]] : tensor<?x8xf32{{.*}}) scores({{.*}} : tensor<?x4xf32{{.*}}) up({{.*}}) bias_up(%{{.*}} : tensor<4x6xf32>) gate({{.*}}) bias_gate(%{{.*}} : tensor<4x6xf32>) down({{.*}}) bias_down(%{{.*}} : tensor<4x8xf32>)
