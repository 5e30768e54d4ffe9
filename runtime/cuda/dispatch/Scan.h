// Exclusive prefix sums by one team: sums of integers, so that no order of the threads shows.
#pragma once
#include "Team.h"

namespace uoe::rt::cuda {

/// out[i] = in(0) + ... + in(i - 1) for i up to and with count. `partial` is memory of the team,
/// two numbers for each of its threads. `out` may hold what `in` reads.
template <typename Team, typename In>
UOE_HOST_DEVICE void exclusiveScan(Team &team, int64_t count, In &&in, int32_t *out,
                                   int32_t *partial) {
  const int width = team.width();
  const int64_t chunk = ceilDiv<int64_t>(count, width);
  team.each([&](int thread) {
    int32_t sum = 0;
    const int64_t end = least(count, (thread + 1) * chunk);
    for (int64_t i = thread * chunk; i < end; ++i)
      sum += in(i);
    partial[thread] = sum;
  });
  int32_t *from = partial, *to = partial + width;
  for (int step = 1; step < width; step *= 2) {
    team.each([&](int thread) {
      to[thread] = from[thread] + (thread >= step ? from[thread - step] : 0);
    });
    int32_t *last = from;
    from = to;
    to = last;
  }
  team.each([&](int thread) {
    int32_t sum = thread > 0 ? from[thread - 1] : 0;
    const int64_t end = least(count, (thread + 1) * chunk);
    for (int64_t i = thread * chunk; i < end; ++i) {
      const int32_t own = in(i);
      out[i] = sum;
      sum += own;
    }
    if (thread == width - 1)
      out[count] = from[width - 1];
  });
}

} // namespace uoe::rt::cuda
