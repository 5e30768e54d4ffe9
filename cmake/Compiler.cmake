# What the compiler half needs: MLIR 22, protobuf, ONNX's current proto file.
set(UOE_LLVM_PREFIX /usr/lib/llvm-22 CACHE PATH "Prefix of LLVM/MLIR 22")
# The packages demand a matching major.minor, so ask for what is installed.
find_package(MLIR 22.1 REQUIRED CONFIG HINTS ${UOE_LLVM_PREFIX}/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
# One process holds one LLVM: link the dylib everywhere.
set(LLVM_LINK_LLVM_DYLIB ON)
set(MLIR_LINK_MLIR_DYLIB ON)
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_definitions(${LLVM_DEFINITIONS_LIST})

find_package(Protobuf REQUIRED)

# A precompiled header of what every file includes, MLIR's headers and our ops: a file of 7 s becomes one of 2. Dialects that few files include
# stay out: they make it larger for all others, a second or two each.
# One for each level of optimisation, which clang wants to be the same in the header and in the file.
foreach(pch uoe_pch uoe_pch_numeric)
  add_library(${pch} OBJECT ${CMAKE_SOURCE_DIR}/cmake/Pch.cpp)
  target_precompile_headers(${pch} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/Pch.h)
  add_dependencies(${pch} uoe_onnx_gen uoe_uoe_gen uoe_rt_gen)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    target_compile_options(${pch} PRIVATE -Xclang -fno-pch-timestamp)
  endif()
endforeach()
target_compile_options(uoe_pch PRIVATE ${UOE_LIGHT})

# A library over MLIR. Static, linked once into each tool; MLIR itself comes from the dylib. NUMERIC: it also has loops over weights or results.
# OBJECT: all of it is linked, because its files register themselves; they are compiled one by one, as each has options of the same names.
function(uoe_mlir_library name)
  cmake_parse_arguments(ARG "NUMERIC;OBJECT" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  set(kind STATIC)
  if(ARG_OBJECT)
    set(kind OBJECT)
  endif()
  add_library(${name} ${kind} ${ARG_SOURCES} ${ARG_UNPARSED_ARGUMENTS})
  set(pch uoe_pch_numeric)
  if(NOT ARG_NUMERIC)
    set(pch uoe_pch)
    target_compile_options(${name} PRIVATE ${UOE_LIGHT})
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    target_precompile_headers(${name} REUSE_FROM ${pch})
    target_compile_options(${name} PRIVATE -Xclang -fno-pch-timestamp)
  endif()
  if(NOT ARG_OBJECT)
    uoe_unity(${name} 12)
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
endfunction()
