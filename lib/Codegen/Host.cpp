#include "lib/Codegen/Host.h"
#include "lib/Codegen/Body.h"
#include "lib/Codegen/Distinct.h"
#include "lib/Codegen/Jit.h"
#include "lib/Codegen/Rows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;
using namespace uoe;
using namespace uoe::codegen;

namespace {

/// Elements computed side by side: a register of AVX-512 in f32, two of AVX2, whose latencies then
/// overlap.
constexpr int64_t kLanes = 16;

/// One function as rt::GeneratedKernel::Function wants it.
///
///   for each loop of the plan (one, if no rows are reduced):
///     for whole vectors, then for the rest, if there is one, copied to arrays of a vector's size:
///       for i: load the operands, compute, join reductions, store the results
///
/// so that the body is there once. An operand of step 0 is spread over an array of a vector's size
/// before, and read again and again. Reductions keep one partial result a lane; those of the rest
/// leave out the lanes beyond it.
class HostKernelBuilder {
public:
  HostKernelBuilder(OpBuilder &at, StringRef name, rtir::ElementwiseOp op)
      : b(op.getLoc(), at), body(op.getBody().front()), plan(op, /*keep=*/true),
        isRows(op.hasRows()), emitter(b, kLanes), rowEmitter(b, 0) {
    yield = cast<rtir::YieldOp>(body.getTerminator());
    pointer = LLVM::LLVMPointerType::get(b.getContext());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                            {pointer, pointer, pointer, b.getI64Type(), pointer});
    function = LLVM::LLVMFuncOp::create(b, name, type);
    // Registers of 512 bits where there are any, on processors too that LLVM prefers 256 for.
    auto pair = [&](StringRef key, StringRef value) -> Attribute {
      return b.getStrArrayAttr({key, value});
    };
    function.setPassthroughAttr(b.getArrayAttr(
        {pair("prefer-vector-width", "512"), pair("min-legal-vector-width", "512")}));
  }

  void build() {
    Block *entry = function.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    zero = constant(0), one = constant(1), lanes = constant(kLanes);
    count = entry->getArgument(3), scratch = entry->getArgument(4);
    for (BlockArgument argument : body.getArguments())
      operands.push_back(operand(argument, entry->getArgument(0), entry->getArgument(1)));
    for (Value value : yield.getOperands())
      results.push_back(result(value, entry->getArgument(2)));
    rest = arith::AndIOp::create(b, count, constant(kLanes - 1));
    whole = arith::SubIOp::create(b, count, rest);
    Value hasRest = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, zero);
    parts = arith::AddIOp::create(b, one,
                                  arith::ExtUIOp::create(b, b.getI64Type(), hasRest).getResult());
    for (auto constant : body.getOps<arith::ConstantOp>()) {
      emitter.emit(*constant, shared);
      if (isRows)
        rowEmitter.emit(*constant, rowValues);
    }
    for (size_t k = 0; k < plan.loops; ++k) {
      emitRowOps(k);
      loop(k);
    }
    emitRowOps(plan.loops);
    for (auto [out, value] : llvm::zip(results, yield.getOperands()))
      if (plan.rows.contains(value))
        LLVM::StoreOp::create(
            b, rowEmitter.toMemory(b.getLoc(), rowValues.lookup(value), out.element), out.start);
    LLVM::ReturnOp::create(b, ValueRange());
  }

  int64_t keptValues() const { return static_cast<int64_t>(plan.kept.size()); }

private:
  struct Port {
    Type element, memory; // as the body sees it, as memory holds it
    Value start, step;    // in elements; results step by 1
    Value buffer;         // of one vector, for the rest
    int64_t bytes;
  };

  Value constant(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
  Value at(Value base, Value index, Type element) {
    return LLVM::GEPOp::create(b, pointer, element, base, ArrayRef<LLVM::GEPArg>{index});
  }
  Value nth(Value array, int64_t index, Type type) {
    Value place = LLVM::GEPOp::create(b, pointer, type, array,
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
    return LLVM::LoadOp::create(b, type, place);
  }
  Value vectorBuffer(Type element) {
    return LLVM::AllocaOp::create(b, pointer, element, lanes, /*alignment=*/64);
  }
  Value broadcast(Value single) {
    return vector::BroadcastOp::create(b, VectorType::get({kLanes}, single.getType()), single);
  }
  void ifThen(Value condition, llvm::function_ref<void()> then) {
    auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    then();
  }
  Port port(Type element) {
    Port port;
    port.element = element;
    port.memory = BodyEmitter::memoryType(element);
    port.bytes = port.memory.getIntOrFloatBitWidth() / 8;
    return port;
  }

  Port operand(BlockArgument argument, Value pointers, Value steps) {
    Port in = port(argument.getType());
    Value given = nth(pointers, argument.getArgNumber(), pointer);
    if (plan.rows.contains(argument)) {
      Value single = LLVM::LoadOp::create(b, in.memory, given);
      defineRow(argument, rowEmitter.fromMemory(b.getLoc(), single, in.element));
      return in;
    }
    in.buffer = vectorBuffer(in.memory);
    in.step = nth(steps, argument.getArgNumber(), b.getI64Type());
    Value repeats = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, in.step, zero);
    Value spread = vectorBuffer(in.memory);
    ifThen(repeats, [&] {
      Value single = LLVM::LoadOp::create(b, in.memory, given);
      LLVM::StoreOp::create(b, broadcast(single), spread, 64);
    });
    in.start = arith::SelectOp::create(b, repeats, spread, given);
    return in;
  }
  Port result(Value value, Value pointers) {
    Port out = port(value.getType());
    out.start = nth(pointers, static_cast<int64_t>(results.size()), pointer);
    if (!plan.rows.contains(value))
      out.buffer = vectorBuffer(out.memory);
    return out;
  }
  /// An operand that loop k reads element by element.
  bool isRead(size_t k, size_t operand) {
    Value argument = body.getArgument(static_cast<unsigned>(operand));
    if (plan.rows.contains(argument))
      return false;
    for (Operation *user : argument.getUsers())
      if (llvm::is_contained(plan.ops[k], user))
        return true;
    return llvm::any_of(plan.reductions[k],
                        [&](rtir::ReduceOp reduce) { return reduce.getValue() == argument; }) ||
           (k + 1 == plan.loops && llvm::is_contained(yield.getOperands(), argument));
  }
  bool isStored(size_t k, size_t result) {
    return k + 1 == plan.loops &&
           !plan.rows.contains(yield.getOperand(static_cast<unsigned>(result)));
  }

  void copy(const Port &port, Value to, Value from, Value elements) {
    Value size = arith::MulIOp::create(b, elements, constant(port.bytes));
    LLVM::MemcpyOp::create(b, to, from, size, /*isVolatile=*/false);
  }

  void defineRow(Value value, Value single) {
    rowValues.map(value, single);
    shared.map(value, broadcast(single));
  }
  void emitRowOps(size_t k) {
    for (Operation *op : plan.rowOps[k]) {
      if (isa<rtir::RowLengthOp>(op)) {
        defineRow(op->getResult(0), arith::SIToFPOp::create(b, b.getF32Type(), count));
        continue;
      }
      rowEmitter.emit(*op, rowValues);
      shared.map(op->getResult(0), broadcast(rowValues.lookup(op->getResult(0))));
    }
  }

  // Reductions.

  Value neutral(rtir::ReduceOp reduce) {
    float infinity = std::numeric_limits<float>::infinity();
    float value = reduce.getKind() == rtir::Reduction::Add   ? 0.0f
                  : reduce.getKind() == rtir::Reduction::Max ? -infinity
                                                             : infinity;
    auto type = VectorType::get({kLanes}, b.getF32Type());
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
  }
  Value joined(rtir::ReduceOp reduce, Value partial, Value x) {
    if (reduce.getKind() == rtir::Reduction::Add)
      return arith::AddFOp::create(b, partial, x);
    auto predicate = reduce.getKind() == rtir::Reduction::Max ? arith::CmpFPredicate::OGT
                                                              : arith::CmpFPredicate::OLT;
    Value better = arith::CmpFOp::create(b, predicate, x, partial);
    Value nan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
    return arith::SelectOp::create(b, arith::OrIOp::create(b, better, nan), x, partial);
  }
  Value overLanes(rtir::ReduceOp reduce, Value partial) {
    auto kind = reduce.getKind() == rtir::Reduction::Add   ? vector::CombiningKind::ADD
                : reduce.getKind() == rtir::Reduction::Max ? vector::CombiningKind::MAXIMUMF
                                                           : vector::CombiningKind::MINIMUMF;
    // A tree of lanes; its order is the same for all rows.
    return vector::ReductionOp::create(b, kind, partial, arith::FastMathFlags::reassoc);
  }

  /// Loop k over the run: part 0 is whole vectors, part 1 the rest in the ports' buffers.
  void loop(size_t k) {
    SmallVector<Value> partials;
    for (rtir::ReduceOp reduce : plan.reductions[k])
      partials.push_back(neutral(reduce));
    auto outer = scf::ForOp::create(b, zero, parts, one, partials);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(outer.getBody());
      SmallVector<Value> next = part(k, outer.getInductionVar(), outer.getRegionIterArgs());
      if (!next.empty())
        scf::YieldOp::create(b, next);
    }
    for (auto [reduce, partial] : llvm::zip(plan.reductions[k], outer.getResults()))
      defineRow(reduce.getResult(), overLanes(reduce, partial));
  }

  SmallVector<Value> part(size_t k, Value number, ValueRange partials) {
    Value isRest = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, number, zero);
    ifThen(isRest, [&] {
      for (auto [i, in] : llvm::enumerate(operands))
        if (isRead(k, i))
          copy(in, in.buffer, at(in.start, arith::MulIOp::create(b, whole, in.step), in.memory),
               rest);
    });
    Part now{k, arith::SelectOp::create(b, isRest, whole, zero), {}, {}, {}};
    Value end = arith::SelectOp::create(b, isRest, lanes, whole);
    for (auto [i, in] : llvm::enumerate(operands))
      now.from.push_back(
          isRead(k, i) ? Value(arith::SelectOp::create(b, isRest, in.buffer, in.start)) : Value());
    for (auto [i, out] : llvm::enumerate(results))
      now.to.push_back(isStored(k, i)
                           ? Value(arith::SelectOp::create(b, isRest, out.buffer, out.start))
                           : Value());
    if (!partials.empty()) {
      Value valid = arith::TruncIOp::create(b, b.getI32Type(),
                                            arith::SelectOp::create(b, isRest, rest, lanes));
      SmallVector<int32_t> numbers;
      for (int32_t lane = 0; lane < kLanes; ++lane)
        numbers.push_back(lane);
      Value lane = arith::ConstantOp::create(
          b, DenseElementsAttr::get(VectorType::get({kLanes}, b.getI32Type()),
                                    ArrayRef<int32_t>(numbers)));
      now.mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lane, broadcast(valid));
    }
    auto inner = scf::ForOp::create(b, zero, end, lanes, partials);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(inner.getBody());
      SmallVector<Value> next = vectors(now, inner.getInductionVar(), inner.getRegionIterArgs());
      if (!next.empty())
        scf::YieldOp::create(b, next);
    }
    ifThen(isRest, [&] {
      for (auto [i, out] : llvm::enumerate(results))
        if (isStored(k, i))
          copy(out, at(out.start, whole, out.memory), out.buffer, rest);
    });
    return llvm::to_vector(ValueRange(inner.getResults()));
  }

  struct Part {
    size_t loop;
    Value begin; // of its elements in the run
    SmallVector<Value> from, to;
    Value mask; // lanes that count
  };

  Value scratchAt(Value value, Value index) {
    auto place = llvm::find(plan.kept, value) - plan.kept.begin();
    Value first = arith::MulIOp::create(b, constant(place), arith::AddIOp::create(b, count, lanes));
    return at(scratch, arith::AddIOp::create(b, first, index), b.getF32Type());
  }

  /// One vector of everything. All operands are loaded before a result is stored: it may lie where
  /// one of them lies.
  SmallVector<Value> vectors(const Part &now, Value i, ValueRange partials) {
    IRMapping values = shared;
    Location loc = b.getLoc();
    size_t k = now.loop;
    for (auto [n, in] : llvm::enumerate(operands)) {
      if (!now.from[n])
        continue;
      Value place = at(now.from[n], arith::MulIOp::create(b, i, in.step), in.memory);
      Value loaded = LLVM::LoadOp::create(b, emitter.vectorOf(in.memory), place,
                                          static_cast<unsigned>(in.bytes));
      values.map(body.getArgument(n), emitter.fromMemory(loc, loaded, in.element));
    }
    Value index = arith::AddIOp::create(b, now.begin, i);
    for (Value value : plan.loaded[k])
      values.map(value, LLVM::LoadOp::create(b, emitter.vectorOf(b.getF32Type()),
                                             scratchAt(value, index), 4)
                            .getResult());
    for (Operation *op : plan.ops[k])
      emitter.emit(*op, values);
    for (Value value : plan.stored[k])
      LLVM::StoreOp::create(b, values.lookup(value), scratchAt(value, index), 4);
    for (auto [n, out] : llvm::enumerate(results)) {
      if (!now.to[n])
        continue;
      Value value = emitter.toMemory(loc, values.lookup(yield.getOperand(n)), out.element);
      LLVM::StoreOp::create(b, value, at(now.to[n], i, out.memory),
                            static_cast<unsigned>(out.bytes));
    }
    SmallVector<Value> next;
    for (auto [reduce, partial] : llvm::zip(plan.reductions[k], partials)) {
      Value x =
          arith::SelectOp::create(b, now.mask, values.lookup(reduce.getValue()), neutral(reduce));
      next.push_back(joined(reduce, partial, x));
    }
    return next;
  }

  ImplicitLocOpBuilder b;
  Block &body;
  RowPlan plan;
  bool isRows;
  rtir::YieldOp yield;
  BodyEmitter emitter, rowEmitter;
  LLVM::LLVMPointerType pointer;
  LLVM::LLVMFuncOp function;
  Value zero, one, lanes, count, scratch, rest, whole, parts;
  SmallVector<Port> operands, results;
  IRMapping shared, rowValues; // vectors that every loop may read; row values as scalars
};

rt::DType dtypeOf(Type element) {
  return static_cast<rt::DType>(onnx::dataTypeOf(element));
}

std::vector<rt::DType> dtypesOf(TypeRange types) {
  std::vector<rt::DType> list;
  for (Type type : types)
    list.push_back(dtypeOf(cast<RankedTensorType>(type).getElementType()));
  return list;
}

} // namespace

OwningOpRef<ModuleOp> codegen::buildHostModule(ModuleOp module,
                                               DenseMap<Operation *, KernelName> &names) {
  MLIRContext *context = module.getContext();
  context->loadDialect<arith::ArithDialect, LLVM::LLVMDialect, math::MathDialect, scf::SCFDialect,
                       vector::VectorDialect>();
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(UnknownLoc::get(context));
  for (auto [i, ops] : llvm::enumerate(distinctBodies(module))) {
    std::string name = "elementwise_" + std::to_string(i);
    OpBuilder builder = OpBuilder::atBlockEnd(kernels->getBody());
    HostKernelBuilder kernel(builder, name, ops.front());
    kernel.build();
    for (rtir::ElementwiseOp op : ops)
      names[op] = {name, kernel.keptValues()};
  }
  return kernels;
}

FailureOr<HostKernels> codegen::compileForHost(ModuleOp module, llvm::raw_ostream *listing) {
  auto start = std::chrono::steady_clock::now();
  HostKernels all;
  DenseMap<Operation *, KernelName> names;
  OwningOpRef<ModuleOp> kernels = buildHostModule(module, names);
  if (names.empty())
    return all;
  if (listing)
    kernels->print(*listing);
  FailureOr<std::shared_ptr<HostCode>> code = HostCode::compile(*kernels);
  if (failed(code))
    return failure();
  llvm::StringMap<std::shared_ptr<const rt::GeneratedKernel>> byName;
  for (auto &[op, made] : names) {
    const std::string &name = made.name;
    auto &kernel = byName[name];
    if (!kernel) {
      auto group = cast<rtir::ElementwiseOp>(op);
      auto fresh = std::make_shared<rt::GeneratedKernel>();
      void *address = (*code)->lookup(name);
      if (!address)
        return module.emitError("generated kernel '") << name << "' cannot be linked";
      fresh->function = reinterpret_cast<rt::GeneratedKernel::Function>(address);
      fresh->operands = dtypesOf(group.getOperandTypes());
      fresh->results = dtypesOf(group.getResultTypes());
      fresh->cost = costOf(group.getBody().front());
      fresh->rows = group.hasRows();
      llvm::DenseSet<Value> rows = group.rowValues();
      for (Value value : group.getBody().front().getTerminator()->getOperands())
        fresh->rowResults.push_back(rows.contains(value));
      fresh->scratchBytes = made.kept * 4;
      fresh->code = *code;
      kernel = std::move(fresh);
    }
    all.kernels[op] = kernel;
  }
  all.distinct = byName.size();
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return all;
}
