// Every pass, by stage. A pass lives in passes/STAGE/NAME.cpp and is tested by test/passes/STAGE/name.mlir.
//
//   namespace uoe {
//   #define GEN_PASS_DEF_NAMEPASS
//   #include "passes/Passes.h.inc"
//   }
//   struct NamePass : uoe::impl::NamePassBase<NamePass> { void runOnOperation() override; };
#ifndef UOE_PASSES
#define UOE_PASSES

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// raise: onnx -> uoe
//===----------------------------------------------------------------------===//

def CanonicalizeOnnxPass : Pass<"canonicalize-onnx", "::mlir::ModuleOp"> {
  let summary = "functions that several nodes spell become one standard node";
  let description = [{
    LayerNormalization, RMSNormalization, Gelu (exact and tanh), Swish (SiLU, quick GELU), Softmax and RotaryEmbedding are recognised in all their
    spellings, through casts where the types come out the same. Gemm becomes MatMul and Add over the activations' own axes, fused activations of
    ONNX Runtime become nodes. Transpositions move towards the outputs until they cancel; 1x1 convolutions over sequences become matrices. Products of one
    input that are added up (LoRA that was not merged) become one product. Heads that are modules of their own, results side by side, get one
    projection and one product for all. Keys and values that groups of queries share are repeated last, heads that share them in turn come in the
    order of the groups, and queries stacked in groups are heads again. Weights in one-hot rows of a choice are scattered. Results differ by rounding. Run after normalize-opset, infer-shapes and fold-constants.
  }];
  let options = [Option<"rotary", "rotary", "bool", "true", "recognise rotary position embedding">];
  let statistics = [Statistic<"recognised", "recognised", "composites that became one node">];
}

def FoldConstantsPass : Pass<"fold-constants", "::mlir::ModuleOp"> {
  let summary = "constants are computed, shape arithmetic is solved, nodes that do nothing go";
  let description = [{
    Nodes whose operands are constants are evaluated by the runtime's own kernels, if the results are small. Shape arithmetic
    is solved over symbolic dimensions: a Reshape to `[Shape(x)[0], Shape(x)[1], 12, 64]` becomes one to `[0, 0, 12, 64]`, what remains
    reads the dimensions where they enter the graph. Identities, no-op casts, transposes and slices, arithmetic with neutral elements, and
    equal nodes are removed. Float results stay bit-identical but for the sign of a zero to which zero is added.
    Quantised weights are not dequantised. Outputs keep their names.
  }];
  let options = [
    Option<"maxBytes", "max-bytes", "uint64_t", "65536", "largest result that is evaluated; larger ones stay as IR on the weights">,
    Option<"shapes", "shapes", "bool", "true", "rewrite what shape arithmetic remains">
  ];
  let statistics = [Statistic<"evaluated", "nodes-evaluated", "nodes computed at compile time">,
                    Statistic<"removed", "ops-removed", "operations that nothing used any more">];
}

def InferShapesPass : Pass<"infer-shapes", "::mlir::ModuleOp"> {
  let summary = "types and shapes of every value, from the operators' own rules";
  let description = [{
    Result types are refined in place, in subgraphs too, with symbolic dimensions (also sums and products of them) as names in `#onnx.dims`.
    The values of small integer tensors are followed symbolically, so that shapes that a graph computes are known. Operators that are
    not in the table keep their declared types. A declared type that contradicts is a warning, operand shapes that can't be are an error.
  }];
}

def InlineFunctionsPass : Pass<"inline-functions", "::mlir::ModuleOp"> {
  let summary = "calls of model-local functions become their bodies";
  let description = [{
    References to the caller's attributes are resolved; absent inputs become `onnx.none`; what the graph calls a result stays its name. The
    functions themselves are removed. A function that imports another opset than the model, or that may have a default for an attribute
    that the call leaves out, is an error.
  }];
  let statistics = [Statistic<"inlined", "calls-inlined", "calls that became nodes">];
}

def NormalizeOpsetPass : Pass<"normalize-opset", "::mlir::ModuleOp"> {
  let summary = "older spellings of operators become the newest";
  let description = [{
    Attributes that became operands move (axes, splits, slices, pads, bounds, k), Upsample becomes Resize, Softmax over a flattened
    tensor is spelled so, and the model imports the target opset. 24 is the first opset that has all of the standard operators that
    canonicalize-onnx produces (RMSNormalization and RotaryEmbedding of 23, Swish of 24). A model that uses what has no newer form
    (Scan of opset 8) is left as it is, with a warning. Caches of one row that PyTorch gives to RotaryEmbedding are spread over the batch.
  }];
  let options = [Option<"opset", "opset", "int64_t", "24", "the opset that is imported afterwards">];
}

def UnfuseContribPass : Pass<"unfuse-contrib", "::mlir::ModuleOp"> {
  let summary = "com.microsoft's fused operators are spelled with standard ones";
  let description = [{
    BiasGelu, FastGelu with bias, SkipLayerNormalization, SkipSimplifiedLayerNormalization, EmbedLayerNormalization and FusedMatMul
    become additions, gathers, normalisations and products, for passes that match on those. Forms that standard operators don't have
    (masks computed on the side, saved statistics) stay.
  }];
  let statistics = [Statistic<"unfused", "unfused", "nodes that were spelled out">];
}

def ReadAsOnnxRuntimePass : Pass<"read-as-onnxruntime", "::mlir::ModuleOp"> {
  let summary = "a model is read as ONNX Runtime computes it on x86 without VNNI, where that is not what ONNX says";
  let description = [{
    Three things differ. Products of uint8 activations by int8 weights clamp each sum of two products to 16 bits; so do products between
    DequantizeLinear and QuantizeLinear, if the activation is uint8, or int8 with one reader. A quantised Softmax counts in units of
    1 / floor(1 / scale). A normalisation spelled in float16 nodes has an epsilon of 1e-5, whatever the model says. For comparison with
    what was recorded there. The module's attribute `uoe.deviations` lists what was found. Run after infer-shapes, before anything is folded.
  }];
}

def RaiseFfnPass : Pass<"raise-ffn", "::mlir::ModuleOp"> {
  let summary = "subgraphs that are dense feed-forward blocks become uoe.ffn";
  let description = [{
    A block is down(act(up(x))) or down(act(gate(x)) * up(x)) with constant weights, whatever nodes spell it: MatMul, Gemm, MatMulNBits and
    quantised products, packed gate and up, biases before or after regrouping; the activation is recognised by its values at sample
    points. Matched nodes move unchanged into the block's spelling. Run on canonical forms: after `canonicalize-onnx`.
  }];
  let options = [Option<"remarks", "remarks", "bool", "false", "a remark for each candidate that is not a block, with the reason">];
  let statistics = [Statistic<"numRaised", "blocks-raised", "feed-forward blocks found">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RaiseAttentionPass : Pass<"raise-attention", "::mlir::ModuleOp"> {
  let summary = "subgraphs that are scaled dot-product attention become uoe.attention";
  let description = [{
    The core softmax(scale * q * k^T + bias) * v is found from its second product backwards, through masks, biases, soft caps, guards against
    NaN, casts, quantisation and regrouping of heads. Keys and values that were repeated for grouped queries are read before the
    repetition. A fused operator becomes a block that holds it, and so do two products of heads between which the scores become weights by other
    functions than a softmax (sigmoid, ReLU). Matched nodes move unchanged into the block's spelling.
  }];
  let options = [Option<"remarks", "remarks", "bool", "false", "a remark for each candidate that is not a block, with the reason">];
  let statistics = [Statistic<"numRaised", "blocks-raised", "attention blocks found">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RaiseMoePass : Pass<"raise-moe", "::mlir::ModuleOp"> {
  let summary = "mixtures of experts that the model came with become uoe.moe";
  let description = [{
    A TopK over experts whose choice picks constant stacked matrices, feeds feed-forward blocks one by one, or weighs the results of all of them,
    up to the sum over the chosen; or a fused operator. Experts spelled one by one are stacked if each token reaches those it chose, with their weights. Matched nodes move unchanged into the block's spelling. Run before `raise-ffn`, which would find single experts.
  }];
  let options = [Option<"remarks", "remarks", "bool", "false", "a remark for each candidate that is not a block, with the reason">];
  let statistics = [Statistic<"numRaised", "blocks-raised", "mixtures found">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RaiseReportPass : Pass<"raise-report", "::mlir::ModuleOp"> {
  let summary = "say which blocks were found, and for each missed candidate which step failed";
  let description = [{
    Writes to standard error (or `file`) the raised blocks by layer, with their sizes, then the candidates that are still nodes: a
    softmax next to a product of activations, an activation between two products with constant matrices, routing to constant experts.
    Changes nothing.
  }];
  let options = [
    Option<"json", "json", "bool", "false", "JSON instead of text">,
    Option<"file", "file", "std::string", "", "write there rather than to standard error">
  ];
}

def InlineSpellingPass : Pass<"inline-spelling", "::mlir::ModuleOp"> {
  let summary = "raised blocks become the nodes that spelled them";
  let description = [{
    The reverse of the raise passes: the graph is what it was before them. Nodes that they made for a block's operands go when unused.
    Blocks without a spelling stay.
  }];
}

def DropSpellingPass : Pass<"drop-spelling", "::mlir::ModuleOp"> {
  let summary = "raised blocks forget how the model spelled them, where their operands say what they mean";
}

def WidenBlocksPass : Pass<"widen-blocks", "::mlir::ModuleOp"> {
  let summary = "feed-forward blocks and mixtures of half precision are computed in float32";
  let description = [{
    A block of float16 or bfloat16 gets casts around it and on its weights, which are evaluated once, and loses its spelling. Conversions that
    calibrate run it first: the scores, thresholds and refitted weights of routed experts are float32. The rest of the model stays as it is.
  }];
}

//===----------------------------------------------------------------------===//
// decompose: dense blocks -> experts, exactly
//===----------------------------------------------------------------------===//

def DecomposeFfnPass : Pass<"decompose-ffn", "::mlir::ModuleOp"> {
  let summary = "feed-forward blocks become sums of experts, exactly";
  let description = [{
    Each `uoe.ffn` becomes `uoe.experts` over slices of its neurons (columns of up and gate, rows of down, biases with them). Neurons go to
    experts as `permutation` and `sizes` say; a block's own attributes `uoe.permutation` and `uoe.sizes` (arrays of i64) go before.

    Blocks that quantise their activations are split as the model spells them, so that every number is rounded as it was; a scale that depends on
    all neurons is computed on the results of experts of their own, set side by side. A block with a node that is not known to
    treat neurons alike is left dense, with a remark and the attribute `uoe.dense` that name it. `keep-dense` keeps the dense block beside its
    experts and probes both, for a proof.
  }];
  let options = [
    Option<"experts", "experts", "int64_t", "8", "number of experts; need not divide the number of neurons">,
    ListOption<"sizes", "sizes", "int64_t", "neurons of each expert, instead of even sizes">,
    Option<"permutation", "permutation", "std::string", "",
           "order of the neurons: .npy, one for all blocks or a row for each, or .npz, by the blocks' names">,
    Option<"keepDense", "keep-dense", "bool", "false", "keep the dense block and probe both results">
  ];
  let statistics = [Statistic<"decomposed", "blocks-decomposed", "blocks that became experts">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def DecomposeAttentionPass : Pass<"decompose-attention", "::mlir::ModuleOp"> {
  let summary = "attention blocks become sums of experts over groups of heads, exactly";
  let description = [{
    Each `uoe.attention`, with its projections, becomes `uoe.experts` over key and value heads with the query heads that read them: columns of the
    query, key and value matrices (biases with them) and rows of the output matrix. The way between them is followed through nodes that treat
    heads alike (regrouping, rotary embedding, normalisation of a head, quantisation, past keys and values). One that needs all heads (a norm over all of
    them, a scale for all) stays whole, on the results of experts of its own, set side by side. A block without operands is followed through its own
    nodes. A block with any other node on the way is left dense, with a remark and the attribute `uoe.dense` that name it.

    Groups of heads go to experts as `permutation` and `sizes` say; a block's own attributes `uoe.groups` (integer), `uoe.permutation` and `uoe.sizes`
    (arrays of i64) go before. What else uses keys and values, such as a cache, keeps the dense ones. `keep-dense` keeps the dense block beside its
    experts and probes both, for a proof.
  }];
  let options = [
    Option<"groups", "groups", "int64_t", "2", "number of experts; at most one per key and value head, need not divide them">,
    ListOption<"sizes", "sizes", "int64_t", "key and value heads of each expert, instead of even sizes">,
    Option<"permutation", "permutation", "std::string", "",
           "order of the key and value heads: .npy, one for all blocks or a row for each, or .npz, by the blocks' names">,
    Option<"keepDense", "keep-dense", "bool", "false", "keep the dense block and probe both results">
  ];
  let statistics = [Statistic<"decomposed", "blocks-decomposed", "blocks that became experts">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def MoeToExpertsPass : Pass<"moe-to-experts", "::mlir::ModuleOp"> {
  let summary = "mixtures of experts that the model came with become routed experts";
  let description = [{
    `uoe.moe` with operands becomes `uoe.select` (scoring, k, normalisation, gates as weights) and `uoe.experts` over its matrices, which
    nodes on the weights lay side by side: [E, d, F] becomes [d, E·F]. Biases of the down matrices become rows that are added up by the
    same weights. Exact but for the order of summation. Mixtures without operands are left as they are, with a remark.
  }];
  let statistics = [Statistic<"converted", "mixtures-converted", "mixtures that became routed experts">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

//===----------------------------------------------------------------------===//
// route: which experts run
//===----------------------------------------------------------------------===//

def RouteCascadePass : Pass<"route-cascade", "::mlir::ModuleOp"> {
  let summary = "blocks become experts of single channels and neurons, selected by exact thresholds on magnitudes";
  let description = [{
    For each dense `uoe.ffn` with inputs in the profile: thresholds on |x_i|·norm decide which input channels and neurons are computed,
    set from quantiles so that the realised cost meets the budget. A block's attribute `uoe.budget` (f64) goes before the option.
  }];
  let options = [
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">,
    Option<"budget", "budget", "double", "0.75", "share of the block's multiply-adds that are to be executed">,
    Option<"search", "search", "bool", "true", "search for the rates of the four thresholds with the least error">
  ];
  let statistics = [Statistic<"routed", "blocks-routed", "blocks that became routed">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RouteExpertsPass : Pass<"route-experts", "::mlir::ModuleOp"> {
  let summary = "blocks become an always-on core and routed experts, from closed form";
  let description = [{
    For each dense `uoe.ffn` with inputs in the profile: neurons are grouped by co-activation of their contributions, a linear router is
    fitted by ridge regression, one threshold per layer meets the budget (router counted), and the down projection is refitted to what
    is left. A block's attribute `uoe.budget` (f64) goes before the option. `distill-steps` trains the router by Adam on the block's own
    loss before the refit, straight through the hard choice; it is kept where it is a gain on held-out tokens after the refit. The attribute
    `uoe.distilled` has the block's errors with the closed-form router and with the trained one.

    Matrices up and gate that MatMulNBits multiplies keep their codes; with experts of 16 neurons or a multiple the refitted down matrix then gets
    8 bits, with a scale for 16 neurons of an output. Other matrices in 4 or 8 bits are rounded to float16.
  }];
  let options = [
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">,
    Option<"budget", "budget", "double", "0.75", "share of the block's multiply-adds that are to be executed">,
    Option<"expertSize", "expert-size", "int64_t", "16", "neurons per expert; the last one may be smaller">,
    Option<"distillSteps", "distill-steps", "int64_t", "0", "steps of training the router on the block's own loss; 0: none">
  ];
  let statistics = [Statistic<"routed", "blocks-routed", "blocks that became routed">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RouteDsmoePass : Pass<"route-dsmoe", "::mlir::ModuleOp"> {
  let summary = "feed-forward blocks become DSMoE: contiguous groups of neurons behind sigmoid thresholds";
  let description = [{
    Each dense `uoe.ffn` is split into `experts` contiguous groups of its neurons (DSMoE, arXiv 2502.12455): y = Σ_i o_i·G(σ(h Y_i)), with G(s) = s
    above tau and 0 else, times n over the number of experts above it; Σ_i o_i is the dense block. The paper trains Y and the weights from
    here. Y is made from `seed` and the block's name (`router` seeded, of deviation 1/√d) or zero, when every gate is 0.5 and none above the
    paper's tau. With weight=unit a chosen expert counts in full; with tau=-1 as well all gates are open and the model is the dense one.

    The bias of the down matrix stays outside, added once. Blocks that quantise their activations are left dense, with a remark.
  }];
  let options = [
    Option<"experts", "experts", "int64_t", "8", "number of groups; need not divide the number of neurons">,
    Option<"tau", "tau", "double", "0.5", "threshold of the gates">,
    Option<"scale", "scale", "bool", "true", "multiply by n over the number of active experts">,
    Option<"weight", "weight", "std::string", "\"gate\"", "gate (the paper's) or unit">,
    Option<"router", "router", "std::string", "\"seeded\"", "weights of the router: seeded or zero">,
    Option<"seed", "seed", "int64_t", "0", "of the router's weights">
  ];
  let statistics = [Statistic<"routed", "blocks-routed", "blocks that became routed">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def RouteUnionPass : Pass<"route-union", "::mlir::ModuleOp"> {
  let summary = "decomposed blocks become a Union of Experts: each expert picks its tokens";
  let description = [{
    Each `uoe.experts` that decompose-ffn or decompose-attention made gets a router over its experts, on its own input (UoE, arXiv 2503.02495): a
    token votes for the `k` experts of the highest softmax, an expert takes those c of its voters with the highest gates, unweighted. Slices of neurons
    run on these tokens; groups of heads gather them and attend among them, their queries, keys and values all from the same tokens.

    Readings: `capacity` share is c = ⌊share·L⌋ (language modelling code, share 0.5); takers the largest number of votes that any expert got; least the smaller of
    both (share 0.6 in the code). `normalize` batch is the released language modelling code, which makes a sample's choice depend on the others;
    experts that for Long Range Arena. `padding` masked leaves an expert with fewer voters short, as in the paper's figure; token fills it up, as the
    code does. A mask of keys or of pairs of tokens, the same for all heads, is gathered with the tokens; heads of keys take their heads of queries
    with them. `positions` token keeps the tokens' own in rotary tables [batch, sequence, ...], as the code for Long Range Arena does; compacted counts
    an expert's tokens from 0, as the language modelling code does. Positions that were added to the tokens before stay in them.

    With all, capacity=share and share=1 every expert takes every token, and the model is the dense one. A choice among the tokens of a sample looks ahead
    in causal models: check-causality says so.

    Left as they are, with a remark: experts with a routing, with a cache, with an input other than the tokens [batch, sequence, d], such tables and such a
    mask, of quantised or half-precision models, in several stages, or with one expert only.
  }];
  let options = [
    Option<"k", "k", "int64_t", "0", "experts that a token votes for; 0: half of them">,
    Option<"all", "all", "bool", "false", "a token votes for all experts">,
    Option<"capacity", "capacity", "std::string", "\"share\"", "share, takers or least">,
    Option<"share", "share", "double", "0.5", "share of the tokens that an expert takes at most">,
    Option<"normalize", "normalize", "std::string", "\"experts\"", "axis over which chosen gates are normalised: experts or batch">,
    Option<"padding", "padding", "std::string", "\"masked\"", "masked or token">,
    Option<"positions", "positions", "std::string", "\"token\"", "of an expert's tokens in rotary tables: token or compacted">,
    Option<"router", "router", "std::string", "\"seeded\"", "weights of the router: seeded or zero">,
    Option<"seed", "seed", "int64_t", "0", "of the router's weights">
  ];
  let statistics = [Statistic<"routed", "blocks-routed", "blocks that became routed">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def CheckCausalityPass : Pass<"check-causality", "::mlir::ModuleOp"> {
  let summary = "say where a choice looks ahead in a model whose attention is causal";
  let description = [{
    In a function with causal attention, a choice of experts that depends on later tokens or on other samples makes prefill and decoding
    differ. Each one is reported with what in it looks ahead and what to write instead:

    - `uoe.select` with a capacity (an expert's choice among the tokens of a sample), `padding` token, `normalize` tokens or batch;
    - scores over a sample, its mean, or a patch of several tokens; `within` a routing of such rows;
    - `uoe.experts` that are `gathered` and whose attention over gathered tokens is not causal.

    Attention is causal with the attribute, by an operator that says so (is_causal, unidirectional, GroupQueryAttention), or by a bias that is
    cut along a diagonal (Trilu, a constant triangle, a comparison of ranges). `assume-causal` is for masks that come from outside. A
    score whose input was pooled over tokens by other nodes is not found.
  }];
  let options = [
    Option<"severity", "severity", "std::string", "\"error\"", "error or warning">,
    Option<"assumeCausal", "assume-causal", "bool", "false", "take attention for causal whatever its masks">
  ];
  let statistics = [Statistic<"numFound", "choices-found", "properties of choices that look ahead">];
}

//===----------------------------------------------------------------------===//
// depth: layers that are run several times
//===----------------------------------------------------------------------===//

def RollLayersPass : Pass<"roll-layers", "::mlir::ModuleOp"> {
  let summary = "groups of layers with the same weights become uoe.recur";
  let description = [{
    Finds groups of operations, consecutive along the residual stream, that do the same with the same weights: operands are the same value, or equal
    constants (initializers by their bytes), or nodes that compute the same from such. Groups may hold several layers. What a group hands to the next
    is carried; what belongs to one iteration alone (caches, low-rank matrices) is stacked for `each`; results of a group that others read
    (caches again, hidden states) are stacked results, picked by a Gather. The longest repetition is rolled first, then what is left.

    Weights of a group that are not shared may be at most `max-untied` of all its weights. Needs known ranks: run after infer-shapes.
    `unroll-recur` is the reverse.
  }];
  let options = [
    Option<"minTimes", "min-times", "int64_t", "2", "fewest iterations that are worth a loop">,
    Option<"maxUntied", "max-untied", "double", "0.5", "largest share of a group's weights that may differ from iteration to iteration">
  ];
  let statistics = [Statistic<"rolled", "loops-rolled", "loops made">,
                    Statistic<"removed", "ops-removed", "operations that became iterations">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def TieLayersPass : Pass<"tie-layers", "::mlir::ModuleOp"> {
  let summary = "layers that differ in their weights get shared ones, and low-rank residuals of their own";
  let description = [{
    Relaxed recursion (arXiv 2410.20672): of groups of `layers` like layers, weight W_t of group t becomes W + A_t B_t, with W the mean of the W_t (or the
    first) and A_t B_t the best approximation of W_t − W of the given rank (truncated SVD). Full rank is exact up to rounding, rank 0 is pure
    tying. Vectors have rank 1: from rank 1 on each group keeps its own. Stacked weights of more dimensions are kept, or tied at rank 0.
    `roll-layers` then makes the loop. A remark says what is lost of the matrices. Run before blocks are raised, on canonical forms.
  }];
  let options = [
    Option<"rank", "rank", "int64_t", "8", "rank of each iteration's residual">,
    Option<"layers", "layers", "int64_t", "1", "layers of a group; they have to divide the number of layers">,
    Option<"base", "base", "std::string", "\"mean\"", "the shared weight: mean or first">
  ];
  let statistics = [Statistic<"tied", "weights-tied", "weights that are shared afterwards">];
}

def UnrollRecurPass : Pass<"unroll-recur", "::mlir::ModuleOp"> {
  let summary = "uoe.recur becomes its iterations, one after the other";
  let description = [{
    Weights stay shared. Rows of `each` that were stacked by nodes are read before the stacking, and picked rows of stacked results are
    the values themselves, so that unrolling what `roll-layers` rolled leaves no stack behind.
  }];
  let statistics = [Statistic<"unrolled", "loops-unrolled", "loops spelled out">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

//===----------------------------------------------------------------------===//
// merge: neurons and experts that duplicate each other, experts that do little
//===----------------------------------------------------------------------===//

def MergeNeuronsPass : Pass<"merge-neurons", "::mlir::ModuleOp"> {
  let summary = "neurons that duplicate each other become one";
  let description = [{
    Per dense `uoe.ffn`: neurons with equal gate and up columns (and multiples of them, where the activation allows it) are merged, their
    rows of the down matrix added. Exact; with a tolerance above 0, near duplicates by least squares on a profile, and a ridge of what is
    then missing on the neurons that remain. The block's attributes say how many were merged (`uoe.merged`), the error on held-out tokens
    (`uoe.error`) and the multiply-adds that it had before (`uoe.multiply_adds`), which budgets are shares of.
  }];
  let options = [
    Option<"tolerance", "tolerance", "double", "0.0", "largest distance of two directions that are taken for one">,
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run, for tolerances above 0">
  ];
  let statistics = [Statistic<"removed", "neurons-removed", "neurons that were merged into others">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def MergeExpertsPass : Pass<"merge-experts", "::mlir::ModuleOp"> {
  let summary = "experts of native mixtures that do nearly the same become one";
  let description = [{
    Per routed experts (after `moe-to-experts`) with inputs and scores in the profile: experts are clustered by their mean output on the
    calibration tokens (Euclidean distance, average linkage) until `experts` are left; a cluster becomes Σ f_e W_e / Σ f_e, with f_e the number of
    tokens that chose expert e (HC-SMoE, arXiv 2410.08589). The router stays: `slots` send it to the merged experts, and two picks of one
    add up. Experts that are equal merge exactly. Attributes: `uoe.clusters` (for each expert of before the merged one), `uoe.usage` (tokens that
    chose it), `uoe.error` (relative squared error of the mixture's output on held-out tokens).
  }];
  let options = [
    Option<"experts", "experts", "int64_t", "0", "experts to keep per layer; an op's attribute `uoe.keep` (i64) goes before it">,
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">
  ];
  let statistics = [Statistic<"removed", "experts-removed", "experts that were merged into others">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def PruneExpertsPass : Pass<"prune-experts", "::mlir::ModuleOp"> {
  let summary = "experts of native mixtures that matter least are dropped";
  let description = [{
    Per routed experts (after `moe-to-experts`) with inputs and scores in the profile, the `experts` of the highest score by `criterion` stay: `reap`, the
    mean of weight·‖output‖ over the tokens that chose the expert; `seer`, how many chose it; `seer-soft`, the sum of their weights. With
    `router` drop their scores are dropped as well, so that the others are chosen instead, and weights are normalised as before over
    what is there; with keep the choice stays, and dropped experts give nothing. Attributes: `uoe.pruned` (dropped experts, the least first),
    `uoe.saliency` (the scores), `uoe.error` (relative squared error of the mixture's output on held-out tokens).
  }];
  let options = [
    Option<"experts", "experts", "int64_t", "0", "experts to keep per layer; an op's attribute `uoe.keep` (i64) goes before it">,
    Option<"criterion", "criterion", "std::string", "\"reap\"", "reap, seer or seer-soft">,
    Option<"router", "router", "std::string", "\"drop\"", "drop or keep the scores of dropped experts">,
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">
  ];
  let statistics = [Statistic<"removed", "experts-removed", "experts that were dropped">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

//===----------------------------------------------------------------------===//
// plan: the budget over the layers, experts over ranks
//===----------------------------------------------------------------------===//

def PlanBudgetPass : Pass<"plan-budget", "::mlir::ModuleOp"> {
  let summary = "spread a budget over the blocks by what each loses";
  let description = [{
    Measures each block's error at costs around the budget on the profile, and gives every block a budget of its own (attribute
    `uoe.budget`, f64) such that the sum of multiply-adds meets the whole budget at the least sum of losses. A block's loss is
    its error, or, where it has the attribute `uoe.sensitivity` (f64), that loss of the model at the budget, which uoe-opt measures (`--plan loss`),
    growing with the cost saved as the error does. `uoe.importance` (f64, default 1), the user's, multiplies it.

    A block that would execute more than `dense-above` of its multiply-adds stays dense, and the others save that as well: what routing takes of a
    block's time is more than such a block saves.
  }];
  let options = [
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">,
    Option<"budget", "budget", "double", "0.75", "share of all blocks' multiply-adds that are to be executed">,
    Option<"recipe", "recipe", "std::string", "\"cascade\"", "experts or cascade">,
    Option<"expertSize", "expert-size", "int64_t", "16", "neurons per routed expert">,
    Option<"denseAbove", "dense-above", "double", "0.85", "a block that would execute more than this share stays dense; 1: none">
  ];
}

def ShardExpertsPass : Pass<"shard-experts", "::mlir::ModuleOp"> {
  let summary = "experts are placed on ranks, the processes or devices that share the work";
  let description = [{
    Sets `shard` of routed feed-forward experts whose results are added up. An expert's load is its neurons times the rows that chose it: those of the
    op's attribute `uoe.load` (an f64 for each expert), else those of the profile, which become that attribute, else (with a remark, if there is a profile) one. The heaviest
    expert goes first, to the rank with the least load of the layer; among equals to the one with the fewest neurons of all layers so far, then to the lower one.
    So the placement is the same on every run. With `even` no rank has more than one expert of a layer more than another.

    Run last: passes that change the number of experts drop a placement.
  }];
  let options = [
    Option<"ranks", "ranks", "int64_t", "1", "ranks that share the experts">,
    Option<"even", "even", "bool", "false", "the same number of experts on each rank, or one more">,
    Option<"profile", "profile", "std::string", "", "profile written by a calibration run">
  ];
  let statistics = [Statistic<"sharded", "blocks-sharded", "blocks whose experts were placed">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

//===----------------------------------------------------------------------===//
// lower: uoe and onnx -> what a runtime executes, or standard ONNX
//===----------------------------------------------------------------------===//

def PromoteHalfPass : Pass<"promote-half", "::mlir::ModuleOp"> {
  let summary = "models of float16 or bfloat16 are computed in float32";
  let description = [{
    Every float16 and bfloat16 value inside the graph becomes float32; weights are cast, which loading evaluates once; rows of an embedding
    are cast after they are taken; inputs and outputs keep their types. A graph in which a value's element type is not known is left as it is. Run after infer-shapes.
  }];
}

def LowerExpertsToGatherPass : Pass<"lower-experts-to-gather", "::mlir::ModuleOp"> {
  let summary = "routed feed-forward experts become standard ONNX operators that compute what was chosen";
  let description = [{
    Per expert NonZero, Gather, MatMul and ScatterND with addition: saves time in any runtime for a moderate number of experts, at the price of
    some ten nodes for each. Run before lower-uoe-to-onnx, which spells what is left (masked); a remark tells why an op is left.
  }];
  let options = [Option<"maxExperts", "max-experts", "int64_t", "256", "most experts of a block that are spelled one by one">];
  let statistics = [Statistic<"lowered", "blocks-lowered", "routed blocks that gather tokens">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def LowerExpertsToMoePass : Pass<"lower-experts-to-moe", "::mlir::ModuleOp"> {
  let summary = "routed feed-forward experts become com.microsoft.MoE";
  let description = [{
    Weights are stacked and padded to one size; router logits are the logarithms of the routing's weights, so that the operator's softmax over the
    chosen experts gives them back up to their sum, by which the result is multiplied: any number of experts per token. Rows of skipped
    experts stay ordinary nodes. Gates must be SiLU or quick GELU. GELU: ONNX Runtime's CPU kernel computes the tanh approximation, so
    the exact one is left alone unless `approximate`. Run before lower-uoe-to-onnx, which spells what is left (masked); a remark tells why an
    op is left.
  }];
  let options = [Option<"approximate", "approximate", "bool", "false", "take the operator's tanh GELU for the exact one">];
  let statistics = [Statistic<"lowered", "blocks-lowered", "routed blocks that became MoE nodes">];
  let dependentDialects = ["::uoe::UoeDialect"];
}

def ExactProductsPass : Pass<"exact-products", "::mlir::ModuleOp"> {
  let summary = "products that may round their inputs don't";
  let description = [{
    MatMulNBits loses the attribute accuracy_level, which permits a runtime to round the activations to fewer bits. Forms of a model that sum
    in another order can then be compared to the last places.
  }];
}

def GatherInPlacePass : Pass<"gather-in-place", "::mlir::ModuleOp"> {
  let summary = "rows of a transposed weight are gathered as columns of the weight";
  let description = [{
    Where an embedding table is the transpose of the last product's matrix, as in exports that store the matrix alone, both would be kept in
    memory. Gather takes columns of the matrix as it lies, and the result is transposed: a token's row is then as many strided reads as it
    has elements, which is little beside the model. Tables that nothing else reads are transposed once, ahead, and stay as they are.
  }];
}

def LowerUoeToOnnxPass : Pass<"lower-uoe-to-onnx", "::mlir::ModuleOp"> {
  let summary = "uoe ops become standard ONNX operators: their reference meaning";
  let description = [{
    Blocks with a spelling get it back; others, and routing, are spelled with operators of the model's opset. Routing becomes a mask, so
    every expert is computed: exact, portable, and without savings. With `unroll`, experts are computed one by one and added up, even
    where one masked product would do. With `keep-blocks`, feed-forward and attention blocks stay, those of experts' bodies and loops
    included, so that they can still be fused.
  }];
  let options = [Option<"unroll", "unroll", "bool", "false", "compute experts one by one">,
                 Option<"keepBlocks", "keep-blocks", "bool", "false", "leave uoe.ffn, uoe.attention and uoe.moe in place">];
}

def DistributeExpertsPass : Pass<"distribute-experts", "::mlir::ModuleOp"> {
  let summary = "experts with a placement become this rank's part of a layer that several ranks compute";
  let description = [{
    A call of uoe.Experts with `shard` becomes one of uoe.ShardedExperts, whose weights are those of this rank's experts alone: slices that are taken
    where the weights lie, before what a model computes from them at load (Transpose, Reshape, Concat, Cast, Slice along another axis). So a rank reads
    and keeps no weights of other ranks' experts. Skip vectors stay whole: what skipping gives is added up by the rank that a token belongs to.

    A placement on a rank that there is not is an error. Run after lower-uoe-to-rt and before lower-to-rt.
  }];
  let options = [Option<"rank", "rank", "int64_t", "0", "the rank whose part is made">,
                 Option<"ranks", "ranks", "int64_t", "1", "how many there are; 1 takes every expert, whatever its placement">];
  let statistics = [Statistic<"distributed", "layers-distributed", "layers of which a part was taken">];
  let dependentDialects = ["::uoe::rtir::RtDialect"];
}

def LowerUoeToRtPass : Pass<"lower-uoe-to-rt", "::mlir::ModuleOp"> {
  let summary = "uoe ops become calls of fused runtime entries";
  let description = [{
    Float32 blocks and experts for which the runtime has a fused entry become `rt.call "uoe" ...`; transpositions around attention are
    absorbed as layouts, biases and activations into products. A choice becomes lists, which fused experts read; for other readers of the
    same routing the entry gives it dense as well, behind a `builtin.unrealized_conversion_cast`. What has no fused entry is left for
    `lower-uoe-to-onnx`.
  }];
  let dependentDialects = ["::uoe::rtir::RtDialect"];
}

def OutlineElementwisePass : Pass<"outline-elementwise", "::mlir::ModuleOp"> {
  let summary = "connected elementwise operators become one loop";
  let description = [{
    Elementwise operators that read from each other over one shape become an `rt.elementwise`, for which lib/Codegen makes a kernel. An operator
    joins the group that it reads from if the shapes are known to be equal by size or name. Where that is not known it still joins if
    nothing outside needs the smaller value. Constants of one element go into the body; what is constant, or small as shape arithmetic is, stays.
    A group has several results where several of its values are read outside. Softmax, reductions, LayerNormalization and RMSNormalization over the
    last dimension join with their neighbours over the same rows, if the shapes are known to be equal. Nodes may be reordered. Run after infer-shapes, before lower-to-rt.
  }];
  let options = [Option<"leastElements", "least-elements", "int64_t", "256", "tensors of a known, smaller size stay as they are">,
                 Option<"rows", "rows", "bool", "true", "take operators over rows as well">];
  let statistics = [Statistic<"groups", "groups", "loops made">, Statistic<"operators", "operators", "operators in loops">];
  let dependentDialects = ["::uoe::rtir::RtDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def GenerateGpuKernelsPass : Pass<"generate-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "kernels of elementwise loops in the gpu dialect";
  let description = [{
    Adds `gpu.module @generated` with one kernel per distinct body of the module's `rt.elementwise` ops: a grid-stride loop, or where rows
    are reduced, a warp a row. Shapes are parameters (lib/Codegen/Gpu.h).
  }];
}

def LowerGpuKernelsPass : Pass<"lower-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "generated kernels become the LLVM dialect with NVVM's operations";
  let description = [{
    What `generate-gpu-kernels` has made. Nothing calls libdevice: functions are arithmetic, or LLVM's intrinsics that PTX has instructions for.
  }];
}

def EmitPtxPass : Pass<"emit-ptx", "::mlir::ModuleOp"> {
  let summary = "PTX of the kernels of elementwise loops";
  let description = [{
    The PTX of all distinct `rt.elementwise` bodies, on standard output or in a file; the module is not changed. No CUDA toolkit is needed.

    Example: `uoe-opt model.onnx --pass-pipeline='builtin.module(execute,emit-ptx{chip=sm_90a file=kernels.ptx})' -o /dev/null`.
  }];
  let options = [Option<"chip", "chip", "std::string", "\"sm_80\"", "architecture: sm_80, sm_90a, ...">,
                 Option<"file", "file", "std::string", "\"\"", "where to write; standard output if it is empty">];
}

def LowerToRtPass : Pass<"lower-to-rt", "::mlir::ModuleOp"> {
  let summary = "onnx nodes become calls of the runtime's kernel table";
  let description = [{
    Each `onnx.node` becomes an `rt.call` of the kernel of its operator, read by the opset that the model imports. A node without a
    kernel is an error that names node, operator and operand types. Run `lower-uoe-to-rt` before, if there are raised blocks.
  }];
  let dependentDialects = ["::uoe::rtir::RtDialect"];
}

#endif
