// Attention and rotary embedding, ONNX's own and com.microsoft's.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

/// ONNX Attention: Q, K, V as (batch, heads, seq, size) or (batch, seq, heads * size) -> Y, present
/// K and V, scores.
LogicalResult attention(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  c.setElement(1, c.in(1).element);
  c.setElement(2, c.in(2).element);
  c.setElement(3, element);
  if (!c.ranked(0) || !c.ranked(1) || !c.ranked(2))
    return success();
  DimTable &d = c.dims;
  Dim batch = c.size(0, 0), heads, kvHeads, seq, kvSeq, size, vSize;
  bool flat = c.in(0).rank() == 3;
  if (flat) {
    heads = c.dim(c.node.integer("q_num_heads", 0));
    kvHeads = c.dim(c.node.integer("kv_num_heads", 0));
    if (heads.is(0) || kvHeads.is(0))
      return c.fail("needs q_num_heads and kv_num_heads with inputs of rank 3");
    seq = c.size(0, 1);
    kvSeq = c.size(1, 1);
    size = d.floorDiv(c.size(1, 2), kvHeads);
    vSize = d.floorDiv(c.size(2, 2), kvHeads);
    c.set(0, element, {batch, seq, d.multiply(heads, vSize)});
  } else if (c.in(0).rank() == 4) {
    heads = c.size(0, 1);
    kvHeads = c.size(1, 1);
    seq = c.size(0, 2);
    kvSeq = c.size(1, 2);
    size = c.size(1, 3);
    vSize = c.size(2, 3);
    c.set(0, element, {batch, heads, seq, vSize});
  } else {
    return c.fail("needs a query of rank 3 or 4, found " + c.describe(c.in(0)));
  }
  Dim total = c.has(4) && c.ranked(4) ? d.add(c.size(4, 2), kvSeq) : c.has(4) ? c.unknown() : kvSeq;
  c.set(1, c.in(1).element, {batch, kvHeads, total, size});
  c.set(2, c.in(2).element, {batch, kvHeads, total, vSize});
  c.set(3, element, {batch, heads, seq, total});
  return success();
}

/// com.microsoft.Attention: input (batch, seq, in), packed weights (in, q + k + v).
LogicalResult msAttention(NodeContext &c) {
  Type element = c.in(0).element;
  c.setElement(0, element);
  c.setElement(1, element);
  DimTable &d = c.dims;
  Dim width, keySize;
  int64_t heads = c.node.integer("num_heads", 0);
  if (auto sizes = c.list("qkv_hidden_sizes"); sizes && sizes->size() == 3) {
    width = c.dim((*sizes)[2]);
    keySize = heads ? c.dim((*sizes)[1] / heads) : c.unknown();
  } else if (c.has(1)) {
    width = d.floorDiv(c.size(1, -1), c.dim(3));
    keySize = heads ? d.floorDiv(width, c.dim(heads)) : c.unknown();
  } else {
    width = c.unknown();
    keySize = c.unknown();
  }
  if (!c.ranked(0))
    return success();
  c.set(0, element, {c.size(0, 0), c.size(0, 1), width});
  if (c.wants(1)) {
    Dim past = c.has(4) ? c.size(4, 3) : c.dim(0);
    bool shared = c.node.integer("past_present_share_buffer", 0) != 0;
    c.set(
        1, element,
        {c.dim(2), c.size(0, 0), c.dim(heads), shared ? past : d.add(past, c.size(0, 1)), keySize});
  }
  return success();
}

/// com.microsoft.MultiHeadAttention: query (batch, seq, width), key, value (batch, kv, width) or
/// (batch, heads, kv, size); packed forms of rank 5.
LogicalResult multiHead(NodeContext &c) {
  Type element = c.in(0).element;
  for (unsigned i = 0; i < std::min(3u, c.results()); ++i)
    c.setElement(i, element);
  if (!c.ranked(0))
    return success();
  DimTable &d = c.dims;
  Dim heads = c.dim(c.node.integer("num_heads", 1));
  Dim batch = c.size(0, 0), seq = c.size(0, 1);
  if (c.in(0).rank() == 5) { // (batch, seq, heads, 3, size)
    c.set(0, element, {batch, seq, d.multiply(c.size(0, 2), c.size(0, 4))});
    return success();
  }
  if (c.in(0).rank() != 3)
    return c.fail("needs a query of rank 3 or 5, found " + c.describe(c.in(0)));
  Dim size = d.floorDiv(c.size(0, 2), heads), kvSeq, vSize = size;
  if (!c.has(1)) {
    kvSeq = seq;
  } else if (c.in(1).rank() == 4) {
    kvSeq = c.size(1, 2);
    vSize = c.size(2, 3);
  } else {
    kvSeq = c.size(1, 1);
    if (c.has(2) && c.in(2).rank() == 3)
      vSize = d.floorDiv(c.size(2, 2), heads);
  }
  c.set(0, element, {batch, seq, d.multiply(heads, vSize)});
  Dim total = c.has(6) ? d.add(c.size(6, 2), kvSeq) : kvSeq;
  if (c.wants(1))
    c.set(1, element, {batch, heads, total, size});
  if (c.wants(2))
    c.set(2, element, {batch, heads, total, vSize});
  return success();
}

/// com.microsoft.GroupQueryAttention: query (batch, seq, heads * size), or packed with key and
/// value; the caches are (batch, kv heads, seq, size). Whether past and present share a buffer, the
/// graph does not tell.
LogicalResult groupQuery(NodeContext &c) {
  Type element = c.in(0).element;
  for (unsigned i = 0; i < std::min(3u, c.results()); ++i)
    c.setElement(i, i && c.in(3).element ? c.in(3).element : element);
  if (!c.ranked(0) || c.in(0).rank() != 3)
    return success();
  DimTable &d = c.dims;
  Dim heads = c.dim(c.node.integer("num_heads", 1));
  Dim kvHeads = c.dim(c.node.integer("kv_num_heads", 1));
  bool packed = !c.has(1);
  Dim size = packed ? d.floorDiv(c.size(0, 2), d.add(heads, d.multiply(kvHeads, c.dim(2))))
                    : d.floorDiv(c.size(0, 2), heads);
  Dim width = packed ? d.multiply(heads, size) : c.size(0, 2);
  c.set(0, element, {c.size(0, 0), c.size(0, 1), width});
  for (unsigned i : {1, 2})
    if (c.wants(i))
      c.set(i, c.in(3).element ? c.in(3).element : element,
            {c.size(0, 0), kvHeads, c.unknown(), c.has(2 + i) ? c.size(2 + i, 3) : size});
  return success();
}

} // namespace

void uoe::onnx::addAttention(OperatorTable &table) {
  table.add("Attention", attention);
  table.add("RotaryEmbedding", likeFirst);
  table.addContrib("Attention", msAttention);
  table.addContrib("MultiHeadAttention", multiHead);
  table.addContrib("GroupQueryAttention", groupQuery);
  table.addContrib("RotaryEmbedding", likeFirst);
}
