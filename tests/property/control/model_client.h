// What a voice library knows after the messages that it has read: who is in its channel, under
// which SSRC, and how far it has come. It survives its connections, as long as its session does.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tests/support/gateway_client.h"

namespace earshot::test {

class ModelClient {
 public:
  using Json = nlohmann::json;

  explicit ModelClient(GatewayClient& c) : connection(&c), version(c.version) {}

  // A new connection; what the old one had not read is lost.
  void resume_on(GatewayClient& c) {
    connection = &c;
    read_ = 0;
    is_resuming_ = true;
    is_resumed = false;
  }

  std::size_t unread() const { return connection->received().size() - read_; }
  bool has_op_4_unread() const {
    const auto& all = connection->received();
    return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(read_), all.end(),
                       [](const Json& message) { return message["op"] == 4; });
  }

  // Reads the next messages and believes them; each must make sense on what is known so far.
  void read(std::size_t count) {
    for (; count > 0; --count) take(connection->received()[read_++]);
  }
  void read_all() { read(unread()); }

  GatewayClient* connection;
  int version;
  std::map<std::string, std::uint32_t> present;  // user -> SSRC, 0 while it has no name
  std::optional<std::int64_t> last_seq;
  std::uint32_t ssrc = 0;
  bool is_ready = false;
  bool has_description = false;
  bool is_resumed = false;
  std::string user_id() const { return connection->person.claims.user_id; }

 private:
  void take(const Json& message) {
    const int opcode = message["op"].get<int>();
    CAPTURE(message.dump());
    if (opcode == 8 || opcode == 6) {
      CHECK_FALSE(message.contains("seq"));
      return;
    }
    if (opcode == 2) {
      CHECK_FALSE(is_ready);
      is_ready = true;
      ssrc = message["d"]["ssrc"].get<std::uint32_t>();
      return;
    }
    if (opcode == 9) {
      CHECK(is_resuming_);
      is_resuming_ = false;
      is_resumed = true;
      return;
    }
    // Nothing of a channel before op 4, nor before op 9 on a resumed connection.
    CHECK(is_ready);
    CHECK_FALSE(is_resuming_);
    if (opcode == 4) {
      has_description = true;
    } else {
      CHECK(has_description);
    }
    count(message);
    believe(opcode, message["d"]);
  }

  // From v8 on every number is the one after the last, whatever connection it comes over.
  void count(const Json& message) {
    REQUIRE(message.contains("seq") == (version == 8));
    if (version != 8) return;
    const auto seq = message["seq"].get<std::int64_t>();
    if (last_seq) CHECK(seq == *last_seq % 65'535 + 1);
    last_seq = seq;
  }

  void believe(int opcode, const Json& d) {
    const auto user = [&d] { return d["user_id"].get<std::string>(); };
    switch (opcode) {
      case 4:
        return;
      case 5:
        CHECK(user() != user_id());
        CHECK(present.contains(user()));
        present[user()] = d["ssrc"].get<std::uint32_t>();
        return;
      case 11:
        CHECK(version == 8);
        for (const auto& id : d["user_ids"]) {
          CHECK(id != user_id());
          CHECK(present.emplace(id.get<std::string>(), 0).second);
        }
        return;
      case 12:
        CHECK(version < 8);
        CHECK(user() != user_id());
        present[user()] = d["audio_ssrc"].get<std::uint32_t>();
        return;
      case 13:
        CHECK(user() != user_id());
        // Below v8 a resume repeats what was known.
        if (version == 8) CHECK(present.contains(user()));
        present.erase(user());
        return;
      default:
        FAIL("an opcode that servers do not send");
    }
  }

  std::size_t read_ = 0;
  bool is_resuming_ = false;
};

}  // namespace earshot::test
