#include "passes/route/Route.h"
#include "dialects/uoe/Function.h"
#include "lib/Constants/Evaluate.h"
#include "lib/Conversion/Calibrate.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "lib/Report/Progress.h"
#include "lib/Weights/Seeded.h"
#include "passes/decompose/Decompose.h"
#include "passes/raise/Match.h"
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

// Weights of 4 or 8 bits: experts and cascades have no kernels that multiply these.
static bool isQuantised(Value value) {
  return static_cast<bool>(findSource(value, [](Value v) {
    auto tensor = dyn_cast<TensorType>(v.getType());
    Type element = tensor ? tensor.getElementType() : Type();
    return v.getDefiningOp<onnx::WeightOp>() && element && element.isIntOrFloat() &&
           element.getIntOrFloatBitWidth() <= 8 && element.getIntOrFloatBitWidth() > 1;
  }));
}

// Matrices that were quantised are rounded to float16, whose 11 bits lose nothing beside the 4 or 8
// that they have: routed, they then take half of what float32 takes. False if there is none.
static bool roundQuantised(FfnOp ffn, const BlockWeights &weights) {
  constexpr float mostHalf = 65504;
  auto fits = [&](const calibration::MatrixView &m) {
    return std::all_of(m.data, m.data + m.rows * m.cols,
                       [](float x) { return std::fabs(x) <= mostHalf; });
  };
  if (!fits(weights.ffn.gate) || !fits(weights.ffn.up) || !fits(weights.ffn.down))
    return false;
  OpBuilder builder(ffn);
  bool any = false;
  for (OpOperand &operand : ffn->getOpOperands()) {
    Value matrix = operand.get();
    if (!llvm::is_contained({ffn.getUp(), ffn.getGate(), ffn.getDown()}, matrix) ||
        !isQuantised(matrix) || narrowSource(matrix))
      continue;
    Value half = raise::makeCast(builder, ffn.getLoc(), matrix, builder.getF16Type());
    operand.set(raise::makeCast(builder, ffn.getLoc(), half, builder.getF32Type()));
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
      if (succeeded(weights) && roundQuantised(ffn, *weights))
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
  if (FloatType type = narrowSource(other))
    return addNarrowInitializer(builder, module, name, shape, values, type,
                                WeightWriter::process());
  const rt::fast::ElementType type =
      rt::fast::exactType({{otherValues.data, otherValues.rows * otherValues.cols}});
  return newWeight(builder, module, name, shape, roundedTo(type, values));
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
