#include "passes/route/Route.h"
#include "dialects/uoe/Function.h"
#include "lib/Constants/Evaluate.h"
#include "lib/Conversion/Calibrate.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "lib/Report/Progress.h"
#include "lib/Weights/Seeded.h"
#include "passes/decompose/Decompose.h"
#include "passes/raise/Match.h"
#include "passes/raise/PackedMatrix.h"
#include "runtime/cpu/fast/Quantized.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>

using namespace mlir;
using namespace uoe;

// The dense blocks of float32 with known weights; a remark tells why another is left dense.
static std::vector<FfnOp> routableBlocks(ModuleOp module) {
  std::vector<FfnOp> blocks;
  DenseMap<Value, bool> cache;
  auto consider = [&](FfnOp ffn) {
    auto leave = [&](const Twine &why) {
      ffn.emitRemark(blockName(ffn, "ffn")) << " is left dense: " << why;
    };
    auto x = dyn_cast<RankedTensorType>(ffn.getInput().getType());
    if (!x || !isa<RankedTensorType>(ffn.getOutput().getType()))
      return leave("its rank is not known");
    if (!x.getElementType().isF32())
      return leave("its activations are no float32");
    if (quantisesActivations(ffn.getSpelling()))
      return leave("it quantises its activations");
    if (ffn.isCut())
      return leave("its hidden values have a limit or an offset");
    for (Value operand : ffn->getOperands().drop_front())
      if (!isConstantExpression(operand, cache))
        return leave("a weight is no constant");
    blocks.push_back(ffn);
  };
  llvm::for_each(denseBlocks(module), consider);
  return blocks;
}

calibration::Activation uoe::activationOf(FfnOp ffn) {
  using C = calibration::Activation;
  switch (ffn.getActivation()) {
  case Activation::relu:
    return C::Relu;
  case Activation::relu_squared:
    return C::ReluSquared;
  case Activation::gelu:
    return C::GeluErf;
  case Activation::gelu_tanh:
    return C::GeluTanh;
  case Activation::silu:
    return C::Silu;
  case Activation::quick_gelu:
    return C::QuickGelu;
  case Activation::tanh:
    return C::Tanh;
  case Activation::sigmoid:
    return C::Sigmoid;
  case Activation::identity:
    return C::Identity;
  case Activation::custom: {
    std::string error; // the verifier has seen to it that there is none
    return C(C::Function(*ScalarFunction::parse(*ffn.getFunction(), error)));
  }
  }
  llvm_unreachable("an activation of the dialect");
}

FailureOr<BlockWeights> uoe::loadWeights(FfnOp ffn, WeightReader &reader) {
  BlockWeights block;
  bool ok = true;
  auto load = [&](Value value) -> const rt::Tensor * {
    if (!value || !ok)
      return nullptr;
    FailureOr<rt::Tensor> tensor = evaluateConstant(value, reader);
    if (failed(tensor) || tensor->dtype() != rt::DType::F32) {
      if (succeeded(tensor))
        ffn.emitError("has a weight of type ") << rt::nameOf(tensor->dtype()) << ", expected float";
      ok = false;
      return nullptr;
    }
    block.owners.push_back(*tensor);
    return &block.owners.back();
  };
  block.owners.reserve(6);
  auto matrix = [&](Value value) {
    const rt::Tensor *t = load(value);
    return t && t->rank() == 2 ? calibration::MatrixView(t->data<float>(), t->dim(0), t->dim(1))
                               : calibration::MatrixView();
  };
  auto vector = [&](Value value) {
    const rt::Tensor *t = load(value);
    return t ? t->data<float>() : nullptr;
  };
  calibration::FfnWeights &w = block.ffn;
  if (ffn.getGate()) {
    w.gate = matrix(ffn.getGate());
    w.up = matrix(ffn.getUp());
    w.gateBias = vector(ffn.getBiasGate());
    w.upBias = vector(ffn.getBiasUp());
  } else {
    w.gate = matrix(ffn.getUp());
    w.gateBias = vector(ffn.getBiasUp());
  }
  w.down = matrix(ffn.getDown());
  w.downBias = vector(ffn.getBiasDown());
  w.activation = activationOf(ffn);
  if (!ok)
    return failure();
  if (calibration::Status status = calibration::check(w); !status.ok())
    return ffn.emitError(blockName(ffn, "ffn")) << ": " << status.message, failure();
  return block;
}

// Weights of 4 or 8 bits.
static bool isQuantised(Value value) {
  return static_cast<bool>(findSource(value, [](Value v) {
    auto tensor = dyn_cast<TensorType>(v.getType());
    Type element = tensor ? tensor.getElementType() : Type();
    return v.getDefiningOp<onnx::WeightOp>() && element && element.isIntOrFloat() &&
           element.getIntOrFloatBitWidth() <= 8 && element.getIntOrFloatBitWidth() > 1;
  }));
}

// The matrix packed, by the codes of the block's MatMulNBits that give the same numbers; null if
// there is none.
static Value packedLike(FfnOp ffn, Value matrix, const calibration::MatrixView &values,
                        WeightReader &reader) {
  PackedMatrix m;
  if (values.rows == 0 || ffn.getSpelling().empty())
    return {};
  ffn.getSpelling().walk([&](onnx::NodeOp node) {
    if (!node.isContrib("MatMulNBits") || node.integer("K", 0) != values.rows ||
        node.integer("N", 0) != values.cols || node.input(4) ||
        !findSource(matrix, [&](Value v) { return v == node.input(1); }))
      return WalkResult::advance();
    m.codes = node.input(1);
    m.scales = node.input(2);
    m.zeros = node.input(3);
    m.bits = node.integer("bits", 4);
    m.block = node.integer("block_size", 32);
    return WalkResult::interrupt();
  });
  const int64_t n = values.cols;
  m.k = values.rows;
  auto isBytes = [](Value v) {
    return raise::elementOf(v) && raise::elementOf(v).isUnsignedInteger(8);
  };
  auto isFloats = [](Value v) { return raise::elementOf(v) && raise::elementOf(v).isF32(); };
  if (!m.codes || (m.bits != 4 && m.bits != 8) || m.block < 8 || m.k % m.block ||
      !isBytes(m.codes) || !isFloats(m.scales) || (m.zeros && !isBytes(m.zeros)))
    return {};
  rt::Tensor owners[3];
  const Value parts[] = {m.codes, m.scales, m.zeros};
  for (auto [value, owner] : llvm::zip(parts, owners)) {
    if (!value)
      continue;
    FailureOr<rt::Tensor> tensor = evaluateConstant(value, reader);
    if (failed(tensor))
      return {};
    owner = *tensor;
  }
  const int64_t zeroBytes = (m.blocks() * m.bits + 7) / 8;
  if (owners[0].size() != n * m.k * m.bits / 8 || owners[1].size() != n * m.blocks() ||
      (m.zeros && owners[2].size() != n * zeroBytes))
    return {};
  rt::fast::QuantizedSource source;
  source.k = m.k;
  source.n = n;
  source.block = m.block;
  source.bits = static_cast<int>(m.bits);
  source.codes = owners[0].data<uint8_t>();
  source.scales = owners[1].data<float>();
  source.zeros = m.zeros ? owners[2].data<uint8_t>() : nullptr;
  const std::vector<float> wide = rt::fast::dequantized(source);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < m.k; ++i)
      if (wide[j * m.k + i] != values.data[i * n + j])
        return {};
  OpBuilder builder(ffn);
  Location loc = ffn.getLoc();
  m.codes = raise::makeReshape(builder, loc, m.codes, {n, m.k * m.bits / 8});
  m.scales = raise::makeReshape(builder, loc, m.scales, {n, m.blocks()});
  if (m.zeros)
    m.zeros = raise::makeReshape(builder, loc, m.zeros, {n, zeroBytes});
  m.order = llvm::to_vector(llvm::seq(n));
  return makePacked(builder, loc, m);
}

// Matrices that were quantised stay packed, those on the way to the hidden units, if `keep`. Others
// are rounded to float16, whose 11 bits lose nothing beside the 4 or 8 that they have: routed, they
// then take half of what float32 takes. False if nothing was rounded.
static bool settleQuantised(FfnOp ffn, const BlockWeights &weights, bool keep,
                            WeightReader &reader) {
  constexpr float mostHalf = 65504;
  auto fits = [&](const calibration::MatrixView &m) {
    return std::all_of(m.data, m.data + m.rows * m.cols,
                       [](float x) { return std::fabs(x) <= mostHalf; });
  };
  const calibration::FfnWeights &w = weights.ffn;
  const bool half = fits(w.gate) && fits(w.up) && fits(w.down);
  OpBuilder builder(ffn);
  bool any = false;
  for (OpOperand &operand : ffn->getOpOperands()) {
    Value matrix = operand.get();
    if (!llvm::is_contained({ffn.getUp(), ffn.getGate(), ffn.getDown()}, matrix) ||
        !isQuantised(matrix) || narrowSource(matrix))
      continue;
    if (keep && (matrix == ffn.getDown() || matchPacked(matrix)))
      continue;
    // Without a gate the calibration calls the first matrix so.
    const bool first = matrix == (ffn.getGate() ? ffn.getGate() : ffn.getUp());
    if (Value packed = keep ? packedLike(ffn, matrix, first ? w.gate : w.up, reader) : Value()) {
      operand.set(packed);
      if (Operation *unpacked = matrix.getDefiningOp())
        eraseUnused(unpacked);
      continue;
    }
    if (!half)
      continue;
    Value narrow = raise::makeCast(builder, ffn.getLoc(), matrix, builder.getF16Type());
    operand.set(raise::makeCast(builder, ffn.getLoc(), narrow, builder.getF32Type()));
    any = true;
  }
  return any;
}

LogicalResult uoe::visitBlocks(ModuleOp module, const VisitOptions &options,
                               function_ref<LogicalResult(VisitedBlock &)> body) {
  std::shared_ptr<Profile> profile;
  if (!options.profile.empty()) {
    std::string error;
    profile = Profile::open(options.profile, error);
    if (!profile)
      return module.emitError(options.pass) << ": " << error;
  }
  std::vector<FfnOp> blocks = routableBlocks(module);
  std::optional<report::Progress> progress;
  if (!options.progress.empty())
    progress.emplace(options.progress, std::max<int64_t>(1, static_cast<int64_t>(blocks.size())));
  for (FfnOp ffn : blocks) {
    VisitedBlock block{ffn, blockName(ffn, "ffn"), nullptr, {}, options.budget};
    if (auto own = ffn->getAttrOfType<FloatAttr>("uoe.budget"))
      block.budget = own.getValueAsDouble();
    if (profile) {
      block.inputs = profile->tokens(inputProbe(block.name));
      if (!block.inputs)
        ffn.emitRemark(block.name)
            << " is left as it is: the profile has no '" << inputProbe(block.name) << "'";
    }
    if ((block.inputs || !profile) && !(options.belowOne && block.budget >= 1)) {
      WeightReader reader;
      FailureOr<BlockWeights> weights = loadWeights(ffn, reader);
      if (succeeded(weights) && settleQuantised(ffn, *weights, options.keepPacked, reader))
        weights = loadWeights(ffn, reader);
      if (failed(weights))
        return failure();
      block.weights = std::move(*weights);
      if (failed(body(block)))
        return failure();
    }
    if (progress)
      progress->step();
  }
  return success();
}

FailureOr<Value> uoe::newWeight(OpBuilder &builder, ModuleOp module, const std::string &name,
                                ArrayRef<int64_t> shape, ArrayRef<float> values) {
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  return addInitializer(
      builder, module, name, type,
      {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)},
      WeightWriter::process());
}

FailureOr<Value> uoe::newMatrixLike(OpBuilder &builder, ModuleOp module, const std::string &name,
                                    ArrayRef<int64_t> shape, ArrayRef<float> values, Value other,
                                    const calibration::MatrixView &otherValues) {
  FloatType narrow = narrowSource(other);
  if (!narrow && isQuantised(other))
    narrow = builder.getF16Type();
  if (narrow)
    return addNarrowInitializer(builder, module, name, shape, values, narrow,
                                WeightWriter::process());
  const rt::fast::ElementType type =
      rt::fast::exactType({{otherValues.data, otherValues.rows * otherValues.cols}});
  return newWeight(builder, module, name, shape, roundedTo(type, values));
}

FailureOr<Value> uoe::newPackedMatrix(OpBuilder &builder, ModuleOp module, const std::string &name,
                                      int64_t rows, int64_t columns, ArrayRef<float> values) {
  PackedMatrix m;
  m.k = rows;
  m.block = 16;
  m.bits = 8;
  m.order = llvm::to_vector(llvm::seq(columns));
  std::vector<uint8_t> codes(rows * columns);
  std::vector<float> scales(columns * m.blocks());
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t b = 0; b < m.blocks(); ++b) {
      float most = 0;
      for (int64_t i = b * 16; i < b * 16 + 16; ++i)
        most = std::max(most, std::fabs(values[i * columns + j]));
      const float scale = most / 127;
      scales[j * m.blocks() + b] = scale;
      for (int64_t i = b * 16; i < b * 16 + 16; ++i)
        codes[j * rows + i] = static_cast<uint8_t>(
            128 + (scale > 0 ? std::lround(values[i * columns + j] / scale) : 0));
    }
  auto add = [&](const std::string &name, int64_t width, Type element, const auto &list) {
    return addInitializer(
        builder, module, name, RankedTensorType::get({columns, width}, element),
        {reinterpret_cast<const char *>(list.data()), list.size() * sizeof(list[0])},
        WeightWriter::process());
  };
  auto stored = add(name, rows, builder.getIntegerType(8, /*isSigned=*/false), codes);
  auto steps = add(name + ".scales", m.blocks(), builder.getF32Type(), scales);
  if (failed(stored) || failed(steps))
    return failure();
  m.codes = *stored;
  m.scales = *steps;
  return makePacked(builder, module.getLoc(), m);
}

FailureOr<Value> uoe::newRouter(OpBuilder &builder, ModuleOp module, const std::string &name,
                                int64_t d, int64_t n, StringRef kind, int64_t seed) {
  std::vector<float> values(d * n);
  if (kind == "seeded")
    fillUniform(name + ".router", seed, 1 / std::sqrt(static_cast<double>(d)), values);
  return newWeight(builder, module, name + ".router", {d, n}, values);
}

LogicalResult uoe::checkChoice(ModuleOp module, StringRef pass, StringRef option, StringRef value,
                               ArrayRef<StringRef> allowed) {
  if (llvm::is_contained(allowed, value))
    return success();
  return module.emitError(pass) << ": " << option << " is " << llvm::join(allowed, " or ")
                                << ", found '" << value << "'";
}

Value uoe::binary(OpBuilder &builder, Location loc, StringRef op, Value x, Value y, Type type) {
  return onnx::NodeOp::create(builder, loc, TypeRange{type ? type : x.getType()}, op, {x, y})
      .getResult(0);
}

double VisitedBlock::denseWork() const {
  auto attr = op->getAttrOfType<FloatAttr>("uoe.multiply_adds");
  return attr ? attr.getValueAsDouble() : work();
}

void uoe::annotate(Operation *op, const VisitedBlock &block, StringRef recipe, double cost,
                   double error) {
  Builder builder(op->getContext());
  for (StringRef kept : {"layer", "uoe.merged", "uoe.budget", "uoe.importance", "uoe.sensitivity"})
    if (Attribute value = block.op->getAttr(kept))
      op->setAttr(kept, value);
  op->setAttr("name", builder.getStringAttr(block.name));
  op->setAttr("uoe.recipe", builder.getStringAttr(recipe));
  op->setAttr("uoe.multiply_adds", builder.getF64FloatAttr(block.denseWork()));
  op->setAttr("uoe.cost", builder.getF64FloatAttr(cost * block.work() / block.denseWork()));
  op->setAttr("uoe.error", builder.getF64FloatAttr(error));
}
