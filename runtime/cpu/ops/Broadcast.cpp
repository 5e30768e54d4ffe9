#include "Broadcast.h"

namespace uoe::rt {

Shape broadcastShapes(const Shape &a, const Shape &b) {
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  size_t missing = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t &dim = result[missing + i];
    if (dim == 1)
      dim = shorter[i];
    else
      check(shorter[i] == dim || shorter[i] == 1, "shapes ", toString(a), " and ", toString(b),
            " do not broadcast: ", dim, " against ", shorter[i]);
  }
  return result;
}

} // namespace uoe::rt
