// What a load run says in the end: a table for people, JSON for programs, and whether the bounds
// that the caller stated were kept. Main thread.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/load/leader.h"

namespace earshot::load {

class Report {
 public:
  explicit Report(std::string scenario) : scenario_(std::move(scenario)) {}

  // One phase as one group of processes ("live", "crowd", ...) saw it.
  void add_phase(const Phase& phase, const std::string& group, const PhaseResults& results);
  void add_figure(const std::string& name, double value, const std::string& unit);
  // Nothing stated: nothing is broken.
  void add_bound(const std::string& name, double value, std::optional<double> limit,
                 const std::string& unit);
  void fail(const std::string& text) { failures_.push_back(text); }

  bool is_ok() const;
  void print(std::FILE* out) const;
  nlohmann::json json() const;

 private:
  struct Row {
    Phase phase;
    std::string group;
    PhaseResults results;
  };
  struct Figure {
    std::string name, unit;
    double value = 0;
  };
  struct Bound {
    std::string name, unit;
    double value = 0, limit = 0;
    bool is_kept() const { return value <= limit; }
  };

  std::string scenario_;
  std::vector<Row> rows_;
  std::vector<Figure> figures_;
  std::vector<Bound> bounds_;
  std::vector<std::string> failures_;
};

double to_ms(Duration duration);
double median(std::vector<double> values);
// Of what was to be received, 0 to 1.
double loss(const PhaseResults& results);
// Of one core, 0 to 1.
double controller_share(const Phase& phase);
double workers_share(const Phase& phase);

}  // namespace earshot::load
