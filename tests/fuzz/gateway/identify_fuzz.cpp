// A gateway connection from its first byte: a version and a sequence of messages and pauses. The
// first byte is the version, then lines: "+N" lets N*100 ms pass, "*" makes the controller keep the
// next Ready until another "*", everything else is a message. The rules of one connection must hold
// whatever comes.
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "relay/base/limits.h"
#include "relay/gateway/gateway_session.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Rig {
  explicit Rig(std::optional<int> version) : session(version, now) {}

  // False when the connection is over.
  bool pass(Duration duration) {
    now = now + duration;
    if (session.next_timeout() > now) return true;
    const auto reaction = session.on_timeout(now);
    require(reaction.close.has_value() != reaction.is_dead);
    require(reaction.reply.empty() && !reaction.request);
    return false;
  }

  bool feed(std::string_view text) {
    const auto reaction = session.on_text(now, text);
    require(!reaction.is_dead);
    if (reaction.close) {
      require(reaction.reply.empty() && !reaction.request);
      return false;
    }
    if (!reaction.reply.empty()) {
      require(has_begun);
      require(nlohmann::json::parse(reaction.reply, nullptr, false)["op"] == 6);
    }
    if (reaction.request) act(*reaction.request);
    require(session.next_timeout() > now);
    return true;
  }

  // What the controller would do.
  void act(const ClientMessage& request) {
    const bool is_resume = std::holds_alternative<Resume>(request);
    if (std::holds_alternative<Identify>(request) || is_resume) {
      require(!has_begun);
      has_begun = true;
      if (is_resume) {
        session.on_established();
      } else if (is_slow) {
        owes_ready = true;
      } else {
        session.on_ready_sent(now);
      }
      return;
    }
    require(has_begun && !std::holds_alternative<Ignored>(request));
    if (!std::holds_alternative<SelectProtocol>(request)) return;
    // Nobody selects anything before Ready.
    require(!owes_ready);
    session.on_established();
  }

  void switch_slow() {
    is_slow = !is_slow;
    if (!owes_ready) return;
    owes_ready = false;
    session.on_ready_sent(now);
  }

  Time now{1'000'000'000'000};
  GatewaySession session;
  bool has_begun = false;
  bool is_slow = false;
  bool owes_ready = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto version =
      parse_gateway_version({reinterpret_cast<const char*>(data), 1}, data[0] != '-');
  Rig rig(version);
  require(rig.session.begin().close.has_value() == !version.has_value());
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line == "*") {
      rig.switch_slow();
      continue;
    }
    const bool is_pause = line.size() == 2 && line[0] == '+';
    const bool goes_on = is_pause ? rig.pass(milliseconds(100) * static_cast<std::uint8_t>(line[1]))
                                  : rig.feed(line);
    if (!goes_on) return 0;
  }
  return 0;
}
