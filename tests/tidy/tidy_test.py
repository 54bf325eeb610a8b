#!/usr/bin/env python3
"""Breaks each rule of tidy.py in a small tree of its own, and expects exactly that violation."""

import os
import tempfile
import unittest

import tidy

COUNTERS = """enum class Counter : std::uint8_t {
  received,  // datagrams, from the socket
  accepted,
  count
};
constexpr std::array<std::string_view, counters_count> counter_names{"received", "accepted"};
"""
REASONS = """enum class DropReason : std::uint8_t {
  none,  // go on
  stale,
  late,  // too late
  count
};
constexpr std::array<std::string_view, n> drop_reason_names{"none", "stale",
                                                           "late"};
"""
OPERATIONS = """| counter | |
|---|---|
| `received` | datagrams |
| `accepted` | packets |

| reason | |
|---|---|
| `stale` | waited |
| `late` | behind |

`elsewhere` is no counter.
"""
GOOD = {
    "relay/base/time.h": "#pragma once\n#include <cstdint>\n",
    "relay/base/address.cpp": '#include "relay/base/time.h"\n',
    "relay/observe/counters.h": COUNTERS,
    "relay/observe/drop_reason.h": REASONS,
    "relay/core/command.h": '#include "relay/base/time.h"\n#include "crypto/keys.h"\n',
    "relay/core/core.cpp": '#include "relay/observe/counters.h"\n#include "relay/core/core.h"\n',
    "relay/core/core.h": '#include "relay/observe/drop_reason.h"\n',
    "relay/control/controller.cpp": '#include "relay/core/command.h"\n#include <toml++/toml.h>\n',
    "crypto/keys.h": "#include <sodium.h>\n",
    "tools/client/talk.cpp": '#include "relay/core/core.h"\n#include <nlohmann/json.hpp>\n',
    "tests/CMakeLists.txt": "foreach(library base core)\n",
    "tests/unit/base/time_test.cpp": '#include "relay/base/time.h"\n',
    "tests/fuzz/core/calls_fuzz.cpp": "",
    "tests/fuzz/core/corpus/calls/first": "x",
    "docs/operations.md": OPERATIONS,
    "config/relay.toml": "",
}


class TidyTest(unittest.TestCase):
    def check(self, changes, expected):
        """The good tree with these files changed (None: left out) has exactly these violations."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **changes}.items():
                if text is None:
                    continue
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(tidy.violations(root), expected)

    def test_a_good_tree(self):
        self.check({}, [])

    def test_arrows(self):
        rows = (
            ("relay/base/a.cpp", "relay/observe/counters.h", "relay/base"),
            ("relay/core/a.cpp", "relay/io/clock.h", "relay/core"),
            ("relay/io/a.cpp", "relay/core/core.h", "relay/io"),
            ("relay/io/a.cpp", "crypto/keys.h", "relay/io"),
            ("relay/gateway/a.cpp", "relay/core/core.h", "relay/gateway"),
            ("relay/control/a.cpp", "relay/core/core.h", "relay/control"),
            ("relay/main.cpp", "codec/opus.h", "relay/main.cpp"),
            ("relay/worker/a.cpp", "tools/client/a.h", "relay/worker"),
            ("crypto/a.cpp", "relay/base/time.h", "crypto"),
            ("codec/a.cpp", "crypto/keys.h", "codec"),
            ("tools/client/a.cpp", "tests/support/a.h", "tools"),
        )
        for path, header, entry in rows:
            with self.subTest(path=path, header=header):
                # The header exists, and somebody who may includes it.
                self.check({header: GOOD.get(header, ""), path: f'\n#include "{header}"\n',
                            "tests/support/a.cpp": f'#include "{header}"\n'},
                           [f"{path}:2: {entry} may not include {header}"])

    def test_an_arrow_in_angle_brackets(self):
        self.check({"relay/base/a.cpp": "#include <relay/core/core.h>\n"},
                   ["relay/base/a.cpp:1: relay/base may not include relay/core/core.h"])

    def test_a_folder_without_an_arrow(self):
        self.check({"relay/new/a.cpp": ""},
                   ["relay/new/a.cpp: no arrow says what this folder may include (tests/tidy/tidy.py)"])

    def test_an_include_that_hides_its_folder(self):
        self.check({"relay/base/a.cpp": '#include "time.h"\n'},
                   ['relay/base/a.cpp:1: "time.h" is not a path from the root'])

    def test_libraries(self):
        for path, header in (("relay/core/a.cpp", "sodium.h"), ("relay/wire/a.cpp", "uv.h"),
                             ("relay/control/a.cpp", "openssl/ssl.h"),
                             ("relay/base/a.cpp", "toml++/toml.h")):
            with self.subTest(path=path):
                self.check({path: f"#include <{header}>\n"},
                           [f"{path}:1: {os.path.dirname(path)} may not use <{header}>"])

    def test_dead_headers(self):
        self.check({"relay/base/forgotten.h": ""}, ["relay/base/forgotten.h: nobody includes it"])

    def test_counters_without_documentation(self):
        self.check({"docs/operations.md": OPERATIONS.replace("| `accepted` | packets |\n", "")},
                   ["docs/operations.md: Counter::accepted is missing from the table of `counter`"])
        self.check({"docs/operations.md": OPERATIONS.replace("`late`", "late")},
                   ["docs/operations.md: DropReason::late is missing from the table of `reason`"])
        self.check({"docs/operations.md": None}, [])

    def test_documentation_of_what_is_gone(self):
        self.check({"docs/operations.md": OPERATIONS.replace("| `late`", "| `gone` | |\n| `late`")},
                   ["docs/operations.md: `gone` stands in the table of `reason`, and nowhere else"])

    def test_names_in_another_order(self):
        self.check({"relay/observe/drop_reason.h": REASONS.replace('"none", "stale"',
                                                                   '"stale", "none"')},
                   ["relay/observe/drop_reason.h: drop_reason_names does not name the values of "
                    "DropReason in their order"])
        self.check({"relay/observe/counters.h": "int x;\n"},
                   ["relay/observe/counters.h: enum class Counter was not found"])

    def test_events(self):
        with_event = OPERATIONS + "\n| event | |\n|---|---|\n| `node_started` | info |\n"
        logs = 'log::info("node_started");\nlog::warn(\n    "other", {});\n'
        self.check({"relay/control/a.cpp": logs, "docs/operations.md": with_event},
                   ["docs/operations.md: event other (relay/control/a.cpp) is missing from the table "
                    "of `event`"])
        self.check({"docs/operations.md": with_event},
                   ["docs/operations.md: `node_started` stands in the table of `event`, and nowhere "
                    "else"])

    def test_named_tests(self):
        path = "docs/threat-model.md"
        test = {"tests/unit/base/time_test.cpp": 'TEST_CASE(\n    "one, and "\n    "two") {}\n'}
        named = '| x | `tests/unit/base/time_test.cpp` "%s" |\n'
        self.check({**test, path: named % "one, and two"}, [])
        self.check({**test, path: named % "three"},
                   [f'{path}: tests/unit/base/time_test.cpp has no test "three"'])
        self.check({**test, path: "`tests/unit/base/time_test.cpp`\n"},
                   [f"{path}: which test of tests/unit/base/time_test.cpp?"])
        self.check({path: "`tests/gone.py`\n"}, [f"{path}: tests/gone.py does not exist"])

    def test_reminders(self):
        word = "TO" + "DO"
        for path in ("relay/base/a.cpp", "tools/run", "tests/unit/base/time_test.cpp",
                     "docs/a.md"):
            with self.subTest(path=path):
                self.check({path: f"// {word}: later\n"},
                           [f"{path}:1: a reminder without a number, as in (#12)"])
        self.check({"relay/base/a.cpp": f"// {word}(#12): later\n"}, [])

    def test_sizes(self):
        self.check({"relay/base/a.cpp": "\n" * 600}, [])
        self.check({"relay/base/a.cpp": "\n" * 601},
                   ["relay/base/a.cpp: 601 lines, more than 600: it has more than one job"])

    def test_tests_that_nobody_builds(self):
        for path in ("tests/unit/wire/rtp_test.cpp", "tests/unit/base/time_tests.cpp",
                     "tests/property/base/deeper/a_test.cpp", "tests/fuzz/core/calls_test.cpp"):
            with self.subTest(path=path):
                self.check({path: ""}, [f"{path}: tests/CMakeLists.txt does not build it"])

    def test_corpora(self):
        self.check({"tests/fuzz/core/other_fuzz.cpp": ""},
                   ["tests/fuzz/core/other_fuzz.cpp: it has no corpus"])
        self.check({"tests/fuzz/core/corpus/other/x": ""},
                   ["tests/fuzz/core/corpus/other: it has no target"])


if __name__ == "__main__":
    unittest.main()
