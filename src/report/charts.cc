#include "report/charts.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "report/svg.h"

namespace qad {
namespace {

using Anchor = Svg::Anchor;
constexpr double kWidth = 720;

struct Frame {
  double left, top, right, bottom;
};

std::string Percent(double share) { return FormatShare(std::round(share * 1000) / 1000); }

void DrawAxes(Svg& svg, const Frame& frame, const Scale& x, const Scale& y, const TickFormat& x_format,
              const TickFormat& y_format) {
  for (const double tick : y.Ticks(y_format.binary)) {
    svg.Line(frame.left, y(tick), frame.right, y(tick), "grid");
    svg.Label(frame.left - 8, y(tick) + 4, y_format.text(tick), Anchor::kEnd);
  }
  double last = -1e9;
  for (const double tick : x.Ticks(x_format.binary)) {
    if (x(tick) - last < 56) continue;  // labels must not touch
    last = x(tick);
    svg.Line(x(tick), frame.bottom, x(tick), frame.bottom + 4, "axis");
    svg.Label(x(tick), frame.bottom + 18, x_format.text(tick), Anchor::kMiddle);
  }
  svg.Line(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
}

void DrawTitles(Svg& svg, const Frame& frame, const std::string& x_title, const std::string& y_title) {
  svg.Label((frame.left + frame.right) / 2, frame.bottom + 38, x_title, Anchor::kMiddle);
  svg.LabelUpright(14, (frame.top + frame.bottom) / 2, y_title);
}

// Heights for labels of these marks, no nearer to each other than `gap`; of marks at one height the rightmost gets the
// highest, so that the lines to the labels do not cross.
std::vector<double> Spread(const std::vector<std::pair<double, double>>& marks, double gap, double top, double bottom) {
  std::vector<size_t> order(marks.size());
  std::vector<double> heights;
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (const auto& mark : marks) heights.push_back(mark.second);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(marks[a].second, -marks[a].first) < std::pair(marks[b].second, -marks[b].first);
  });
  double next = top;
  for (const size_t i : order) next = (heights[i] = std::max(heights[i], next)) + gap;
  next = bottom;
  for (auto i = order.rbegin(); i != order.rend(); ++i) next = (heights[*i] = std::min(heights[*i], next)) - gap;
  return heights;
}

// Names in a column at the right edge, each with its colour and tied to its mark by a thin line.
void DrawNames(Svg& svg, const Frame& frame, const std::vector<ChartPoint>& points,
               const std::vector<std::pair<double, double>>& marks) {
  const std::vector<double> places = Spread(marks, 17, frame.top + 4, frame.bottom - 4);
  for (size_t i = 0; i < points.size(); ++i) {
    svg.Line(marks[i].first + 7, marks[i].second, frame.right + 8, places[i], "leader");
    svg.Circle(frame.right + 12, places[i], 3.5, "dot " + ColourClass(points[i].colour));
    svg.Label(frame.right + 20, places[i] + 4, points[i].name, Anchor::kStart,
              points[i].chosen ? "name chosen" : "name");
  }
}

// The arms that no other beats in both directions, cheapest first.
std::vector<const ChartPoint*> Front(const std::vector<ChartPoint>& points) {
  std::vector<const ChartPoint*> sorted, front;
  for (const ChartPoint& point : points) sorted.push_back(&point);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return a->x != b->x ? a->x < b->x : a->low > b->low; });
  for (const ChartPoint* point : sorted)
    if (front.empty() || point->low > front.back()->low) front.push_back(point);
  return front;
}

void DrawFront(Svg& svg, const Frame& frame, const Scale& x, const Scale& y, const std::vector<ChartPoint>& points) {
  std::vector<std::pair<double, double>> stairs;
  for (const ChartPoint* point : Front(points)) {
    if (!stairs.empty()) stairs.emplace_back(x(point->x), stairs.back().second);
    stairs.emplace_back(x(point->x), y(point->low));
  }
  if (!stairs.empty()) stairs.emplace_back(frame.right, stairs.back().second);
  svg.Polyline(stairs, "front");
}

Scale XScale(const std::vector<ChartPoint>& points, const Frame& frame) {
  double low = INFINITY, high = 0;
  for (const ChartPoint& point : points) {
    low = std::min(low, point.x_low.value_or(point.x));
    high = std::max(high, point.x_high.value_or(point.x));
  }
  const double margin = std::max((high - low) * 0.08, high * 0.02);
  return Scale(std::max(0.0, low - margin), high + margin, frame.left, frame.right);
}

}  // namespace

std::string ParetoChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                        const std::vector<ChartPoint>& points, const TickFormat& x_format,
                        std::optional<double> floor) {
  if (points.empty()) return "";
  const Frame frame{64, 16, kWidth - 190, 330};
  Svg svg(kWidth, 380, title);
  const Scale x = XScale(points, frame), y(0, 1, frame.bottom, frame.top);
  DrawAxes(svg, frame, x, y, x_format, {Percent});
  DrawTitles(svg, frame, x_title, y_title);
  if (floor) {
    svg.Line(frame.left, y(*floor), frame.right, y(*floor), "floor");
    svg.Label(frame.left + 4, y(*floor) - 5, "floor " + Percent(*floor), Anchor::kStart, "floor-label");
  }
  DrawFront(svg, frame, x, y, points);
  std::vector<std::pair<double, double>> marks;
  for (const ChartPoint& point : points) marks.emplace_back(x(point.x), y(point.low));
  DrawNames(svg, frame, points, marks);
  for (size_t i = 0; i < points.size(); ++i) {
    const ChartPoint& point = points[i];
    const std::string colour = ColourClass(point.colour);
    svg.Line(marks[i].first, y(point.low), marks[i].first, y(point.value), "whisker " + colour);
    if (point.x_low && point.x_high)
      svg.Line(x(*point.x_low), y(point.low), x(*point.x_high), y(point.low), "whisker " + colour);
    if (point.chosen) svg.Circle(marks[i].first, marks[i].second, 9, "ring");
    svg.Circle(marks[i].first, marks[i].second, 5, "dot " + colour);
  }
  return svg.Finish();
}

std::string IntervalChart(const std::string& title, const std::vector<ChartPoint>& points,
                          std::optional<double> floor) {
  if (points.empty()) return "";
  constexpr double kRow = 24;
  const Frame frame{200, 22, kWidth - 60, 22 + kRow * static_cast<double>(points.size())};
  Svg svg(kWidth, frame.bottom + 28, title);
  const Scale x(0, 1, frame.left, frame.right);
  for (const double tick : x.Ticks()) {
    svg.Line(x(tick), frame.top, x(tick), frame.bottom, "grid");
    svg.Label(x(tick), frame.bottom + 18, Percent(tick), Anchor::kMiddle);
  }
  if (floor) {
    svg.Line(x(*floor), frame.top - 4, x(*floor), frame.bottom, "floor");
    svg.Label(x(*floor), frame.top - 8, "floor " + Percent(*floor), Anchor::kMiddle, "floor-label");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const ChartPoint& point = points[i];
    const double y = frame.top + kRow * (static_cast<double>(i) + 0.5);
    const std::string colour = ColourClass(point.colour);
    svg.Label(frame.left - 12, y + 4, point.name, Anchor::kEnd, point.chosen ? "name chosen" : "name");
    svg.Line(x(point.low), y, x(point.high), y, "interval " + colour);
    svg.Circle(x(point.value), y, 5, "dot " + colour);
    svg.Label(frame.right + 12, y + 4, Percent(point.value), Anchor::kStart);
  }
  return svg.Finish();
}

std::string LineChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                      const std::vector<ChartLine>& lines, const TickFormat& x_format, const TickFormat& y_format) {
  double x_low = INFINITY, x_high = -INFINITY, y_high = 0;
  for (const ChartLine& line : lines)
    for (const auto& [x, y] : line.points) {
      x_low = std::min(x_low, x);
      x_high = std::max(x_high, x);
      y_high = std::max(y_high, y);
    }
  if (!(x_low <= x_high)) return "";
  const Frame frame{84, 16, kWidth - 180, 290};
  Svg svg(kWidth, 340, title);
  const Scale x(x_low, x_high, frame.left, frame.right), y(0, y_high * 1.05, frame.bottom, frame.top);
  DrawAxes(svg, frame, x, y, x_format, y_format);
  DrawTitles(svg, frame, x_title, y_title);
  std::vector<ChartPoint> names;
  std::vector<std::pair<double, double>> ends;
  for (const ChartLine& line : lines) {
    if (line.points.empty()) continue;
    const std::string colour = ColourClass(line.colour);
    std::vector<std::pair<double, double>> drawn;
    for (const auto& [px, py] : line.points) drawn.emplace_back(x(px), y(py));
    svg.Polyline(drawn, (line.dashed ? "line dashed " : "line ") + colour);
    for (const auto& [px, py] : drawn)
      if (line.dots) svg.Circle(px, py, 3.5, "dot " + colour);
    names.emplace_back().name = line.name;
    names.back().colour = line.colour;
    ends.push_back(drawn.back());
  }
  DrawNames(svg, frame, names, ends);
  return svg.Finish();
}

std::string FunnelChart(const std::string& title, const std::vector<FunnelStage>& stages) {
  if (stages.empty()) return "";
  constexpr double kLeft = 200, kRight = kWidth - 110, kTitle = 24, kRow = 22;
  double height = 8;
  for (const FunnelStage& stage : stages) height += kTitle + kRow * static_cast<double>(stage.bars.size());
  Svg svg(kWidth, height, title);
  double top = 0;
  for (const FunnelStage& stage : stages) {
    top += kTitle;
    svg.Label(kLeft, top - 6, stage.name, Anchor::kStart, "name");
    for (const FunnelBar& bar : stage.bars) {
      const double width = (kRight - kLeft) * std::clamp(bar.share, 0.0, 1.0);
      svg.Label(kLeft - 12, top + 13, bar.name, Anchor::kEnd);
      svg.Rectangle(kLeft, top, width, kRow - 4, "cell " + (bar.colour ? ColourClass(*bar.colour) : "none"));
      if (!bar.colour) svg.Rectangle(kLeft, top, width, kRow - 4, "ring");
      svg.Label(kLeft + width + 8, top + 13, bar.label, Anchor::kStart);
      top += kRow;
    }
  }
  return svg.Finish();
}

std::string MapChart(const std::string& title, const std::string& x_title, const std::string& y_title,
                     const ChartMap& map) {
  if (map.columns.empty() || map.rows.empty()) return "";
  constexpr double kRow = 30;
  const Frame frame{84, 34, kWidth - 20, 34 + kRow * static_cast<double>(map.rows.size())};
  Svg svg(kWidth, frame.bottom + 50, title);
  double legend = frame.left;
  for (size_t i = 0; i < map.names.size(); ++i) {
    svg.Rectangle(legend, 6, 14, 14, "cell " + ColourClass(map.colours[i]));
    svg.Label(legend + 20, 18, map.names[i], Anchor::kStart, "name");
    legend += 44 + 7.2 * static_cast<double>(map.names[i].size());
  }
  const double cell = (frame.right - frame.left) / static_cast<double>(map.columns.size());
  const auto left = [&](size_t column) { return frame.left + cell * static_cast<double>(column); };
  const auto top = [&](size_t row) { return frame.bottom - kRow * static_cast<double>(row + 1); };
  for (size_t row = 0; row < map.rows.size(); ++row) {
    svg.Label(frame.left - 8, top(row) + kRow / 2 + 4, map.rows[row], Anchor::kEnd);
    for (size_t column = 0; column < map.columns.size(); ++column)
      svg.Rectangle(left(column) + 1, top(row) + 1, cell - 2, kRow - 2,
                    "cell " + ColourClass(map.colours[map.cells[row][column]]));
  }
  for (size_t column = 0; column < map.columns.size(); ++column)
    svg.Label(left(column) + cell / 2, frame.bottom + 18, map.columns[column], Anchor::kMiddle);
  svg.Rectangle(left(map.now_column) + 1, top(map.now_row) + 1, cell - 2, kRow - 2, "now");
  svg.Label(left(map.now_column) + cell / 2, top(map.now_row) + kRow / 2 + 4, "now", Anchor::kMiddle, "now-label");
  DrawTitles(svg, frame, x_title, y_title);
  return svg.Finish();
}

}  // namespace qad
