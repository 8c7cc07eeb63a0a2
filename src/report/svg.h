// SVG as text, with colours by CSS class so that one chart serves light, dark and print. For charts.cc only.
#pragma once

#include <string>
#include <vector>

namespace qad {

inline constexpr size_t kColours = 8;  // of the style sheet: --c0 … --c7

// Colours of arms and series: class "c0" … "c7", then again.
std::string ColourClass(size_t index);

class Svg {
 public:
  // `title` is read by screen readers.
  Svg(double width, double height, const std::string& title);

  void Line(double x1, double y1, double x2, double y2, const std::string& css);
  void Circle(double x, double y, double radius, const std::string& css);
  void Rectangle(double x, double y, double width, double height, const std::string& css);
  void Polyline(const std::vector<std::pair<double, double>>& points, const std::string& css);
  enum class Anchor : uint8_t { kStart, kMiddle, kEnd };
  void Label(double x, double y, const std::string& text, Anchor anchor, const std::string& css = "label");
  void LabelUpright(double x, double y, const std::string& text);  // turned by −90°
  std::string Finish() const;

 private:
  std::string body_;
};

// From data to pixels, and where to put ticks.
class Scale {
 public:
  // Data from `low` to `high` (low < high, or it is widened) onto pixels from `from` to `to`.
  Scale(double low, double high, double from, double to, bool logarithmic = false);
  double operator()(double value) const;
  // Round numbers within the range: 1, 2 and 5 times powers of ten; `binary`: those of KiB, MiB or GiB.
  std::vector<double> Ticks(bool binary = false) const;
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  double low_, high_, from_, to_;
  bool logarithmic_;
};

}  // namespace qad
