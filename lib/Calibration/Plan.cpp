#include "uoe/calibration/Plan.h"
#include <algorithm>
#include <cmath>

namespace uoe::calibration {
namespace {

using Point = LayerCurve::Point;

/// The lower convex hull from the dense form (cost 1, error 0) towards lower cost, by descending
/// cost.
std::vector<Point> lowerHull(std::vector<Point> points) {
  points.push_back({1, 0});
  std::stable_sort(points.begin(), points.end(), [](const Point &a, const Point &b) {
    return a.cost != b.cost ? a.cost > b.cost : a.error < b.error;
  });
  std::vector<Point> hull;
  for (const Point &p : points) {
    if (p.cost > 1 || (!hull.empty() && p.cost == hull.back().cost))
      continue;
    // Slopes (error per cost saved) must grow from step to step.
    auto slope = [](const Point &a, const Point &b) {
      return (b.error - a.error) / (a.cost - b.cost);
    };
    while (hull.size() > 1 && slope(hull[hull.size() - 2], hull.back()) >= slope(hull.back(), p))
      hull.pop_back();
    hull.push_back(p);
  }
  return hull;
}

} // namespace

Status spreadBudget(const std::vector<LayerCurve> &layers, double budget,
                    std::vector<double> &costs) {
  costs.assign(layers.size(), 1.0);
  double total = 0, least = 0;
  struct Step {
    double slope, from, to;
    size_t layer;
  };
  std::vector<Step> steps;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!(layers[i].weight > 0) || !std::isfinite(layers[i].weight))
      return {"layer " + std::to_string(i) + ": expected a positive weight, found " +
              std::to_string(layers[i].weight)};
    for (const Point &p : layers[i].points)
      if (!(p.cost >= 0) || !std::isfinite(p.cost) || !std::isfinite(p.error))
        return {"layer " + std::to_string(i) + ": expected finite costs and errors, found cost " +
                std::to_string(p.cost) + ", error " + std::to_string(p.error)};
    std::vector<Point> hull = lowerHull(layers[i].points);
    total += layers[i].weight;
    least += layers[i].weight * hull.back().cost;
    for (size_t k = 1; k < hull.size(); ++k)
      steps.push_back({(hull[k].error - hull[k - 1].error) /
                           ((hull[k - 1].cost - hull[k].cost) * layers[i].weight),
                       hull[k - 1].cost, hull[k].cost, i});
  }
  if (!layers.empty() && least > budget * total * (1 + 1e-9))
    return {"expected a budget of at least " + std::to_string(least / total) +
            " (the cheapest form of every layer), found " + std::to_string(budget)};
  std::stable_sort(steps.begin(), steps.end(), [](const Step &a, const Step &b) {
    return a.slope != b.slope ? a.slope < b.slope : a.layer < b.layer;
  });
  double excess = total * (1 - budget);
  for (const Step &step : steps) {
    if (excess <= 0)
      break;
    double weight = layers[step.layer].weight;
    double saved = std::min(excess / weight, step.from - step.to);
    costs[step.layer] = step.from - saved;
    excess -= saved * weight;
  }
  return {};
}

} // namespace uoe::calibration
