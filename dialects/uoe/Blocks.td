// Raised blocks: what a subgraph is, whatever nodes spelled it.
#ifndef UOE_DIALECTS_UOE_BLOCKS
#define UOE_DIALECTS_UOE_BLOCKS

include "dialects/uoe/Base.td"

def Uoe_FfnOp : Uoe_Op<"ffn", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "a dense feed-forward block";
  let description = [{
    y = (act(x·gate + bias_gate) ⊙ (x·up + bias_up))·down + bias_down, or without a gate y = act(x·up + bias_up)·down + bias_down.
    x is [..., d]; gate and up are [d, F], down is [F, e], the biases [F], [F], [e].

    With `limit` c, before the activation, what the gate makes is cut at c from above and what up makes to [-c, c]; `up_offset` is then added to
    the latter: y = (act(min(x·gate + bias_gate, c)) ⊙ (clip(x·up + bias_up, -c, c) + up_offset))·down + bias_down (gpt-oss: c = 7, an offset of 1, quick_gelu).

    An activation without a name (Mish, leaky ReLU, xIELU) is `custom`, and `function` says it: the steps of a function of one number x in postfix
    order, names of ONNX operators, "x" and constants.

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
    - (C6) limit and up_offset need a gate; limit is above 0 and up_offset finite.
    - (C7) function is given where activation is custom, and nowhere else.
    - (C8) function takes its operands from what went before, and leaves one number.

    Example:
    ```mlir
    %y = uoe.ffn silu %x up(%u) gate(%g) down(%d)
        : tensor<?x?x576xf32>, tensor<576x1536xf32>, tensor<576x1536xf32>, tensor<1536x576xf32> -> tensor<?x?x576xf32>
    %z = uoe.ffn custom %x up(%u) down(%d) attributes {function = ["x", "x", "Softplus", "Tanh", "Mul"]}
        : tensor<?x?x576xf32>, tensor<576x1536xf32> down tensor<1536x576xf32> -> tensor<?x?x576xf32>
    ```
  }];
  let arguments = (ins Uoe_Activation:$activation, AnyType:$input, AnyType:$up, Optional<AnyType>:$gate, AnyType:$down,
                       Optional<AnyType>:$bias_up, Optional<AnyType>:$bias_gate, Optional<AnyType>:$bias_down,
                       OptionalAttr<F32Attr>:$limit, DefaultValuedAttr<F32Attr, "0.0f">:$up_offset,
                       OptionalAttr<ArrayAttr>:$function);
  let results = (outs AnyType:$output);
  let regions = (region AnyRegion:$spelling);
  let builders = [
    OpBuilder<(ins "::mlir::Type":$output, "::uoe::ActivationAttr":$activation, "::mlir::Value":$input, "::mlir::Value":$up,
                   "::mlir::Value":$gate, "::mlir::Value":$down, "::mlir::Value":$bias_up, "::mlir::Value":$bias_gate,
                   "::mlir::Value":$bias_down), [{
      build($_builder, $_state, output, activation, input, up, gate, down, bias_up, bias_gate, bias_down, ::mlir::FloatAttr(),
            $_builder.getF32FloatAttr(0.0f), ::mlir::ArrayAttr());
    }]>,
    OpBuilder<(ins "::mlir::Type":$output, "::uoe::Activation":$activation, "::mlir::Value":$input, "::mlir::Value":$up,
                   "::mlir::Value":$gate, "::mlir::Value":$down, "::mlir::Value":$bias_up, "::mlir::Value":$bias_gate,
                   "::mlir::Value":$bias_down), [{
      build($_builder, $_state, output, ::uoe::ActivationAttr::get($_builder.getContext(), activation), input, up, gate, down, bias_up,
            bias_gate, bias_down);
    }]>
  ];
  let extraClassDeclaration = [{
    /// True if the hidden values are more than an activation, and a gate's product with the linear part.
    bool isCut() { return getLimit() || !getUpOffset().isZero(); }
  }];
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
    For each token the `k` experts of the highest gates run: y = Σ w_e · ffn_e(x), where ffn_e is `uoe.ffn` with expert e's slices of the stacked
    operands: up and gate [E, d, F], down [E, F, e], biases [E, F], [E, F], [E, e]. x is [..., d], scores (the router's logits) are [..., E].
    `scoring` makes gates of the scores, and `selection_bias`, `groups`, `group_k` and `group_score` choose by them, as in `uoe.select`; w is the gate,
    divided by the sum of the chosen ones if `normalized`, times `factor`. `limit` and `up_offset` are those of `uoe.ffn`.

    The region is the block as the model spelled it, as in `uoe.ffn`; `fused` names the operator if it was a fused one. Operands may be
    absent: then the region alone says what the block does.

    Constraints:
    - (C1) input, scores, up and down are all present, or no operand is and the region is not empty.
    - (C2) up is [E, d, F], down [E, F, e], scores [..., E], with d the last dimension of the input, where known; gate has up's shape.
    - (C3) a bias has its matrix's first and last size.
    - (C4) a region that is not empty ends in uoe.yield of one value of the result's type.
    - (C5) k is at least 1 and at most the number of experts, those of the smallest group_k groups where there are groups.
    - (C6) selection_bias is [E].
    - (C7) groups and group_k come together: one group for each expert, numbered from 0 without gaps; 1 <= group_k <= groups.
    - (C8) limit and up_offset, where there are operands, need a gate; limit is above 0 and up_offset finite.
    - (C9) activation is not custom.

    Example:
    ```mlir
    %y = uoe.moe silu top 2 scoring softmax normalized input(%x : tensor<?x64xf32>) scores(%s : tensor<?x8xf32>) up(%u : tensor<8x64x128xf32>)
        gate(%g : tensor<8x64x128xf32>) down(%d : tensor<8x128x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Uoe_Activation:$activation, I64Attr:$k, Uoe_Scoring:$scoring, UnitAttr:$normalized, Optional<AnyType>:$input, Optional<AnyType>:$scores,
                       Optional<AnyType>:$up, Optional<AnyType>:$gate, Optional<AnyType>:$down, Optional<AnyType>:$bias_up,
                       Optional<AnyType>:$bias_gate, Optional<AnyType>:$bias_down, Optional<AnyType>:$selection_bias,
                       OptionalAttr<DenseI64ArrayAttr>:$groups, OptionalAttr<I64Attr>:$group_k,
                       DefaultValuedAttr<Uoe_GroupScore, "::uoe::GroupScore::max">:$group_score, DefaultValuedAttr<F32Attr, "1.0f">:$factor,
                       OptionalAttr<F32Attr>:$limit, DefaultValuedAttr<F32Attr, "0.0f">:$up_offset, OptionalAttr<StrAttr>:$fused);
  let results = (outs AnyType:$output);
  let regions = (region AnyRegion:$spelling);
  let assemblyFormat = [{
    $activation `top` $k `scoring` $scoring (`normalized` $normalized^)? (`input` `(` $input^ `:` type($input) `)`)? (`scores` `(` $scores^ `:` type($scores) `)`)?
    (`selection_bias` `(` $selection_bias^ `:` type($selection_bias) `)`)?
    (`up` `(` $up^ `:` type($up) `)`)? (`bias_up` `(` $bias_up^ `:` type($bias_up) `)`)?
    (`gate` `(` $gate^ `:` type($gate) `)`)? (`bias_gate` `(` $bias_gate^ `:` type($bias_gate) `)`)?
    (`down` `(` $down^ `:` type($down) `)`)? (`bias_down` `(` $bias_down^ `:` type($bias_down) `)`)?
    attr-dict-with-keyword (`spelled` $spelling^)? `->` type($output)
  }];
  let hasVerifier = 1;
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
