// The media keys of all sessions, in locked memory that stays out of core dumps. Controller thread.
// A key stands here as long as its session, since a second Select Protocol must be answered with
// the same one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/keys.h"
#include "relay/base/check.h"

namespace earshot::control {

class KeyStore {
 public:
  explicit KeyStore(std::size_t keys_max) : memory_(keys_max * crypto::key_size) {
    for (std::size_t i = keys_max; i > 0; --i) free_.push_back(static_cast<std::uint32_t>(i - 1));
  }

  // A fresh random key. There are as many places as sessions.
  std::uint32_t create() {
    RELAY_CHECK(!free_.empty());
    const std::uint32_t index = free_.back();
    free_.pop_back();
    crypto::random_bytes(at(index));
    return index;
  }
  void renew(std::uint32_t index) { crypto::random_bytes(at(index)); }
  void destroy(std::uint32_t index) {
    crypto::zero(at(index));
    free_.push_back(index);
  }
  std::span<const std::uint8_t, crypto::key_size> bytes(std::uint32_t index) { return at(index); }

 private:
  std::span<std::uint8_t, crypto::key_size> at(std::uint32_t index) {
    return memory_.bytes().subspan(index * crypto::key_size).first<crypto::key_size>();
  }

  crypto::SecretMemory memory_;
  std::vector<std::uint32_t> free_;
};

}  // namespace earshot::control
