// One row of the HTTP API's table. Private to api*.cpp.
#pragma once

#include <string_view>

#include "relay/control/api.h"

namespace earshot::control {

struct Api::Route {
  std::string_view method;
  std::string_view path;  // with {name} for a segment that names something
  Scope scope;
  bool is_whole_node;  // not for a key of one server
  Answer (Api::*handler)(const Request&);
};

}  // namespace earshot::control
