// The uoe dialect: blocks of a transformer, expert groups and routing. Rationale: README.md beside this file.
#ifndef UOE_DIALECTS_UOE_OPS
#define UOE_DIALECTS_UOE_OPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Uoe_Dialect : Dialect {
  let name = "uoe";
  let cppNamespace = "::uoe";
  let summary = "expert groups and routing";
  let description = [{
    Raised blocks (`uoe.ffn`, `uoe.attention`) say what a subgraph is; `uoe.score`, `uoe.select` and `uoe.experts` say how it is
    split and routed. Every op has a reference meaning in ONNX operators (pass `lower-uoe-to-onnx`), which is also its export.
  }];
  let dependentDialects = ["::uoe::onnx::OnnxDialect"];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

class Uoe_I32Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::uoe";
  let genSpecializedAttr = 0;
}
class Uoe_EnumAttr<EnumAttrInfo info, string mnemonic> : EnumAttr<Uoe_Dialect, info, mnemonic> {
  let assemblyFormat = "$value";
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

def Uoe_RoutingType : TypeDef<Uoe_Dialect, "Routing"> {
  let mnemonic = "routing";
  let summary = "which experts each token uses, and with what weight";
  let description = [{
    The value of a selection: for every token, a set out of `experts` experts and a weight for each chosen one. The reference form is a
    tensor [tokens..., experts] that holds the weight of a chosen expert and 0 elsewhere; the runtime's is a list per token.
    Example: `!uoe.routing<96>`.
  }];
  let parameters = (ins "int64_t":$experts);
  let assemblyFormat = "`<` $experts `>`";
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Uoe_ActivationEnum : Uoe_I32Enum<"Activation", "activation function of a feed-forward block", [
    I32EnumAttrCase<"identity", 0>,
    I32EnumAttrCase<"relu", 1>,
    I32EnumAttrCase<"gelu", 2>,       // x · Φ(x), by erf
    I32EnumAttrCase<"gelu_tanh", 3>,  // its tanh approximation
    I32EnumAttrCase<"silu", 4>,       // x · σ(x)
    I32EnumAttrCase<"quick_gelu", 5>, // x · σ(1.702 x)
    I32EnumAttrCase<"relu_squared", 6>,
    I32EnumAttrCase<"tanh", 7>,
    I32EnumAttrCase<"sigmoid", 8>]>;
def Uoe_Activation : Uoe_EnumAttr<Uoe_ActivationEnum, "activation">;

def Uoe_ScoreKindEnum : Uoe_I32Enum<"ScoreKind", "what a router scores", [
    I32EnumAttrCase<"linear", 0>,      // x·W + b
    I32EnumAttrCase<"magnitude", 1>    // |x_i|·n_i: the channel itself is the router
  ]>;
def Uoe_ScoreKind : Uoe_EnumAttr<Uoe_ScoreKindEnum, "score_kind">;

def Uoe_RuleEnum : Uoe_I32Enum<"Rule", "how many experts a token gets", [
    I32EnumAttrCase<"all", 0>,
    I32EnumAttrCase<"threshold", 1>,   // score > tau
    I32EnumAttrCase<"token_topk", 2>   // the k highest scores; ties to the lower index
  ]>;
def Uoe_Rule : Uoe_EnumAttr<Uoe_RuleEnum, "rule">;

def Uoe_WeightRuleEnum : Uoe_I32Enum<"WeightRule", "the weight of a chosen expert", [
    I32EnumAttrCase<"unit", 0>,        // 1
    I32EnumAttrCase<"score", 1>,       // its score
    I32EnumAttrCase<"softmax", 2>,     // softmax of the scores over all experts
    I32EnumAttrCase<"softmax_chosen", 3>, // softmax over the chosen experts only
    I32EnumAttrCase<"sigmoid", 4>
  ]>;
def Uoe_WeightRule : Uoe_EnumAttr<Uoe_WeightRuleEnum, "weight_rule">;

def Uoe_EmptyEnum : Uoe_I32Enum<"EmptyChoice", "what happens when a rule chooses no expert", [
    I32EnumAttrCase<"none", 0>,        // the token gets nothing from the experts
    I32EnumAttrCase<"argmax", 1>       // the best score is chosen
  ]>;
def Uoe_Empty : Uoe_EnumAttr<Uoe_EmptyEnum, "empty">;

def Uoe_CombineEnum : Uoe_I32Enum<"Combine", "how the experts' results become one", [
    I32EnumAttrCase<"sum", 0>,         // Σ weight·result
    I32EnumAttrCase<"concat", 1>       // side by side along the last axis, weight·result, 0 where not chosen
  ]>;
def Uoe_Combine : Uoe_EnumAttr<Uoe_CombineEnum, "combine">;

//===----------------------------------------------------------------------===//
// Raised blocks
//===----------------------------------------------------------------------===//

class Uoe_Op<string mnemonic, list<Trait> traits = []> : Op<Uoe_Dialect, mnemonic, traits>;

def Uoe_FfnOp : Uoe_Op<"ffn", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "a dense feed-forward block";
  let description = [{
    y = (act(x·gate + bias_gate) ⊙ (x·up + bias_up))·down + bias_down, or without a gate y = act(x·up + bias_up)·down + bias_down.
    x is [..., d]; gate and up are [d, F], down is [F, e], the biases [F], [F], [e].

    The region, if not empty, is the block as the model spelled it, moved here unchanged; it may use any value that dominates the op.
    It is what runs and what is exported where exactly the model's own arithmetic is wanted (quantised models, an
    unconverted export). The operands are the block's meaning, in one layout; ops on weights that produce them are evaluated
    when a model is loaded or exported. With an empty region the meaning is all there is.

    Constraints:
    - (C1) up is [d, F] and down [F, e], with d the last dimension of x, where these are known.
    - (C2) gate has up's shape.
    - (C3) a bias has one dimension, of its matrix's second size.
    - (C4) a region that is not empty ends in uoe.yield of one value of the result's type.
    - (C5) a bias of the gate needs a gate.

    Example:
    ```mlir
    %y = uoe.ffn silu %x up(%u) gate(%g) down(%d)
        : tensor<?x?x576xf32>, tensor<576x1536xf32>, tensor<576x1536xf32>, tensor<1536x576xf32> -> tensor<?x?x576xf32>
    ```
  }];
  let arguments = (ins Uoe_Activation:$activation, AnyType:$input, AnyType:$up, Optional<AnyType>:$gate, AnyType:$down,
                       Optional<AnyType>:$bias_up, Optional<AnyType>:$bias_gate, Optional<AnyType>:$bias_down);
  let results = (outs AnyType:$output);
  let regions = (region AnyRegion:$spelling);
  let assemblyFormat = [{
    $activation $input `up` `(` $up (`+` $bias_up^)? `)` (`gate` `(` $gate^ (`+` $bias_gate^)? `)`)?
    `down` `(` $down (`+` $bias_down^)? `)` attr-dict-with-keyword
    (`spelled` $spelling^)? `:` type($input) `,` type($up) (`,` type($bias_up)^)? (`gate` type($gate)^)? (`,` type($bias_gate)^)?
    `down` type($down) (`,` type($bias_down)^)? `->` type($output)
  }];
  let hasVerifier = 1;
}

def Uoe_AttentionOp : Uoe_Op<"attention", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "scaled dot-product attention of one layer";
  let description = [{
    y = softmax(scale·q·kᵀ + bias)·v per head. q is [B, H, S, D], k [B, G, T, D], v [B, G, T, E] with H a multiple of G (grouped queries:
    head h reads group h / (H/G)). bias broadcasts to [B, H, S, T]: added to the scores, or, if of bool type, true where attention is
    allowed. y is [B, H, S, E].

    With `causal`, query s sees keys up to s + T − S. With `window` w > 0, only the last w of them. `softcap` c > 0 replaces scores x by
    c·tanh(x/c) before the bias. `boolean_zero`: a row without any allowed key yields 0 rather than NaN.

    The region, if not empty, is the block as the model spelled it, as in `uoe.ffn`; `fused` names the operator if it was a fused one.
    A fused operator that holds more than the core (caches, rotary embedding, projections) keeps its meaning in the region alone:
    then q, k, v are absent and the results are the operator's.

    Constraints:
    - (C1) q, k and v are all present, or none of them and the region is not empty.
    - (C2) q, k, v have rank 4; k and v agree in B, G, T; q and k agree in B and D, where known; H is a multiple of G.
    - (C3) a region that is not empty ends in uoe.yield of values of the result types.
    - (C4) a bias needs q, k, v.

    Example:
    ```mlir
    %y = uoe.attention %q, %k, %v bias(%m) {scale = 0.125 : f32}
        : (tensor<?x9x?x64xf32>, tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>) bias tensor<?x1x?x?xf32> -> tensor<?x9x?x64xf32>
    ```
  }];
  let arguments = (ins Optional<AnyType>:$query, Optional<AnyType>:$key, Optional<AnyType>:$value, Optional<AnyType>:$bias,
                       DefaultValuedAttr<F32Attr, "1.0f">:$scale, UnitAttr:$causal, DefaultValuedAttr<I64Attr, "0">:$window,
                       DefaultValuedAttr<F32Attr, "0.0f">:$softcap, UnitAttr:$boolean_zero, OptionalAttr<StrAttr>:$fused);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region AnyRegion:$spelling);
  let assemblyFormat = [{
    ($query^ `,` $key `,` $value)? (`bias` `(` $bias^ `)`)? attr-dict-with-keyword (`spelled` $spelling^)?
    `:` (`(` type($query)^ `,` type($key) `,` type($value) `)`)? (`bias` type($bias)^)? `->` type($outputs)
  }];
  let hasVerifier = 1;
}

def Uoe_MoeOp : Uoe_Op<"moe", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "a mixture of experts that the model came with";
  let description = [{
    For each token the `k` experts of the highest scores run: y = Σ w_e · ffn_e(x), where ffn_e is `uoe.ffn` with expert e's slices of the stacked
    operands: up and gate [E, d, F], down [E, F, e], biases [E, F], [E, F], [E, e]. x is [..., d], scores (the router's logits) are [..., E].
    `weight` makes w of the scores: their softmax over all experts, over the chosen ones, and so on as in `uoe.select`.

    The region is the block as the model spelled it, as in `uoe.ffn`; `fused` names the operator if it was a fused one. Operands may be
    absent: then the region alone says what the block does.

    Constraints:
    - (C1) input, scores, up and down are all present, or no operand is and the region is not empty.
    - (C2) up is [E, d, F], down [E, F, e], scores [..., E], with d the last dimension of the input, where known; gate has up's shape.
    - (C3) a bias has its matrix's first and last size.
    - (C4) a region that is not empty ends in uoe.yield of one value of the result's type.
    - (C5) k is at least 1 and at most the number of experts.

    Example:
    ```mlir
    %y = uoe.moe silu top 2 weight softmax_chosen input(%x : tensor<?x64xf32>) scores(%s : tensor<?x8xf32>) up(%u : tensor<8x64x128xf32>)
        gate(%g : tensor<8x64x128xf32>) down(%d : tensor<8x128x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Uoe_Activation:$activation, I64Attr:$k, Uoe_WeightRule:$weight, Optional<AnyType>:$input, Optional<AnyType>:$scores,
                       Optional<AnyType>:$up, Optional<AnyType>:$gate, Optional<AnyType>:$down, Optional<AnyType>:$bias_up,
                       Optional<AnyType>:$bias_gate, Optional<AnyType>:$bias_down, OptionalAttr<StrAttr>:$fused);
  let results = (outs AnyType:$output);
  let regions = (region AnyRegion:$spelling);
  let assemblyFormat = [{
    $activation `top` $k `weight` $weight (`input` `(` $input^ `:` type($input) `)`)? (`scores` `(` $scores^ `:` type($scores) `)`)?
    (`up` `(` $up^ `:` type($up) `)`)? (`bias_up` `(` $bias_up^ `:` type($bias_up) `)`)?
    (`gate` `(` $gate^ `:` type($gate) `)`)? (`bias_gate` `(` $bias_gate^ `:` type($bias_gate) `)`)?
    (`down` `(` $down^ `:` type($down) `)`)? (`bias_down` `(` $bias_down^ `:` type($bias_down) `)`)?
    attr-dict-with-keyword (`spelled` $spelling^)? `->` type($output)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

def Uoe_ScoreOp : Uoe_Op<"score", [Pure]> {
  let summary = "router logits";
  let description = [{
    `linear`: x·weight + bias with weight [d, experts]; `magnitude`: |x_i|·weight_i with weight [d] and one expert per channel.

    Constraints:
    - (C1) linear: weight is [d, experts], d the last dimension of x.
    - (C2) magnitude: weight is [d], the result has x's shape; no bias.
    - (C3) bias is [experts].

    Example:
    ```mlir
    %s = uoe.score linear %x, %w bias(%b) : tensor<?x?x576xf32>, tensor<576x96xf32>, tensor<96xf32> -> tensor<?x?x96xf32>
    %m = uoe.score magnitude %x, %c : tensor<?x?x576xf32>, tensor<576xf32> -> tensor<?x?x576xf32>
    ```
  }];
  let arguments = (ins Uoe_ScoreKind:$kind, AnyRankedTensor:$input, AnyRankedTensor:$weight, Optional<AnyRankedTensor>:$bias);
  let results = (outs AnyRankedTensor:$scores);
  let assemblyFormat = [{
    $kind $input `,` $weight (`bias` `(` $bias^ `)`)? attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)? `->` type($scores)
  }];
  let hasVerifier = 1;
}

def Uoe_SelectOp : Uoe_Op<"select", [Pure]> {
  let summary = "which experts each token uses";
  let description = [{
    `rule` chooses from the scores [tokens..., experts]: `all`; `threshold`, score > tau; `token_topk`, the k highest, ties to the
    lower index. `weight` is what a chosen expert's result is multiplied by; `empty` what happens to a token for which a threshold
    chooses nothing. All of it is an attribute, so that a decision can be read, edited and run again.

    Constraints:
    - (C1) the routing's number of experts is the scores' last dimension.
    - (C2) token_topk needs 1 <= k <= experts; other rules have no k.
    - (C3) threshold needs tau, not NaN; other rules have no tau.
    - (C4) the rule `all` with weight `unit` needs no other attribute.

    Example:
    ```mlir
    %r = uoe.select %s threshold {tau = 0.5 : f32} : tensor<?x?x96xf32> -> !uoe.routing<96>
    ```
  }];
  let arguments = (ins Uoe_Rule:$rule, AnyRankedTensor:$scores, OptionalAttr<F32Attr>:$tau, OptionalAttr<I64Attr>:$k,
                       DefaultValuedAttr<Uoe_WeightRule, "::uoe::WeightRule::unit">:$weight,
                       DefaultValuedAttr<Uoe_Empty, "::uoe::EmptyChoice::none">:$empty);
  let results = (outs Uoe_RoutingType:$routing);
  let assemblyFormat = "$scores $rule attr-dict `:` type($scores) `->` type($routing)";
  let hasVerifier = 1;
}

def Uoe_ExpertsOp : Uoe_Op<"experts", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "run experts on what was dispatched to them, and combine";
  let description = [{
    The body is one expert: its arguments are the `shared` operands as they are, then of each `sliced` operand the expert's own part
    along the operand's axis of `axes`. `sizes` are written with runs: [8 x 192, 100] is eight times 192, then 100. Expert e owns the indices starts[e] to starts[e] + sizes[e] of these axes, where starts are
    the running sums of `sizes`. Experts go from a whole layer to single neurons and input channels (all sizes 1).

    Without a routing every expert runs for every token, with weight 1. With one, expert e runs for the tokens that chose it:
    meaning as if it had run for all and been multiplied by its weight, 0 where not chosen. `combine sum` adds the results;
    `combine concat` sets them side by side along the last axis. `skip` [experts, d], if given, is the row to be added for each expert
    that a token did not choose (its conditional mean).

    The body's operands of a sliced size that differs between experts have a dynamic dimension there.

    Constraints:
    - (C1) one axis per sliced operand, within its rank.
    - (C2) sizes are positive and add up to the sliced dimension of each sliced operand, where known.
    - (C3) the routing, if given, is over as many experts as there are sizes.
    - (C4) the body has one block with one argument per operand, of its slice's type, and ends in uoe.yield of one tensor.
    - (C5) skip is [experts, d] and needs a routing and `combine sum`.
    - (C6) the body uses no values from outside.

    Example:
    ```mlir
    %y = uoe.experts(%x) sliced(%u, %d) axes [1, 0] sizes [2 x 192] routing(%r) combine sum {
    ^bb0(%t: tensor<?x?x64xf32>, %ue: tensor<64x192xf32>, %de: tensor<192x64xf32>):
      %o = uoe.ffn gelu %t up(%ue) down(%de) : tensor<?x?x64xf32>, tensor<64x192xf32> down tensor<192x64xf32> -> tensor<?x?x64xf32>
      uoe.yield %o : tensor<?x?x64xf32>
    } : shared tensor<?x?x64xf32> sliced tensor<64x384xf32>, tensor<384x64xf32> routing !uoe.routing<2> -> tensor<?x?x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$shared, Variadic<AnyRankedTensor>:$sliced, Optional<Uoe_RoutingType>:$routing,
                       Optional<AnyRankedTensor>:$skip, DenseI64ArrayAttr:$axes, DenseI64ArrayAttr:$sizes, Uoe_Combine:$combine);
  let results = (outs AnyRankedTensor:$output);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = [{
    `(` $shared `)` `sliced` `(` $sliced `)` `axes` $axes `sizes` custom<Sizes>($sizes) (`routing` `(` $routing^ `)`)? (`skip` `(` $skip^ `)`)?
    `combine` $combine attr-dict-with-keyword $body
    `:` (`shared` type($shared)^)? `sliced` type($sliced) (`routing` type($routing)^)? (`skip` type($skip)^)? `->` type($output)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t numExperts() { return static_cast<int64_t>(getSizes().size()); }
  }];
}

def Uoe_YieldOp : Uoe_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "result of a block's spelling or of an expert";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

def Uoe_ProbeOp : Uoe_Op<"probe"> {
  let summary = "identity that shows its operand to a calibration run";
  let description = [{
    Example:
    ```mlir
    uoe.probe "layer.3.ffn.input" %x : tensor<?x?x576xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, AnyType:$input);
  let assemblyFormat = "$name $input attr-dict `:` type($input)";
}

#endif
