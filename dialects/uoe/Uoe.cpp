#include "dialects/uoe/Uoe.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace uoe;

#include "dialects/uoe/Enums.cpp.inc"

#include "dialects/uoe/Dialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/uoe/Types.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/uoe/Attrs.cpp.inc"

// Sizes with runs: [8 x 192, 100].
static ParseResult parseSizes(OpAsmParser &parser, DenseI64ArrayAttr &sizes) {
  SmallVector<int64_t> values;
  auto parseRun = [&]() -> ParseResult {
    int64_t first, size;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseInteger(first))
      return failure();
    if (failed(parser.parseOptionalKeyword("x"))) {
      values.push_back(first);
      return success();
    }
    if (parser.parseInteger(size))
      return failure();
    if (first < 1 || first > (int64_t(1) << 24))
      return parser.emitError(loc, "expected a run of 1 to 2^24 experts");
    values.append(first, size);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseRun))
    return failure();
  sizes = parser.getBuilder().getDenseI64ArrayAttr(values);
  return success();
}

static void printSizes(OpAsmPrinter &p, Operation *, DenseI64ArrayAttr sizes) {
  ArrayRef<int64_t> values = sizes.asArrayRef();
  p << '[';
  for (size_t i = 0; i < values.size();) {
    size_t run = 1;
    while (i + run < values.size() && values[i + run] == values[i])
      ++run;
    p << (i ? ", " : "");
    if (run > 1)
      p << run << " x ";
    p << values[i];
    i += run;
  }
  p << ']';
}

// Slots of a routing, one expert each, -1 for none: [0, 1, 1, -1]; ranks of experts likewise.
static ParseResult parseSlots(OpAsmParser &parser, DenseI64ArrayAttr &slots) {
  SmallVector<int64_t> values;
  auto parseSlot = [&] { return parser.parseInteger(values.emplace_back()); };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseSlot))
    return failure();
  slots = parser.getBuilder().getDenseI64ArrayAttr(values);
  return success();
}

static void printSlots(OpAsmPrinter &p, Operation *, DenseI64ArrayAttr slots) {
  p << '[';
  llvm::interleaveComma(slots.asArrayRef(), p);
  p << ']';
}

#define GET_OP_CLASSES
#include "dialects/uoe/Ops.cpp.inc"

//===----------------------------------------------------------------------===//
// RoutingType: <8>, <8 per 4>, <8 per sample>
//===----------------------------------------------------------------------===//

Type RoutingType::parse(AsmParser &parser) {
  int64_t experts, tokens = 1;
  if (parser.parseLess() || parser.parseInteger(experts))
    return {};
  if (succeeded(parser.parseOptionalKeyword("per"))) {
    SMLoc loc = parser.getCurrentLocation();
    if (succeeded(parser.parseOptionalKeyword("sample")))
      tokens = 0;
    else if (parser.parseInteger(tokens))
      return {};
    else if (tokens < 1)
      return parser.emitError(loc, "expected a patch of at least one token"), Type();
  }
  if (parser.parseGreater())
    return {};
  return get(parser.getContext(), experts, tokens);
}

void RoutingType::print(AsmPrinter &printer) const {
  printer << '<' << getExperts();
  if (perSample())
    printer << " per sample";
  else if (getTokens() != 1)
    printer << " per " << getTokens();
  printer << '>';
}

void UoeDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/uoe/Types.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/uoe/Attrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/uoe/Ops.cpp.inc"
      >();
}
