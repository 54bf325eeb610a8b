// A whole service on a virtual clock, seeded: one relay node for now, its participants, the
// networks between them, and what goes wrong. The relay's part is the real code; everything else
// follows from one number.
//
//    person 0..23: client that seals, counts, speaks, stalls, floods   (person.*)
//      |  uplink, downlink: delay, jitter, loss, stalls ...            (tools/replay/network)
//      |  signalling: a delay, in order
//   +--v---------------------------------------------------------------------------------------+
//   | site                                                                                     |
//   |  Control (control.*)                        Node (node.*)                                |
//   |   REAL relay/control/membership, commands    worker 0..2, each: socket buffer with stamps|
//   |   model of sessions and keying     commands  of a wall clock that steps (REAL clock)     |
//   |   (worker_group.cpp stands in  ----------->  REAL earshot::Core, REAL Inbox with credit  |
//   |   for threads and sockets)     <-----------  duty cycles, stalls, wrong steering         |
//   |                                   events       |            ^ opened packets, hand-overs |
//   |                                                v            |                            |
//   |                     Invariants (invariants.*): every call of every core is judged, by    |
//   |                     what the simulation itself knows (life.*), with a second late-frame  |
//   |                     policy (lateness_reference.*); mutation.h breaks things on purpose   |
//   +------------------------------------------------------------------------------------------+
//
// Time passes in rounds: a storm, in which faults come at the rates of plan.h; then everything
// heals, and within recovery_max all must hear all (a roll call), and the books must agree.
// Another node is another site; what a link carries would go from Node to Node as it goes from
// worker to worker. One thread. A failure throws Violation.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "tests/sim/control.h"
#include "tests/sim/invariants.h"
#include "tests/sim/node.h"
#include "tests/sim/person.h"
#include "tests/sim/plan.h"

namespace earshot::sim {

// From the end of all faults to the roll call. The longest of it: a client that asks for its
// address up to ten times, and a rate that was used up (3 s).
constexpr Duration recovery_max = seconds(6);

struct WorldOptions {
  std::uint64_t seed = 1;
  Duration length = seconds(30);
  Mutation mutation = Mutation::none;
};

struct Totals {
  std::int64_t participant_ns = 0;  // of live sessions
  std::array<std::uint64_t, faults_count> faults{};
  Counters counters;
  NodeCounts node;
  std::uint64_t copies = 0;  // judged
  std::uint64_t roll_calls = 0;
  std::uint64_t fresh_keys = 0;
  replay::PathCounts uplinks;
  std::uint64_t hash = 0;

  void add(const Totals& other);
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // Throws Violation.
  void run();
  Totals totals() const;
  const Plan& plan() const { return plan_; }
  Time began() const { return began_; }
  Time now() const { return schedule_.now(); }
  const Journal& journal() const { return journal_; }

 private:
  struct Site;

  // Rounds.
  void storm(Time until);
  void calm();
  void announce();
  void call_roll();
  void judge_roll();
  // What found no room or no credit.
  std::uint64_t lost_by_node() const;
  void judge_roll_of(const Person& person);
  void run_until(Time when);

  // Joining and leaving (world_sessions.cpp).
  void enter(Person& person);
  void go(Person& person, Duration away, ChannelName to);
  void on_ready(Life& life);
  void on_description(Life& life);
  void ask_for_address(std::uint64_t person);
  void select(Person& person);
  Endpoint new_address(Person& person, bool has_new_ip);
  void take_address(Person& person, const Endpoint& address);
  KeyChoice draw_key(const Person& person);

  // Speech and the network.
  void begin_spurt(std::uint64_t argument);
  void speak(std::uint64_t argument);
  void say(Person& person, bool is_silence, PacketKind kind = PacketKind::voice);
  void pause(Person& person);
  void keep_alive(std::uint64_t person);
  void send(Person& person, const Packet& packet);
  void send_from_anywhere(const Packet& packet);
  void arrive(std::uint64_t packet);
  void transmit(const Emission& datagram, WorkerIndex worker);
  void transmit_reply(Person& person, const Emission& datagram);
  void hear(Person& person, Life& listener, const Emission& datagram);
  void set_network(Person& person, bool is_calm);

  // Faults (world_faults.cpp).
  void plan_fault();
  void on_fault(std::uint64_t round);
  void befall(Fault fault);
  void befall_session(Fault fault, Person& person);
  void befall_client(Fault fault, Person& person);
  void befall_node(Fault fault);
  void attack(Fault fault, Person& person);
  void send_garbage(Person& person);
  void spoof();
  Person* anybody_live();

  WorldOptions options_;
  Plan plan_;
  Schedule schedule_;
  Journal journal_;
  replay::Random random_;
  Lives lives_;
  Time began_;
  std::unique_ptr<Site> site_;
  std::vector<std::unique_ptr<Person>> people_;
  std::map<Endpoint, PersonIndex> by_address_;
  PacketPool packets_;
  std::vector<Time> arrivals_;
  double fault_rate_ = 0;  // a second, all kinds together
  std::uint64_t round_ = 0;
  bool is_storm_ = false;
  bool is_roll_call_ = false;
  Time calm_at_;
  std::uint64_t lost_before_roll_ = 0;
  std::uint64_t unheard_left_ = 0;
  struct Called {
    Life* life = nullptr;
    std::uint32_t first_frame = 0;
    std::uint32_t frames_count = 0;
  };
  std::vector<Called> called_;
  std::uint16_t next_port_ = 1'024;
  std::uint32_t next_ip_ = 0;
  Totals totals_;
};

}  // namespace earshot::sim
