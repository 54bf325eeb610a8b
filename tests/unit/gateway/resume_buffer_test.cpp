#include "relay/gateway/resume_buffer.h"

#include <doctest/doctest.h>

#include "relay/base/limits.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

const std::string message = R"({"op":13})";

std::string numbered(int sequence) {
  return R"({"op":13,"seq":)" + std::to_string(sequence) + "}";
}

}  // namespace

TEST_CASE("messages are numbered from 1 and come back in order") {
  ResumeBuffer buffer;
  CHECK(buffer.last_sequence() == 0);
  for (int i = 1; i <= 5; ++i) CHECK(buffer.add(message) == numbered(i));
  CHECK(buffer.last_sequence() == 5);
  CHECK(buffer.after(5)->empty());
  CHECK(*buffer.after(3) == std::vector{numbered(4), numbered(5)});
  for (const int nothing_read : {-1, 0}) CHECK(buffer.after(nothing_read)->size() == 5);
  for (const std::int64_t never_given : {std::int64_t{6}, std::int64_t{65'536 + 3}, INT64_MAX}) {
    CHECK(!buffer.after(never_given));
  }
}

TEST_CASE("nobody resumes over a message that is not kept") {
  ResumeBuffer buffer;
  buffer.add(message);
  CHECK(buffer.add_unkept(message) == numbered(2));
  buffer.add(message);
  CHECK(!buffer.after(-1));
  CHECK(!buffer.after(1));
  CHECK(*buffer.after(2) == std::vector{numbered(3)});
}

TEST_CASE("what is acknowledged is forgotten, and cannot be asked for again") {
  ResumeBuffer buffer;
  for (int i = 0; i < 5; ++i) buffer.add(message);
  buffer.acknowledge(3);
  CHECK(!buffer.after(-1));
  CHECK(!buffer.after(2));
  CHECK(*buffer.after(3) == std::vector{numbered(4), numbered(5)});
  buffer.acknowledge(2);   // an older one, again
  buffer.acknowledge(99);  // never given out
  buffer.acknowledge(-1);
  CHECK(buffer.after(3)->size() == 2);
  buffer.acknowledge(5);
  CHECK(buffer.after(5)->empty());
  CHECK(!buffer.after(4));
}

TEST_CASE("the oldest messages fall out at 256 messages") {
  ResumeBuffer buffer;
  for (std::size_t i = 0; i < limits::resume_messages_max; ++i) buffer.add(message);
  CHECK(buffer.after(-1)->size() == limits::resume_messages_max);
  buffer.add(message);
  CHECK(!buffer.after(-1));
  CHECK(!buffer.after(0));
  CHECK(buffer.after(1)->size() == limits::resume_messages_max);
}

TEST_CASE("the oldest messages fall out at 64 KiB") {
  ResumeBuffer buffer;
  const std::string large = R"({"d":")" + std::string(limits::resume_bytes_max / 4, 'x') + "\"}";
  for (int i = 0; i < 4; ++i) buffer.add(large);
  CHECK(!buffer.after(0));
  CHECK(buffer.after(1)->size() == 3);
  // One that is larger than the whole buffer leaves nothing behind.
  buffer.add(R"({"d":")" + std::string(limits::resume_bytes_max, 'x') + "\"}");
  CHECK(!buffer.after(4));
  CHECK(buffer.after(5)->empty());
  CHECK(buffer.add(message) == numbered(6));
  CHECK(buffer.after(5)->size() == 1);
}

TEST_CASE("numbers wrap from 65,535 to 1, never to 0") {
  ResumeBuffer buffer;
  for (int i = 0; i < 65'535; ++i) buffer.add(message);
  CHECK(buffer.last_sequence() == 65'535);
  CHECK(buffer.add(message) == numbered(1));
  CHECK(buffer.add(message) == numbered(2));
  CHECK(*buffer.after(65'534) == std::vector{numbered(65'535), numbered(1), numbered(2)});
  CHECK(*buffer.after(1) == std::vector{numbered(2)});
  buffer.acknowledge(1);
  CHECK(!buffer.after(65'535));
  CHECK(*buffer.after(1) == std::vector{numbered(2)});
}
