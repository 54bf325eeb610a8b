#include "relay/control/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include "relay/base/check.h"

namespace earshot::control::log {
namespace {

constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warn", "error"};
constexpr std::size_t value_size_max = 256;
constexpr Duration throttle_interval = seconds(10);
constexpr int throttle_lines = 10;

Options log_options{Level::off, false, STDERR_FILENO};

std::string_view name(Level level) {
  return level_names[static_cast<std::size_t>(level)];
}

bool is_bare(char c) {
  return c > 0x20 && c < 0x7F && c != '"' && c != '=' && c != '\\';
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (c == '"' || c == '\\') {
    out += {'\\', c};
  } else if (c >= 0x20 && c < 0x7F) {
    out += c;
  } else {
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
}

// Bare where that is unambiguous, else in quotes with every other byte escaped.
void append_text(std::string& out, std::string_view text) {
  const bool is_cut = text.size() > value_size_max;
  if (is_cut) text = text.substr(0, value_size_max);
  if (!text.empty() && !is_cut && std::all_of(text.begin(), text.end(), is_bare)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) append_escaped(out, c);
  out += is_cut ? "...\"" : "\"";
}

void append_time(std::string& out) {
  using namespace std::chrono;
  const auto now = system_clock::now().time_since_epoch();
  const std::time_t whole = duration_cast<std::chrono::seconds>(now).count();
  const auto millis =
      static_cast<int>(duration_cast<std::chrono::milliseconds>(now).count() % 1'000);
  std::tm utc{};
  gmtime_r(&whole, &utc);
  char text[32];
  out.append(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &utc));
  const char fraction[] = {static_cast<char>('0' + millis / 100),
                           static_cast<char>('0' + millis / 10 % 10),
                           static_cast<char>('0' + millis % 10), 'Z'};
  out.append(fraction, sizeof fraction);
}

// One write, so that the lines of several processes on one descriptor do not mix. What the
// descriptor does not take is lost: a log must not stop a node.
void write_out(std::string_view line) {
  while (!line.empty()) {
    const auto written = ::write(log_options.descriptor, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

class Line {
 public:
  Line(Level level, std::string_view event) {
    text_ = "time=";
    append_time(text_);
    text_.append(" level=").append(name(level)).append(" event=");
    append_text(text_, event);
  }

  void add(const Field& field) {
    if (std::holds_alternative<Person>(field.value.value_) && log_options.level != Level::debug) {
      return;
    }
    text_.append(" ").append(field.name).append("=");
    std::visit([this](const auto& value) { append(value); }, field.value.value_);
  }

  void write() {
    text_ += '\n';
    write_out(text_);
  }

 private:
  void append(std::string_view text) { append_text(text_, text); }
  void append(bool flag) { text_ += flag ? "true" : "false"; }
  void append(std::int64_t number) { text_ += std::to_string(number); }
  void append(std::uint64_t number) { text_ += std::to_string(number); }
  void append(const IpAddress& peer) {
    text_ += log_options.has_full_addresses ? peer.to_string() : shortened(peer);
  }
  void append(const Endpoint& peer) {
    text_ += log_options.has_full_addresses ? peer.to_string() : shortened(peer.ip);
  }
  void append(const Own& own) { text_ += own.endpoint.to_string(); }
  void append(const Person& person) { append_text(text_, person.id); }

  std::string text_;
};

namespace {

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (level < log_options.level) return;
  Line line(level, event);
  for (const Field& field : fields) line.add(field);
  line.write();
}

}  // namespace

std::optional<Level> parse_level(std::string_view text) {
  const auto found = std::find(level_names.begin(), level_names.end(), text);
  if (found == level_names.end()) return std::nullopt;
  return static_cast<Level>(found - level_names.begin());
}

void start(Options options) {
  log_options = options;
}

void start(std::string_view level, std::string_view addresses) {
  const auto parsed = parse_level(level);
  RELAY_CHECK(parsed);
  start({*parsed, addresses == "full", STDERR_FILENO});
}

void debug(std::string_view event, std::initializer_list<Field> fields) {
  write(Level::debug, event, fields);
}
void info(std::string_view event, std::initializer_list<Field> fields) {
  write(Level::info, event, fields);
}
void warn(std::string_view event, std::initializer_list<Field> fields) {
  write(Level::warn, event, fields);
}
void error(std::string_view event, std::initializer_list<Field> fields) {
  write(Level::error, event, fields);
}

std::string shortened(const IpAddress& address) {
  IpAddress prefix = address;
  const std::ptrdiff_t kept = address.is_v4() ? 15 : 6;
  std::fill(prefix.bytes.begin() + kept, prefix.bytes.end(), std::uint8_t{0});
  return prefix.to_string() + (address.is_v4() ? "/24" : "/48");
}

std::optional<std::uint64_t> Throttle::admit(Time now) {
  if (!since_ || now - *since_ >= throttle_interval) {
    since_ = now;
    admitted_ = 0;
  }
  if (admitted_ == throttle_lines) {
    ++held_back_;
    return std::nullopt;
  }
  ++admitted_;
  return std::exchange(held_back_, 0);
}

}  // namespace earshot::control::log
