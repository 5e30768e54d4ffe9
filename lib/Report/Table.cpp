#include "Table.h"
#include <algorithm>

namespace uoe::report {

/// Columns that UTF-8 text takes on a terminal, wide characters aside.
static size_t width(const std::string &text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

Table::Table(std::vector<std::string> given) : titles(std::move(given)) {
  for (std::string &title : titles) {
    right.push_back(!title.empty() && title[0] == '>');
    if (right.back())
      title.erase(0, 1);
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(titles.size());
  rows.push_back(std::move(cells));
}

void Table::rule() {
  rows.emplace_back();
}

void Table::print(std::ostream &out) const {
  std::vector<size_t> widths;
  for (const std::string &title : titles)
    widths.push_back(width(title));
  for (const auto &cells : rows)
    for (size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], width(cells[i]));
  size_t total = 0;
  for (size_t i = 0; i < widths.size(); ++i)
    total += widths[i] + (i ? 2 : 0);

  auto line = [&](const std::vector<std::string> &cells) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      std::string gap(widths[i] - width(cells[i]), ' ');
      text += (i ? "  " : "") + (right[i] ? gap + cells[i] : cells[i] + gap);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  };
  line(titles);
  std::string across(total, '-');
  out << across << '\n';
  for (const auto &cells : rows)
    if (cells.empty())
      out << across << '\n';
    else
      line(cells);
}

} // namespace uoe::report
