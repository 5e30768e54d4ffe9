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
    and our fused entries (domain "uoe"). lib/Execution turns such a function into a runtime program.
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

def Rt_YieldOp : Op<Rt_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a subprogram";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
