#include "relay/gateway/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "crypto/keys.h"
#include "relay/base/address.h"
#include "relay/base/check.h"

namespace earshot::gateway {
namespace {

// The first reason in OpenSSL's queue, which it empties.
std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

Error file_error(const std::string& path, const std::string& what) {
  return Error{what + " " + path + ": " + take_openssl_error()};
}

// OpenSSL would ask on the terminal for a key file's password; a daemon has none.
int no_password(char*, int, int, void*) {
  return 0;
}

// Names behind their lengths (RFC 7301 s3.1): "http/1.1", the only one that a client of ours
// offers, and "http/1.0".
constexpr std::array<unsigned char, 18> alpn{8, 'h', 't', 't', 'p', '/', '1', '.', '1',
                                             8, 'h', 't', 't', 'p', '/', '1', '.', '0'};
constexpr unsigned alpn_http_1_1_size = 9;

constexpr std::size_t key_file_size_max = 64 * 1'024;

// Who offers protocols must offer ours (RFC 7301 s3.2).
int select_alpn(SSL*, const unsigned char** selected, unsigned char* selected_size,
                const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* match = nullptr;
  const int result =
      SSL_select_next_proto(&match, selected_size, alpn.data(), alpn.size(), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *selected = match;
  return SSL_TLSEXT_ERR_OK;
}

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  RELAY_CHECK(context != nullptr);
  SSL_CTX* raw = context.get();
  RELAY_CHECK(SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) == 1);
  // Forward secrecy and AEAD only. TLS 1.3's own list needs no pruning.
  RELAY_CHECK(SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
  RELAY_CHECK(SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384") == 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_default_passwd_cb(raw, no_password);
  return context;
}

}  // namespace

Result<TlsContext> TlsContext::make_server(const std::string& certificate_path,
                                           const std::string& key_path) {
  std::shared_ptr<SSL_CTX> context = make_context(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_path.c_str()) != 1) {
    return file_error(certificate_path, "cannot use the TLS certificate");
  }
  // Not by name: the buffer of a file would keep the text.
  auto text = crypto::read_secret_file(key_path, key_file_size_max);
  if (!text) return Error{"cannot use the TLS key " + key_path + ": " + std::strerror(errno)};
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(text->bytes().data(), static_cast<int>(text->bytes().size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  if (key == nullptr) return file_error(key_path, "cannot use the TLS key");
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    if (ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_VALUES_MISMATCH) {
      return file_error(key_path, "cannot use the TLS key");
    }
    ERR_clear_error();
    return Error{"the TLS key " + key_path + " does not belong to the certificate " +
                 certificate_path};
  }
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  return TlsContext(std::move(context), true);
}

Result<TlsContext> TlsContext::make_client(const std::string& ca_path) {
  std::shared_ptr<SSL_CTX> context = make_context(TLS_client_method());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (ca_path.empty()) {
    if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
      return Error{"cannot use the system's TLS authorities: " + take_openssl_error()};
    }
  } else if (SSL_CTX_load_verify_file(context.get(), ca_path.c_str()) != 1) {
    return file_error(ca_path, "cannot use the TLS authorities in");
  }
  return TlsContext(std::move(context), false);
}

// A BIO that reads from the input of the current feed() and writes to the output. OpenSSL's memory
// BIOs would keep a grown buffer per direction and session for ever.
struct TlsStream::Bio {
  static TlsStream& stream(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    stream(bio).output_.append(data, size);
    *written = size;
    return 1;
  }

  static int read(BIO* bio, char* data, std::size_t size, std::size_t* taken) {
    std::string_view& input = stream(bio).input_;
    BIO_clear_retry_flags(bio);
    *taken = std::min(size, input.size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(data, input.data(), *taken);
    input.remove_prefix(*taken);
    return 1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const instance = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "earshot stream");
      RELAY_CHECK(made != nullptr);
      BIO_meth_set_write_ex(made, write);
      BIO_meth_set_read_ex(made, read);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, create);
      return made;
    }();
    return instance;
  }
};

void TlsStream::SslDeleter::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

void TlsStream::attach() {
  RELAY_CHECK(ssl_ != nullptr);
  BIO* bio = BIO_new(Bio::method());
  RELAY_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
}

TlsStream::TlsStream(const TlsContext& context) : ssl_(SSL_new(context.context_.get())) {
  RELAY_CHECK(context.is_server());
  attach();
  SSL_set_accept_state(ssl_.get());
}

TlsStream::TlsStream(const TlsContext& context, const std::string& host)
    : ssl_(SSL_new(context.context_.get())) {
  RELAY_CHECK(!context.is_server());
  attach();
  SSL_set_connect_state(ssl_.get());
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl_.get());
  bool is_usable = false;
  if (IpAddress::parse(host)) {
    // RFC 6066 s3: no literal addresses in SNI.
    is_usable = X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1;
  } else {
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    is_usable = !host.empty() &&
                X509_VERIFY_PARAM_set1_host(parameters, host.data(), host.size()) == 1 &&
                SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1;
  }
  if (!is_usable) {
    ERR_clear_error();
    status_ = TlsStatus::failed;
    error_ = "not a usable host name: \"" + host + "\"";
    return;
  }
  SSL_set_alpn_protos(ssl_.get(), alpn.data(), alpn_http_1_1_size);
  handshake();
}

TlsStream::~TlsStream() = default;

TlsStatus TlsStream::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    is_established_ = true;
    return status_;
  }
  return SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ ? status_ : fail(result);
}

TlsStatus TlsStream::fail(int result) {
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_ZERO_RETURN) {
    status_ = TlsStatus::closed;
    return status_;
  }
  status_ = TlsStatus::failed;
  const long verdict = SSL_get_verify_result(ssl_.get());
  error_ = take_openssl_error();
  if (verdict != X509_V_OK)
    error_ += std::string(" (") + X509_verify_cert_error_string(verdict) + ")";
  return status_;
}

TlsStatus TlsStream::feed(std::string_view ciphertext, std::string& plaintext) {
  if (status_ != TlsStatus::open) return status_;
  input_ = ciphertext;
  if (!is_established_) handshake();
  while (is_established_ && status_ == TlsStatus::open) {
    std::array<char, 4'096> buffer;
    std::size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
    if (result == 1) {
      plaintext.append(buffer.data(), size);
      continue;
    }
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) break;
    fail(result);
  }
  // OpenSSL has taken all there was into its own record buffer, or will never read again.
  input_ = {};
  return status_;
}

TlsStatus TlsStream::write(std::string_view plaintext) {
  RELAY_CHECK(is_established_);
  if (status_ == TlsStatus::failed || is_close_sent_ || plaintext.empty()) return status_;
  std::size_t written = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written);
  // The BIO takes everything, so there is nothing to wait for: what is not written is an error.
  return result == 1 ? status_ : fail(result);
}

void TlsStream::close() {
  if (is_close_sent_ || !is_established_ || status_ == TlsStatus::failed) return;
  is_close_sent_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string_view TlsStream::output() const {
  return std::string_view(output_).substr(output_offset_);
}

void TlsStream::consume(std::size_t size) {
  RELAY_CHECK(size <= output_.size() - output_offset_);
  output_offset_ += size;
  if (output_offset_ == output_.size()) {
    std::string().swap(output_);
    output_offset_ = 0;
  } else if (output_offset_ > output_.size() / 2) {
    // At most as many bytes move as were consumed since the last time.
    output_.erase(0, output_offset_);
    output_offset_ = 0;
  }
}

}  // namespace earshot::gateway
