#include "tools/earshot/talk_display.h"

#include <unistd.h>

namespace earshot::tools {

TalkDisplay::TalkDisplay(std::FILE* messages, bool wants_meters)
    : messages_(messages), text_(STDOUT_FILENO), has_meters_(wants_meters && text_.is_terminal()) {}

void TalkDisplay::tell(const std::string& text) {
  clear();
  std::fprintf(messages_, "earshot talk: %s\n", text.c_str());
}

void TalkDisplay::show(const TalkScreen& screen) {
  if (!has_meters_) return;
  const TableStyle style{text_.columns(), text_.has_colors(), text_.has_unicode()};
  // The cursor stands below.
  text_.show(make_talk_screen(screen, style, text_.rows() - 1));
}

void TalkDisplay::clear() {
  if (has_meters_) text_.clear();
}

}  // namespace earshot::tools
