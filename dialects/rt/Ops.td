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
    broadcast to the loop's shape as in ONNX; which of their dimensions repeat is found at run time. Constants of one element are part
    of the body. Ops with equal bodies share one kernel (lib/Codegen).

    The row form: `rt.reduce` joins the elements of a row, which is the last dimension, and `rt.row_length` counts them. A value that is
    computed from such values alone, from operands whose last dimension is 1 and from constants, is one for the whole row: a row value.

    Constraints:
    - (C1) the body has one argument per operand, of the operand's element type.
    - (C2) the body ends in `rt.yield` of one value per result, of the result's element type; there is at least one result.
    - (C3) the body holds ops of `arith` and `math`, `rt.reduce` and `rt.row_length` alone.
    - (C4) element types are f16, bf16, f32, f64, i1, i32 and i64.
    - (C5) all results have one shape, that of the loop; but those that are row values end in a dimension of 1 instead.
    - (C6) operands have no more dimensions than the results, and each is 1, dynamic, or the results' own where that is static.

    Example:
    ```mlir
    %y = rt.elementwise(%x, %bias) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      %t = math.tanh %sum : f32
      rt.yield %t : f32
    }
    %p = rt.elementwise(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32> {
    ^bb0(%a: f32):
      %top = rt.reduce max %a : f32
      %shifted = arith.subf %a, %top : f32
      %e = math.exp %shifted : f32
      %total = rt.reduce add %e : f32
      %share = arith.divf %e, %total : f32
      rt.yield %share : f32
    }
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$operands);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`(` $operands `)` attr-dict `:` functional-type($operands, $results) $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// True if the body reduces rows.
    bool hasRows();
    /// The body's row values; none if it does not reduce rows. Constants are not among them.
    ::llvm::DenseSet<::mlir::Value> rowValues();
  }];
}

def Rt_Reduction : I32EnumAttr<"Reduction", "how the elements of a row are joined", [
    I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Max", 1, "max">, I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::uoe::rtir";
}

def Rt_ReduceOp : Op<Rt_Dialect, "reduce", [Pure, HasParent<"ElementwiseOp">]> {
  let summary = "the elements of a row, joined";
  let description = [{
    The sum's order is not defined. The largest and least are NaN if an element is; of no elements they are the infinities, and the sum is 0.

    Example: `%m = rt.reduce max %x : f32`.
  }];
  let arguments = (ins Rt_Reduction:$kind, F32:$value);
  let results = (outs F32:$result);
  let assemblyFormat = "$kind $value attr-dict `:` type($value)";
}

def Rt_RowLengthOp : Op<Rt_Dialect, "row_length", [Pure, HasParent<"ElementwiseOp">]> {
  let summary = "elements of a row";
  let description = [{
    Example: `%n = rt.row_length : f32`.
  }];
  let results = (outs F32:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Rt_YieldOp : Op<Rt_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a subprogram or of a body";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
