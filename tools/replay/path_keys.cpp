#include "tools/replay/path_keys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include "tools/replay/profile.h"

namespace earshot::replay {
namespace {

namespace fs = std::filesystem;

using Complaint = std::optional<std::string>;

struct Key {
  std::string_view name;
  std::string_view form;
  std::string_view doc;
  // False if the value does not have the form.
  bool (*read)(std::string_view value, PathModel& model);
};

// --- Values -------------------------------------------------------------------------------------

constexpr Duration duration_max = seconds(1'000 * 3'600);

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 5> duration_units{
    {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}}};
constexpr std::array<Unit, 3> rate_units{{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}}};
constexpr std::array<Unit, 3> size_units{{{"B", 1}, {"kB", 1e3}, {"MB", 1e6}}};
constexpr std::array<Unit, 1> share_units{{{"%", 0.01}}};
constexpr std::array<Unit, 1> drift_units{{{"ppm", 1}}};

// A number and its unit.
std::optional<double> read_number(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc{} || !(number > -1e15 && number < 1e15)) return std::nullopt;
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& known : units) {
    if (unit == known.name) return number * known.factor;
  }
  return std::nullopt;
}

std::optional<Duration> read_signed_duration(std::string_view text) {
  if (text == "0") return Duration{};
  const auto ns = read_number(text, duration_units);
  const double max = static_cast<double>(duration_max.ns);
  if (!ns || *ns < -max || *ns > max) return std::nullopt;
  return scale({1}, *ns);
}

std::optional<Duration> read_duration(std::string_view text) {
  const auto duration = read_signed_duration(text);
  if (!duration || duration->ns < 0) return std::nullopt;
  return duration;
}

std::optional<double> read_share(std::string_view text) {
  if (text == "0") return 0;
  const auto share = read_number(text, share_units);
  if (!share || *share < 0 || *share > 1) return std::nullopt;
  return share;
}

std::optional<std::uint64_t> read_rate(std::string_view text) {
  const auto rate = read_number(text, rate_units);
  if (!rate || *rate < 1'000 || *rate > 1e12) return std::nullopt;
  return static_cast<std::uint64_t>(*rate);
}

std::vector<std::string_view> split(std::string_view text, char mark) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(mark, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// "FRONT<mark>BACK"; without the mark, BACK is empty.
struct Halves {
  std::string_view front;
  std::string_view back;
};

Halves halve(std::string_view text, char mark) {
  const auto at = text.find(mark);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

template <typename T>
bool take(const std::optional<T>& value, T& into) {
  if (value) into = *value;
  return value.has_value();
}

bool read_bool(std::string_view text, bool& into) {
  into = text == "true";
  return into || text == "false";
}

constexpr std::string_view episodes_form =
    "LENGTH/EVERY, LENGTH/~EVERY (on average) or LENGTH@TIME,TIME..., as in 300ms/4s, or none";

std::optional<Episodes> read_episodes(std::string_view text) {
  Episodes episodes;
  if (text == "none") return episodes;
  const bool is_list = text.find('@') != std::string_view::npos;
  const auto [length, rest] = halve(text, is_list ? '@' : '/');
  if (!take(read_duration(length), episodes.length) || episodes.length.ns == 0) {
    return std::nullopt;
  }
  if (is_list) {
    for (const std::string_view part : split(rest, ',')) {
      const auto start = read_duration(part);
      const bool is_ascending = episodes.at.empty() || (start && *start > episodes.at.back());
      if (!start || !is_ascending) return std::nullopt;
      episodes.at.push_back(*start);
    }
    return episodes;
  }
  episodes.is_random = rest.starts_with('~');
  const auto every = read_duration(rest.substr(episodes.is_random ? 1 : 0));
  if (!every || *every <= episodes.length) return std::nullopt;
  episodes.every = *every;
  return episodes;
}

// --- Keys with a shape of their own -------------------------------------------------------------

bool read_jitter(std::string_view text, PathModel& model) {
  JitterModel jitter;
  jitter.reorders = model.jitter.reorders;
  const auto [kind, rest] = halve(text, ':');
  const auto [size, shape] = halve(rest, ',');
  double shape_min = 0;
  if (kind == "none" && rest.empty()) {
    model.jitter = jitter;
    return true;
  }
  if (kind == "normal" && shape.empty()) {
    jitter.kind = JitterKind::normal;
  } else if (kind == "gamma") {
    jitter.kind = JitterKind::gamma;
    jitter.shape = 2;
    shape_min = 0.1;
  } else if (kind == "pareto") {
    jitter.kind = JitterKind::pareto;
    jitter.shape = 3;
    shape_min = 1.1;
  } else {
    return false;
  }
  constexpr std::array<Unit, 1> no_unit{{{"", 1}}};
  if (!shape.empty() && !take(read_number(shape, no_unit), jitter.shape)) return false;
  if (jitter.shape < shape_min || jitter.shape > 1'000) return false;
  if (!take(read_duration(size), jitter.size)) return false;
  model.jitter = jitter;
  return true;
}

bool read_loss(std::string_view text, PathModel& model) {
  LossModel loss;
  if (!text.starts_with("ge:")) {
    // Every packet for itself.
    const bool is_share = take(read_share(text), loss.good_loss);
    if (is_share) model.loss = loss;
    return is_share;
  }
  const auto parts = split(text.substr(3), ',');
  const std::array<double*, 4> fields{&loss.to_bad, &loss.to_good, &loss.bad_loss, &loss.good_loss};
  if (parts.size() > fields.size()) return false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!take(read_share(parts[i]), *fields[i])) return false;
  }
  if (parts.size() < 2) loss.to_good = 1 - loss.to_bad;  // as tc does
  model.loss = loss;
  return true;
}

bool read_queue(std::string_view text, PathModel& model) {
  model.rate.queue_bytes = 0;
  model.rate.queue_time = {};
  if (const auto bytes = read_number(text, size_units); bytes && *bytes >= 1 && *bytes <= 1e12) {
    model.rate.queue_bytes = static_cast<std::uint64_t>(*bytes);
    return true;
  }
  return take(read_duration(text), model.rate.queue_time) && model.rate.queue_time.ns > 0;
}

bool read_rate_limit(std::string_view text, PathModel& model) {
  if (text == "none") {
    model.rate = {};
    return true;
  }
  return take(read_rate(text), model.rate.bits_per_second);
}

bool read_cross(std::string_view text, PathModel& model) {
  RateModel& rate = model.rate;
  const auto parts = split(text, '/');
  if (text == "none") {
    rate.cross_bits_per_second = 0;
    return true;
  }
  const Duration shortest = milliseconds(1);
  return parts.size() == 3 && take(read_rate(parts[0]), rate.cross_bits_per_second) &&
         take(read_duration(parts[1]), rate.cross_on) &&
         take(read_duration(parts[2]), rate.cross_off) && rate.cross_on >= shortest &&
         rate.cross_off >= shortest;
}

bool read_shift(std::string_view text, PathModel& model) {
  if (text == "none") {
    model.shift = {};
    return true;
  }
  const auto [by, episodes] = halve(text, ':');
  return take(read_signed_duration(by), model.shift_by) &&
         take(read_episodes(episodes), model.shift);
}

bool read_drift(std::string_view text, PathModel& model) {
  const auto ppm = read_number(text, drift_units);
  return ppm && *ppm >= -100'000 && *ppm <= 100'000 && take(ppm, model.drift_ppm);
}

// --- The table ----------------------------------------------------------------------------------

constexpr std::array<Key, 15> keys{{
    {"delay", "a duration, as in 40ms", "Constant one-way delay.",
     [](std::string_view v, PathModel& m) { return take(read_duration(v), m.delay); }},
    {"jitter", "normal:SIZE, gamma:SIZE[,SHAPE], pareto:SIZE[,SHAPE] or none, as in normal:10ms",
     "Varies the delay: normal by this standard deviation; gamma (shape 2) and Pareto (shape 3) "
     "only add, this much on average.",
     read_jitter},
    {"reordering", "true or false", "With jitter: packets may overtake each other.",
     [](std::string_view v, PathModel& m) { return read_bool(v, m.jitter.reorders); }},
    {"loss", "a share, as in 1%, or ge:P[,R[,1-H[,1-K]]], as in ge:1%,30%,100%,0%",
     "Loses packets, each for itself or in bursts (Gilbert and Elliott, the parameters and their "
     "order as in tc).",
     read_loss},
    {"duplication", "a share, as in 1%", "Packets that arrive twice.",
     [](std::string_view v, PathModel& m) { return take(read_share(v), m.duplication); }},
    {"rate", "a rate from 1kbit, as in 2mbit, or none", "Limits the bits per second.",
     read_rate_limit},
    {"queue", "a size or a duration, as in 64kB or 500ms",
     "With rate: what waits at most, the rest is dropped (1s).", read_queue},
    {"cross", "RATE/ON/OFF, as in 3mbit/5s/20s, or none",
     "With rate: other traffic through the same queue, on and off for so long on average.",
     read_cross},
    {"stall", episodes_form, "Nothing comes out meanwhile, and everything afterwards.",
     [](std::string_view v, PathModel& m) { return take(read_episodes(v), m.stall); }},
    {"stall_drain", "a duration, as in 1ms",
     "With stall or outage_holds: the time between two packets that were held (0: all at once).",
     [](std::string_view v, PathModel& m) { return take(read_duration(v), m.stall_drain); }},
    {"outage", episodes_form, "Everything is lost meanwhile.",
     [](std::string_view v, PathModel& m) { return take(read_episodes(v), m.outage); }},
    {"outage_holds", "true or false", "With outage: nothing is lost, it comes afterwards.",
     [](std::string_view v, PathModel& m) { return read_bool(v, m.outage_holds); }},
    {"shift",
     "BY:LENGTH/EVERY, BY:LENGTH/~EVERY (on average) or BY:LENGTH@TIME,TIME..., as in "
     "150ms:10s/30s, or none",
     "The path is longer by BY meanwhile. Episodes of the same rhythm begin together.", read_shift},
    {"drift", "parts per million from -100000ppm to 100000ppm, as in 100ppm",
     "How much faster the sender's clock runs.", read_drift},
    {"delay_trace", "a file that can be read",
     "Added to the delay: a line for each 20 ms, or TIME,DELAY (ms), repeated.", nullptr},
}};

Complaint read_trace_key(std::string_view value, const fs::path& folder, PathModel& model) {
  if (value == "none") {
    model.delay_trace = nullptr;
    return std::nullopt;
  }
  auto trace = read_delay_trace((folder / value).string());
  if (!trace) return "delay_trace: " + trace.error().text;
  model.delay_trace = std::make_shared<const DelayTrace>(std::move(trace.value()));
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_path_key(std::string_view name, std::string_view value,
                                         const fs::path& folder, PathModel& model) {
  for (const Key& key : keys) {
    if (key.name != name) continue;
    if (key.read == nullptr) return read_trace_key(value, folder, model);
    if (key.read(value, model)) return std::nullopt;
    return std::string(name) + " must be " + std::string(key.form);
  }
  return "unknown key " + std::string(name);
}

std::optional<std::string> find_missing_key(const PathModel& model) {
  const RateModel& rate = model.rate;
  if (rate.bits_per_second == 0 && (rate.queue_bytes != 0 || rate.queue_time.ns != 0)) {
    return "queue needs rate";
  }
  if (rate.bits_per_second == 0 && rate.cross_bits_per_second != 0) return "cross needs rate";
  if (model.jitter.reorders && model.jitter.kind == JitterKind::none) {
    return "reordering needs jitter";
  }
  if (model.outage_holds && !model.outage.is_active()) return "outage_holds needs outage";
  const bool is_held = model.stall.is_active() || model.outage_holds;
  if (model.stall_drain.ns != 0 && !is_held) return "stall_drain needs stall or outage_holds";
  return std::nullopt;
}

std::string describe_path_keys() {
  std::string text;
  for (const Key& key : keys) {
    text +=
        std::string(key.name) + ": " + std::string(key.form) + ". " + std::string(key.doc) + "\n";
  }
  return text;
}

}  // namespace earshot::replay
