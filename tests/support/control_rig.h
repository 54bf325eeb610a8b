// The sessions of a node with fake connections, real workers and a clock that the test cranks.
// Tests only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/control/sessions.h"
#include "tests/support/command_rig.h"
#include "tests/support/gateway_client.h"

namespace earshot::test {

struct ControlRigOptions {
  std::size_t workers = 1;
  std::size_t sessions_per_worker_max = 64;
  std::size_t channel_participants_per_worker_max = limits::channel_participants_per_worker_max;
  std::size_t unidentified_per_address_max = 64;
  std::size_t bad_tokens_per_address_max = 10;
  std::size_t introductions_per_part = limits::introductions_per_part;
};

class ControlRig {
 public:
  explicit ControlRig(const ControlRigOptions& options = {});

  // --- People ---
  Person person(const std::string& user, const std::string& channel = "100",
                const std::string& server = "1");
  Person person(gateway::Claims claims);
  // Another token for the same claims, valid from now on.
  void renew(Person& person);

  // --- Clients ---
  // nullptr if the address may not connect.
  GatewayClient* try_connect(const Person& who, int version = 8,
                             const IpAddress& peer = make_v4(127, 0, 0, 1));
  GatewayClient& connect(const Person& who, int version = 8,
                         const IpAddress& peer = make_v4(127, 0, 0, 1));
  // ... and identified; Ready has come.
  GatewayClient& identify(const Person& who, int version = 8);
  // ... and in the channel: op 4 is delivered.
  GatewayClient& join(const Person& who, int version = 8);
  // A new connection of this client's that resumes its session.
  GatewayClient& resume(const GatewayClient& before);

  // --- Time ---
  // Lets workers, events and ended connections come to rest. The clock stands still.
  void settle();
  // The clock goes on, with ticks and sweeps as the controller has them; clients send heartbeats if
  // are_heartbeats_sent.
  void advance(Duration duration);
  // One turn of that, with nothing to wait for.
  void step(Duration duration);
  void deliver_description() { advance(milliseconds(25)); }

  Time now{seconds(1'000).ns};
  std::int64_t unix_now = 1'700'000'000;
  bool are_heartbeats_sent = false;
  bool are_queues_drained = true;  // what the relay sends leaves its queues, and it is told
  std::vector<crypto::AeadMode> modes;
  CommandRig workers;
  control::Membership membership;
  gateway::TokenVerifier verifier;
  control::Sessions sessions;
  std::vector<std::unique_ptr<GatewayClient>> clients;

 private:
  void beat();

  Time heartbeats_at_;
};

}  // namespace earshot::test
