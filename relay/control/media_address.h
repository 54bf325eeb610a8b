// Which address Ready tells clients to send media to. Control path; reads no configuration files
// and no interfaces itself.
#pragma once

#include <span>

#include "relay/base/address.h"
#include "relay/control/config.h"

namespace earshot::control {

// IPv4 whenever the node has one: most clients know nothing else. `interfaces`: the addresses of
// this machine.
IpAddress media_address(const Config& config, std::span<const IpAddress> interfaces);

// Addresses of all interfaces that are up.
std::vector<IpAddress> interface_addresses();

}  // namespace earshot::control
