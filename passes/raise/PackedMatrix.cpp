#include "passes/raise/PackedMatrix.h"
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;

std::optional<PackedMatrix> uoe::matchPacked(Value value) {
  auto transpose = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (!transpose || !transpose.is("Transpose"))
    return std::nullopt;
  auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(transpose.attribute("perm"));
  Value rows = transpose.input(0);
  auto gather = rows ? rows.getDefiningOp<NodeOp>() : NodeOp();
  if (!perm || perm.asArrayRef() != ArrayRef<int64_t>{1, 0} || !gather ||
      !gather.isContrib("GatherBlockQuantized") || gather.integer("gather_axis", 0) != 0 ||
      gather.integer("quantize_axis", 1) != 1)
    return std::nullopt;
  PackedMatrix m;
  m.codes = gather.input(0);
  m.scales = gather.input(2);
  m.zeros = gather.input(3);
  m.bits = gather.integer("bits", 4);
  m.block = gather.integer("block_size", 128);
  auto isMatrix = [](Value v, bool bytes) {
    auto type = v ? dyn_cast<RankedTensorType>(v.getType()) : RankedTensorType();
    return type && type.getRank() == 2 && type.hasStaticShape() &&
           (bytes ? type.getElementType().isUnsignedInteger(8) : type.getElementType().isF32());
  };
  if ((m.bits != 4 && m.bits != 8) || m.block <= 0 || m.block % 8 != 0 ||
      !isMatrix(m.codes, true) || !isMatrix(m.scales, false) ||
      (m.zeros && !isMatrix(m.zeros, true)))
    return std::nullopt;
  const int64_t stored = raise::sizeOf(m.codes, 0);
  m.k = raise::sizeOf(m.codes, 1) * 8 / m.bits;
  auto has = [&](Value v, int64_t width) {
    return raise::sizeOf(v, 0) == stored && raise::sizeOf(v, 1) == width;
  };
  // Not onnx::integersOf, which is for few elements.
  auto order = dyn_cast_or_null<DenseIntElementsAttr>(onnx::constantOf(gather.input(1)));
  if (m.k == 0 || m.k % m.block != 0 || !has(m.scales, m.blocks()) ||
      (m.zeros && !has(m.zeros, (m.blocks() * m.bits + 7) / 8)) || !order || order.empty() ||
      !order.getElementType().isInteger(64))
    return std::nullopt;
  m.order = llvm::to_vector(order.getValues<int64_t>());
  if (llvm::any_of(m.order, [&](int64_t i) { return i < 0 || i >= stored; }))
    return std::nullopt;
  return m;
}

Value uoe::makePacked(OpBuilder &builder, Location loc, const PackedMatrix &m) {
  SmallVector<Value> operands{m.codes, raise::makeIntegers(builder, loc, m.order), m.scales};
  if (m.zeros)
    operands.push_back(m.zeros);
  auto attr = [&](StringRef name, int64_t value) {
    return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
  };
  Value rows = raise::makeNode(builder, loc, "GatherBlockQuantized", operands,
                               RankedTensorType::get({m.n(), m.k}, builder.getF32Type()),
                               {attr("bits", m.bits), attr("block_size", m.block),
                                attr("gather_axis", 0), attr("quantize_axis", 1)},
                               "com.microsoft");
  return raise::makeTranspose(builder, loc, rows, {1, 0});
}

PackedMatrix uoe::takeColumns(PackedMatrix m, ArrayRef<int64_t> places) {
  SmallVector<int64_t> order;
  for (int64_t place : places)
    order.push_back(m.order[place]);
  m.order = std::move(order);
  return m;
}

std::optional<PackedMatrix> uoe::takeRows(OpBuilder &builder, Location loc, PackedMatrix m,
                                          int64_t begin, int64_t end) {
  const int64_t perByte = 8 / m.bits;
  if (begin % m.block || end % m.block || begin >= end ||
      (m.zeros && (begin / m.block % perByte || end / m.block % perByte)))
    return std::nullopt;
  auto columns = [&](Value v, int64_t from, int64_t to) {
    return raise::makeSlice(builder, loc, v, 1, from, to - from);
  };
  m.codes = columns(m.codes, begin / perByte, end / perByte);
  m.scales = columns(m.scales, begin / m.block, end / m.block);
  if (m.zeros)
    m.zeros = columns(m.zeros, begin / m.block / perByte, end / m.block / perByte);
  m.k = end - begin;
  return m;
}

PackedParts uoe::partsOf(OpBuilder &builder, Location loc, const PackedMatrix &m) {
  const bool all = raise::sizeOf(m.codes, 0) == m.n() && llvm::equal(m.order, llvm::seq(m.n()));
  auto own = [&](Value v) {
    if (!v || all)
      return v;
    auto type = RankedTensorType::get({m.n(), raise::sizeOf(v, 1)}, raise::elementOf(v));
    return raise::makeNode(builder, loc, "Gather", {v, raise::makeIntegers(builder, loc, m.order)},
                           type, builder.getNamedAttr("axis", builder.getI64IntegerAttr(0)));
  };
  return {own(m.codes), own(m.scales), own(m.zeros)};
}
