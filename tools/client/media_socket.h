// One UDP socket of a client: datagrams out at once, datagrams in with the kernel's stamp. Loop
// thread only. A datagram that the kernel refuses is lost, as on the network; nothing is queued.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "relay/base/address.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

struct uv_loop_s;

namespace earshot::client {

class MediaSocket {
 public:
  // Only what comes from the remote. The bytes may be changed in place. `arrival` is when the
  // datagram reached this machine's socket.
  using OnDatagram = std::function<void(std::span<std::uint8_t>, Time arrival)>;

  // Of the family of `remote`, on any free port.
  static Result<std::unique_ptr<MediaSocket>> open(uv_loop_s* loop, const Endpoint& remote,
                                                   OnDatagram on_datagram);
  ~MediaSocket();
  MediaSocket(const MediaSocket&) = delete;
  MediaSocket& operator=(const MediaSocket&) = delete;

  bool send(std::span<const std::uint8_t> datagram);
  // Port in use; the address is the unspecified one.
  Endpoint local() const;

 private:
  struct State;
  explicit MediaSocket(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::shared_ptr<State> state_;
};

}  // namespace earshot::client
