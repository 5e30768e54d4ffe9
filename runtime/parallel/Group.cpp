#include "Group.h"
#include <algorithm>
#include <array>
#include <cstring>

namespace uoe::rt::parallel {

// What every rank says before it exchanges anything.
struct Group::Word {
  int64_t failed = 0;
  uint64_t place = 0, value = 0;
};

namespace {
// Of a text that travels when ranks disagree.
constexpr size_t kTextBytes = 1024;
} // namespace

uint64_t hashOf(const void *data, size_t bytes, uint64_t seed) {
  constexpr uint64_t factor = 0x9E3779B97F4A7C15ull;
  const char *at = static_cast<const char *>(data);
  // Four chains that do not wait for each other.
  std::array<uint64_t, 4> lanes = {seed ^ factor, seed + 1, seed + 2, seed + 3};
  auto mix = [](uint64_t &lane, uint64_t word) {
    lane = (lane ^ word) * factor;
    lane ^= lane >> 29;
  };
  size_t left = bytes;
  for (; left >= 32; left -= 32, at += 32) {
    std::array<uint64_t, 4> words;
    std::memcpy(words.data(), at, 32);
    for (size_t i = 0; i < 4; ++i)
      mix(lanes[i], words[i]);
  }
  std::array<uint64_t, 4> rest = {};
  if (left > 0)
    std::memcpy(rest.data(), at, left);
  uint64_t hash = bytes;
  for (size_t i = 0; i < 4; ++i) {
    mix(lanes[i], rest[i]);
    mix(hash, lanes[i]);
  }
  return hash;
}

// Whatever the transport raises, the other ranks may not have seen.
template <typename Body> void Group::guarded(Body body) {
  if (broken())
    throw Error(why);
  try {
    body();
  } catch (const std::exception &error) {
    transportFailed = true;
    end(error.what());
  }
}

void Group::end(const std::string &reason) {
  why = reason.empty() ? "failed" : reason;
  throw Error(why);
}

std::vector<std::string> Group::texts(const std::string &mine) {
  std::vector<char> send(kTextBytes, '\0'), all(kTextBytes * ranks());
  std::copy_n(mine.begin(), std::min(mine.size(), kTextBytes - 1), send.begin());
  guarded([&] {
    transport.allGather(send.data(), std::vector<int64_t>(ranks(), 1), all.data(), kTextBytes);
  });
  std::vector<std::string> texts;
  for (int r = 0; r < ranks(); ++r)
    texts.emplace_back(&all[r * kTextBytes]);
  return texts;
}

// All ranks see all words, and so come to the same verdict.
std::vector<Group::Word> Group::exchange(const Word &mine, const std::string &text) {
  std::vector<Word> words(ranks());
  guarded([&] {
    transport.allGather(&mine, std::vector<int64_t>(ranks(), 1), words.data(), sizeof(Word));
  });
  bool same = true;
  for (const Word &word : words)
    same &= !word.failed && word.place == words[0].place;
  if (same)
    return words;
  const std::vector<std::string> said = texts(text);
  for (int r = 0; r < ranks(); ++r)
    if (words[r].failed)
      end("rank " + std::to_string(r) + ": " + said[r]);
  for (int r = 1; r < ranks(); ++r)
    if (words[r].place != words[0].place)
      end("rank " + std::to_string(r) + " has come to " + said[r] + ", rank 0 to " + said[0] +
          "; were they started with the same model and options?");
  return words;
}

void Group::agree(const std::string &place, uint64_t value) {
  const std::vector<Word> words = exchange({0, hashOf(place.data(), place.size()), value}, place);
  for (int r = 1; r < ranks(); ++r)
    if (words[r].value != words[0].value)
      end("rank " + std::to_string(r) + " has something else than rank 0 in " + place +
          "; all ranks need the same model, the same inputs and processors that compute alike");
}

int64_t Group::share(const std::string &place, int64_t value) {
  return gather(place, value)[0];
}

std::vector<int64_t> Group::gather(const std::string &place, int64_t value) {
  std::vector<int64_t> values;
  for (const Word &word :
       exchange({0, hashOf(place.data(), place.size()), static_cast<uint64_t>(value)}, place))
    values.push_back(static_cast<int64_t>(word.value));
  return values;
}

void Group::fail(const std::string &reason) noexcept {
  try {
    if (!broken())
      exchange({1, 0, 0}, reason);
  } catch (const std::exception &error) {
    // The exchange ends in what all ranks raise now; anything else is this rank's own.
    if (!broken())
      why = error.what();
  }
}

void Group::allToAll(const void *send, const std::vector<int64_t> &sendCounts, void *receive,
                     const std::vector<int64_t> &receiveCounts, size_t bytes) {
  guarded([&] { transport.allToAll(send, sendCounts, receive, receiveCounts, bytes); });
}

void Group::allGather(const void *send, const std::vector<int64_t> &counts, void *receive,
                      size_t bytes) {
  guarded([&] { transport.allGather(send, counts, receive, bytes); });
}

} // namespace uoe::rt::parallel
