// The rt dialect: what the machine runs. Rationale: README.md beside this file.
#ifndef UOE_DIALECTS_RT_OPS
#define UOE_DIALECTS_RT_OPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Rt_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::uoe::rtir";
  let summary = "calls of the runtime's entry points";
  let description = [{
    After lowering, a model is a straight line of calls of entries of the runtime's kernel table: ONNX operators that have a kernel,
    our fused entries (domain "uoe"), and elementwise groups for which kernels are generated. lib/Execution turns such a function into a
    runtime program.
  }];
}

def Rt_CallOp : Op<Rt_Dialect, "call", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "one call of a runtime entry";
  let description = [{
    `entry` and `domain` name the kernel, `version` is the opset by which its attributes are to be read. Absent operands and
    results have type `none`. The entry's subprograms are regions.

    Constraints:
    - (C1) there are as many `region_names` as regions.
    - (C2) each region has one block that ends in `rt.yield`.
    - (C3) the entry exists in the runtime's kernel table (checked by pass `verify-rt`, not here: the dialect knows no runtime).

    Example:
    ```mlir
    %y = rt.call "uoe" "Ffn" version 1 (%x, %up, %none, %down) {activation = 2} : (tensor<?x8xf32>, tensor<8x32xf32>, none, tensor<32x8xf32>) -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$domain, StrAttr:$entry, I64Attr:$version, Variadic<AnyType>:$operands,
                       DictionaryAttr:$params, OptionalAttr<StrArrayAttr>:$region_names);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region VariadicRegion<AnyRegion>:$subprograms);
  let assemblyFormat = [{
    $domain $entry `version` $version `(` $operands `)` $params (`regions` $region_names^ $subprograms)? attr-dict `:` functional-type($operands, $results)
  }];
  let hasVerifier = 1;
}

def Rt_ElementwiseOp : Op<Rt_Dialect, "elementwise", [IsolatedFromAbove, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "connected elementwise operators as one loop, for which a kernel is generated";
  let description = [{
    The body computes one element of every result from one element of every operand, in scalar ops of `arith` and `math`. Operands
    broadcast to the results' shape as in ONNX; which of their dimensions repeat is found at run time. Constants of one element are part
    of the body. Ops with equal bodies share one kernel (lib/Codegen).

    Constraints:
    - (C1) the body has one argument per operand, of the operand's element type.
    - (C2) the body ends in `rt.yield` of one value per result, of the result's element type; there is at least one result.
    - (C3) the body holds ops of `arith` and `math` alone.
    - (C4) element types are f16, bf16, f32, f64, i1, i32 and i64.
    - (C5) all results have one shape.
    - (C6) operands have no more dimensions than the results, and each is 1, dynamic, or the results' own where that is static.

    Example:
    ```mlir
    %y = rt.elementwise(%x, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      %t = math.tanh %sum : f32
      rt.yield %t : f32
    }
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$operands);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`(` $operands `)` attr-dict `:` functional-type($operands, $results) $body";
  let hasVerifier = 1;
}

def Rt_YieldOp : Op<Rt_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a subprogram or of a body";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
