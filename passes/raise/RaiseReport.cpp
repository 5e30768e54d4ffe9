// raise-report: the blocks that were found, and why the other candidates were not.
#include "passes/Passes.h"
#include "passes/raise/Attention.h"
#include "passes/raise/Moe.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace uoe {
#define GEN_PASS_DEF_RAISEREPORTPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static std::string sizeText(Value value, int64_t axis) {
  int64_t size = sizeOf(value, axis);
  return ShapedType::isDynamic(size) ? "?" : std::to_string(size);
}

static llvm::json::Value sizeJson(Value value, int64_t axis) {
  int64_t size = sizeOf(value, axis);
  return ShapedType::isDynamic(size) ? llvm::json::Value(nullptr) : llvm::json::Value(size);
}

static StringRef nameOf(Operation *op) {
  auto name = op->getAttrOfType<StringAttr>("name");
  return name ? name.getValue() : StringRef("block");
}

static std::string text(FfnOp op) {
  std::string line = (stringifyActivation(op.getActivation()) + (op.getGate() ? ", gated" : "") +
                      ", " + sizeText(op.getUp(), 0) + " -> " + sizeText(op.getUp(), 1) + " -> " +
                      sizeText(op.getDown(), 1))
                         .str();
  return line + (op.getBiasUp() || op.getBiasDown() ? ", biases" : "");
}

static std::string text(AttentionOp op) {
  std::string line;
  if (auto fused = op.getFused())
    line = fused->str();
  if (op.getQuery()) {
    line += (line.empty() ? "" : ", ") + sizeText(op.getQuery(), 1) + " heads of " +
            sizeText(op.getQuery(), 3);
    if (sizeOf(op.getQuery(), 1) != sizeOf(op.getKey(), 1))
      line += " in " + sizeText(op.getKey(), 1) + " groups";
    line += llvm::formatv(", scale {0:f4}", op.getScale().convertToFloat());
    if (op.getBias())
      line += ", bias";
    if (op.getSoftcap().convertToFloat() != 0.0f)
      line += llvm::formatv(", softcap {0:f1}", op.getSoftcap().convertToFloat());
  } else if (line.empty()) {
    line = "spelling only";
  }
  return line;
}

static std::string text(MoeOp op) {
  std::string line;
  if (auto fused = op.getFused())
    line = fused->str();
  if (!op.getUp())
    return line + (line.empty() ? "top " : ", top ") + std::to_string(op.getK());
  std::string groups = op.getGroupK() ? " in " + std::to_string(*op.getGroupK()) + " of " +
                                            std::to_string(op.getGroups()->back() + 1) + " groups"
                                      : std::string();
  return "top " + std::to_string(op.getK()) + " of " + sizeText(op.getUp(), 0) + groups + ", " +
         stringifyActivation(op.getActivation()).str() + (op.getGate() ? ", gated, " : ", ") +
         (op.getLimit() ? "limited, " : "") + sizeText(op.getUp(), 1) + " -> " +
         sizeText(op.getUp(), 2) + " -> " + sizeText(op.getDown(), 2);
}

static std::string text(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case([](FfnOp ffn) { return text(ffn); })
      .Case([](AttentionOp attention) { return text(attention); })
      .Case([](MoeOp moe) { return text(moe); })
      .Default([](Operation *) { return std::string(); });
}

static llvm::json::Object json(Operation *op) {
  llvm::json::Object object;
  object["name"] = nameOf(op);
  if (auto layer = op->getAttrOfType<IntegerAttr>("layer"))
    object["layer"] = layer.getInt();
  object["nodes"] = static_cast<int64_t>(
      op->getRegion(0).empty() ? 0 : op->getRegion(0).front().getOperations().size() - 1);
  if (auto ffn = dyn_cast<FfnOp>(op)) {
    object["kind"] = "ffn";
    if (nameOf(op).contains(".shared"))
      object["shared"] = true; // a mixture's expert that every token has
    object["activation"] = stringifyActivation(ffn.getActivation());
    object["gated"] = ffn.getGate() != nullptr;
    object["biases"] = ffn.getBiasUp() || ffn.getBiasGate() || ffn.getBiasDown();
    object["width"] = sizeJson(ffn.getUp(), 0);
    object["hidden"] = sizeJson(ffn.getUp(), 1);
  } else if (auto moe = dyn_cast<MoeOp>(op)) {
    object["kind"] = "moe";
    object["k"] = static_cast<int64_t>(moe.getK());
    object["operands"] = moe.getUp() != nullptr;
    if (auto fused = moe.getFused())
      object["fused"] = *fused;
    if (moe.getUp()) {
      object["activation"] = stringifyActivation(moe.getActivation());
      object["gated"] = moe.getGate() != nullptr;
      object["experts"] = sizeJson(moe.getUp(), 0);
      object["width"] = sizeJson(moe.getUp(), 1);
      object["hidden"] = sizeJson(moe.getUp(), 2);
    }
  } else if (auto attention = dyn_cast<AttentionOp>(op)) {
    object["kind"] = "attention";
    object["operands"] = attention.getQuery() != nullptr;
    if (auto fused = attention.getFused())
      object["fused"] = *fused;
    if (attention.getQuery()) {
      object["heads"] = sizeJson(attention.getQuery(), 1);
      object["groups"] = sizeJson(attention.getKey(), 1);
      object["head_size"] = sizeJson(attention.getQuery(), 3);
      object["scale"] = attention.getScale().convertToFloat();
      object["softcap"] = attention.getSoftcap().convertToFloat();
      object["bias"] = attention.getBias() != nullptr;
    }
  }
  return object;
}

namespace {
struct RaiseReportPass : uoe::impl::RaiseReportPassBase<RaiseReportPass> {
  using RaiseReportPassBase::RaiseReportPassBase;

  struct Missed {
    StringRef kind;
    Operation *candidate;
    Reason reason;
  };

  void runOnOperation() override {
    SmallVector<Operation *> found;
    SmallVector<Missed> missed;
    Constants facts;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp>(op)) {
        found.push_back(op);
        return WalkResult::skip();
      }
      auto node = dyn_cast<NodeOp>(op);
      if (!node)
        return WalkResult::advance();
      if (node.is("Softmax")) {
        AttentionOutcome outcome = matchAttention(node, facts);
        if (outcome.reason)
          missed.push_back({"attention", op, *outcome.reason});
        else if (outcome.match)
          missed.push_back({"attention", op, Reason{"not raised yet; run raise-attention", op}});
      } else if (node.is("TopK") || node.is("ArgMax")) {
        MoeOutcome outcome = matchMoe(node, facts);
        if (outcome.reason)
          missed.push_back({"moe", op, *outcome.reason});
        else if (outcome.match)
          missed.push_back({"moe", op, Reason{"not raised yet; run raise-moe", op}});
      } else {
        FfnOutcome outcome = matchFfn(node, facts);
        if (outcome.reason)
          missed.push_back({"ffn", op, *outcome.reason});
        else if (outcome.match)
          missed.push_back({"ffn", op, Reason{"not raised yet; run raise-ffn", op}});
      }
      return WalkResult::advance();
    });

    std::string output;
    llvm::raw_string_ostream out(output);
    if (json) {
      llvm::json::Array blocks, candidates;
      for (Operation *op : found)
        blocks.push_back(::json(op));
      for (Missed &m : missed)
        candidates.push_back(
            llvm::json::Object{{"kind", m.kind},
                               {"candidate", describe(m.candidate)},
                               {"reason", m.reason.text},
                               {"node", describe(m.reason.at ? m.reason.at : m.candidate)}});
      out << llvm::formatv("{0:2}",
                           llvm::json::Value(llvm::json::Object{{"blocks", std::move(blocks)},
                                                                {"missed", std::move(candidates)}}))
          << "\n";
    } else {
      auto count = [&](auto is) { return llvm::count_if(found, is); };
      out << "raised: " << count([](Operation *op) { return isa<FfnOp>(op); }) << " feed-forward, "
          << count([](Operation *op) { return isa<AttentionOp>(op); }) << " attention";
      if (int64_t moes = count([](Operation *op) { return isa<MoeOp>(op); }))
        out << ", " << moes << " mixtures of experts";
      out << "; missed candidates: " << missed.size() << "\n";
      for (Operation *op : found)
        out << "  " << nameOf(op) << ": " << (text(op)) << "\n";
      for (Missed &m : missed) {
        out << "  missed " << m.kind << " at " << describe(m.candidate) << ": " << m.reason.text;
        if (m.reason.at && m.reason.at != m.candidate)
          out << " (at " << describe(m.reason.at) << ")";
        out << "\n";
      }
    }
    if (file.empty()) {
      llvm::errs() << output;
      return;
    }
    std::error_code error;
    llvm::raw_fd_ostream stream(file, error);
    stream << output;
    stream.close();
    if (error || stream.has_error()) {
      stream.clear_error();
      getOperation().emitError("cannot write the report to '")
          << file << "'" << (error ? ": " + error.message() : "");
      signalPassFailure();
    }
  }
};
} // namespace
