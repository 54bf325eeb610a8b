// TLS 1.2 and 1.3 as a pure byte transformer on OpenSSL: ciphertext in, plaintext out and the other
// way round, both roles. Controller thread or a client's loop thread; no socket, no clock. No
// session tickets or caches, no renegotiation: every session starts with a full handshake, so an
// idle one costs as little memory as OpenSSL allows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace earshot::gateway {

// Certificates and rules, shared by many streams. Copies share one OpenSSL context; a running
// stream keeps the one it started with, so reloading certificates is making a new context.
class TlsContext {
 public:
  // PEM files: the certificate with its chain, and its private key without a password.
  static Result<TlsContext> make_server(const std::string& certificate_path,
                                        const std::string& key_path);
  // PEM file with the authorities to trust; empty: the system's own.
  static Result<TlsContext> make_client(const std::string& ca_path);

  bool is_server() const { return is_server_; }

 private:
  friend class TlsStream;
  TlsContext(std::shared_ptr<ssl_ctx_st> context, bool is_server)
      : context_(std::move(context)), is_server_(is_server) {}

  std::shared_ptr<ssl_ctx_st> context_;
  bool is_server_;
};

enum class TlsStatus {
  open,    // go on: feed what comes, send what output() holds
  closed,  // the peer has ended the stream with close_notify
  failed,  // error() says why; output() may hold an alert for the peer
};

class TlsStream {
 public:
  // Server.
  explicit TlsStream(const TlsContext& context);
  // Client: `host` is a name or an IP literal (without brackets) that the certificate must carry.
  // output() holds the first flight at once.
  TlsStream(const TlsContext& context, const std::string& host);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Takes all of `ciphertext`, as it came from the socket, and appends what it decrypts to
  // `plaintext`.
  TlsStatus feed(std::string_view ciphertext, std::string& plaintext);
  // Only when is_established(). Encrypts all of it into output().
  TlsStatus write(std::string_view plaintext);
  // Queues close_notify. Nothing can be written after it; feed() still works.
  void close();

  // Ciphertext for the peer. consume() drops what the socket took; an emptied buffer gives its
  // memory back.
  std::string_view output() const;
  void consume(std::size_t size);

  bool is_established() const { return is_established_; }
  TlsStatus status() const { return status_; }
  // For a person or a log; empty unless failed. Holds nothing secret.
  const std::string& error() const { return error_; }

 private:
  struct Bio;  // OpenSSL's way to the two members below
  struct SslDeleter {
    void operator()(ssl_st* ssl) const;
  };

  void attach();
  TlsStatus handshake();
  TlsStatus fail(int result);

  std::unique_ptr<ssl_st, SslDeleter> ssl_;
  std::string_view input_;
  std::string output_;
  std::size_t output_offset_ = 0;
  TlsStatus status_ = TlsStatus::open;
  bool is_established_ = false;
  bool is_close_sent_ = false;
  std::string error_;
};

}  // namespace earshot::gateway
