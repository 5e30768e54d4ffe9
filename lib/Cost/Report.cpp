#include "lib/Cost/Cost.h"
#include "lib/Files/AtomicFile.h"
#include "lib/Report/Number.h"
#include "lib/Report/Table.h"
#include "llvm/ADT/StringExtras.h"
#include <sstream>

using namespace mlir;
using namespace uoe;

static std::string text(const Bounds &range) {
  return range.exact() ? report::quantity(range.most)
                       : report::quantity(range.least) + " .. " + report::quantity(range.most);
}

std::string uoe::toText(const Cost &cost) {
  std::ostringstream out;
  report::Table table({"", ">parameters", ">of a token"});
  table.row({"tables that are looked up", report::quantity(cost.embedding), ""});
  table.row({"all", report::quantity(cost.parameters), text(cost.active)});
  table.print(out);
  out << "\n";
  bool perToken = cost.tokens > 0;
  Bounds total = cost.total();
  report::Table work({"multiply-adds", perToken ? ">a token" : ">a run", ">share"});
  auto row = [&](const std::string &part, const Bounds &range) {
    Bounds shown = perToken ? range * Bounds(1 / cost.tokens) : range;
    work.row({part, text(shown), total.most > 0 ? report::percent(range.most / total.most) : ""});
  };
  for (const auto &[part, range] : cost.multiplyAdds)
    row(part, range);
  work.rule();
  row("all", total);
  work.print(out);
  out << "\nweights " << report::bytes(cost.weightBytes) << ", activations at their most "
      << report::bytes(cost.activationBytes);
  if (!cost.dims.empty()) {
    out << "; with ";
    llvm::StringRef comma;
    for (const auto &[name, size] : cost.dims) {
      bool assumed = llvm::is_contained(cost.assumed, name);
      out << comma.str() << name << "=" << size << (assumed ? " (assumed)" : "");
      comma = ", ";
    }
  }
  out << "\n";
  if (!total.exact())
    out << "A range is what the model's choices allow: what they are depends on its input.\n";
  for (const auto &[name, entry] : cost.uncounted)
    out << "not counted: " << name << ", " << report::count(entry.first)
        << " times: " << entry.second << "\n";
  return out.str();
}

static report::Json json(const Bounds &range) {
  return {{"least", report::json(range.least)}, {"most", report::json(range.most)}};
}

LogicalResult uoe::writeJson(const Cost &cost, const std::string &path, ModuleOp module) {
  report::Json parts = report::Json::object(), dims = report::Json::object(),
               uncounted = report::Json::object();
  for (const auto &[part, range] : cost.multiplyAdds)
    parts[part] = json(range);
  for (const auto &[name, size] : cost.dims)
    dims[name] = size;
  for (const auto &[name, entry] : cost.uncounted)
    uncounted[name] = {{"count", entry.first}, {"why", entry.second}};
  report::Json result = {{"dims", dims},
                         {"assumed", cost.assumed},
                         {"tokens", cost.tokens},
                         {"parameters", cost.parameters},
                         {"looked_up_parameters", cost.embedding},
                         {"active_parameters", json(cost.active)},
                         {"weight_bytes", cost.weightBytes},
                         {"multiply_adds", json(cost.total())},
                         {"multiply_adds_by_part", parts},
                         {"activation_bytes", cost.activationBytes},
                         {"uncounted", uncounted}};
  if (cost.tokens > 0)
    result["multiply_adds_per_token"] = json(cost.total() * Bounds(1 / cost.tokens));
  std::string text = result.dump(2) + "\n";
  AtomicFile file(path);
  if (!file.open() || !file.write({text.data(), text.size()}) || !file.finish())
    return module.emitError("report: ") << file.error;
  return success();
}
