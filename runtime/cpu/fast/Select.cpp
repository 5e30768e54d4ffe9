#include "Select.h"
#include "SelectRow.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cmath>

namespace uoe::rt::fast {

namespace {

/// Rows as lists; gates only where a later step needs them.
struct Lists {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> ids;
  std::vector<float> gates;
};

bool needsGates(const SelectSpec &spec) {
  return spec.gateWeights || spec.normalize != SelectSpec::Normalize::None || spec.hasCapacity();
}

Lists chooseRows(const SelectSpec &spec, const SelectInput &in) {
  const int64_t total = in.samples * in.rows, n = in.experts;
  // Ranges of about 64K scores, joined in order.
  const int64_t step = std::max<int64_t>(1, (int64_t(1) << 16) / std::max<int64_t>(1, n));
  const int64_t pieces = (total + step - 1) / step;
  std::vector<Lists> parts(static_cast<size_t>(pieces));
  const bool gates = needsGates(spec);
  ThreadPool::global().parallelFor(pieces, 1, [&](int64_t begin, int64_t end) {
    RowSelector row(spec, in, gates);
    for (int64_t i = begin; i < end; ++i) {
      Lists &part = parts[static_cast<size_t>(i)];
      for (int64_t r = i * step; r < std::min(total, (i + 1) * step); ++r) {
        row.choose(r, part.ids, part.gates);
        part.offsets.push_back(static_cast<int64_t>(part.ids.size()));
      }
    }
  });
  if (pieces == 1)
    return std::move(parts[0]);
  Lists all;
  size_t chosen = 0;
  for (const Lists &part : parts)
    chosen += part.ids.size();
  all.offsets.reserve(static_cast<size_t>(total) + 1);
  all.ids.reserve(chosen);
  all.gates.reserve(gates ? chosen : 0);
  for (Lists &part : parts) {
    int64_t base = static_cast<int64_t>(all.ids.size());
    for (size_t i = 1; i < part.offsets.size(); ++i)
      all.offsets.push_back(base + part.offsets[i]);
    all.ids.insert(all.ids.end(), part.ids.begin(), part.ids.end());
    all.gates.insert(all.gates.end(), part.gates.begin(), part.gates.end());
    part = Lists();
  }
  return all;
}

// Step 5. Sums run over rows, or over experts, in ascending order.
void normalise(const SelectSpec &spec, const SelectInput &in, Lists &lists) {
  const int64_t total = in.samples * in.rows, n = in.experts;
  auto divide = [](float &gate, float sum) { gate = sum == 0 ? 0.0f : gate / sum; };
  if (spec.normalize == SelectSpec::Normalize::Experts) {
    ThreadPool::global().parallelFor(total, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float sum = 0;
        for (int64_t i = lists.offsets[size_t(r)]; i < lists.offsets[size_t(r) + 1]; ++i)
          sum += lists.gates[size_t(i)];
        for (int64_t i = lists.offsets[size_t(r)]; i < lists.offsets[size_t(r) + 1]; ++i)
          divide(lists.gates[size_t(i)], sum);
      }
    });
    return;
  }
  // Rows that share sums: those of a sample, or those of a position.
  const bool tokens = spec.normalize == SelectSpec::Normalize::Tokens;
  const int64_t positions = in.batch > 0 ? total / in.batch : 0;
  const int64_t sets = tokens ? in.samples : positions;
  const int64_t members = tokens ? in.rows : in.batch;
  ThreadPool::global().parallelFor(sets, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> sums(static_cast<size_t>(n));
    for (int64_t set = begin; set < end; ++set) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      auto each = [&](auto &&what) {
        for (int64_t m = 0; m < members; ++m) {
          int64_t r = tokens ? set * members + m : m * positions + set;
          for (int64_t i = lists.offsets[size_t(r)]; i < lists.offsets[size_t(r) + 1]; ++i)
            what(lists.gates[size_t(i)], sums[size_t(lists.ids[size_t(i)])]);
        }
      };
      each([](float gate, float &sum) { sum += gate; });
      each([&](float &gate, float sum) { divide(gate, sum); });
    }
  });
}

int64_t capacityOf(const SelectSpec &spec, const SelectInput &in, const Lists &lists) {
  int64_t c = in.rows;
  if (spec.capacity > 0)
    c = std::min(c, spec.capacity);
  if (spec.capacityShare > 0) {
    // In float32, as the reference in ONNX operators.
    float share = std::floor(static_cast<float>(in.rows) * spec.capacityShare);
    c = std::min(c, std::max<int64_t>(1, static_cast<int64_t>(share)));
  }
  if (spec.capacityTakers) {
    int64_t most = 0;
    std::vector<int64_t> takers(static_cast<size_t>(in.experts));
    for (int64_t s = 0; s < in.samples; ++s) {
      std::fill(takers.begin(), takers.end(), 0);
      for (int64_t i = lists.offsets[size_t(s * in.rows)];
           i < lists.offsets[size_t((s + 1) * in.rows)]; ++i)
        ++takers[size_t(lists.ids[size_t(i)])];
      for (int64_t count : takers)
        most = std::max(most, count);
    }
    c = std::min(c, most);
  }
  return c;
}

/// The rows of one sample, expert by expert.
struct ByExpert {
  std::vector<int64_t> first; // [experts + 1]
  std::vector<int64_t> row;   // ascending for each expert
  std::vector<float> gate;
};

ByExpert transposed(const SelectInput &in, const Lists &lists, int64_t sample) {
  ByExpert by;
  by.first.assign(static_cast<size_t>(in.experts) + 1, 0);
  const int64_t from = lists.offsets[size_t(sample * in.rows)],
                to = lists.offsets[size_t((sample + 1) * in.rows)];
  for (int64_t i = from; i < to; ++i)
    ++by.first[size_t(lists.ids[size_t(i)]) + 1];
  for (size_t e = 1; e < by.first.size(); ++e)
    by.first[e] += by.first[e - 1];
  std::vector<int64_t> next(by.first.begin(), by.first.end() - 1);
  by.row.resize(static_cast<size_t>(to - from));
  by.gate.resize(by.row.size());
  for (int64_t r = 0; r < in.rows; ++r)
    for (int64_t i = lists.offsets[size_t(sample * in.rows + r)];
         i < lists.offsets[size_t(sample * in.rows + r) + 1]; ++i) {
      size_t at = static_cast<size_t>(next[size_t(lists.ids[size_t(i)])]++);
      by.row[at] = r;
      by.gate[at] = lists.gates[size_t(i)];
    }
  return by;
}

// Step 6 for one sample: the rows that each expert keeps, and its places.
void keep(const SelectSpec &spec, const SelectInput &in, const ByExpert &by, int64_t c,
          int64_t *places, std::vector<std::pair<int32_t, float>> *rows) {
  std::vector<uint64_t> keys;
  std::vector<int64_t> kept;
  std::vector<char> taken(static_cast<size_t>(in.rows));
  for (int64_t e = 0; e < in.experts; ++e) {
    const int64_t from = by.first[size_t(e)], count = by.first[size_t(e) + 1] - from;
    kept.clear();
    if (count > c) {
      keys.clear();
      for (int64_t i = 0; i < count; ++i)
        keys.push_back(rankKey(by.gate[size_t(from + i)], static_cast<uint32_t>(i)));
      std::nth_element(keys.begin(), keys.begin() + c, keys.end(), std::greater<>());
      for (int64_t i = 0; i < c; ++i)
        kept.push_back(from + rankIndex(keys[size_t(i)]));
      std::sort(kept.begin(), kept.end());
    } else {
      for (int64_t i = 0; i < count; ++i)
        kept.push_back(from + i);
    }
    int64_t place = 0;
    for (int64_t i : kept) {
      rows[by.row[size_t(i)]].emplace_back(static_cast<int32_t>(e), by.gate[size_t(i)]);
      places[place++ * in.experts + e] = by.row[size_t(i)];
    }
    if (place == c)
      continue;
    for (int64_t i = 0; i < count; ++i)
      taken[size_t(by.row[size_t(from + i)])] = 1;
    for (int64_t r = 0; r < in.rows && place < c; ++r)
      if (!taken[size_t(r)]) {
        places[place++ * in.experts + e] = r;
        if (spec.padWithTokens)
          rows[r].emplace_back(static_cast<int32_t>(e), 0.0f);
      }
    for (int64_t i = 0; i < count; ++i)
      taken[size_t(by.row[size_t(from + i)])] = 0;
  }
}

void limit(const SelectSpec &spec, const SelectInput &in, Lists &lists, Selected &out) {
  const int64_t c = out.capacity = capacityOf(spec, in, lists);
  out.places.resize(static_cast<size_t>(in.samples * c * in.experts));
  std::vector<std::vector<std::pair<int32_t, float>>> rows(
      static_cast<size_t>(in.samples * in.rows));
  ThreadPool::global().parallelFor(in.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s)
      keep(spec, in, transposed(in, lists, s), c, out.places.data() + s * c * in.experts,
           rows.data() + s * in.rows);
  });
  lists = Lists();
  for (const auto &row : rows) {
    for (const auto &[expert, gate] : row) {
      lists.ids.push_back(expert);
      lists.gates.push_back(gate);
    }
    lists.offsets.push_back(static_cast<int64_t>(lists.ids.size()));
  }
}

// Step 7.
std::vector<float> weigh(const SelectSpec &spec, const SelectInput &in, const Lists &lists) {
  std::vector<float> weights(lists.ids.size(), 1.0f);
  if (spec.gateWeights)
    weights = lists.gates;
  if (spec.factor != 1)
    for (float &w : weights)
      w *= spec.factor;
  if (spec.scaling == SelectSpec::Scaling::None)
    return weights;
  const bool all = spec.scaling == SelectSpec::Scaling::NOverActive;
  for (size_t r = 0; r + 1 < lists.offsets.size(); ++r) {
    const float active = static_cast<float>(lists.offsets[r + 1] - lists.offsets[r]);
    for (int64_t i = lists.offsets[r]; i < lists.offsets[r + 1]; ++i) {
      float w = all ? weights[size_t(i)] * static_cast<float>(in.experts) : weights[size_t(i)];
      weights[size_t(i)] = w / active;
    }
  }
  return weights;
}

void checkInput(const SelectSpec &spec, const SelectInput &in) {
  check(in.experts >= 1 && in.experts < (int64_t(1) << 31), "select: ", in.experts, " experts");
  check(spec.groups.empty() || static_cast<int64_t>(spec.groups.size()) == in.experts,
        "select: ", spec.groups.size(), " groups for ", in.experts, " experts");
  for (int64_t group : spec.groups)
    check(group >= 0 && group < in.experts, "select: group ", group);
  check(!(spec.groupK || in.groupScores) || !spec.groups.empty(), "select: groups are not given");
  check(spec.rule != SelectSpec::Rule::TopK || (spec.k >= 1 && spec.k <= in.experts),
        "select: k is ", spec.k, " for ", in.experts, " experts");
  check(in.batch <= 0 || (in.samples * in.rows) % in.batch == 0, "select: ", in.samples,
        " samples in a batch of ", in.batch);
}

} // namespace

int64_t SelectSpec::groupCount() const {
  int64_t count = 0;
  for (int64_t group : groups)
    count = std::max(count, group + 1);
  return count;
}

Selected select(const SelectSpec &spec, const SelectInput &in) {
  checkInput(spec, in);
  Selected out;
  Lists lists = chooseRows(spec, in);
  lists.offsets.resize(static_cast<size_t>(in.samples * in.rows) + 1); // without rows nothing ran
  if (spec.normalize != SelectSpec::Normalize::None)
    normalise(spec, in, lists);
  if (spec.hasCapacity())
    limit(spec, in, lists, out);
  if (!spec.unitWeights())
    out.choice.weights = weigh(spec, in, lists);
  out.choice.offsets = std::move(lists.offsets);
  out.choice.ids = std::move(lists.ids);
  return out;
}

Choice spread(const Routing &rows, int64_t samples, int64_t rowsPerSample, int64_t tokens,
              int64_t tokensPerRow, const std::vector<int64_t> &slots) {
  check(tokens == 0 || (tokens - 1) / tokensPerRow < rowsPerSample, "routing: ", rowsPerSample,
        " rows for ", tokens, " tokens of a sample");
  Choice out;
  out.offsets.reserve(static_cast<size_t>(samples * tokens) + 1);
  // Where slots share experts, or do not ascend.
  bool plain = true;
  int64_t last = -1;
  for (int64_t expert : slots) {
    plain &= expert < 0 || expert > last;
    last = std::max(last, expert);
  }
  const bool weighted = rows.weights || !plain;
  std::vector<std::pair<int32_t, float>> row;
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t r = s * rowsPerSample + t / tokensPerRow;
      const int64_t begin = rows.offsets[r], end = rows.offsets[r + 1];
      if (t % tokensPerRow != 0) {
        // As the token before.
        const size_t n = out.offsets.size(), from = static_cast<size_t>(out.offsets[n - 2]),
                     to = static_cast<size_t>(out.offsets[n - 1]);
        for (size_t i = from; i < to; ++i) {
          out.ids.push_back(out.ids[i]);
          if (weighted)
            out.weights.push_back(out.weights[i]);
        }
      } else if (slots.empty()) {
        out.ids.insert(out.ids.end(), rows.ids + begin, rows.ids + end);
        if (rows.weights)
          out.weights.insert(out.weights.end(), rows.weights + begin, rows.weights + end);
      } else {
        row.clear();
        for (int64_t i = begin; i < end; ++i) {
          check(rows.ids[i] >= 0 && rows.ids[i] < static_cast<int64_t>(slots.size()),
                "routing: slot ", rows.ids[i], " of ", slots.size());
          if (int64_t expert = slots[size_t(rows.ids[i])]; expert >= 0)
            row.emplace_back(static_cast<int32_t>(expert), rows.weights ? rows.weights[i] : 1.0f);
        }
        if (!plain) {
          std::stable_sort(row.begin(), row.end(),
                           [](const auto &a, const auto &b) { return a.first < b.first; });
          size_t kept = 0;
          for (size_t i = 0; i < row.size(); ++i)
            if (kept > 0 && row[kept - 1].first == row[i].first)
              row[kept - 1].second += row[i].second;
            else
              row[kept++] = row[i];
          row.resize(kept);
        }
        for (const auto &[expert, weight] : row) {
          out.ids.push_back(expert);
          if (weighted)
            out.weights.push_back(weight);
        }
      }
      out.offsets.push_back(static_cast<int64_t>(out.ids.size()));
    }
  return out;
}

} // namespace uoe::rt::fast
