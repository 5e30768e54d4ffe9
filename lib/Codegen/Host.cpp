#include "lib/Codegen/Host.h"
#include "lib/Codegen/Body.h"
#include "lib/Codegen/Distinct.h"
#include "lib/Codegen/Jit.h"
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
///   for whole vectors, then for the rest, if there is one, copied to arrays of a vector's size:
///     for i: load the operands, compute, store the results
///
/// so that the body is there once. An operand of step 0 is spread over an array of a vector's size
/// before, and read again and again.
class KernelBuilder {
public:
  KernelBuilder(OpBuilder &at, StringRef name, rtir::ElementwiseOp op)
      : b(op.getLoc(), at), body(op.getBody().front()), emitter(b, kLanes) {
    yield = cast<rtir::YieldOp>(body.getTerminator());
    pointer = LLVM::LLVMPointerType::get(b.getContext());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                            {pointer, pointer, pointer, b.getI64Type()});
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
    Value count = entry->getArgument(3);
    for (BlockArgument argument : body.getArguments())
      operands.push_back(operand(argument, entry->getArgument(0), entry->getArgument(1)));
    for (Value value : yield.getOperands())
      results.push_back(result(value, entry->getArgument(2)));
    Value rest = arith::AndIOp::create(b, count, constant(kLanes - 1));
    Value whole = arith::SubIOp::create(b, count, rest);
    Value hasRest = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, zero);
    Value parts = arith::AddIOp::create(
        b, one, arith::ExtUIOp::create(b, b.getI64Type(), hasRest).getResult());
    auto loop = scf::ForOp::create(b, zero, parts, one);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      part(loop.getInductionVar(), whole, rest);
    }
    LLVM::ReturnOp::create(b, ValueRange());
  }

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
    port.buffer = vectorBuffer(port.memory);
    return port;
  }

  Port operand(BlockArgument argument, Value pointers, Value steps) {
    Port in = port(argument.getType());
    Value given = nth(pointers, argument.getArgNumber(), pointer);
    in.step = nth(steps, argument.getArgNumber(), b.getI64Type());
    Value repeats = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, in.step, zero);
    Value spread = vectorBuffer(in.memory);
    ifThen(repeats, [&] {
      Value single = LLVM::LoadOp::create(b, in.memory, given);
      Value all =
          vector::BroadcastOp::create(b, cast<VectorType>(emitter.vectorOf(in.memory)), single);
      LLVM::StoreOp::create(b, all, spread, 64);
    });
    in.start = arith::SelectOp::create(b, repeats, spread, given);
    return in;
  }
  Port result(Value value, Value pointers) {
    Port out = port(value.getType());
    out.start = nth(pointers, static_cast<int64_t>(results.size()), pointer);
    return out;
  }

  void copy(const Port &port, Value to, Value from, Value elements) {
    Value size = arith::MulIOp::create(b, elements, constant(port.bytes));
    LLVM::MemcpyOp::create(b, to, from, size, /*isVolatile=*/false);
  }

  /// Part 0 is whole vectors, part 1 the rest in the ports' buffers.
  void part(Value number, Value whole, Value rest) {
    Value isRest = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, number, zero);
    ifThen(isRest, [&] {
      for (Port &in : operands)
        copy(in, in.buffer, at(in.start, arith::MulIOp::create(b, whole, in.step), in.memory),
             rest);
    });
    Value end = arith::SelectOp::create(b, isRest, lanes, whole);
    SmallVector<Value> from, to;
    for (Port &in : operands)
      from.push_back(arith::SelectOp::create(b, isRest, in.buffer, in.start));
    for (Port &out : results)
      to.push_back(arith::SelectOp::create(b, isRest, out.buffer, out.start));
    auto loop = scf::ForOp::create(b, zero, end, lanes);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      vectors(loop.getInductionVar(), from, to);
    }
    ifThen(isRest, [&] {
      for (Port &out : results)
        copy(out, at(out.start, whole, out.memory), out.buffer, rest);
    });
  }

  /// One vector of every result. All operands are loaded before: a result may lie where one of them
  /// lies.
  void vectors(Value i, ArrayRef<Value> from, ArrayRef<Value> to) {
    IRMapping values;
    for (auto [k, in] : llvm::enumerate(operands)) {
      Value place = at(from[k], arith::MulIOp::create(b, i, in.step), in.memory);
      Value loaded = LLVM::LoadOp::create(b, emitter.vectorOf(in.memory), place,
                                          static_cast<unsigned>(in.bytes));
      values.map(body.getArgument(k), emitter.fromMemory(b.getLoc(), loaded, in.element));
    }
    for (Operation &op : body.without_terminator())
      emitter.emit(op, values);
    for (auto [k, out] : llvm::enumerate(results)) {
      Value value = emitter.toMemory(b.getLoc(), values.lookup(yield.getOperand(k)), out.element);
      LLVM::StoreOp::create(b, value, at(to[k], i, out.memory), static_cast<unsigned>(out.bytes));
    }
  }

  ImplicitLocOpBuilder b;
  Block &body;
  rtir::YieldOp yield;
  BodyEmitter emitter;
  LLVM::LLVMPointerType pointer;
  LLVM::LLVMFuncOp function;
  Value zero, one, lanes;
  SmallVector<Port> operands, results;
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
                                               DenseMap<Operation *, std::string> &names) {
  MLIRContext *context = module.getContext();
  context->loadDialect<arith::ArithDialect, LLVM::LLVMDialect, math::MathDialect, scf::SCFDialect,
                       vector::VectorDialect>();
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(UnknownLoc::get(context));
  for (auto [i, ops] : llvm::enumerate(distinctBodies(module))) {
    std::string name = "elementwise_" + std::to_string(i);
    OpBuilder builder = OpBuilder::atBlockEnd(kernels->getBody());
    KernelBuilder(builder, name, ops.front()).build();
    for (rtir::ElementwiseOp op : ops)
      names[op] = name;
  }
  return kernels;
}

FailureOr<HostKernels> codegen::compileForHost(ModuleOp module, llvm::raw_ostream *listing) {
  auto start = std::chrono::steady_clock::now();
  HostKernels made;
  DenseMap<Operation *, std::string> names;
  OwningOpRef<ModuleOp> kernels = buildHostModule(module, names);
  if (names.empty())
    return made;
  if (listing)
    kernels->print(*listing);
  FailureOr<std::shared_ptr<HostCode>> code = HostCode::compile(*kernels);
  if (failed(code))
    return failure();
  llvm::StringMap<std::shared_ptr<const rt::GeneratedKernel>> byName;
  for (auto &[op, name] : names) {
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
      fresh->code = *code;
      kernel = std::move(fresh);
    }
    made.kernels[op] = kernel;
  }
  made.distinct = byName.size();
  made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return made;
}
