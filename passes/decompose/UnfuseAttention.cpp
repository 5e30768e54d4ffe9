#include "passes/decompose/UnfuseAttention.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

namespace {

constexpr int64_t kAny = ShapedType::kDynamic;

class Unfuser {
public:
  Unfuser(AttentionOp block, NodeOp node, Constants &facts)
      : block(block), fused(node), builder(block), loc(block.getLoc()), facts(facts) {
    element = elementOf(node.input(0));
  }

  UnfusedAttention run() {
    Operation *before = block->getPrevNode();
    bool ok = fused.isContrib("Attention")             ? attention()
              : fused.isContrib("MultiHeadAttention")  ? multiHead()
              : fused.isContrib("GroupQueryAttention") ? groupQuery()
              : fused.is("Attention")                  ? standard()
                                      : stop("holds more than the attention itself");
    Operation *first = before ? before->getNextNode() : &block->getBlock()->front();
    for (Operation *op = first; op != block; op = op->getNextNode())
      result.made.push_back(op);
    if (!ok) {
      for (Operation *op : llvm::reverse(result.made))
        op->erase();
      result.made.clear();
      result.core = {};
    }
    return std::move(result);
  }

private:
  bool stop(const Twine &why) {
    result.why = ("the operator " + fused.getDomain() + (fused.getDomain().empty() ? "" : ".") +
                  fused.getOpType() + " " + why)
                     .str();
    return false;
  }

  //===--------------------------------------------------------------------===//
  // Making nodes
  //===--------------------------------------------------------------------===//

  Value make(StringRef op, ValueRange operands, ArrayRef<int64_t> shape, Type type = {},
             ArrayRef<NamedAttribute> attrs = {}) {
    return makeNode(builder, loc, op, operands, RankedTensorType::get(shape, type ? type : element),
                    attrs);
  }
  NamedAttribute attr(StringRef name, int64_t value) {
    return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
  }
  NamedAttribute attr(StringRef name, ArrayRef<int64_t> values) {
    return builder.getNamedAttr(name, builder.getDenseI64ArrayAttr(values));
  }
  Type i64() { return builder.getI64Type(); }
  Type i1() { return builder.getI1Type(); }
  Value ints(ArrayRef<int64_t> values) { return makeIntegers(builder, loc, values); }
  Value scalar(int64_t value) {
    return makeScalar(builder, loc, i64(), static_cast<double>(value));
  }
  Value real(double value) { return makeScalar(builder, loc, element, value); }
  Value none() { return onnx::NoneOp::create(builder, loc, builder.getNoneType()); }
  Value input(unsigned i) { return i < fused.getInputs().size() ? fused.input(i) : Value(); }

  /// The size of an axis, as a scalar of int64.
  Value size(Value value, int64_t axis) {
    Value shape = make("Shape", {value}, {rankOf(value)}, i64());
    return make("Gather", {shape, scalar(axis)}, {}, i64(), {attr("axis", int64_t(0))});
  }
  /// 0, 1 ... below a scalar.
  Value upTo(Value count) { return make("Range", {scalar(0), count, scalar(1)}, {kAny}, i64()); }
  Value asInts(Value value, ArrayRef<int64_t> shape) {
    if (elementOf(value) == i64())
      return value;
    return make("Cast", {value}, shape, i64(), {attr("to", int64_t(7))});
  }
  Value unsqueeze(Value value, int64_t axis) { return makeUnsqueeze(builder, loc, value, axis); }

  /// Columns [start, start + heads * size) of [B, S, W] as [B, heads, S, size].
  Value heads(Value value, int64_t start, int64_t heads, int64_t size) {
    if (start != 0 || sizeOf(value, 2) != heads * size)
      value = makeSlice(builder, loc, value, 2, start, heads * size);
    return toHeads(rows(value, heads, size));
  }
  /// [B, S, heads * size] as [B, S, heads, size], and that with heads first.
  Value rows(Value value, int64_t heads, int64_t size) {
    return make("Reshape", {value, ints({0, 0, heads, size})}, {kAny, kAny, heads, size});
  }
  Value toHeads(Value value) {
    return make("Transpose", {value}, {kAny, sizeOf(value, 2), kAny, sizeOf(value, 3)}, {},
                {attr("perm", ArrayRef<int64_t>{0, 2, 1, 3})});
  }

  // What is cached, with `value` behind it: [batch, heads, keys, size].
  Value behind(Value past, Value value, int64_t heads, int64_t size) {
    return make("Concat", {past, value}, {kAny, heads, kAny, size}, {}, {attr("axis", int64_t(2))});
  }

  /// What stands for result i, if anything uses that: of its type.
  void setResult(unsigned i, Value value) {
    if (i < block->getNumResults() && !block->getResult(i).use_empty())
      result.results[i] =
          makeNode(builder, loc, "Identity", {value}, block->getResult(i).getType());
  }

  //===--------------------------------------------------------------------===//
  // The core and what is added to its scores
  //===--------------------------------------------------------------------===//

  double scaleOf(int64_t headSize) {
    double scale = fused.real("scale", 0.0);
    return scale != 0.0 ? scale : 1.0 / std::sqrt(static_cast<double>(headSize));
  }

  bool finish(Value q, Value k, Value v, Value bias, bool causal, double scale,
              double softcap = 0.0) {
    int64_t h = sizeOf(q, 1), e = sizeOf(v, 3);
    auto type = RankedTensorType::get({kAny, h, kAny, e}, element);
    result.core = AttentionOp::create(builder, loc, TypeRange{type}, q, k, v, bias,
                                      llvm::APFloat(static_cast<float>(scale)), causal, 0,
                                      llvm::APFloat(static_cast<float>(softcap)),
                                      fused.getDomain() != "com.microsoft", StringAttr());
    if (rankOf(block.getResult(0)) == 4) {
      result.results[0] = result.core.getResult(0);
      return true;
    }
    Value back = make("Transpose", {result.core.getResult(0)}, {kAny, kAny, h, e}, {},
                      {attr("perm", ArrayRef<int64_t>{0, 2, 1, 3})});
    result.results[0] = make("Reshape", {back, ints({0, 0, h * e})}, {kAny, kAny, h * e});
    return true;
  }

  /// A padding mask of the contrib operators (ends of the keys, ends and starts, or 0 and 1 per
  /// key) as a bias [B, 1, S or 1, T]; null with a reason if its form cannot be told.
  Value paddingBias(Value mask, Value keys) {
    int64_t rank = rankOf(mask);
    Value allowed;
    if (rank == 1) {
      auto name = [](Value value) { return onnx::dimName(value.getType(), 0); };
      auto source = mask.getDefiningOp<NodeOp>();
      bool ends = (source && source.isContrib("EmbedLayerNormalization")) ||
                  (sizeOf(mask, 0) != kAny && sizeOf(mask, 0) == sizeOf(fused.input(0), 0)) ||
                  (!name(mask).empty() && name(mask) == name(fused.input(0)));
      if (!ends)
        return stop("has a mask of ends, or of ends and starts: its shape does not tell which"),
               Value();
      Value end = unsqueeze(asInts(mask, {kAny}), 1);
      allowed = make("Less", {upTo(keys), end}, {kAny, kAny}, i1());
      allowed = unsqueeze(unsqueeze(allowed, 1), 1);
    } else if (rank == 2 || rank == 3) {
      SmallVector<int64_t> shape(rank, kAny);
      allowed = make("Greater", {asInts(mask, shape), scalar(0)}, shape, i1());
      allowed = unsqueeze(allowed, 1);
      if (rank == 2)
        allowed = unsqueeze(allowed, 1);
    } else {
      return stop("has a mask of an unknown form"), Value();
    }
    double filter = fused.real("mask_filter_value", -10000.0);
    SmallVector<int64_t> shape(4, kAny);
    shape[1] = 1;
    return make("Where", {allowed, real(0), real(filter)}, shape);
  }

  /// The mask's bias plus the operator's own; false if there is a mask that cannot be laid out.
  bool biasOf(Value mask, Value own, Value keys, Value &bias) {
    if (mask) {
      bias = paddingBias(mask, keys);
      if (!bias)
        return false;
    }
    if (own)
      bias = bias ? make("Add", {bias, own}, {kAny, sizeOf(own, 1), kAny, kAny}) : own;
    return true;
  }

  //===--------------------------------------------------------------------===//
  // com.microsoft.Attention
  //===--------------------------------------------------------------------===//

  bool attention() {
    if (fused.integer("do_rotary", 0))
      return stop("rotates its queries and keys");
    Value x = input(0), w = input(1), bias = input(2), mask = input(3), past = input(4),
          own = input(5);
    int64_t h = fused.integer("num_heads", 0), total = sizeOf(w, 1);
    SmallVector<int64_t> widths;
    if (auto given = dyn_cast_or_null<DenseI64ArrayAttr>(fused.attribute("qkv_hidden_sizes")))
      widths.assign(given.asArrayRef().begin(), given.asArrayRef().end());
    else if (total != kAny)
      widths.assign(3, total / 3);
    if (rankOf(x) != 3 || h <= 0 || widths.size() != 3 || widths[0] != widths[1] ||
        widths[0] % h != 0 || widths[2] % h != 0 || !facts.isConstant(w))
      return stop("has weights whose queries, keys and values cannot be told apart");
    Value qkv = make("MatMul", {x, w}, {kAny, kAny, total});
    if (bias)
      qkv = make("Add", {qkv, bias}, {kAny, kAny, total});
    int64_t d = widths[0] / h, e = widths[2] / h;
    Value q = heads(qkv, 0, h, d), k = heads(qkv, widths[0], h, d),
          v = heads(qkv, 2 * widths[0], h, e);
    if (past) {
      auto part = [&](int64_t index) {
        return make("Gather", {past, scalar(index)}, {kAny, h, kAny, d}, {},
                    {attr("axis", int64_t(0))});
      };
      k = make("Concat", {part(0), k}, {kAny, h, kAny, d}, {}, {attr("axis", int64_t(2))});
      v = make("Concat", {part(1), v}, {kAny, h, kAny, e}, {}, {attr("axis", int64_t(2))});
    }
    result.results.resize(block->getNumResults());
    if (block->getNumResults() > 1 && !block->getResult(1).use_empty())
      setResult(1, make("Concat", {unsqueeze(k, 0), unsqueeze(v, 0)}, {2, kAny, h, kAny, d}, {},
                        {attr("axis", int64_t(0))}));
    Value added;
    if (!biasOf(mask, own, size(k, 2), added))
      return false;
    return finish(q, k, v, added, fused.integer("unidirectional", 0) != 0, scaleOf(d));
  }

  //===--------------------------------------------------------------------===//
  // com.microsoft.MultiHeadAttention
  //===--------------------------------------------------------------------===//

  bool multiHead() {
    Value q = input(0), k = input(1), v = input(2), bias = input(3), mask = input(4),
          own = input(5), pastK = input(6), pastV = input(7);
    int64_t h = fused.integer("num_heads", 0);
    if (!k || !v || rankOf(q) != 3 || rankOf(k) != 3 || rankOf(v) != 3 || input(8) || input(9))
      return stop("packs its operands, or takes keys and values that are caches");
    int64_t wq = sizeOf(q, 2), wv = sizeOf(v, 2);
    if (h <= 0 || wq == kAny || wv == kAny || wq % h != 0 || wv % h != 0 || sizeOf(k, 2) != wq)
      return stop("has a number of heads that does not divide its channels");
    if (block->getNumResults() > 3)
      return stop("gives its scores as a result");
    int64_t d = wq / h, e = wv / h;
    if (bias) {
      auto part = [&](Value value, int64_t start, int64_t width) {
        return make("Add", {value, makeSlice(builder, loc, bias, 0, start, width)},
                    {kAny, kAny, width});
      };
      q = part(q, 0, wq);
      k = part(k, wq, wq);
      v = part(v, 2 * wq, wv);
    }
    q = heads(q, 0, h, d);
    k = heads(k, 0, h, d);
    v = heads(v, 0, h, e);
    if (pastK) {
      k = behind(pastK, k, h, d);
      v = behind(pastV, v, h, e);
    }
    result.results.resize(block->getNumResults());
    setResult(1, k);
    setResult(2, v);
    Value added;
    if (!biasOf(mask, own, size(k, 2), added))
      return false;
    return finish(q, k, v, added, fused.integer("unidirectional", 0) != 0, scaleOf(d));
  }

  //===--------------------------------------------------------------------===//
  // com.microsoft.GroupQueryAttention
  //===--------------------------------------------------------------------===//

  // Where the fresh rows of each batch row stand: behind its own past, which may be shorter than
  // the buffer that holds it.
  struct Places {
    Value offset;    // [B, 1], rows before the fresh ones
    Value total;     // [B, 1], valid rows with them
    Value positions; // [B, S]
    Value keys;      // [T]: 0, 1 ... over the rows of the new buffer
  };

  Places places(Value query, Value past) {
    Places p;
    Value rows = size(query, 1);
    Value total = make("Reshape", {asInts(input(6), {kAny}), ints({})}, {}, i64());
    Value lengths = make("Reshape", {asInts(input(5), {kAny}), ints({-1, 1})}, {kAny, 1}, i64());
    p.total = make("Add", {lengths, scalar(1)}, {kAny, 1}, i64());
    Value before = make("Sub", {p.total, rows}, {kAny, 1}, i64());
    // A prompt starts at 0 even where it is padded behind.
    Value prompt = make("Equal", {rows, total}, {}, i1());
    p.offset = make("Where", {prompt, scalar(0), before}, {kAny, 1}, i64());
    p.positions = make("Add", {p.offset, upTo(rows)}, {kAny, kAny}, i64());
    Value length = past ? make("Max", {size(past, 2), total}, {}, i64()) : total;
    p.keys = upTo(length);
    return p;
  }

  Value rotate(Value x, const Places &p, int64_t size) {
    Value positions = input(9);
    if (!positions) {
      // Padding behind a short prompt takes any position: nobody sees it.
      Value inside = make("Less", {p.positions, p.total}, {kAny, kAny}, i1());
      positions = make("Where", {inside, p.positions, scalar(0)}, {kAny, kAny}, i64());
    }
    int64_t half = sizeOf(input(7), 1);
    SmallVector<NamedAttribute> attrs{attr("interleaved", fused.integer("rotary_interleaved", 0))};
    if (2 * half != size)
      attrs.push_back(attr("rotary_embedding_dim", 2 * half));
    return make("RotaryEmbedding", {x, input(7), input(8), asInts(positions, {kAny, kAny})},
                {kAny, sizeOf(x, 1), kAny, size}, {}, attrs);
  }

  /// [B, G, S, size] behind the valid rows of `past` [B, G, P, size], zero after them.
  Value append(Value past, Value fresh, const Places &p, int64_t groups, int64_t size) {
    Value all = fresh;
    Value before = make("Unsqueeze", {p.offset, ints({2})}, {kAny, 1, 1}, i64());
    Value at = make("Unsqueeze", {p.keys, ints({0, 2})}, {1, kAny, 1}, i64());
    Value rows = this->size(fresh, 2);
    Value inFresh = make("Sub", {at, before}, {kAny, kAny, 1}, i64());
    Value isFresh = make("GreaterOrEqual", {inFresh, scalar(0)}, {kAny, kAny, 1}, i1());
    Value index = inFresh;
    if (past) {
      all =
          make("Concat", {past, fresh}, {kAny, groups, kAny, size}, {}, {attr("axis", int64_t(2))});
      Value behind = make("Add", {inFresh, this->size(past, 2)}, {kAny, kAny, 1}, i64());
      index = make("Where", {isFresh, behind, at}, {kAny, kAny, 1}, i64());
    }
    Value last = make("Sub", {this->size(all, 2), scalar(1)}, {}, i64());
    index = make("Min", {index, last}, {kAny, kAny, 1}, i64());
    index = make("Max", {index, scalar(0)}, {kAny, kAny, 1}, i64());
    // Rows first: one index picks a row of all heads.
    Value byRow = make("Transpose", {all}, {kAny, kAny, groups, size}, {},
                       {attr("perm", ArrayRef<int64_t>{0, 2, 1, 3})});
    Value picked = make("GatherND", {byRow, index}, {kAny, kAny, groups, size}, {},
                        {attr("batch_dims", int64_t(1))});
    Value valid = make("Less", {inFresh, rows}, {kAny, kAny, 1}, i1());
    valid = make("Unsqueeze", {valid, ints({3})}, {kAny, kAny, 1, 1}, i1());
    picked = make("Where", {valid, picked, real(0)}, {kAny, kAny, groups, size});
    return toHeads(picked);
  }

  bool groupQuery() {
    Value query = input(0), pastK = input(3), pastV = input(4);
    int64_t h = fused.integer("num_heads", 0), g = fused.integer("kv_num_heads", 0);
    for (StringRef name : {"k_quant_type", "v_quant_type"})
      if (fused.string(name, "NONE") != "NONE")
        return stop("keeps its cache quantised");
    if (input(11) || fused.integer("smooth_softmax", 0))
      return stop("has a head sink");
    if (fused.getInputs().size() > 12)
      return stop("has operands beyond its head sink");
    if (block->getNumResults() > 3)
      return stop("gives its scores as a result");
    int64_t width = sizeOf(query, 2), packed = input(1) ? h : h + 2 * g;
    if (rankOf(query) != 3 || h <= 0 || g <= 0 || h % g != 0 || width == kAny ||
        width % packed != 0)
      return stop("has a number of heads that does not divide its channels");
    int64_t d = width / packed;
    Places p = places(query, pastK);
    Value q = heads(query, 0, h, d);
    Value k = input(1) ? heads(input(1), 0, g, d) : heads(query, h * d, g, d);
    Value v = input(1) ? heads(input(2), 0, g, d) : heads(query, (h + g) * d, g, d);
    if (fused.integer("do_rotary", 0)) {
      q = rotate(q, p, d);
      k = rotate(k, p, d);
    }
    k = append(pastK, k, p, g, d);
    v = append(pastV, v, p, g, d);
    result.results.resize(block->getNumResults());
    setResult(1, k);
    setResult(2, v);

    // Query s of a batch row stands at offset + s and sees the valid keys up to there.
    Value own = unsqueeze(p.positions, 2);
    Value at = make("Unsqueeze", {p.keys, ints({0, 1})}, {1, 1, kAny}, i64());
    Value allowed = make("LessOrEqual", {at, own}, {kAny, kAny, kAny}, i1());
    Value valid = make("Less", {at, unsqueeze(p.total, 2)}, {kAny, 1, kAny}, i1());
    allowed = make("And", {allowed, valid}, {kAny, kAny, kAny}, i1());
    if (int64_t window = fused.integer("local_window_size", -1); window > 0) {
      Value first = make("Sub", {own, scalar(window)}, {kAny, kAny, 1}, i64());
      allowed = make("And", {allowed, make("Greater", {at, first}, {kAny, kAny, kAny}, i1())},
                     {kAny, kAny, kAny}, i1());
    }
    allowed = unsqueeze(allowed, 1);
    Value bias = allowed;
    if (Value more = input(10))
      bias = make("Where", {allowed, more, real(-std::numeric_limits<double>::infinity())},
                  {kAny, sizeOf(more, 1), kAny, kAny});
    return finish(q, k, v, bias, false, scaleOf(d), fused.real("softcap", 0.0));
  }

  //===--------------------------------------------------------------------===//
  // ONNX's own Attention
  //===--------------------------------------------------------------------===//

  bool standard() {
    Value q = input(0), k = input(1), v = input(2), bias = input(3), pastK = input(4),
          pastV = input(5);
    if (input(6))
      return stop("takes how many keys of each batch row are valid");
    for (StringRef side : {"left_window_size", "right_window_size"})
      if (fused.integer(side, -1) != -1)
        return stop("sees a window of keys");
    if (block->getNumResults() > 3 && !block->getResult(3).use_empty())
      return stop("gives its scores as a result");
    int64_t rank = rankOf(q);
    if (rankOf(k) != rank || rankOf(v) != rank || (rank != 3 && rank != 4))
      return stop("has operands of unknown or different ranks");
    bool same = onnx::dimName(q.getType(), rank - 2) == onnx::dimName(k.getType(), rank - 2) &&
                !onnx::dimName(q.getType(), rank - 2).empty();
    same |= sizeOf(q, rank - 2) != kAny && sizeOf(q, rank - 2) == sizeOf(k, rank - 2);
    if (rank == 3) {
      int64_t h = fused.integer("q_num_heads", 0), g = fused.integer("kv_num_heads", 0);
      int64_t width = sizeOf(q, 2), keys = sizeOf(k, 2), values = sizeOf(v, 2);
      if (h <= 0 || g <= 0 || h % g != 0 || width == kAny || keys == kAny || values == kAny ||
          width % h != 0 || keys % g != 0 || values % g != 0 || width / h != keys / g)
        return stop("has a number of heads that does not divide its channels");
      q = heads(q, 0, h, width / h);
      k = heads(k, 0, g, keys / g);
      v = heads(v, 0, g, values / g);
    }
    int64_t g = sizeOf(k, 1), d = sizeOf(q, 3), e = sizeOf(v, 3);
    if (d == kAny || sizeOf(k, 3) != d)
      return stop("has heads of a size that is not known");
    if (pastK) {
      k = behind(pastK, k, g, d);
      v = behind(pastV, v, g, e);
    }
    result.results.resize(block->getNumResults());
    setResult(1, k);
    setResult(2, v);
    bool causal = fused.integer("is_causal", 0) != 0;
    if (causal && !pastK && !same) {
      // Query s sees the keys up to s; the block would align the last query with the last key.
      causal = false;
      Value allowed =
          make("LessOrEqual", {unsqueeze(upTo(size(k, 2)), 0), unsqueeze(upTo(size(q, 2)), 1)},
               {kAny, kAny}, i1());
      if (bias && elementOf(bias) == i1()) {
        bias = makeBinary(builder, loc, "And", bias, allowed);
      } else {
        Value hidden = make("Where", {allowed, real(0), real(-INFINITY)}, {kAny, kAny});
        bias = bias ? makeBinary(builder, loc, "Add", bias, hidden) : hidden;
      }
    }
    return finish(q, k, v, bias, causal, scaleOf(d), fused.real("softcap", 0.0));
  }

  AttentionOp block;
  NodeOp fused;
  OpBuilder builder;
  Location loc;
  Constants &facts;
  Type element;
  UnfusedAttention result;
};

} // namespace

UnfusedAttention uoe::unfuseAttention(AttentionOp block, Constants &facts) {
  UnfusedAttention nothing;
  nothing.why = "its spelling is no single fused operator";
  if (block.getSpelling().empty())
    return nothing;
  Block &body = block.getSpelling().front();
  NodeOp fused;
  for (Operation &op : body.without_terminator()) {
    if (isa<onnx::NoneOp>(op))
      continue;
    if (fused || !isa<NodeOp>(op))
      return nothing;
    fused = cast<NodeOp>(op);
  }
  if (!fused || !elementOf(fused.input(0)))
    return nothing;
  // The fused operator stands in the region; what it reads stands outside.
  for (Value operand : fused.getInputs())
    if (!isa<NoneType>(operand.getType()) && operand.getParentBlock() == &body)
      return nothing;
  return Unfuser(block, fused, facts).run();
}
