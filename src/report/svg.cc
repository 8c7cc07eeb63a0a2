#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/document.h"

namespace qad {

std::string ColourClass(size_t index) { return fmt::format("c{}", index % kColours); }

Svg::Svg(double width, double height, const std::string& title) {
  const std::string name = EscapeHtml(title);
  body_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n"
      "<title>{}</title>\n",
      width, height, name, name);
}

void Svg::Line(double x1, double y1, double x2, double y2, const std::string& css) {
  body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2, y2,
                       css);
}

void Svg::Circle(double x, double y, double radius, const std::string& css) {
  body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" class=\"{}\"/>\n", x, y, radius, css);
}

void Svg::Rectangle(double x, double y, double width, double height, const std::string& css) {
  body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"/>\n", x, y,
                       width, height, css);
}

void Svg::Polyline(const std::vector<std::pair<double, double>>& points, const std::string& css) {
  body_ += "<polyline points=\"";
  for (size_t i = 0; i < points.size(); ++i)
    body_ += fmt::format("{}{:.1f},{:.1f}", i ? " " : "", points[i].first, points[i].second);
  body_ += fmt::format("\" class=\"{}\"/>\n", css);
}

void Svg::Label(double x, double y, const std::string& text, Anchor anchor, const std::string& css) {
  const char* where = anchor == Anchor::kStart ? "start" : anchor == Anchor::kMiddle ? "middle" : "end";
  body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y, where, css,
                       EscapeHtml(text));
}

void Svg::LabelUpright(double x, double y, const std::string& text) {
  body_ += fmt::format(
      "<text x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"middle\" class=\"label\" transform=\"rotate(-90 {0:.1f} "
      "{1:.1f})\">{2}</text>\n",
      x, y, EscapeHtml(text));
}

std::string Svg::Finish() const { return body_ + "</svg>\n"; }

Scale::Scale(double low, double high, double from, double to, bool logarithmic)
    : low_(low), high_(high), from_(from), to_(to), logarithmic_(logarithmic) {
  if (!(high_ > low_)) {
    low_ = logarithmic ? low / 2 : low - 0.5;
    high_ = logarithmic ? low * 2 : low + 0.5;
  }
}

double Scale::operator()(double value) const {
  const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
}

std::vector<double> Scale::Ticks(bool binary) const {
  std::vector<double> ticks;
  if (logarithmic_) {
    for (double decade = std::pow(10, std::floor(std::log10(low_))); decade <= high_; decade *= 10)
      for (const double step : {1.0, 2.0, 5.0})
        if (step * decade >= low_ && step * decade <= high_) ticks.push_back(step * decade);
    return ticks;
  }
  double unit = 1;
  while (binary && high_ / unit >= 1024) unit *= 1024;
  const double rough = (high_ - low_) / unit / 5, decade = std::pow(10, std::floor(std::log10(rough)));
  const double step = unit * decade * (rough / decade > 5 ? 10 : rough / decade > 2 ? 5 : rough / decade > 1 ? 2 : 1);
  for (double tick = std::ceil(low_ / step) * step; tick <= high_ + step * 1e-9; tick += step) ticks.push_back(tick);
  return ticks;
}

}  // namespace qad
