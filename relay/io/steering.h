// Which worker a datagram belongs to, decided by the kernel from the SSRC inside (docs/protocol.md,
// "SSRC layout"). Start-up only. An optimisation: a worker that gets another one's datagram hands
// it over.
#pragma once

#include <cstddef>

#include "relay/base/result.h"

namespace earshot::io {

// Attaches the program to the SO_REUSEPORT group of `fd`, whose sockets were bound in the workers'
// order.
Result<void> steer_by_ssrc(int fd, std::size_t workers_count);

}  // namespace earshot::io
