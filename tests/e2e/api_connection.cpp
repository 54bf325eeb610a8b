#include "tests/e2e/api_connection.h"

namespace earshot::test {

ApiConnection::ApiConnection(const RelayProcess& relay, const gateway::TlsContext& tls)
    : host_(relay.admin().to_string()), key_(relay.api_key()), socket_(relay.admin(), tls) {}

void ApiConnection::send(const std::string& method, const std::string& path,
                         const nlohmann::json& body) {
  answer_.reset();
  const std::string text = body.is_null() ? "" : body.dump();
  std::string request = method + " " + path + " HTTP/1.1\r\nHost: " + host_ +
                        "\r\nAuthorization: Bearer " + key_ + "\r\n";
  if (!text.empty()) request += "Content-Type: application/json\r\n";
  request += "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  socket_.send(request);
  socket_.pump();
}

void ApiConnection::pump() {
  socket_.pump();
  if (answer_) return;
  const std::string_view rest = std::string_view(socket_.received()).substr(taken_);
  const std::size_t head = rest.find("\r\n\r\n");
  if (head == std::string_view::npos) return;
  constexpr std::string_view length = "\r\nContent-Length: ";
  const std::size_t field = rest.substr(0, head).find(length);
  const std::size_t size = field == std::string_view::npos
                               ? 0
                               : std::stoul(std::string(rest.substr(field + length.size(), 8)));
  if (rest.size() < head + 4 + size) return;
  answer_ = ApiAnswer{std::stoi(std::string(rest.substr(9, 3))), {}, socket_.received_at()};
  if (size > 0) answer_->body = nlohmann::json::parse(rest.substr(head + 4, size));
  taken_ += head + 4 + size;
}

}  // namespace earshot::test
