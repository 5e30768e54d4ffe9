// Walks protobuf's wire format along the messages that may hold tensors; everything else is left to
// the generated parser.
#include "lib/Onnx/Skeleton.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/Twine.h"

using namespace uoe;
using namespace llvm;

namespace {

/// One field of a message: its payload, and the whole of it with the tag.
struct Field {
  unsigned number, wire;
  uint64_t begin, payload, end;
};

enum Wire { Varint = 0, Fixed64 = 1, Length = 2, Fixed32 = 5 };

class Walker {
public:
  Walker(StringRef bytes, uint64_t cutAbove, Skeleton &skeleton)
      : bytes(bytes), cutAbove(cutAbove), skeleton(skeleton) {}

  Error walk(uint64_t begin, uint64_t end, proto::ModelProto &model) {
    return message(begin, end, model, "ModelProto", [&](const Field &f, bool &mine) {
      mine = f.number == 7 || f.number == 25;
      if (f.number == 7)
        return walk(f.payload, f.end, *model.mutable_graph(), 1);
      return f.number == 25 ? walk(f.payload, f.end, *model.add_functions()) : Error::success();
    });
  }

private:
  Error walk(uint64_t begin, uint64_t end, proto::FunctionProto &function) {
    return message(begin, end, function, "FunctionProto", [&](const Field &f, bool &mine) {
      mine = f.number == 7;
      return mine ? walk(f.payload, f.end, *function.add_node(), 1) : Error::success();
    });
  }

  Error walk(uint64_t begin, uint64_t end, proto::GraphProto &graph, unsigned depth) {
    if (depth > kMaxGraphDepth)
      return fail(begin, "graphs are nested more than " + Twine(kMaxGraphDepth) + " deep");
    return message(begin, end, graph, "GraphProto", [&](const Field &f, bool &mine) {
      mine = f.number == 1 || f.number == 5;
      if (f.number == 1)
        return walk(f.payload, f.end, *graph.add_node(), depth);
      return f.number == 5 ? walk(f.payload, f.end, *graph.add_initializer()) : Error::success();
    });
  }

  Error walk(uint64_t begin, uint64_t end, proto::NodeProto &node, unsigned depth) {
    return message(begin, end, node, "NodeProto", [&](const Field &f, bool &mine) {
      mine = f.number == 5;
      return mine ? walk(f.payload, f.end, *node.add_attribute(), depth) : Error::success();
    });
  }

  Error walk(uint64_t begin, uint64_t end, proto::AttributeProto &attribute, unsigned depth) {
    return message(begin, end, attribute, "AttributeProto", [&](const Field &f, bool &mine) {
      mine = f.number == 5 || f.number == 6 || f.number == 11;
      if (f.number == 5)
        return walk(f.payload, f.end, *attribute.mutable_t());
      if (f.number == 6)
        return walk(f.payload, f.end, *attribute.mutable_g(), depth + 1);
      return f.number == 11 ? walk(f.payload, f.end, *attribute.add_graphs(), depth + 1)
                            : Error::success();
    });
  }

  Error walk(uint64_t begin, uint64_t end, proto::TensorProto &tensor) {
    return message(begin, end, tensor, "TensorProto", [&](const Field &f, bool &mine) -> Error {
      bool data = f.number == 4 || f.number == 9 || f.number == 10;
      mine = data && f.end - f.payload > cutAbove;
      if (!mine)
        return Error::success();
      if (skeleton.cut.count(&tensor))
        return fail(f.begin, "a tensor gives its data twice");
      skeleton.cut[&tensor] = {f.payload, f.end - f.payload, static_cast<int>(f.number)};
      return Error::success();
    });
  }

  /// Splits [begin, end) into fields. `take` walks those that it sets `mine` for (length-delimited
  /// only); the generated parser merges the rest. Order within a repeated field is kept, which is
  /// all that protobuf promises.
  template <typename Message, typename Take>
  Error message(uint64_t begin, uint64_t end, Message &into, const char *name, Take take) {
    std::string rest;
    uint64_t at = begin, kept = begin; // [kept, at) is still to be merged
    while (at < end) {
      Field field;
      if (Error error = next(at, end, name, field))
        return error;
      at = field.end;
      if (field.wire != Length)
        continue;
      bool mine = false;
      if (Error error = take(field, mine))
        return error;
      if (mine) {
        rest.append(bytes.data() + kept, field.begin - kept);
        kept = field.end;
      }
    }
    rest.append(bytes.data() + kept, end - kept);
    if (!rest.empty() && !into.MergeFromString(rest))
      return fail(begin, Twine("broken ") + name);
    return Error::success();
  }

  Error next(uint64_t at, uint64_t end, const char *name, Field &field) {
    uint64_t tag, value;
    field.begin = at;
    if (!varint(at, end, tag))
      return fail(field.begin, Twine("broken tag in ") + name);
    field.number = static_cast<unsigned>(tag >> 3);
    field.wire = tag & 7;
    if (field.number == 0 || tag >> 32)
      return fail(field.begin, Twine("invalid field number in ") + name);
    uint64_t size;
    switch (field.wire) {
    case Varint:
      field.payload = at;
      if (!varint(at, end, value))
        return fail(field.begin, Twine("broken number in ") + name);
      field.end = at;
      return Error::success();
    case Fixed64:
      size = 8;
      break;
    case Fixed32:
      size = 4;
      break;
    case Length:
      if (!varint(at, end, size))
        return fail(field.begin, Twine("broken length in ") + name);
      break;
    default:
      return fail(field.begin, Twine("unexpected wire type ") + Twine(field.wire) + " in " + name);
    }
    field.payload = at;
    if (size > end - at)
      return fail(field.begin, "field " + Twine(field.number) + " of " + name + " has " +
                                   Twine(size) + " bytes, " + Twine(end - at) + " are left");
    field.end = at + size;
    return Error::success();
  }

  bool varint(uint64_t &at, uint64_t end, uint64_t &value) const {
    value = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7) {
      auto byte = static_cast<unsigned char>(bytes[at++]);
      if (shift < 64)
        value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128)
        return true;
    }
    return false;
  }

  Error fail(uint64_t at, const Twine &what) const {
    return createStringError("not a valid ONNX model: at byte " + Twine(at) + ": " + what);
  }

  StringRef bytes;
  uint64_t cutAbove;
  Skeleton &skeleton;
};

} // namespace

Error uoe::parseSkeleton(StringRef bytes, uint64_t cutAbove, Skeleton &skeleton) {
  return Walker(bytes, cutAbove, skeleton).walk(0, bytes.size(), skeleton.model);
}
