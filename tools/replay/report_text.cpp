#include "tools/replay/report_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace earshot::replay::report {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
      case '\t':
        out += c;
        break;
      default:
        if (byte < 0x20 || byte == 0x7F) {
          out += "\xEF\xBF\xBD";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string number(double value, int digits) {
  // Beyond this nothing in a report has a meaning, and the text would not fit.
  if (!(std::abs(value) < 1e15)) return "\xE2\x80\x93";
  std::array<char, 64> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value,
                                          std::chars_format::fixed, digits);
  if (error != std::errc{}) return "\xE2\x80\x93";
  std::string out(text.data(), end);
  // What rounds to zero has no sign.
  if (out[0] == '-' && out.find_first_not_of("-0.") == std::string::npos) out.erase(0, 1);
  return out;
}

std::string coordinate(double value) {
  std::string out = number(value, 1);
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out;
}

std::string grouped(std::uint64_t count) {
  std::string out = std::to_string(count);
  for (std::size_t at = out.size(); at > 3;) {
    at -= 3;
    out.insert(at, ",");
  }
  return out;
}

std::string percent(double share) {
  return number(share * 100, 1) + " %";
}

std::string in_ms(Duration duration) {
  const std::int64_t ms = (duration.ns + 500'000) / 1'000'000;
  return (ms < 0 ? "-" : "") + grouped(static_cast<std::uint64_t>(std::abs(ms))) + " ms";
}

std::string in_seconds(Duration duration) {
  if (duration < seconds(600)) return number(static_cast<double>(duration.ns) / 1e9, 1) + " s";
  const std::int64_t whole = (duration.ns + 500'000'000) / 1'000'000'000;
  const std::string rest = std::to_string(whole % 60);
  return grouped(static_cast<std::uint64_t>(whole / 60)) + (rest.size() < 2 ? ":0" : ":") + rest +
         " min";
}

}  // namespace earshot::replay::report
