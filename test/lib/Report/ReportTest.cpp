#include "lib/Report/Number.h"
#include "lib/Report/Table.h"
#include <cmath>
#include <gtest/gtest.h>
#include <sstream>

using namespace uoe::report;

TEST(Number, Count) {
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(999), "999");
  EXPECT_EQ(count(1000), "1,000");
  EXPECT_EQ(count(-22713216), "-22,713,216");
}

TEST(Number, Units) {
  EXPECT_EQ(quantity(22713216), "22.7 M");
  EXPECT_EQ(quantity(9999), "9999");
  EXPECT_EQ(quantity(999600), "1.00 M");
  EXPECT_EQ(bytes(1023), "1023 B");
  EXPECT_EQ(bytes(1048575), "1.00 MiB");
  EXPECT_EQ(bytes(90189824), "86.0 MiB");
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(8.5e-7), "850 ns");
  EXPECT_EQ(duration(0.0123), "12.3 ms");
  EXPECT_EQ(duration(0.9999), "1.00 s");
  EXPECT_EQ(duration(-2), "-2.00 s");
}

TEST(Number, NonFinite) {
  EXPECT_EQ(number(NAN), "nan");
  EXPECT_EQ(json(-INFINITY).dump(), "\"-inf\"");
  EXPECT_EQ(json(0.5).dump(), "0.5");
  EXPECT_EQ(percent(0.2534), "25.3%");
}

TEST(Table, Aligned) {
  Table table({"kind", ">time"});
  table.row({"MatMul", "12.3 ms"});
  table.rule();
  table.row({"sum"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "kind       time\n"
                       "---------------\n"
                       "MatMul  12.3 ms\n"
                       "---------------\n"
                       "sum\n");
}
