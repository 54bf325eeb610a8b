// Every fixed bound of the relay, each with its arithmetic. Any thread.
// What an operator may change is a configuration key (config/relay.toml); what stands here is part
// of the design.
#pragma once

#include <cstddef>
#include <cstdint>

#include "relay/base/time.h"

namespace earshot::limits {

// --- Workers, slots, channels -------------------------------------------------------------------

// 6 bits of the SSRC.
inline constexpr std::size_t workers_max = 64;
// 1,300 listeners at 3 speakers of 50 packets/s are 195,000 packets/s, what one core sends at best;
// most sessions are silent, so six times as many fit. At most 4 KiB each: 32 MiB a worker.
inline constexpr std::size_t sessions_per_worker_max = 8'192;
// Participants of a spread channel that live on other workers: two full workers' worth, 64 B each
// (1 MiB).
inline constexpr std::size_t remote_slots_per_worker_max = 16'384;
// A channel index is valid on every worker; one participant a channel on two full workers needs
// 16,384. 64 B each: 2 MiB a worker.
inline constexpr std::size_t channels_max = 32'768;
// One worker seals about 400,000 packets/s: 1,024 listeners x 8 speakers x 50 packets/s. Default
// and upper bound of media.channel_participants_per_worker_max.
inline constexpr std::size_t channel_participants_per_worker_max = 1'024;
// Speakers heard at once: more than 32 voices are noise. Upper bound of media.channel_speakers_max.
inline constexpr std::size_t channel_speakers_max = 64;
// Copies of one packet to links (10 node bits, but a service has tens of nodes).
inline constexpr std::size_t links_max = 64;
static_assert(sessions_per_worker_max <= 65'536, "16 bits of the SSRC name the slot");
static_assert(channel_participants_per_worker_max <= sessions_per_worker_max);

// --- Datagrams ----------------------------------------------------------------------------------

// Ethernet's MTU. The largest Opus packet (RFC 6716 s3.4: 1,275 bytes) plus header 12, tag 16,
// counter 4 is 1,307.
inline constexpr std::size_t datagram_size_max = 1'500;
// What a client receives in front of and behind a payload: header 12, tag 16, counter 4.
inline constexpr std::size_t media_overhead = 32;
// One call of the core emits at most this many datagrams.
inline constexpr std::size_t fanout_datagrams_max = channel_participants_per_worker_max + links_max;
// An outbox takes one full fan-out and half as much again of small ones before it must be flushed.
inline constexpr std::size_t outbox_datagrams_max = 2'048;
inline constexpr std::size_t outbox_bytes_max = 2 * fanout_datagrams_max * datagram_size_max;
static_assert(outbox_datagrams_max >= fanout_datagrams_max);
// recvmmsg takes 64 at a time: 64 x 1,500 B stay in L2, and 64 packets at 0.5 us are 32 us of delay
// at most.
inline constexpr std::size_t receive_batch_max = 64;
// The kernel's own bound for one sendmmsg (UIO_MAXIOV).
inline constexpr std::size_t send_batch_max = 1'024;
// 4 MiB hold about 10,000 voice datagrams with the kernel's overhead: 200 ms at 50,000 packets/s.
inline constexpr int socket_buffer_bytes = 4 << 20;

// --- Between threads ----------------------------------------------------------------------------

// Packets one worker may have under way to another: 1,024 x 1.5 KiB, 20 ms at 50,000 packets/s.
inline constexpr std::size_t packet_inbox_credit = 1'024;
inline constexpr std::size_t command_inbox_credit = 1'024;
inline constexpr std::size_t event_inbox_credit = 1'024;
// Commands a worker takes in one cycle: 64 x about 2 us, so that voice never waits longer than that
// for them.
inline constexpr std::size_t commands_per_cycle_max = 64;

// --- A participant's budget ---------------------------------------------------------------------

// 50 packets/s at 20 ms frames, 100 at 10 ms, and a margin; three seconds deep, so that a backlog
// reaches the late step.
inline constexpr std::int64_t packets_per_second_max = 120;
inline constexpr std::int64_t packet_bucket_depth = 3 * packets_per_second_max;
// A speaker counts as active this long after its last packet.
inline constexpr Duration speaker_active = milliseconds(500);
// A participant's return address moves at most this often.
inline constexpr Duration address_move_interval = seconds(1);
// Opens for a source that is not the slot's: a moved client needs one; 20 packets/s a source and
// 10,000 a worker, 0.5 us each, are 0.5 % of a core. One address (IPv6: one /64), whatever its
// ports and whomever it claims to be, takes at most a tenth, so that it leaves room for those who
// moved.
inline constexpr std::int64_t foreign_opens_per_source_per_second = 20;
// Deep enough for the second in which the return address may not move again.
inline constexpr std::int64_t foreign_opens_per_source_depth = 2 * packets_per_second_max;
inline constexpr std::int64_t foreign_opens_per_address_per_second = 1'000;
inline constexpr std::int64_t foreign_opens_per_address_depth = 500;
inline constexpr std::int64_t foreign_opens_per_worker_per_second = 10'000;
inline constexpr std::int64_t foreign_opens_per_worker_depth = 1'000;
static_assert(foreign_opens_per_address_depth < foreign_opens_per_worker_depth);
// When all of that is used up there is this much more for who has only changed its port: its
// address is the slot's last one, or the signalling peer's, which a flood of any sources has not.
inline constexpr std::int64_t foreign_opens_reserved_per_second = 2'000;
inline constexpr std::int64_t foreign_opens_reserved_depth = 500;
// IP discovery: clients ask once. Replies a second to one (slot, source), to one address (IPv6: one
// /64) for all slots, and to all sources that are no signalling peer.
inline constexpr std::int64_t discovery_replies_per_source_per_second = 2;
inline constexpr std::int64_t discovery_replies_per_address_per_second = 100;
inline constexpr std::int64_t discovery_replies_per_address_depth = 50;
inline constexpr std::int64_t discovery_replies_per_worker_per_second = 1'000;
inline constexpr std::int64_t discovery_replies_per_worker_depth = 100;
static_assert(discovery_replies_per_address_depth < discovery_replies_per_worker_depth);
inline constexpr int discovery_replies_free_per_family = 3;
// To an address that nobody has proven to be theirs: 40 speakers' worth, and 8 sessions, whatever
// workers they are on. 16,384 such addresses at a time share next to no cell: 16 B each, 256 KiB.
inline constexpr std::int64_t unproven_packets_per_second = 2'000;
inline constexpr std::int64_t unproven_packets_depth = unproven_packets_per_second / 4;
inline constexpr std::size_t unproven_addresses_max = 16'384;
inline constexpr std::size_t unproven_sessions_per_ip = 8;
// Sources remembered for each of these budgets: 4,096 x 16 B.
inline constexpr std::size_t source_budgets_max = 4'096;

// --- Nonces (design: one key for both directions) -----------------------------------------------

// The relay's own counter: 30 bits between two set bits.
inline constexpr std::uint32_t nonce_space = 1u << 30;
// Packets after which the byte order of a client's counter is decided.
inline constexpr std::uint32_t nonce_learning_packets = 300;
// A fresh key is asked for this many packets before a client reaches a used range or a counter runs
// out: 22 minutes.
inline constexpr std::uint32_t nonce_margin = 1u << 16;
// The relay moves its counter away when the client is this close: 5.8 hours of speech.
inline constexpr std::uint32_t nonce_near = 1u << 20;
// Ranges of its own counter a session remembers; one is added per move.
inline constexpr std::size_t nonce_ranges_max = 8;
// A restored session skips this many counters (about 11 minutes at 1,600 packets/s).
inline constexpr std::uint32_t nonce_restore_skip = 1u << 20;
// RFC 6479 window: 1,024 packets, 20 s of speech, 128 bytes.
inline constexpr std::size_t replay_window_bits = 1'024;

// --- Signalling ---------------------------------------------------------------------------------

inline constexpr Duration heartbeat_interval = milliseconds(13'750);
inline constexpr int heartbeats_missed_max = 3;
inline constexpr Duration resume_window = seconds(60);
// How often the controller looks at deadlines: 10,000 sessions at 0.1 us are 0.4 % of a core.
inline constexpr Duration sweep_interval = milliseconds(250);
inline constexpr Duration handshake_time_max = seconds(10);
inline constexpr Duration identify_time_max = seconds(15);
// Between Ready and Select Protocol; one library hangs in discovery for 30 s and recovers.
inline constexpr Duration select_protocol_time_max = seconds(60);
static_assert(select_protocol_time_max > seconds(35));
inline constexpr std::size_t message_size_max = 16 * 1'024;
inline constexpr int json_depth_max = 32;
inline constexpr std::int64_t messages_per_second_max = 60;
// What a client may leave unread: a resume's 64 KiB and as much again.
inline constexpr std::size_t send_queue_bytes_max = 256 * 1'024;
// Participants that a newcomer hears of before its socket has taken the last ones: their messages,
// 320 B each with the longest ids, are less than a sixth of the send queue.
inline constexpr std::size_t introductions_per_part = 128;
static_assert(introductions_per_part * 320 * 6 <= send_queue_bytes_max);
inline constexpr std::size_t resume_messages_max = 256;
inline constexpr std::size_t resume_bytes_max = 64 * 1'024;
inline constexpr std::size_t http_header_bytes_max = 16 * 1'024;
inline constexpr std::size_t http_headers_max = 64;
inline constexpr std::size_t id_size_max = 64;
inline constexpr std::size_t token_size_max = 4 * 1'024;
inline constexpr int accepts_per_turn_max = 16;
// 435 us each: 64 under way keep the controller busy for 28 ms at most.
inline constexpr int handshakes_max = 64;

// --- The application's side ---------------------------------------------------------------------

// Users that are muted or deafened, there or not: 200 B each, 13 MiB.
inline constexpr std::size_t restraints_max = 65'536;
// Who is moved gets this long to come to its new channel.
inline constexpr Duration move_time_max = seconds(10);

// --- Events for the application -----------------------------------------------------------------

// About 320 bytes each: 50 minutes of a node with 20 events/s, 50 s of one with 1,000.
inline constexpr std::size_t events_kept_max = 65'536;
inline constexpr std::size_t event_bytes_kept_max = 16 << 20;
// The largest holds a token and ids.
inline constexpr std::size_t event_size_max = 16 * 1'024;
// An event that holds a token is kept only as long as somebody who lost the connection needs to
// come back.
inline constexpr Duration event_secret_kept = seconds(60);
// Matching and sealing for one stream takes about 5 us: 1,000 events/s to 64 streams take a third
// of the controller at worst; what happens in one turn of the loop is sealed as one.
inline constexpr std::size_t event_subscribers_max = 64;
// 64 KiB for each round trip are 640 KB/s at 100 ms: twice what 1,000 events/s need.
inline constexpr std::size_t event_queue_bytes = 64 * 1'024;
static_assert(event_queue_bytes + 2 * event_size_max + 4'096 <= send_queue_bytes_max,
              "a piece and the last word fit");
static_assert(event_bytes_kept_max > 2 * event_size_max);
inline constexpr Duration event_ping_interval = seconds(15);
// Who has not taken what was queued for it by then reads nothing, or less than 2 KiB/s.
inline constexpr Duration event_read_time_max = seconds(30);
// Streams of a node that stops end when nothing has happened for so long.
inline constexpr Duration event_stop_quiet = milliseconds(500);
// Wrong API keys of one address within that time; a mistyped key is noticed long before. An entry
// takes about 100 bytes: 400 KiB for all.
inline constexpr std::size_t wrong_keys_per_address_max = 20;
inline constexpr Duration wrong_keys_memory = seconds(60);
inline constexpr std::size_t wrong_keys_addresses_max = 4'096;

// --- Tokens -------------------------------------------------------------------------------------

inline constexpr Duration token_lifetime_max = seconds(3'630);
inline constexpr Duration token_leeway = seconds(30);
// The same token may Identify again this long after a close that asks for it, whatever `exp` says.
inline constexpr Duration token_grace = seconds(60);

// --- Recordings ---------------------------------------------------------------------------------

// Kept without a folder, each up to 32 MiB a worker: enough to be fetched.
inline constexpr std::size_t recordings_in_memory_max = 2;

}  // namespace earshot::limits
