// `earshot talk`: its options. What it does is talk_conversation's business.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "tools/earshot/command.h"
#include "tools/earshot/talk_conversation.h"

namespace earshot::tools {
namespace {

using Options = TalkOptions;

void add_device_options(CLI::App& app, const std::shared_ptr<Options>& options) {
  const char* const group = "Microphone and loudspeaker";
  CLI::Option* mic =
      app.add_option_function<std::string>(
             "--mic", [options](const std::string& device) { options->microphone = device; },
             "Speak into a microphone: the default one, or a device by its number or a part of its "
             "name. You talk while you want to, not all the time: see the next options")
          ->expected(0, 1)
          ->type_name("[DEVICE]")
          ->excludes("--play")
          ->group(group);
  app.add_option_function<std::string>(
         "--speaker", [options](const std::string& device) { options->loudspeaker = device; },
         "Hear the others from a loudspeaker; DEVICE as with --mic")
      ->expected(0, 1)
      ->type_name("[DEVICE]")
      ->group(group);
  CLI::Option* push =
      app.add_option_function<std::string>(
             "--push-to-talk",
             [options](const std::string& how) {
               options->talk_mode =
                   how == "hold" ? client::TalkMode::hold : client::TalkMode::toggle;
             },
             "This is how --mic works unless --open-mic is given. toggle: the space bar switches "
             "the microphone on, and off again. hold: it is on while you hold the space bar. A "
             "terminal does not tell when a key is released, only that it repeats itself, so hold "
             "lets go a quarter of a second late, and needs a keyboard that repeats")
          ->check(CLI::IsMember({"toggle", "hold"}))
          ->needs(mic)
          ->group(group);
  CLI::Option* open =
      app.add_flag_function(
             "--open-mic", [options](std::int64_t) { options->talk_mode = client::TalkMode::open; },
             "No key: the microphone is on while it is louder than --threshold. With --speaker and "
             "without --headphones it is off while others are heard, so that they do not hear "
             "themselves: you cannot interrupt them")
          ->needs(mic)
          ->excludes(push)
          ->group(group);
  app.add_option("--threshold", options->threshold, "For --open-mic, in dBFS")
      ->check(CLI::Range(-100.0, 0.0))
      ->capture_default_str()
      ->needs(open)
      ->group(group);
  app.add_flag("--headphones", options->has_headphones,
               "What --speaker plays does not reach the microphone. Without it a loudspeaker is "
               "taken for granted: it is silent while you talk, as there is no echo canceller")
      ->group(group);
}

}  // namespace

Command make_talk_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand("talk", "Join a channel, speak and listen");
  CLI::Option* endpoint =
      app->add_option("--endpoint", options->endpoint, "The node's voice gateway, HOST:PORT")
          ->required();
  app->add_option("--ca", options->ca,
                  "PEM file with the authority to trust (default: the system's)");
  CLI::Option* token =
      app->add_option("--token", options->token, "Join token; it names user, server and channel")
          ->required();
  app->add_option(
      "--play", options->play,
      "What to say: FILE.ogg, FILE.wav, tone:HZ, silence, or - for s16le 48 kHz mono on "
      "standard input. Leaves when it is said, unless --listen, --record, --speaker or "
      "--seconds is given");
  app->add_option("--listen", options->listen,
                  "-: write what is heard to standard output, s16le 48 kHz mono")
      ->check(CLI::IsMember({"-"}));
  app->add_option("--record", options->record, "Folder for a file per speaker and mixed.wav");
  app->add_option("--record-format", options->record_format, "wav, or ogg for the packets as sent")
      ->check(CLI::IsMember({"wav", "ogg"}))
      ->capture_default_str();
  app->add_option("--seconds", options->seconds, "Leave this long after joining")
      ->check(CLI::Range(0.0, 1e7));
  app->add_option("--mode", options->mode, "Encryption mode (default: the relay's first)")
      ->check(CLI::IsMember({"gcm", "xchacha"}));
  app->add_option("--gateway-version", options->version, "4 to 8, or 0 to name none")
      ->check(CLI::IsMember({0, 4, 5, 6, 7, 8}))
      ->capture_default_str();
  app->add_option("--media-endpoint", options->media,
                  "Send media there instead of where the relay says, ADDRESS:PORT");
  app->add_flag("--json", options->json, "Print the summary as JSON");
  add_device_options(*app, options);
  app->add_flag_callback(
         "--list-devices",
         [options, endpoint, token] {
           options->lists_devices = true;
           endpoint->required(false);
           token->required(false);
         },
         "Show the devices for --mic and --speaker, and leave")
      ->group("Microphone and loudspeaker");
  return {app, [options] {
            return options->lists_devices ? list_devices(options->json) : talk(*options);
          }};
}

}  // namespace earshot::tools
