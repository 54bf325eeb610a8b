// A participant with both halves: a gateway client and a UDP socket. Tests only.
#pragma once

#include <optional>

#include "tests/support/client_socket.h"
#include "tests/support/control_rig.h"
#include "tests/support/media_client.h"

namespace earshot::test {

class MediaParty {
 public:
  // Identifies and selects; op 4 is sent, and not delivered yet.
  MediaParty(ControlRig& r, const Person& who, int version = 8);
  // From now on with the key and SSRC of this client (a resumed or new session of the same person).
  void use(GatewayClient& client);

  // One frame of 20 ms, handled by the relay when this returns.
  void speak();
  // The next packet that is for it, if one comes in time.
  std::optional<ReceivedPacket> hear(int wait_ms = 10'000);
  // Nothing waits in the socket.
  bool is_silent() { return socket.receive(0).empty(); }
  std::uint64_t packets_sent_to() const;

  ControlRig& rig;
  GatewayClient* gateway;
  ClientSocket socket;
  std::optional<MediaClient> media;
  std::uint16_t sequence = 100;
};

}  // namespace earshot::test
