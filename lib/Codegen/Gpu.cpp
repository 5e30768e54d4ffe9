#include "lib/Codegen/Gpu.h"
#include "lib/Codegen/Body.h"
#include "lib/Codegen/Distinct.h"
#include "lib/Codegen/Rows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::codegen;

namespace {

constexpr int32_t kWarp = 32;

/// One kernel, see Gpu.h.
class GpuKernelBuilder {
public:
  GpuKernelBuilder(OpBuilder &at, StringRef name, rtir::ElementwiseOp op)
      : b(op.getLoc(), at), body(op.getBody().front()), plan(op, /*keep=*/false),
        isRows(op.hasRows()), emitter(b, 0) {
    yield = cast<rtir::YieldOp>(body.getTerminator());
    pointer = LLVM::LLVMPointerType::get(b.getContext(), 1);
    ports = body.getNumArguments();
    SmallVector<Type> types(ports + yield.getOperands().size() + 1, pointer);
    types.push_back(b.getI64Type());
    if (isRows)
      types.append(1 + ports, b.getI64Type());
    kernel = gpu::GPUFuncOp::create(b, name, b.getFunctionType(types, {}));
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  }

  void build() {
    Block &entry = kernel.getBody().front();
    b.setInsertionPointToStart(&entry);
    zero = constant(0), one = constant(1);
    auto parameter = [&](size_t i) { return entry.getArgument(static_cast<unsigned>(i)); };
    size_t results = yield.getOperands().size();
    loops = parameter(ports + results), count = parameter(ports + results + 1);
    if (isRows)
      length = parameter(ports + results + 2);
    for (auto constant : body.getOps<arith::ConstantOp>())
      emitter.emit(*constant, shared);
    auto wide = [&](Value index) -> Value {
      return arith::IndexCastOp::create(b, b.getI64Type(), index);
    };
    Value thread = wide(gpu::ThreadIdOp::create(b, gpu::Dimension::x));
    Value block = wide(gpu::BlockIdOp::create(b, gpu::Dimension::x));
    Value size = wide(gpu::BlockDimOp::create(b, gpu::Dimension::x));
    Value blocks = wide(gpu::GridDimOp::create(b, gpu::Dimension::x));
    Value first = arith::AddIOp::create(b, arith::MulIOp::create(b, block, size), thread);
    Value all = arith::MulIOp::create(b, size, blocks);
    if (isRows) {
      lane = arith::AndIOp::create(b, first, constant(kWarp - 1));
      first = arith::ShRUIOp::create(b, first, constant(5));
      all = arith::ShRUIOp::create(b, all, constant(5));
    }
    auto loop = scf::ForOp::create(b, first, count, all);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      isRows ? row(loop.getInductionVar()) : element(loop.getInductionVar());
    }
    gpu::ReturnOp::create(b);
  }

private:
  Value constant(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
  Value argument(size_t i) { return kernel.getArgument(static_cast<unsigned>(i)); }
  Value at(Value base, Value index, Type element) {
    return LLVM::GEPOp::create(b, pointer, element, base, ArrayRef<LLVM::GEPArg>{index});
  }
  Value word(Value index) {
    return LLVM::LoadOp::create(b, b.getI64Type(), at(loops, index, b.getI64Type()));
  }
  Value load(size_t operand, Value offset) {
    Type element = body.getArgument(static_cast<unsigned>(operand)).getType();
    Type memory = BodyEmitter::memoryType(element);
    Value loaded = LLVM::LoadOp::create(b, memory, at(argument(operand), offset, memory));
    return emitter.fromMemory(b.getLoc(), loaded, element);
  }
  void store(size_t result, Value index, Value value) {
    Type element = yield.getOperand(static_cast<unsigned>(result)).getType();
    Value to = at(argument(ports + result), index, BodyEmitter::memoryType(element));
    LLVM::StoreOp::create(b, emitter.toMemory(b.getLoc(), value, element), to);
  }

  /// Where the operands stand at place `index` of the loops. All loops but the outermost divide.
  SmallVector<Value> offsets(Value index) {
    Value inner = arith::SubIOp::create(b, word(zero), one);
    Value entry = constant(static_cast<int64_t>(ports) + 1);
    SmallVector<Value> start(ports + 1, zero);
    start[0] = index;
    auto stride = [&](Value d, size_t k) {
      Value place = arith::AddIOp::create(b, arith::MulIOp::create(b, d, entry),
                                          constant(static_cast<int64_t>(k) + 2));
      return word(place);
    };
    auto advance = [&](Value d, Value steps, ValueRange from) {
      SmallVector<Value> to;
      for (size_t k = 0; k < ports; ++k)
        to.push_back(
            arith::AddIOp::create(b, from[k], arith::MulIOp::create(b, steps, stride(d, k))));
      return to;
    };
    auto walk = scf::ForOp::create(b, zero, inner, one, start);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(walk.getBody());
      Value d = walk.getInductionVar(), rest = walk.getRegionIterArgs()[0];
      Value size = word(arith::AddIOp::create(b, arith::MulIOp::create(b, d, entry), one));
      Value outer = arith::DivUIOp::create(b, rest, size);
      Value here = arith::SubIOp::create(b, rest, arith::MulIOp::create(b, outer, size));
      SmallVector<Value> next = advance(d, here, walk.getRegionIterArgs().drop_front());
      next.insert(next.begin(), outer);
      scf::YieldOp::create(b, next);
    }
    return advance(inner, walk.getResult(0), walk.getResults().drop_front());
  }

  void element(Value index) {
    IRMapping values = shared;
    SmallVector<Value> from = offsets(index);
    for (size_t k = 0; k < ports; ++k)
      values.map(body.getArgument(static_cast<unsigned>(k)), load(k, from[k]));
    for (Operation &op : body.without_terminator())
      if (!isa<arith::ConstantOp>(op))
        emitter.emit(op, values);
    for (auto [k, value] : llvm::enumerate(yield.getOperands()))
      store(k, index, values.lookup(value));
  }

  // The row form.

  void row(Value index) {
    IRMapping values = shared;
    SmallVector<Value> from = offsets(index);
    for (size_t k = 0; k < ports; ++k)
      if (Value operand = body.getArgument(static_cast<unsigned>(k)); plan.rows.contains(operand))
        values.map(operand, load(k, from[k]));
    for (size_t k = 0; k < plan.loops; ++k) {
      rowOps(k, values);
      loop(k, index, from, values);
    }
    rowOps(plan.loops, values);
    Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, lane, zero);
    for (auto [k, value] : llvm::enumerate(yield.getOperands()))
      if (plan.rows.contains(value)) {
        auto branch = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(branch.thenBlock());
        store(k, index, values.lookup(value));
      }
  }

  void rowOps(size_t k, IRMapping &values) {
    for (Operation *op : plan.rowOps[k])
      if (isa<rtir::RowLengthOp>(op))
        values.map(op->getResult(0),
                   arith::SIToFPOp::create(b, b.getF32Type(), length).getResult());
      else
        emitter.emit(*op, values);
  }

  Value neutral(rtir::ReduceOp reduce) {
    float infinity = std::numeric_limits<float>::infinity();
    return arith::ConstantOp::create(
        b, b.getF32FloatAttr(reduce.getKind() == rtir::Reduction::Add   ? 0.0f
                             : reduce.getKind() == rtir::Reduction::Max ? -infinity
                                                                        : infinity));
  }
  Value joined(rtir::ReduceOp reduce, Value x, Value y) {
    if (reduce.getKind() == rtir::Reduction::Add)
      return arith::AddFOp::create(b, x, y);
    return reduce.getKind() == rtir::Reduction::Max ? Value(arith::MaximumFOp::create(b, x, y))
                                                    : Value(arith::MinimumFOp::create(b, x, y));
  }

  /// Loop k over a row, an element a lane and turn; then the lanes are joined, in every lane.
  void loop(size_t k, Value index, ArrayRef<Value> from, IRMapping &values) {
    SmallVector<Value> partials;
    for (rtir::ReduceOp reduce : plan.reductions[k])
      partials.push_back(neutral(reduce));
    auto elements = scf::ForOp::create(b, lane, length, constant(kWarp), partials);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(elements.getBody());
      Value i = elements.getInductionVar();
      IRMapping here = values;
      size_t steps = ports + yield.getOperands().size() + 3;
      for (size_t n = 0; n < ports; ++n) {
        Value operand = body.getArgument(static_cast<unsigned>(n));
        if (!plan.rows.contains(operand))
          here.map(operand,
                   load(n, arith::AddIOp::create(
                               b, from[n], arith::MulIOp::create(b, i, argument(steps + n)))));
      }
      for (Operation *op : plan.ops[k])
        emitter.emit(*op, here);
      if (k + 1 == plan.loops)
        for (auto [n, value] : llvm::enumerate(yield.getOperands()))
          if (!plan.rows.contains(value))
            store(n, arith::AddIOp::create(b, arith::MulIOp::create(b, index, length), i),
                  here.lookup(value));
      SmallVector<Value> next;
      for (auto [reduce, partial] : llvm::zip(plan.reductions[k], elements.getRegionIterArgs()))
        next.push_back(joined(reduce, partial, here.lookup(reduce.getValue())));
      if (!next.empty())
        scf::YieldOp::create(b, next);
    }
    for (auto [reduce, partial] : llvm::zip(plan.reductions[k], elements.getResults())) {
      Value value = partial;
      for (int32_t distance = kWarp / 2; distance > 0; distance /= 2) {
        Value other = gpu::ShuffleOp::create(b, value, distance, kWarp, gpu::ShuffleMode::XOR)
                          .getShuffleResult();
        value = joined(reduce, value, other);
      }
      values.map(reduce.getResult(), value);
    }
  }

  ImplicitLocOpBuilder b;
  Block &body;
  RowPlan plan;
  bool isRows;
  rtir::YieldOp yield;
  BodyEmitter emitter;
  LLVM::LLVMPointerType pointer;
  gpu::GPUFuncOp kernel;
  size_t ports;
  Value zero, one, loops, count, length, lane;
  IRMapping shared; // constants
};

} // namespace

Operation *codegen::buildGpuModule(ModuleOp module) {
  auto classes = distinctBodies(module);
  if (classes.empty())
    return nullptr;
  module.getContext()
      ->loadDialect<arith::ArithDialect, gpu::GPUDialect, LLVM::LLVMDialect, math::MathDialect,
                    NVVM::NVVMDialect, scf::SCFDialect>();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto kernels = gpu::GPUModuleOp::create(builder, module.getLoc(), "generated");
  for (auto [i, ops] : llvm::enumerate(classes)) {
    OpBuilder inside = OpBuilder::atBlockEnd(kernels.getBody());
    GpuKernelBuilder(inside, "elementwise_" + std::to_string(i), ops.front()).build();
  }
  return kernels;
}
