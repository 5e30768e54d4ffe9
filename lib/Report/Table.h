// A text table with aligned columns.
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace uoe::report {

/// Columns are as wide as their widest cell, two spaces apart. Numbers are set flush right, names
/// flush left: a title that starts with '>' makes its column flush right and is printed without it.
class Table {
public:
  explicit Table(std::vector<std::string> titles);
  /// Cells that are missing at the end stay empty.
  void row(std::vector<std::string> cells);
  /// A line across, as before a sum.
  void rule();
  bool empty() const { return rows.empty(); }
  void print(std::ostream &out) const;

private:
  std::vector<std::string> titles;
  std::vector<bool> right;
  std::vector<std::vector<std::string>> rows; // an empty row is a rule
};

} // namespace uoe::report
