// The operands of mma.sync.m16n8k16 as a warp's threads hold them (PTX ISA, "Matrix Fragments for
// mma.m16n8k16 with floating point type"), the instruction, and what it means, for the host.
#pragma once
#include "HostDevice.h"

namespace uoe::rt::cuda {

// With g = lane / 4 and t = lane % 4 a lane holds, two 16-bit elements a register:
//   A [16, 16]: register r has row g + 8 (r % 2), columns 2 t + 8 (r / 2) and the next
//   B [16, 8]:  register r has column g, rows 2 t + 8 r and the next
//   C [16, 8]:  c[0], c[1] at row g, columns 2 t and the next; c[2], c[3] at row g + 8
UOE_HOST_DEVICE constexpr int aRow(int lane, int r) {
  return lane / 4 + 8 * (r % 2);
}
UOE_HOST_DEVICE constexpr int aColumn(int lane, int r) {
  return 2 * (lane % 4) + 8 * (r / 2);
}
UOE_HOST_DEVICE constexpr int bColumn(int lane) {
  return lane / 4;
}
UOE_HOST_DEVICE constexpr int bRow(int lane, int r) {
  return 2 * (lane % 4) + 8 * r;
}
UOE_HOST_DEVICE constexpr int cRow(int lane, int i) {
  return lane / 4 + 8 * (i / 2);
}
UOE_HOST_DEVICE constexpr int cColumn(int lane, int i) {
  return 2 * (lane % 4) + i % 2;
}

/// Two adjacent 16-bit elements as one register; `from` is a multiple of 4 bytes.
template <typename T> UOE_HOST_DEVICE inline uint32_t wordOf(const T *from) {
#ifdef __CUDA_ARCH__
  return *reinterpret_cast<const uint32_t *>(from);
#else
  uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
#endif
}

/// What one thread holds of a warp's tile: `down` times 16 rows, `across` times 8 columns.
template <int down, int across> struct TileC { float c[down][across][4]; };
template <int down> struct TileA { uint32_t a[down][4]; };
template <int across> struct TileB { uint32_t b[across][2]; };

#ifdef __CUDACC__
template <typename T, int down, int across>
__device__ inline void multiplyOwn(TileC<down, across> &c, const TileA<down> &a,
                                   const TileB<across> &b) {
  UOE_UNROLL
  for (int i = 0; i < down; ++i)
    UOE_UNROLL
  for (int j = 0; j < across; ++j) {
    float *d = c.c[i][j];
    if constexpr (sizeof(T) == 2 && T::isBrain)
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                   "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                   : "r"(a.a[i][0]), "r"(a.a[i][1]), "r"(a.a[i][2]), "r"(a.a[i][3]), "r"(b.b[j][0]),
                     "r"(b.b[j][1]));
    else
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                   "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                   : "r"(a.a[i][0]), "r"(a.a[i][1]), "r"(a.a[i][2]), "r"(a.a[i][3]), "r"(b.b[j][0]),
                     "r"(b.b[j][1]));
  }
}
#endif

/// The same for all lanes of a warp on the host: c(lane), a(lane), b(lane) are their tiles.
template <typename T, typename C, typename A, typename B>
void multiplyFragments(C &&c, A &&a, B &&b) {
  auto element = [](uint32_t word, int i) {
    return toFloat(T{static_cast<uint16_t>(word >> (16 * i))});
  };
  constexpr int down = sizeof(a(0).a) / sizeof(a(0).a[0]);
  constexpr int across = sizeof(b(0).b) / sizeof(b(0).b[0]);
  for (int i = 0; i < down; ++i)
    for (int j = 0; j < across; ++j) {
      float rows[16][16], columns[16][8];
      for (int lane = 0; lane < 32; ++lane)
        for (int half = 0; half < 2; ++half) {
          for (int r = 0; r < 4; ++r)
            rows[aRow(lane, r)][aColumn(lane, r) + half] = element(a(lane).a[i][r], half);
          for (int r = 0; r < 2; ++r)
            columns[bRow(lane, r) + half][bColumn(lane)] = element(b(lane).b[j][r], half);
        }
      for (int lane = 0; lane < 32; ++lane)
        for (int q = 0; q < 4; ++q)
          for (int k = 0; k < 16; ++k)
            c(lane).c[i][j][q] += rows[cRow(lane, q)][k] * columns[k][cColumn(lane, q)];
    }
}

} // namespace uoe::rt::cuda
