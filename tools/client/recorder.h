// Writes what a client heard: a file per speaker and one with everybody, all on one time line. Loop
// thread only. The first failure to write ends the recording and is told by error(); it never
// disturbs the conversation.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/ogg_writer.h"
#include "codec/wav.h"
#include "relay/base/result.h"

namespace earshot::client {

enum class RecordFormat : std::uint8_t {
  wav,  // decoded, 48 kHz mono
  ogg,  // the speaker's own Opus packets; the mix is a WAV nevertheless
};

// A file name for any id: letters, digits, '.', '_' and '-' stay, other bytes become %XX, as does a
// leading dot.
std::string file_name(const std::string& id);

class Recorder {
 public:
  Recorder(std::string folder, RecordFormat format) : folder_(std::move(folder)), format_(format) {}
  // Makes the folder and opens mixed.wav.
  Result<void> open();

  // 20 ms of one speaker in the time slot `tick`; slots without a call are silent. `packets` are
  // those that begin in the slot: usually one, none if it is concealed or the one before lasts
  // longer.
  void write(const std::string& speaker, std::uint64_t tick, std::span<const std::int16_t> pcm,
             std::span<const std::vector<std::uint8_t>> packets);
  void write_mixed(std::span<const std::int16_t> pcm);
  void finish();

  const std::string& folder() const { return folder_; }
  const std::string& error() const { return error_; }

 private:
  struct Track {
    codec::WavWriter wav;
    codec::OggFileWriter ogg;
    std::uint64_t position = 0;  // samples written
  };
  Track* track(const std::string& speaker);
  void write_silence(Track& track);
  void write_pcm(Track& track, std::span<const std::int16_t> pcm);
  void write_packet(Track& track, std::span<const std::uint8_t> packet);

  std::string folder_;
  RecordFormat format_;
  codec::WavWriter mixed_;
  std::map<std::string, Track> tracks_;
  std::string error_;
};

}  // namespace earshot::client
