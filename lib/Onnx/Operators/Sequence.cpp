// Sequences, optionals, strings.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

Type tensorType(NodeContext &c, const Facts &facts) {
  return typeOf(facts, c.dims, AnyType::get(c.node.getContext()));
}

/// The type of a sequence whose elements have these facts: sizes may differ from element to
/// element, so none is told.
void setSequence(NodeContext &c, unsigned i, const Facts &facts) {
  Type element = facts.other;
  if (!element) {
    Type scalar = facts.element;
    if (!scalar)
      return;
    element = UnrankedTensorType::get(scalar);
  }
  c.out(i).other = SequenceType::get(c.node.getContext(), element);
}

LogicalResult construct(NodeContext &c) {
  setSequence(c, 0, c.in(0));
  return success();
}
LogicalResult empty(NodeContext &c) {
  Facts facts;
  facts.element = c.elementOf(c.node.integer("dtype", 1));
  setSequence(c, 0, facts);
  return success();
}
LogicalResult sameSequence(NodeContext &c) {
  c.out(0).other = c.in(0).other;
  return success();
}
LogicalResult at(NodeContext &c) {
  if (auto sequence = dyn_cast_or_null<SequenceType>(c.in(0).other))
    c.out(0) = factsOf(sequence.getElement(), c.dims);
  return success();
}
LogicalResult length(NodeContext &c) {
  c.set(0, c.i64(), {});
  return success();
}
LogicalResult fromTensor(NodeContext &c) {
  setSequence(c, 0, c.in(0));
  return success();
}
LogicalResult toTensor(NodeContext &c) {
  if (auto sequence = dyn_cast_or_null<SequenceType>(c.in(0).other))
    if (auto element = dyn_cast<TensorType>(sequence.getElement()))
      c.setElement(0, element.getElementType());
  return success();
}

LogicalResult optional(NodeContext &c) {
  Type type;
  if (c.has(0))
    type = c.in(0).other ? c.in(0).other : tensorType(c, c.in(0));
  if (type && !isa<AnyType>(type))
    c.out(0).other = OptionalType::get(c.node.getContext(), type);
  return success();
}
LogicalResult optionalGet(NodeContext &c) {
  if (auto inner = dyn_cast_or_null<OptionalType>(c.in(0).other))
    c.out(0) = factsOf(inner.getElement(), c.dims);
  else if (c.has(0))
    c.out(0) = c.in(0);
  return success();
}
LogicalResult optionalHas(NodeContext &c) {
  c.set(0, c.i1(), {});
  return success();
}

LogicalResult stringConcat(NodeContext &c) {
  return c.broadcastOperands(0, 2, c.elementOf(8));
}
LogicalResult regexMatch(NodeContext &c) {
  c.setLike(0, 0, c.i1());
  return success();
}

} // namespace

void uoe::onnx::addSequence(OperatorTable &table) {
  table.add("SequenceConstruct", construct);
  table.add("SequenceEmpty", empty);
  table.add("SequenceInsert", sameSequence);
  table.add("SequenceErase", sameSequence);
  table.add("SequenceAt", at);
  table.add("SequenceLength", length);
  table.add("SplitToSequence", fromTensor);
  table.add("ConcatFromSequence", toTensor);
  table.add("Optional", optional);
  table.add("OptionalGetElement", optionalGet);
  table.add("OptionalHasElement", optionalHas);
  table.add("StringNormalizer", [](NodeContext &c) {
    c.setElement(0, c.elementOf(8));
    return success();
  });
  table.add("StringConcat", stringConcat);
  table.add("RegexFullMatch", regexMatch);
}
