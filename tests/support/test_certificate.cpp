#include "tests/support/test_certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <memory>

#include "relay/base/check.h"

namespace earshot::test {
namespace {

struct Deleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};

void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Deleter> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  RELAY_CHECK(extension != nullptr);
  RELAY_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::unique_ptr<X509, Deleter> make_certificate(EVP_PKEY* key, const std::string& names) {
  std::unique_ptr<X509, Deleter> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3'600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3'600);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const auto* common_name = reinterpret_cast<const unsigned char*>("earshot test");
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common_name, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate.get(), NID_subject_alt_name, names);
  RELAY_CHECK(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

TestCertificate::TestCertificate(const std::string& names) {
  std::string pattern = (std::filesystem::temp_directory_path() / "earshot-test-XXXXXX").string();
  RELAY_CHECK(::mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
  const std::unique_ptr<EVP_PKEY, Deleter> key(EVP_EC_gen("P-256"));
  RELAY_CHECK(key != nullptr);
  const auto certificate = make_certificate(key.get(), names);
  const std::unique_ptr<std::FILE, Deleter> key_file(std::fopen(key_path().c_str(), "w"));
  const std::unique_ptr<std::FILE, Deleter> certificate_file(
      std::fopen(certificate_path().c_str(), "w"));
  RELAY_CHECK(key_file != nullptr && certificate_file != nullptr);
  RELAY_CHECK(
      PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  RELAY_CHECK(PEM_write_X509(certificate_file.get(), certificate.get()) == 1);
}

TestCertificate::~TestCertificate() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace earshot::test
