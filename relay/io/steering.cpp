#include "relay/io/steering.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace earshot::io {

Result<void> steer_by_ssrc(int fd, std::size_t workers_count) {
  // The program sees the UDP payload. Jump offsets count from the next instruction.
  std::array<sock_filter, 19> program{{
      /* 0*/ BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      /* 1*/ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 12, 0, 16),  // shorter: worker 0
      /* 2*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
      /* 3*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 9, 0),  // IP discovery request: SSRC at 4
      /* 4*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      /* 5*/ BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xC0),
      /* 6*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xC0, 6, 0),   // link: u32 at 4
      /* 7*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x80, 0, 10),  // not version 2: worker 0
      /* 8*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
      /* 9*/ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 200, 0, 1),
      /*10*/ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 207, 0, 2),  // RTCP: sender at 4
      /*11*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8),           // RTP
      /*12*/ BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
      /*13*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
      /*14*/ BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
      /*15*/ BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 63),
      /*16*/ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, static_cast<std::uint32_t>(workers_count), 1, 0),
      /*17*/ BPF_STMT(BPF_RET | BPF_A, 0),
      /*18*/ BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) != 0) {
    return Error{std::string("cannot attach the steering program to the media port: ") +
                 std::strerror(errno)};
  }
  return {};
}

}  // namespace earshot::io
