#include "Experts.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>

namespace uoe::rt::fast {

namespace {

std::vector<int64_t> checkedOrder(int64_t hidden, const std::vector<int64_t> &order) {
  std::vector<int64_t> out = order;
  if (order.empty()) {
    for (int64_t i = 0; i < hidden; ++i)
      out.push_back(i);
    return out;
  }
  check(static_cast<int64_t>(order.size()) == hidden, "experts: order has ", order.size(),
        " entries for ", hidden, " hidden units");
  std::vector<bool> seen(order.size());
  for (int64_t i : order) {
    check(i >= 0 && i < hidden && !seen[static_cast<size_t>(i)],
          "experts: order is no permutation, entry ", i);
    seen[static_cast<size_t>(i)] = true;
  }
  return out;
}

/// Codes, if there are any, as floats.
void widen(const QuantizedSource *&codes, const float *&floats, bool &transposed,
           std::vector<float> &values) {
  if (!codes)
    return;
  values = dequantized(*codes);
  codes = nullptr;
  floats = values.data();
  transposed = true;
}

void put(void *base, ElementType type, int64_t index, float value) {
  if (type == ElementType::F32)
    static_cast<float *>(base)[index] = value;
  else
    static_cast<uint16_t *>(base)[index] = toBits(type, value);
}

} // namespace

PackedFfn::PackedFfn(const FfnSource &source, Activation act, const std::vector<int64_t> &starts,
                     const std::vector<int64_t> &order, FfnTypes floats)
    : in(source.in), out(source.out), act(act), gated(source.gate || source.gateCodes),
      cut(source.cut), types(floats) {
  FfnSource s = source;
  check(gated || !cut.any(), "experts: a limit or an offset needs a gate");
  check(s.in >= 0 && s.hidden >= 0 && s.out >= 0, "experts: negative size");
  std::vector<int64_t> bounds{0};
  if (starts.empty())
    bounds.push_back(s.hidden);
  else
    bounds.insert(bounds.end(), starts.begin(), starts.end());
  for (size_t i = 1; i < bounds.size(); ++i)
    check(bounds[i] >= bounds[i - 1], "experts: starts do not ascend: ", bounds[i], " after ",
          bounds[i - 1]);
  check(bounds.back() == s.hidden, "experts: the last start is ", bounds.back(), ", expected ",
        s.hidden);
  experts = static_cast<int64_t>(bounds.size()) - 2;
  std::vector<int64_t> place = checkedOrder(s.hidden, order);

  // The unit at each place of the groups, -1 for padding.
  std::vector<int64_t> units;
  firstGroup.push_back(0);
  for (size_t b = 0; b + 1 < bounds.size(); ++b) {
    for (int64_t i = bounds[b]; i < bounds[b + 1]; ++i)
      units.push_back(place[static_cast<size_t>(i)]);
    units.resize((units.size() + 15) / 16 * 16, -1);
    firstGroup.push_back(static_cast<int64_t>(units.size()) / 16);
  }
  auto take = [&](const float *bias) {
    std::vector<float> taken;
    if (bias)
      for (int64_t unit : units)
        taken.push_back(unit < 0 ? 0.0f : bias[unit]);
    return taken;
  };
  gateBias = take(s.gateBias);
  upBias = take(s.upBias);
  downBias.assign(static_cast<size_t>(outPanels() * 16), 0.0f);
  if (s.downBias)
    std::copy(s.downBias, s.downBias + s.out, downBias.begin());

  // Codes as they are, or as floats.
  std::vector<float> wide[3];
  chooseFormats(s, units, wide);
  inner = Buffer(static_cast<size_t>(groups() * innerBytes()));
  outer = Buffer(static_cast<size_t>(groups() * outPanels() * outerBytes()));
  const int64_t columns = gated ? 32 : 16;
  auto blockOf = [&](int64_t g) {
    return std::upper_bound(firstGroup.begin(), firstGroup.end(), g) - firstGroup.begin() - 1;
  };
  auto packCodesIn = [&](int64_t g, std::vector<int64_t> &rows) {
    auto *to = static_cast<uint8_t *>(const_cast<void *>(innerGroup(g)));
    for (const QuantizedSource *codes : {s.gateCodes, s.upCodes}) {
      if (!codes)
        continue;
      for (int64_t i = 0; i < innerBlocks(); ++i, to += innerFormat.blockBytes()) {
        for (int64_t x = 0; x < innerFormat.block; ++x) {
          const int64_t row = i * innerFormat.block + x;
          rows[static_cast<size_t>(x)] = row < in ? row : -1;
        }
        for (int64_t j = 0; j < 16; ++j)
          if (int64_t unit = units[static_cast<size_t>(g * 16 + j)]; unit >= 0)
            packQuantLane(*codes, unit, rows.data(), innerFormat, to, j);
      }
    }
  };
  auto packCodesOut = [&](int64_t g) {
    const int64_t b = blockOf(g);
    auto *first = static_cast<uint8_t *>(const_cast<void *>(outerPanel(b, 0)));
    for (int64_t i = 0; i < out; ++i)
      packQuantLane(*s.downCodes, i, &units[static_cast<size_t>(g * 16)], outerFormat,
                    first + (i / 16 * groupsOf(b) + g - firstGroup[size_t(b)]) * outerBytes(),
                    i % 16);
  };
  auto packGroup = [&](int64_t g) {
    const int64_t b = blockOf(g);
    void *in16 = const_cast<void *>(innerGroup(g)), *out16 = const_cast<void *>(outerPanel(b, 0));
    for (int64_t j = 0; j < 16; ++j) {
      int64_t unit = units[static_cast<size_t>(g * 16 + j)];
      if (unit < 0)
        continue;
      auto column = [&](const float *w, bool transposed, int64_t at) {
        const float *from = transposed ? w + unit * in : w + unit;
        int64_t step = transposed ? 1 : s.hidden;
        for (int64_t i = 0; i < in; ++i)
          put(in16, types.inner, i * columns + at, from[i * step]);
      };
      if (!innerFormat) {
        if (gated)
          column(s.gate, s.gateTransposed, j);
        column(s.up, s.upTransposed, gated ? 16 + j : j);
      }
      if (outerFormat)
        continue;
      const float *from = s.downTransposed ? s.down + unit : s.down + unit * out;
      int64_t step = s.downTransposed ? s.hidden : 1;
      for (int64_t i = 0; i < out; ++i)
        put(out16, types.outer,
            (i / 16 * groupsOf(b) + g - firstGroup[size_t(b)]) * 256 + j * 16 + i % 16,
            from[i * step]);
    }
  };
  ThreadPool::global().parallelFor(groups(), 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> rows(static_cast<size_t>(innerFormat.block));
    for (int64_t g = begin; g < end; ++g) {
      packGroup(g);
      if (innerFormat)
        packCodesIn(g, rows);
      if (outerFormat)
        packCodesOut(g);
    }
  });
}

void PackedFfn::chooseFormats(FfnSource &s, const std::vector<int64_t> &units,
                              std::vector<float> (&wide)[3]) {
  auto checkCodes = [](const QuantizedSource *codes, int64_t k, int64_t n, const char *what) {
    if (!codes)
      return;
    checkQuantized(*codes);
    check(codes->k == k && codes->n == n, "experts: ", what, " has codes of [", codes->k, ", ",
          codes->n, "], expected [", k, ", ", n, "]");
  };
  checkCodes(s.gateCodes, s.in, s.hidden, "gate");
  checkCodes(s.upCodes, s.in, s.hidden, "up");
  checkCodes(s.downCodes, s.hidden, s.out, "down");
  // Bytes are kept signed, which would round zero points that are no integers.
  auto keeps = [](const QuantizedSource *codes) {
    return codes && !(codes->bits == 8 && codes->floatZeros);
  };
  const bool same = keeps(s.upCodes) &&
                    (!gated || (keeps(s.gateCodes) &&
                                QuantFormat::of(*s.gateCodes) == QuantFormat::of(*s.upCodes)));
  if (same) {
    innerFormat = QuantFormat::of(*s.upCodes);
  } else if (s.upCodes || s.gateCodes) {
    widen(s.gateCodes, s.gate, s.gateTransposed, wide[0]);
    widen(s.upCodes, s.up, s.upTransposed, wide[1]);
    types.inner = ElementType::F32;
  }
  if (!s.downCodes)
    return;
  // Units without a place take the code of the zero point.
  bool fits = !s.downCodes->floatZeros;
  for (size_t i = 0; i < units.size(); i += 16) {
    int64_t block = -1;
    for (size_t j = i; j < i + 16; ++j) {
      if (units[j] < 0)
        continue;
      fits &= block < 0 || units[j] / s.downCodes->block == block;
      block = units[j] / s.downCodes->block;
    }
  }
  if (fits) {
    outerFormat = QuantFormat::of(*s.downCodes);
    outerFormat.block = 16;
  } else {
    widen(s.downCodes, s.down, s.downTransposed, wide[2]);
    types.outer = ElementType::F32;
  }
}

FfnSource widened(FfnSource s, std::vector<float> (&wide)[3]) {
  widen(s.gateCodes, s.gate, s.gateTransposed, wide[0]);
  widen(s.upCodes, s.up, s.upTransposed, wide[1]);
  widen(s.downCodes, s.down, s.downTransposed, wide[2]);
  return s;
}

FfnTypes PackedFfn::exactTypes(const FfnSource &s) {
  return {exactType({{s.gate, s.in * s.hidden}, {s.up, s.in * s.hidden}}),
          exactType({{s.down, s.hidden * s.out}})};
}

PackedFfn packExact(const FfnSource &source, Activation act, const std::vector<int64_t> &starts) {
  return PackedFfn(source, act, starts, {}, PackedFfn::exactTypes(source));
}

void PackedFfn::setSkipVectors(const float *vectors) {
  const int64_t padded = outPanels() * 16;
  skip.assign(static_cast<size_t>(padded * experts), 0.0f);
  biasAndSkip = downBias;
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t i = 0; i < out; ++i) {
      float value = vectors[e * out + i];
      skip[static_cast<size_t>(e * padded + i)] = value;
      biasAndSkip[static_cast<size_t>(i)] += value;
    }
}

} // namespace uoe::rt::fast
