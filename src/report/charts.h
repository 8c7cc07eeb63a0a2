// The charts of report.html, as SVG text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace qad {

// How an axis prints its ticks; `binary`: at round multiples of a power of 1,024.
struct TickFormat {
  std::function<std::string(double)> text;
  bool binary = false;
};

struct ChartPoint {
  std::string name;
  size_t colour = 0;
  double x = 0, low = 0, value = 0, high = 0;  // low, value, high: quality with its interval
  std::optional<double> x_low, x_high;
  bool chosen = false;
};

// Quality's lower bound (the dot) against a price to pay (x, smaller is better), with a whisker up to the value; the
// stairs join the arms that no other beats in both. `floor`: the least quality asked for.
std::string ParetoChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                        const std::vector<ChartPoint>& points, const TickFormat& x_format, std::optional<double> floor);

// One line per arm: interval and value on an axis from 0 to 100%.
std::string IntervalChart(const std::string& title, const std::vector<ChartPoint>& points, std::optional<double> floor);

struct ChartLine {
  std::string name;
  size_t colour = 0;
  std::vector<std::pair<double, double>> points;  // by x, ascending
  bool dashed = false, dots = false;
};
std::string LineChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                      const std::vector<ChartLine>& lines, const TickFormat& x_format, const TickFormat& y_format);

struct FunnelBar {
  std::string name;
  std::optional<size_t> colour;  // none: of no arm
  double share = 0;              // of those who entered
  std::string label;
};
struct FunnelStage {
  std::string name;
  std::vector<FunnelBar> bars;
};
// What is left at each stage, from top to bottom.
std::string FunnelChart(const std::string& title, const std::vector<FunnelStage>& stages);

struct ChartMap {
  std::vector<std::string> columns, rows;  // labels; rows from bottom to top
  std::vector<std::vector<size_t>> cells;  // [row][column]: index into names
  std::vector<std::string> names;
  std::vector<size_t> colours;         // one per name
  size_t now_row = 0, now_column = 0;  // today's cell
};
std::string MapChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                     const ChartMap& map);

}  // namespace qad
