// Routing: who scores, who chooses, what runs.
#ifndef UOE_DIALECTS_UOE_ROUTING
#define UOE_DIALECTS_UOE_ROUTING

include "dialects/uoe/Base.td"

def Uoe_ScoreOp : Uoe_Op<"score", [Pure, AttrSizedOperandSegments]> {
  let summary = "router logits";
  let description = [{
    Scores x [tokens..., d] for n experts. `kind` says how, from `weights`:

    | kind | weights | score of expert j |
    | --- | --- | --- |
    | linear | W [d, n] | x·W_j |
    | cosine | P [d, e], E [e, n]; or E [d, n] | cos(x·P, E_j); 0 where one of them is zero |
    | mlp | V [d, h], c [h], W [h, n] | act(x·V + c)·W_j |
    | mass | G [d, n·r], U [d, n·r] or none | ‖x·G_j‖·‖x·U_j‖, or ‖x·G_j‖ |
    | activation | G [d, F], U [d, F] or none | Σ_i ❘act(x·G_i)·(x·U_i)❘ over the neurons of j, by `sizes`; all of size 1 if there are none |
    | magnitude | c [d] | ❘x_j❘·c_j, one expert per channel |

    `bias` [n] is added; `previous`, logits of an earlier layer [tokens..., m], adds previous·mix with mix [m, n] (a gating residual).
    `over` says what a row of the result speaks for: a token; a `patch` of consecutive tokens, by the mean of their scores, the last one
    possibly short; a whole sample, by the mean, or with `sample` by its tokens laid end to end: then d is L·(last dimension), L known.

    Constraints:
    - (C1) linear: one weight [d, n], d the last dimension of x.
    - (C2) magnitude: one weight [d], n = d; no bias, no previous, over tokens.
    - (C3) bias is [n].
    - (C4) cosine: E is [d, n], or P [d, e] and E [e, n]; no bias.
    - (C5) mlp: three weights of agreeing sizes and an activation with a name; other kinds but activation and mass take no activation.
    - (C6) mass: one or two weights [d, n·r].
    - (C7) activation: one or two weights [d, F]; sizes, if given, positive, n of them, adding up to F; no other kind has sizes.
    - (C8) previous and mix come together; mix is [m, n], m the last dimension of previous.
    - (C9) patch is given exactly with `over` patch and at least 1; patches and samples need a token axis (x of rank 3 or more).
    - (C10) over sample: the length of a sample is known.

    Example:
    ```mlir
    %s = uoe.score linear %x weights(%w) bias(%b) : tensor<?x?x576xf32> weights tensor<576x96xf32> bias tensor<96xf32> -> tensor<?x?x96xf32>
    %c = uoe.score cosine %x weights(%p, %e) : tensor<?x64xf32> weights tensor<64x4xf32>, tensor<4x8xf32> -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins Uoe_ScoreKind:$kind, AnyRankedTensor:$input, Variadic<AnyRankedTensor>:$weights, Optional<AnyRankedTensor>:$bias,
                       Optional<AnyRankedTensor>:$previous, Optional<AnyRankedTensor>:$mix, OptionalAttr<Uoe_Activation>:$activation,
                       OptionalAttr<DenseI64ArrayAttr>:$sizes, DefaultValuedAttr<Uoe_Over, "::uoe::Over::token">:$over,
                       OptionalAttr<I64Attr>:$patch);
  let results = (outs AnyRankedTensor:$scores);
  let assemblyFormat = [{
    $kind $input `weights` `(` $weights `)` (`bias` `(` $bias^ `)`)? (`previous` `(` $previous^ `,` $mix `)`)? attr-dict
    `:` type($input) `weights` type($weights) (`bias` type($bias)^)? (`previous` type($previous)^ `,` type($mix))? `->` type($scores)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$scores, "::uoe::ScoreKind":$kind, "::mlir::Value":$input, "::mlir::ValueRange":$weights,
                   CArg<"::mlir::Value", "{}">:$bias)>
  ];
  let hasVerifier = 1;
}

def Uoe_SelectOp : Uoe_Op<"select", [Pure, AttrSizedOperandSegments]> {
  let summary = "who uses which experts";
  let description = [{
    From scores [rows..., n] to a routing, in these steps, each an attribute, so that a decision can be read, edited and run again:

    1. gates g = `scoring`(scores / `temperature`). With `group_scores` [rows..., G] softmax is taken within each group of `groups`, and
       multiplied by the group's own gate, the softmax of group_scores / `group_temperature`.
    2. Eligible are all experts, or with `group_k` those of the k best groups by `group_score` of g + `selection_bias` (ties to the lower index), and with `within` those that
       another routing, of coarser rows, has chosen (first the sample chooses, then the token).
    3. `rule` chooses among these by g + `selection_bias`: `all`; `threshold`, above tau, or above the expert's own entry of `thresholds`;
       `token_topk`, the k highest; `top_p`. token_topk (and argmax below) ranks by the scores themselves unless there are selection_bias or
       group_scores: the order is the same, but scores do not saturate to ties as gates do. Ties go to the lower index everywhere; NaN is above nothing.
    4. `empty` says what a row gets for which nothing was chosen.
    5. `normalize` divides each chosen gate by the sum of the chosen gates along an axis; 0 where that is 0.
    6. Capacity: of the rows of a sample that chose it, an expert keeps the c of the highest gates, ties to the earlier row, where c is the least
       of `capacity`, max(1, ⌊capacity_share·rows⌋), and with `capacity_takers` the largest number of rows that chose any expert in any sample of the
       batch. With `padding` token, rows that did not choose it fill an expert up to c, the earliest first (their gate counts as 0).
       Without a rule that limits it (`all`), this is expert choice.
    7. The weight is 1 or the gate (`weight`), times `factor`, times what `scaling` says: 1 over the number of experts that the row has, or n over it.

    Rows of a sample lie along the last but one dimension of the scores.

    Constraints:
    - (C1) the routing's number of experts n is the scores' last dimension.
    - (C2) token_topk needs 1 <= k <= n, and no more than the smallest group_k groups hold; other rules have no k.
    - (C3) threshold needs tau, not NaN, or thresholds [n], not both; other rules have neither.
    - (C4) rule all leaves no choice empty: no `empty`.
    - (C5) top_p needs 0 < p <= 1 and gates that are softmax; other rules have no p.
    - (C6) temperature and group_temperature are positive.
    - (C7) a tau that no gate can exceed: infinite, or at least 1 with softmax or sigmoid, or with raw scores that are cosines.
    - (C8) groups: one group for each expert, numbered from 0 without gaps.
    - (C9) group_k and group_scores need groups; 1 <= group_k <= G; group_scores is [rows..., G]; with group_scores scoring is softmax.
    - (C10) selection_bias is [n].
    - (C11) capacity at least 1, 0 < capacity_share <= 1; padding token needs a capacity.
    - (C12) capacity and normalize tokens need rows along a dimension: scores of rank 2 or more; normalize batch needs rank 3 or more.
    - (C13) within is over n experts.
    - (C14) of scores that a uoe.score of the function makes, the routing's rows are that op's: tokens, patches of its size, or samples.

    Example:
    ```mlir
    %r = uoe.select %s threshold {tau = 0.5 : f32, scoring = #uoe<scoring sigmoid>} : tensor<?x?x96xf32> -> <96>
    %c = uoe.select %s all {scoring = #uoe<scoring softmax>, capacity_share = 0.5 : f32} : tensor<?x?x4xf32> -> <4>
    ```
  }];
  let arguments = (ins Uoe_Rule:$rule, AnyRankedTensor:$scores, Optional<AnyRankedTensor>:$thresholds,
                       Optional<AnyRankedTensor>:$selection_bias, Optional<AnyRankedTensor>:$group_scores,
                       Optional<Uoe_RoutingType>:$within, OptionalAttr<F32Attr>:$tau, OptionalAttr<I64Attr>:$k, OptionalAttr<F32Attr>:$p,
                       DefaultValuedAttr<Uoe_Scoring, "::uoe::Scoring::raw">:$scoring,
                       DefaultValuedAttr<F32Attr, "1.0f">:$temperature,
                       OptionalAttr<DenseI64ArrayAttr>:$groups, OptionalAttr<I64Attr>:$group_k,
                       DefaultValuedAttr<Uoe_GroupScore, "::uoe::GroupScore::max">:$group_score,
                       DefaultValuedAttr<F32Attr, "1.0f">:$group_temperature,
                       DefaultValuedAttr<Uoe_Empty, "::uoe::EmptyChoice::none">:$empty,
                       DefaultValuedAttr<Uoe_Axis, "::uoe::NormalizeAxis::none">:$normalize,
                       OptionalAttr<I64Attr>:$capacity, OptionalAttr<F32Attr>:$capacity_share, UnitAttr:$capacity_takers,
                       DefaultValuedAttr<Uoe_Padding, "::uoe::Padding::masked">:$padding,
                       DefaultValuedAttr<Uoe_WeightRule, "::uoe::WeightRule::unit">:$weight,
                       DefaultValuedAttr<F32Attr, "1.0f">:$factor,
                       DefaultValuedAttr<Uoe_Scaling, "::uoe::Scaling::none">:$scaling);
  let results = (outs Uoe_RoutingType:$routing);
  let assemblyFormat = [{
    $scores $rule (`thresholds` `(` $thresholds^ `)`)? (`selection_bias` `(` $selection_bias^ `)`)? (`group_scores` `(` $group_scores^ `)`)?
    (`within` `(` $within^ `)`)? attr-dict `:` type($scores) (`thresholds` type($thresholds)^)? (`selection_bias` type($selection_bias)^)?
    (`group_scores` type($group_scores)^)? (`within` type($within)^)? `->` type($routing)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$routing, "::uoe::Rule":$rule, "::mlir::Value":$scores)>
  ];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t numExperts() { return getRouting().getType().getExperts(); }
    int64_t numGroups();
    bool hasCapacity() { return getCapacity() || getCapacityShare() || getCapacityTakers(); }
    /// False if what a token gets depends on later tokens of its sample, or on other samples.
    bool isCausal();
  }];
}

def Uoe_ExpertsOp : Uoe_Op<"experts", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "run experts on what was dispatched to them, and combine";
  let description = [{
    The body is one expert: its arguments are the `shared` operands as they are, then of each `sliced` operand the expert's own part
    along the operand's axis of `axes`. `sizes` are written with runs: [8 x 192, 100] is eight times 192, then 100. Expert e owns the indices starts[e] to starts[e] + sizes[e] of these axes, where starts are
    the running sums of `sizes`. Experts go from a whole layer to single neurons and input channels (all sizes 1). Without sliced operands
    sizes only count: [1] is one expert, say a copy or a constant.

    Without a routing every expert runs for every token, with weight 1. With one, expert e runs for the tokens that chose it:
    meaning as if it had run for all and been multiplied by its weight, 0 where not chosen. `combine sum` adds the results;
    `combine concat` sets them side by side along the last axis; `combine merge` is the sum for bodies that read no tokens: their results are added
    up with the weights of each row, giving [rows..., result] (weights merged per sample). `skip` [experts, d], if given, is the row to be added for each expert
    that a token did not choose (its conditional mean).

    `slots` [n], for a routing over n slots, gives the expert behind each slot, or -1 for none: several slots may share an expert (merged
    experts; two picks of one add up), slots of -1 belong to another op or to nobody (pruned experts, zero experts). Without it slot e is expert e.

    `gathered` is for experts whose tokens see each other (attention): expert e runs once per sample on the tokens that chose it, gathered along
    axis 1 of every shared operand in ascending order, and its result, times the weights, is added to these tokens' rows. The body may have one more argument, `valid` [B, c] of i1: false where padding `masked` left a place blank; results there are dropped.
    A shared operand whose first dimension is 1 is the same for all samples. Those that `pairs` lists by number hold something for each pair of tokens, [B, L, L, ...] (a mask), and are
    gathered along axes 1 and 2. Of those that `compacted` lists, tables by position, an expert gets the first c rows (pairs: rows and columns): its tokens have the positions
    0 .. c - 1, as in the released language modelling code of Union of Experts, and not their own.

    `shard` [experts] places the experts on ranks, the processes or devices that share the work: expert e, with its slices, lives on rank shard[e]. It is a placement
    and changes no number. Tokens' rows go to the ranks of their experts and the results come back, which needs experts whose results are added up row by row.

    The body's operands of a sliced size that differs between experts have a dynamic dimension there.

    Constraints:
    - (C1) one axis per sliced operand, within its rank.
    - (C2) sizes are positive and add up to the sliced dimension of each sliced operand, where known.
    - (C3) the routing, if given, is over as many experts as there are sizes, or slots.
    - (C4) the body has one block with one argument per operand, of its slice's type, and ends in uoe.yield of one tensor.
    - (C5) skip is [experts, d] and needs a routing and `combine sum`.
    - (C6) the body uses no values from outside.
    - (C7) slots lie in -1 .. experts - 1, need a routing, and go with `combine sum` or `merge`.
    - (C8) gathered needs a routing whose select has a capacity (so that c is one number), `combine sum`, shared operands of rank 2 or more, rows that are
      tokens, no skip.
    - (C9) merge needs a routing and no shared operands.
    - (C10) shard has a rank for each expert, none negative.
    - (C11) shard needs a routing and `combine sum`, and is not for gathered experts.
    - (C12) pairs lists shared operands of gathered experts, each once, of rank 3 or more, whose axes 1 and 2 are of one size, where known.
    - (C13) compacted lists shared operands of gathered experts, each once, and not all of them.

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
                       Optional<AnyRankedTensor>:$skip, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$axes, DenseI64ArrayAttr:$sizes, Uoe_Combine:$combine,
                       UnitAttr:$gathered, OptionalAttr<DenseI64ArrayAttr>:$slots, OptionalAttr<DenseI64ArrayAttr>:$shard,
                       OptionalAttr<DenseI64ArrayAttr>:$pairs, OptionalAttr<DenseI64ArrayAttr>:$compacted);
  let results = (outs AnyRankedTensor:$output);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = [{
    `(` $shared `)` (`sliced` `(` $sliced^ `)` `axes` $axes)? `sizes` custom<Sizes>($sizes) (`routing` `(` $routing^ `)`)?
    (`slots` custom<Slots>($slots)^)? (`shard` custom<Slots>($shard)^)? (`skip` `(` $skip^ `)`)? (`gathered` $gathered^ (`pairs` custom<Slots>($pairs)^)? (`compacted` custom<Slots>($compacted)^)?)? `combine` $combine
    attr-dict-with-keyword $body
    `:` (`shared` type($shared)^)? (`sliced` type($sliced)^)? (`routing` type($routing)^)? (`skip` type($skip)^)? `->` type($output)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$output, "::mlir::ValueRange":$shared, "::mlir::ValueRange":$sliced, "::mlir::Value":$routing,
                   "::mlir::Value":$skip, "::llvm::ArrayRef<int64_t>":$axes, "::llvm::ArrayRef<int64_t>":$sizes, "::uoe::Combine":$combine)>
  ];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t numExperts() { return static_cast<int64_t>(getSizes().size()); }
    /// True if shared operand i holds something for each pair of tokens.
    bool isPair(int64_t i) { return getPairs() && ::llvm::is_contained(*getPairs(), i); }
    /// True if an expert gets the first rows of shared operand i, whatever its tokens are.
    bool isCompacted(int64_t i) { return getCompacted() && ::llvm::is_contained(*getCompacted(), i); }
    /// True if the body takes the flags of valid places after its operands.
    bool takesValid() {
      return getBody().front().getNumArguments() == getShared().size() + getSliced().size() + 1;
    }
  }];
}

def Uoe_RecurOp : Uoe_Op<"recur", [AttrSizedOperandSegments, RecursiveMemoryEffects]> {
  let summary = "a weight-tied group of layers, run several times";
  let description = [{
    Runs the body `times` times. Its arguments are the carried values, `init` at first, later what the iteration before yielded, then the part of
    each operand of `each` that belongs to the iteration: row i of its first dimension, which is `times` (caches, per-iteration low-rank residuals). The body yields
    the carried values, then values that are stacked along a new first dimension (caches again: tied weights, caches not tied).
    Values from outside, such as weights, are the same in every iteration.

    Constraints:
    - (C1) times is at least 1.
    - (C2) the first dimension of every operand of `each` is `times`.
    - (C3) the body has one block, whose arguments are of the carried types and the rows' types.
    - (C4) the body ends in uoe.yield of the carried types, then of the stacked results' row types.
    - (C5) there is a carried value or a stacked result.

    Example:
    ```mlir
    %y = uoe.recur(%x) times 9 {
    ^bb0(%h: tensor<?x?x412xf32>):
      ...
      uoe.yield %o : tensor<?x?x412xf32>
    } : tensor<?x?x412xf32> -> tensor<?x?x412xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$init, Variadic<AnyRankedTensor>:$each, I64Attr:$times);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = [{
    `(` $init `)` (`each` `(` $each^ `)`)? `times` $times attr-dict-with-keyword $body
    `:` type($init) (`each` type($each)^)? `->` type($outputs)
  }];
  let hasVerifier = 1;
}

#endif
