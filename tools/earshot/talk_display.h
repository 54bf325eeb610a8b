// Where a conversation's messages and level meters go: the meters in place on a terminal, the
// messages above them. Main thread only. What the meters look like is talk_screen's business.
#pragma once

#include <cstdio>
#include <string>

#include "tools/earshot/live_text.h"
#include "tools/earshot/talk_screen.h"

namespace earshot::tools {

class TalkDisplay {
 public:
  // Meters on standard output, if it is a terminal and they are wanted.
  TalkDisplay(std::FILE* messages, bool wants_meters);

  bool has_meters() const { return has_meters_; }
  // One line.
  void tell(const std::string& text);
  void show(const TalkScreen& screen);
  // Takes the meters away.
  void clear();

 private:
  std::FILE* messages_;
  LiveText text_;
  bool has_meters_;
};

}  // namespace earshot::tools
