// The dialect itself, its types and enums.
#ifndef UOE_DIALECTS_UOE_BASE
#define UOE_DIALECTS_UOE_BASE

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
  let summary = "who uses which experts, and with what weight";
  let description = [{
    The value of a selection: for every row, a set out of `experts` experts and a weight for each chosen one. A row speaks for one token
    (`tokens` = 1), for a patch of several consecutive tokens (the last patch of a sequence may be short), or for a whole sample (0). The
    reference form is a tensor [rows..., experts] that holds the weight of a chosen expert and 0 elsewhere; the runtime's is a list per row.
    Examples: `!uoe.routing<96>`, `!uoe.routing<8 per 4>` (a patch of 4 tokens), `!uoe.routing<4 per sample>`.
  }];
  let parameters = (ins "int64_t":$experts, DefaultValuedParameter<"int64_t", "1">:$tokens);
  let builders = [TypeBuilder<(ins "int64_t":$experts), [{ return $_get($_ctxt, experts, int64_t(1)); }]>];
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    bool perSample() const { return getTokens() == 0; }
  }];
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
    I32EnumAttrCase<"sigmoid", 8>,
    I32EnumAttrCase<"custom", 9>]>;   // a function that the op spells itself
def Uoe_Activation : Uoe_EnumAttr<Uoe_ActivationEnum, "activation">;

def Uoe_ScoreKindEnum : Uoe_I32Enum<"ScoreKind", "what a router scores", [
    I32EnumAttrCase<"linear", 0>,      // x·W + b
    I32EnumAttrCase<"magnitude", 1>,   // |x_i|·n_i: the channel itself is the router
    I32EnumAttrCase<"cosine", 2>,      // cos(x·P, E_j): on a sphere of few dimensions
    I32EnumAttrCase<"mlp", 3>,         // act(x·V + c)·W + b
    I32EnumAttrCase<"mass", 4>,        // |x·G_j|·|x·U_j|: low-rank bound of an expert's contribution
    I32EnumAttrCase<"activation", 5>   // Σ |act(x·G_i)·(x·U_i)| over an expert's own neurons
  ]>;
def Uoe_ScoreKind : Uoe_EnumAttr<Uoe_ScoreKindEnum, "score_kind">;

def Uoe_OverEnum : Uoe_I32Enum<"Over", "what a row of scores speaks for", [
    I32EnumAttrCase<"token", 0>,
    I32EnumAttrCase<"patch", 1>,       // mean of the scores of `patch` consecutive tokens
    I32EnumAttrCase<"sample", 2>,      // the score of the sample's tokens laid end to end
    I32EnumAttrCase<"sample_mean", 3>  // mean of the scores of the sample's tokens
  ]>;
def Uoe_Over : Uoe_EnumAttr<Uoe_OverEnum, "over">;

def Uoe_ScoringEnum : Uoe_I32Enum<"Scoring", "how scores become gates", [
    I32EnumAttrCase<"raw", 0>,
    I32EnumAttrCase<"softmax", 1>,     // over all experts, or within each group where there are scores of groups
    I32EnumAttrCase<"sigmoid", 2>
  ]>;
def Uoe_Scoring : Uoe_EnumAttr<Uoe_ScoringEnum, "scoring">;

def Uoe_RuleEnum : Uoe_I32Enum<"Rule", "how many experts a row gets", [
    I32EnumAttrCase<"all", 0>,
    I32EnumAttrCase<"threshold", 1>,   // gate > tau
    I32EnumAttrCase<"token_topk", 2>,  // the k highest gates; ties to the lower index
    I32EnumAttrCase<"top_p", 3>        // the shortest prefix of the sorted gates whose sum exceeds p
  ]>;
def Uoe_Rule : Uoe_EnumAttr<Uoe_RuleEnum, "rule">;

def Uoe_AxisEnum : Uoe_I32Enum<"NormalizeAxis", "over what chosen gates are normalised", [
    I32EnumAttrCase<"none", 0>,
    I32EnumAttrCase<"experts", 1>,     // of the same row
    I32EnumAttrCase<"tokens", 2>,      // of the same sample and expert
    I32EnumAttrCase<"batch", 3>        // of the same position and expert
  ]>;
def Uoe_Axis : Uoe_EnumAttr<Uoe_AxisEnum, "axis">;

def Uoe_WeightRuleEnum : Uoe_I32Enum<"WeightRule", "the weight of a chosen expert", [
    I32EnumAttrCase<"unit", 0>,        // 1
    I32EnumAttrCase<"gate", 1>]>;
def Uoe_WeightRule : Uoe_EnumAttr<Uoe_WeightRuleEnum, "weight_rule">;

def Uoe_ScalingEnum : Uoe_I32Enum<"Scaling", "how weights depend on the number of experts that a row chose", [
    I32EnumAttrCase<"none", 0>,
    I32EnumAttrCase<"one_over_active", 1>,
    I32EnumAttrCase<"n_over_active", 2>]>;
def Uoe_Scaling : Uoe_EnumAttr<Uoe_ScalingEnum, "scaling">;

def Uoe_EmptyEnum : Uoe_I32Enum<"EmptyChoice", "what happens when a rule chooses no expert", [
    I32EnumAttrCase<"none", 0>,        // the row gets nothing from the experts
    I32EnumAttrCase<"argmax", 1>,      // the best gate is chosen; ties to the lower index
    I32EnumAttrCase<"all", 2>          // all experts
  ]>;
def Uoe_Empty : Uoe_EnumAttr<Uoe_EmptyEnum, "empty">;

def Uoe_PaddingEnum : Uoe_I32Enum<"Padding", "what fills an expert that fewer rows chose than it has room for", [
    I32EnumAttrCase<"masked", 0>,      // nothing
    I32EnumAttrCase<"token", 1>        // rows that did not choose it, the earliest first
  ]>;
def Uoe_Padding : Uoe_EnumAttr<Uoe_PaddingEnum, "padding">;

def Uoe_GroupScoreEnum : Uoe_I32Enum<"GroupScore", "the score of a group of experts", [
    I32EnumAttrCase<"max", 0>,         // the best gate of its experts
    I32EnumAttrCase<"top2", 1>         // the sum of the two best
  ]>;
def Uoe_GroupScore : Uoe_EnumAttr<Uoe_GroupScoreEnum, "group_score">;

def Uoe_CombineEnum : Uoe_I32Enum<"Combine", "how the experts' results become one", [
    I32EnumAttrCase<"sum", 0>,         // Σ weight·result
    I32EnumAttrCase<"concat", 1>,      // side by side along the last axis, weight·result, 0 where not chosen
    I32EnumAttrCase<"merge", 2>        // Σ weight·result of experts that read no tokens: one tensor per row
  ]>;
def Uoe_Combine : Uoe_EnumAttr<Uoe_CombineEnum, "combine">;

class Uoe_Op<string mnemonic, list<Trait> traits = []> : Op<Uoe_Dialect, mnemonic, traits>;

#endif
