// Instead of audio_device_portaudio.cpp in a build that has no PortAudio.
#include "tools/client/audio_device.h"

namespace earshot::client {

Result<std::unique_ptr<AudioSystem>> AudioSystem::open() {
  return Error{
      "this earshot was built without sound devices: install portaudio19-dev and build it again"};
}

bool AudioSystem::has_stuck_stream() {
  return false;
}

}  // namespace earshot::client
