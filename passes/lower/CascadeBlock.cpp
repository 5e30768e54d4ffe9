#include "passes/lower/CascadeBlock.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;

namespace {

// Nodes on the way from a product to its activated value: the longest spelling of GELU has 8.
constexpr size_t kActivationNodes = 16;

ChosenChannels matchMagnitude(Value routing) {
  auto select = routing ? routing.getDefiningOp<SelectOp>() : SelectOp();
  if (!select || !choosesPlainly(select) || select.getRule() != Rule::threshold ||
      !select.getTau() || select.getEmpty() != EmptyChoice::none)
    return {};
  auto score = select.getScores().getDefiningOp<ScoreOp>();
  if (!score || score.getKind() != ScoreKind::magnitude)
    return {};
  // Below 0 nothing is dropped; at 0 zeros are, which add nothing.
  return {score.getInput(), score.getWeights()[0],
          std::max(select.getTau()->convertToFloat(), 0.0f)};
}

bool areSingle(ExpertsOp experts) {
  return experts && experts.getRouting() &&
         llvm::all_of(experts.getSizes(), [](int64_t size) { return size == 1; });
}

ChosenProduct matchProduct(Value value) {
  auto add = value.getDefiningOp<onnx::NodeOp>();
  if (!add || !add.is("Add"))
    return {};
  auto rows = add.getInputs()[0].getDefiningOp<ExpertsOp>();
  if (!areSingle(rows) || classify(rows) != ExpertBody::Rows)
    return {};
  ChosenChannels by = matchMagnitude(rows.getRouting());
  if (!by || by.x != rows.getSliced()[0])
    return {};
  return {by, rows.getSliced()[1], add.getInputs()[1]};
}

// act(product): elementwise nodes, however they are spelled, over one product.
struct ActivatedProduct {
  Activation activation;
  ChosenProduct product;
};
std::optional<ActivatedProduct> matchActivated(Value value) {
  SmallVector<Value> open{value};
  for (size_t i = 0; i < open.size() && i < kActivationNodes; ++i) {
    Value leaf = open[i];
    if (ChosenProduct product = matchProduct(leaf)) {
      auto activation = raise::recogniseActivation(value, leaf);
      if (!activation || activation->factor != 1.0)
        return std::nullopt;
      return ActivatedProduct{activation->activation, product};
    }
    auto node = leaf.getDefiningOp<onnx::NodeOp>();
    if (!node || !raise::isElementwise(node))
      continue;
    for (Value operand : raise::elementwiseOperands(node))
      if (!llvm::is_contained(open, operand))
        open.push_back(operand);
  }
  return std::nullopt;
}

} // namespace

CascadeBlock uoe::matchCascade(ExpertsOp experts) {
  CascadeBlock block;
  if (!areSingle(experts) || classify(experts) != ExpertBody::Rows)
    return {};
  block.last = matchMagnitude(experts.getRouting());
  if (!block.last || block.last.x != experts.getSliced()[0])
    return {};
  Value g = block.last.x, u;
  if (auto product = g.getDefiningOp<ExpertsOp>()) {
    auto mul = dyn_cast<onnx::NodeOp>(product.getBody().front().front());
    block.active = matchMagnitude(product.getRouting());
    if (!areSingle(product) || classify(product) != ExpertBody::Elementwise || !mul ||
        !mul.is("Mul") || product.getSliced().size() != 2 || !block.active ||
        block.active.x != product.getSliced()[0])
      return {};
    g = product.getSliced()[0];
    u = product.getSliced()[1];
  }
  auto first = matchActivated(g);
  if (!first)
    return {};
  block.gate = first->product;
  block.activation = first->activation;
  if (u)
    block.up = matchProduct(u);
  if (u && (!block.up || block.up.by.x != block.gate.by.x))
    return {};
  auto centred = block.gate.by.x.getDefiningOp<onnx::NodeOp>();
  if (!centred || !centred.is("Sub"))
    return {};
  block.x = centred.getInputs()[0];
  block.mean = centred.getInputs()[1];
  block.down = experts.getSliced()[1];
  return block;
}
