#include "relay/control/api_problem.h"

#include <iterator>

#include "relay/gateway/http.h"

namespace earshot::control {
namespace {

struct Kind {
  int status;
  std::string_view code;
};

// In the order of the enum.
constexpr Kind kinds[] = {
    {400, "bad-request"},
    {401, "unauthorized"},
    {403, "forbidden"},
    {404, "not-found"},
    {405, "method-not-allowed"},
    {409, "conflict"},
    {415, "unsupported-media-type"},
    {429, "too-many-requests"},
    {503, "no-signing-key"},
    {503, "stopping"},
};
static_assert(std::size(kinds) == static_cast<std::size_t>(Problem::stopping) + 1);

}  // namespace

gateway::HttpResponse problem(Problem kind, std::string_view detail) {
  const Kind& k = kinds[static_cast<std::size_t>(kind)];
  gateway::HttpResponse response = gateway::problem_response(k.status, k.code, detail);
  if (kind == Problem::unauthorized) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (kind == Problem::too_many_requests) response.headers.emplace_back("Retry-After", "5");
  return response;
}

}  // namespace earshot::control
