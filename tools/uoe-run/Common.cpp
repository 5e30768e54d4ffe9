#include "Common.h"
#include "Ranks.h"
#include "lib/TensorIO/Npy.h"
#include "lib/TensorIO/Proto.h"
#include <algorithm>
#include <charconv>
#include <iostream>

namespace uoe::run {

void addCommon(CLI::App &command, Common &common) {
  command
      .add_option_function<std::string>(
          "-o,--output", [&common](const std::string &form) { common.json = form == "json"; },
          "form of the answer on stdout")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text");
  command.add_option("--threads", common.session.threads, "threads; 0: all cores of this process")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command.add_option("--device", common.session.device, "cpu or cuda")->capture_default_str();
  command.add_flag_callback(
      "--no-fuse", [&common] { common.session.fuse = false; },
      "run node by node, without fused kernels");
  command.add_flag_callback(
      "--no-generate", [&common] { common.session.generate = false; },
      "no generated kernels: elementwise operators outside fused blocks run one by one");
  command.add_flag("--print-kernels", common.printKernels,
                   "the generated kernels on stderr, before they are lowered to LLVM");
  command
      .add_option_function<std::string>(
          "--reading",
          [&common](const std::string &reading) {
            common.readingGiven = true;
            common.session.reading =
                reading == "onnxruntime" ? Reading::OnnxRuntime : Reading::Onnx;
          },
          "how the model is understood where ONNX Runtime on x86 without VNNI deviates from ONNX")
      ->check(CLI::IsMember({"onnx", "onnxruntime"}))
      ->default_str("onnx");
}

void addInputs(CLI::App &command, InputArguments &arguments) {
  command.add_option(
      "--input", arguments.inputs,
      "an input's value: NAME=FILE.npy or .pb, or ARRAYS.npz for inputs of its names; "
      "inputs that are not given are generated");
  command.add_option("--dim", arguments.dims, "size of a symbolic dimension: NAME=SIZE");
  command.add_option("--seed", arguments.options.seed, "of generated inputs")
      ->capture_default_str();
  command
      .add_option("--batch", arguments.options.batch,
                  "size of batch dimensions that nothing else determines")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--seq", arguments.options.sequence, "the same of sequence dimensions")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--past", arguments.options.past, "the same of the past's length")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

InputOptions InputArguments::read() const {
  InputOptions result = options;
  auto give = [&](const std::string &name, rt::Value value) {
    rt::check(result.given.emplace(name, std::move(value)).second, "input '", name,
              "' is given twice");
  };
  auto endsWith = [](const std::string &text, const char *end) {
    size_t length = std::string(end).size();
    return text.size() >= length && text.compare(text.size() - length, length, end) == 0;
  };
  for (const std::string &argument : inputs) {
    if (endsWith(argument, ".npz") && argument.find('=') == std::string::npos) {
      for (auto &[name, tensor] : readNpz(argument))
        give(name, rt::Value(std::move(tensor)));
      continue;
    }
    // Names may hold '=' rather than paths do: the last one separates.
    size_t at = argument.rfind('=');
    rt::check(at != std::string::npos && at > 0 && at + 1 < argument.size(), "--input '", argument,
              "': expected NAME=FILE");
    std::string path = argument.substr(at + 1);
    give(argument.substr(0, at), endsWith(path, ".pb")
                                     ? readValueProto(path, PortKind::Tensor).value
                                     : rt::Value(readNpy(path)));
  }
  for (const std::string &argument : dims) {
    size_t at = argument.rfind('=');
    int64_t size = -1;
    const char *end = argument.data() + argument.size();
    bool valid = at != std::string::npos && at > 0;
    if (valid) {
      auto parsed = std::from_chars(argument.data() + at + 1, end, size);
      valid = parsed.ec == std::errc() && parsed.ptr == end && size >= 0;
    }
    rt::check(valid, "--dim '", argument, "': expected NAME=SIZE with a size of at least 0");
    auto [entry, fresh] = result.dims.emplace(argument.substr(0, at), size);
    rt::check(fresh || entry->second == size, "--dim '", entry->first, "' is given twice");
  }
  return result;
}

std::unique_ptr<Session> load(const std::string &path, const Common &common) {
  std::string error, kernels;
  SessionOptions options = common.session;
  if (common.printKernels)
    options.listing = &kernels;
  options.group = Ranks::group();
  if (options.threads == 0)
    options.threads = Ranks::threads();
  std::unique_ptr<Session> session = Session::load(path, options, error);
  if (!session)
    rt::fail(error);
  if (Ranks::first())
    std::cerr << kernels;
  return session;
}

void checkShared(std::initializer_list<const Session *> sessions) {
  auto shares = [](const Session *session) { return session && session->shardedLayers() > 0; };
  rt::check(
      !Ranks::group() || std::any_of(sessions.begin(), sessions.end(), shares),
      "none of the model's experts has a placement, so each of the ",
      Ranks::group() ? Ranks::group()->ranks() : 1,
      " processes would compute all; place them (uoe-opt --shard-experts), or run one process");
}

void refuseRanks(const char *command) {
  rt::check(!Ranks::group(), "uoe-run ", command, " runs in one process, without mpirun");
}

std::string describeDims(const BoundInputs &bound) {
  std::string text;
  for (const auto &[name, size] : bound.dims) {
    bool assumed =
        std::find(bound.assumed.begin(), bound.assumed.end(), name) != bound.assumed.end();
    text += (text.empty() ? "" : ", ") + name + "=" + std::to_string(size) +
            (assumed ? " (assumed)" : "");
  }
  return text;
}

report::Json dimsJson(const BoundInputs &bound) {
  report::Json json = report::Json::object();
  for (const auto &[name, size] : bound.dims)
    json[name] = size;
  return json;
}

report::Json deviceJson(const rt::cuda::DeviceReport &device) {
  const int64_t runs = std::max<int64_t>(1, device.runs);
  report::Json fallbacks = report::Json::object();
  for (const auto &[kind, steps] : device.fallbacks)
    fallbacks[kind] = steps / runs;
  return {{"launches", device.launches / runs},
          {"waits", device.waits / runs},
          {"replayed", static_cast<double>(device.replays) / static_cast<double>(runs)},
          {"uploaded_bytes", device.uploaded / static_cast<size_t>(runs)},
          {"downloaded_bytes", device.downloaded / static_cast<size_t>(runs)},
          {"fallbacks", fallbacks}};
}

void print(const report::Json &json) {
  // Names come from the model and may be no valid UTF-8.
  std::cout << json.dump(-1, ' ', false, report::Json::error_handler_t::replace) << '\n'
            << std::flush;
}

} // namespace uoe::run
