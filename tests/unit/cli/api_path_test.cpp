#include "tools/earshot/api_path.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace earshot::tools;

TEST_CASE("an id is one segment of a path, whatever it holds") {
  CHECK(percent_encoded("aZ09-._~") == "aZ09-._~");
  CHECK(percent_encoded("a/b%c d?#") == "a%2Fb%25c%20d%3F%23");
  CHECK(percent_encoded("\xc3\xa4") == "%C3%A4");
  CHECK(percent_encoded(".") == "%2E");
  CHECK(percent_encoded("..") == "%2E%2E");
  CHECK(percent_encoded("...") == "...");
  CHECK(participant_path("1", "a/b", "u%") == "/v1/servers/1/channels/a%2Fb/participants/u%25");
}

TEST_CASE("the API is a place, not a path") {
  CHECK(parse_api_url("https://127.0.0.1:8445").value() == "https://127.0.0.1:8445");
  CHECK(parse_api_url("https://[::1]:8445/").value() == "https://[::1]:8445");
  CHECK(parse_api_url("https://relay.example").value() == "https://relay.example");
  for (const char* text : {"", "127.0.0.1:8445", "http://127.0.0.1:8445", "https://", "https:///",
                           "https://a/v1", "https://a?x", "https://user@a", "https://a b"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_api_url(text));
  }
}

TEST_CASE("a configuration says where the API is") {
  const auto url = [](const std::string& listen) {
    return api_url_of_configuration("[admin]\nlisten = " + listen + "\n");
  };
  CHECK(api_url_of_configuration("").value() == "https://127.0.0.1:8445");
  CHECK(url(R"("127.0.0.1:9000")").value() == "https://127.0.0.1:9000");
  CHECK(url(R"(["[::1]:9000", "127.0.0.1:9001"])").value() == "https://[::1]:9000");
  CHECK(url(R"("0.0.0.0:9000")").value() == "https://127.0.0.1:9000");
  CHECK(url(R"("[::]:9000")").value() == "https://[::1]:9000");
  for (const char* listen : {R"("127.0.0.1:0")", "[]", "7", R"("nowhere")", "\"", R"([[]])"}) {
    CAPTURE(listen);
    CHECK_FALSE(url(listen));
  }
}

TEST_CASE("settings are numbers, or the default") {
  const auto settings = parse_settings({"late_ms_max=120", "speakers_max=default", "x=null"});
  CHECK(settings.value() ==
        nlohmann::json{{"late_ms_max", 120}, {"speakers_max", nullptr}, {"x", nullptr}});
  CHECK(parse_settings({"late_ms_max=-1"}).value() == nlohmann::json{{"late_ms_max", -1}});
  for (const char* text : {"late_ms_max", "=5", "late_ms_max=", "late_ms_max=5x", "late_ms_max=1.5",
                           "late_ms_max=99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_settings({text}));
  }
  CHECK_FALSE(parse_settings({"a=1", "a=2"}));
}
