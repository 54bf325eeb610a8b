/* An ALSA device for tests, as a plugin of libasound. It keeps time as a sound card does, with a clock that may be
   wrong; it captures from a file of samples, over and over, and plays into one; it can be pulled out, and it can be in
   use. Unlike this, ALSA's own null and file devices take and give whatever they are asked for at once.

   pcm.NAME { type earshot_test  infile FILE  outfile FILE  rate HZ  ppm N  gone_after_ms N  lockfile FILE }

   Files hold s16le mono. Without infile it cannot capture, without outfile not play. While lockfile is locked, it is
   busy. One rate only. */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  snd_pcm_ioplug_t io;
  FILE* file;
  char* outfile;  /* made by the first sample that is played: whoever only looks at devices opens them too */
  int lock, is_gone;
  long rate, ppm, gone_after_ms;
  struct timespec started, first_started;
  snd_pcm_uframes_t avail_min;
  uint64_t moved;     /* frames that the program has read or written */
  uint64_t reported;  /* position that ALSA was told last */
} device_t;

static int64_t ns_since(const struct timespec* then) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - then->tv_sec) * 1000000000LL + (now.tv_nsec - then->tv_nsec);
}

static uint64_t position(const device_t* device) {
  const double rate = (double)device->rate * (1.0 + (double)device->ppm / 1e6);
  if (device->io.state != SND_PCM_STATE_RUNNING && device->io.state != SND_PCM_STATE_DRAINING) return 0;
  return (uint64_t)((double)ns_since(&device->started) / 1e9 * rate);
}

/* For ever: no new start brings it back. */
static int is_gone(device_t* device) {
  const int was_started = device->first_started.tv_sec != 0;
  if (device->gone_after_ms > 0 && was_started && ns_since(&device->first_started) / 1000000 >= device->gone_after_ms) {
    device->is_gone = 1;
  }
  return device->is_gone;
}

static int set_timer(device_t* device, long ns) {
  const struct itimerspec interval = {{0, ns}, {0, ns}};
  return timerfd_settime(device->io.poll_fd, 0, &interval, NULL);
}

static int on_prepare(snd_pcm_ioplug_t* io) {
  device_t* device = io->private_data;
  if (is_gone(device)) return -ENODEV;
  device->moved = device->reported = 0;
  /* What waits for room to play finds it before the start. */
  return set_timer(device, 2000000);
}

static int on_start(snd_pcm_ioplug_t* io) {
  device_t* device = io->private_data;
  if (is_gone(device)) return -ENODEV;
  clock_gettime(CLOCK_MONOTONIC, &device->started);
  if (device->first_started.tv_sec == 0) device->first_started = device->started;
  return 0;
}

static int on_stop(snd_pcm_ioplug_t* io) { return set_timer(io->private_data, 0); }

static snd_pcm_sframes_t on_pointer(snd_pcm_ioplug_t* io) {
  device_t* device = io->private_data;
  const uint64_t at = position(device);
  if (is_gone(device)) {
    snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
    return -ENODEV;
  }
  if (io->stream == SND_PCM_STREAM_PLAYBACK ? at > device->moved : at > device->moved + io->buffer_size) return -EPIPE;
  /* A whole buffer at once would look like none at all. */
  if (at >= device->reported + io->buffer_size) {
    device->reported += io->buffer_size - 1;
  } else {
    device->reported = at;
  }
  return (snd_pcm_sframes_t)(device->reported % io->buffer_size);
}

static int16_t* sample(const snd_pcm_channel_area_t* area, snd_pcm_uframes_t frame) {
  return (int16_t*)((char*)area->addr + (area->first + frame * area->step) / 8);
}

static int16_t next_sample(device_t* device) {
  unsigned char bytes[2];
  if (fread(bytes, 2, 1, device->file) != 1) {
    rewind(device->file);
    if (fread(bytes, 2, 1, device->file) != 1) return 0;
  }
  return (int16_t)(bytes[0] | bytes[1] << 8);
}

static snd_pcm_sframes_t on_transfer(snd_pcm_ioplug_t* io, const snd_pcm_channel_area_t* areas,
                                     snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
  device_t* device = io->private_data;
  if (is_gone(device)) return -ENODEV;
  if (device->file == NULL) device->file = fopen(device->outfile, "we");
  if (device->file == NULL) return -errno;
  for (snd_pcm_uframes_t i = 0; i < size; ++i) {
    if (io->stream == SND_PCM_STREAM_PLAYBACK) {
      const int16_t value = *sample(&areas[0], offset + i);
      const unsigned char bytes[2] = {(unsigned char)(value & 0xFF), (unsigned char)(value >> 8 & 0xFF)};
      if (fwrite(bytes, 2, 1, device->file) != 1) return -EIO;
    } else {
      const int16_t value = next_sample(device);
      for (unsigned c = 0; c < io->channels; ++c) *sample(&areas[c], offset + i) = value;
    }
  }
  if (io->stream == SND_PCM_STREAM_PLAYBACK) fflush(device->file);
  device->moved += size;
  return (snd_pcm_sframes_t)size;
}

static int on_sw_params(snd_pcm_ioplug_t* io, snd_pcm_sw_params_t* params) {
  device_t* device = io->private_data;
  return snd_pcm_sw_params_get_avail_min(params, &device->avail_min);
}

static int on_poll_revents(snd_pcm_ioplug_t* io, struct pollfd* descriptors, unsigned count, unsigned short* revents) {
  device_t* device = io->private_data;
  const uint64_t at = position(device);
  const int is_playback = io->stream == SND_PCM_STREAM_PLAYBACK;
  uint64_t expirations, avail;
  (void)count;
  if (descriptors[0].revents & POLLIN && read(io->poll_fd, &expirations, sizeof expirations) < 0) expirations = 0;
  avail = is_playback ? io->buffer_size + at - device->moved : at - device->moved;
  *revents = 0;
  if (avail >= device->avail_min) *revents = is_playback ? POLLOUT : POLLIN;
  if (is_gone(device)) *revents = POLLERR;
  return 0;
}

static int on_close(snd_pcm_ioplug_t* io) {
  device_t* device = io->private_data;
  if (device->file != NULL) fclose(device->file);
  if (device->lock >= 0) close(device->lock);
  if (io->poll_fd >= 0) close(io->poll_fd);
  free(device->outfile);
  free(device);
  return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = on_start,
    .stop = on_stop,
    .pointer = on_pointer,
    .transfer = on_transfer,
    .close = on_close,
    .prepare = on_prepare,
    .sw_params = on_sw_params,
    .poll_revents = on_poll_revents,
};

static int set_limits(device_t* device) {
  snd_pcm_ioplug_t* io = &device->io;
  const unsigned access[] = {SND_PCM_ACCESS_MMAP_INTERLEAVED, SND_PCM_ACCESS_RW_INTERLEAVED};
  const unsigned format = SND_PCM_FORMAT_S16_LE;
  const unsigned rate = (unsigned)device->rate;
  int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
  if (error >= 0) error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
  if (error >= 0) error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_RATE, 1, &rate);
  if (error >= 0) error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, 2);
  if (error >= 0) error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 240, 16384);
  if (error >= 0) error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 960, 131072);
  if (error >= 0) error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
  return error;
}

static int read_setting(device_t* device, const char* id, snd_config_t* value, const char** path, const char** lock,
                        snd_pcm_stream_t stream) {
  if (strcmp(id, "comment") == 0 || strcmp(id, "type") == 0 || strcmp(id, "hint") == 0) return 0;
  if (strcmp(id, "infile") == 0) {
    return stream == SND_PCM_STREAM_CAPTURE ? snd_config_get_string(value, path) : 0;
  }
  if (strcmp(id, "outfile") == 0) {
    return stream == SND_PCM_STREAM_PLAYBACK ? snd_config_get_string(value, path) : 0;
  }
  if (strcmp(id, "lockfile") == 0) return snd_config_get_string(value, lock);
  if (strcmp(id, "rate") == 0) return snd_config_get_integer(value, &device->rate);
  if (strcmp(id, "ppm") == 0) return snd_config_get_integer(value, &device->ppm);
  if (strcmp(id, "gone_after_ms") == 0) return snd_config_get_integer(value, &device->gone_after_ms);
  return -EINVAL;
}

static int open_files(device_t* device, const char* path, const char* lock, snd_pcm_stream_t stream) {
  if (path == NULL) return -ENODEV;
  if (lock != NULL) {
    device->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (device->lock < 0 || flock(device->lock, LOCK_EX | LOCK_NB) != 0) return -EBUSY;
  }
  if (stream == SND_PCM_STREAM_PLAYBACK) {
    device->outfile = strdup(path);
  } else {
    device->file = fopen(path, "re");
    if (device->file == NULL) return -errno;
  }
  device->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return device->io.poll_fd < 0 ? -errno : 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(earshot_test) {
  const char* path = NULL;
  const char* lock = NULL;
  snd_config_iterator_t i, next;
  int error = 0;
  device_t* device = calloc(1, sizeof *device);
  (void)root;
  if (device == NULL) return -ENOMEM;
  device->lock = device->io.poll_fd = -1;
  device->rate = 48000;
  device->avail_min = 1;
  snd_config_for_each(i, next, conf) {
    snd_config_t* value = snd_config_iterator_entry(i);
    const char* id = "";
    if (snd_config_get_id(value, &id) < 0) continue;
    if (error >= 0) error = read_setting(device, id, value, &path, &lock, stream);
  }
  if (error >= 0) error = open_files(device, path, lock, stream);
  if (error < 0) {
    on_close(&(snd_pcm_ioplug_t){.private_data = device, .poll_fd = device->io.poll_fd});
    return error;
  }
  device->io.version = SND_PCM_IOPLUG_VERSION;
  device->io.name = "Earshot test device";
  device->io.callback = &callbacks;
  device->io.private_data = device;
  device->io.poll_events = POLLIN;
  error = snd_pcm_ioplug_create(&device->io, name, stream, mode);
  if (error < 0) {
    on_close(&device->io);
    return error;
  }
  error = set_limits(device);
  if (error < 0) {
    snd_pcm_ioplug_delete(&device->io);
    return error;
  }
  *pcmp = device->io.pcm;
  return 0;
}

SND_PCM_PLUGIN_SYMBOL(earshot_test);
