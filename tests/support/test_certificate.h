// A self-signed TLS certificate in a temporary directory, made when the test runs and gone when it
// ends. Tests only. It is its own authority: certificate_path() is also the client's CA file.
#pragma once

#include <filesystem>
#include <string>

namespace earshot::test {

class TestCertificate {
 public:
  // `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1,IP:::1".
  explicit TestCertificate(const std::string& names = "DNS:localhost,IP:127.0.0.1,IP:::1");
  ~TestCertificate();
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;

  std::string certificate_path() const { return (directory_ / "certificate.pem").string(); }
  std::string key_path() const { return (directory_ / "key.pem").string(); }
  // For other files of the test.
  const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
};

}  // namespace earshot::test
