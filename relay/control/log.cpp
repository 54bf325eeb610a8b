#include "relay/control/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace earshot::control {

void start_log(const std::string& level) {
  auto logger =
      std::make_shared<spdlog::logger>("relay", std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace earshot::control
