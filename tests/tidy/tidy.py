#!/usr/bin/env python3
"""What people forget: checks of the source tree that no compiler makes.

usage: tidy.py ROOT

Prints one line for each violation and exits 1 if there was one. The rules stand in the tables
below; ARCHITECTURE.md, "Folders and their arrows", has the first one in words.
"""

import os
import re
import sys

# Who may include whom: a folder, or a single file of one. A folder may always include itself.
BASE = ["relay/base"]
CORE = BASE + ["relay/wire", "relay/observe", "crypto"]
ARROWS = {
    "relay/base": [],
    "crypto": [],
    "codec": [],
    "relay/wire": BASE,
    "relay/observe": BASE,
    "relay/core": CORE,
    "relay/io": BASE + ["relay/observe"],
    "relay/worker": CORE + ["relay/core", "relay/io"],
    "relay/gateway": CORE,
    # The controller decides and never touches a packet: of the packet path it sees the seams only.
    "relay/control": CORE + ["relay/gateway", "relay/worker", "relay/core/command.h",
                             "relay/core/event.h", "relay/core/slot_stats.h",
                             "relay/core/flight_dump.h", "relay/io/clock.h"],
    "relay/main.cpp": CORE + ["relay/gateway", "relay/worker", "relay/core", "relay/io",
                              "relay/control"],
    "tools": CORE + ["relay/gateway", "relay/worker", "relay/core", "relay/io", "relay/control",
                     "codec"],
}

# Which folders may see which library. A header that is not listed belongs to the standard library
# or to the system.
LIBRARIES = {
    "sodium.h": ["crypto"],
    "opus/": ["codec"],
    "ogg/": ["codec"],
    "portaudio.h": ["tools"],
    "uv.h": ["relay/worker", "relay/gateway", "relay/control", "relay/main.cpp", "tools"],
    "openssl/": ["relay/gateway"],
    "http_parser.h": ["relay/gateway"],
    "wslay/": ["relay/gateway"],
    "nlohmann/": ["relay/gateway", "relay/control", "tools"],
    "concurrentqueue/": ["relay/worker"],
    "prometheus/": ["relay/control"],
    "toml++/": ["relay/control", "tools"],
    "CLI/": ["relay/main.cpp", "tools"],
    "curl/": ["tools"],
    "pcap/": ["tools"],
}

LINES_MAX = 600  # of a file in relay/
SOURCES = ("relay", "crypto", "codec", "tools")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "corpus"}
TEXT_ENDINGS = (".h", ".cpp", ".py", ".sh", ".mjs", ".js", ".txt", ".cmake", ".toml", ".md", ".json")


class Tree:
    """The files of a source tree, by their path inside it."""

    def __init__(self, root):
        self.root = root

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def exists(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def files(self, folder):
        top = os.path.join(self.root, folder)
        for parent, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders
                                if f not in SKIPPED_FOLDERS and not f.startswith("."))
            for name in sorted(names):
                yield os.path.relpath(os.path.join(parent, name), self.root)

    def sources(self, *folders):
        for folder in folders:
            for path in self.files(folder):
                if path.endswith((".h", ".cpp")):
                    yield path


def home(path):
    """The entry of ARROWS that a file belongs to."""
    for entry in ARROWS:
        if path == entry or path.startswith(entry + "/"):
            return entry
    return None


def includes(text):
    """(line number, opening character, header) of every #include."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
        if found:
            yield number, found.group(1), found.group(2)


def check_arrows(tree):
    for path in tree.sources(*SOURCES):
        entry = home(path)
        if entry is None:
            yield f"{path}: no arrow says what this folder may include (tests/tidy/tidy.py)"
            continue
        for number, _, header in includes(tree.read(path)):
            if header.split("/")[0] not in SOURCES + ("tests",):
                continue
            allowed = ARROWS[entry] + [entry]
            if not any(header == a or header.startswith(a + "/") for a in allowed):
                yield f"{path}:{number}: {entry} may not include {header}"


def check_quoted_includes(tree):
    """Every own header by its path from the root, so that the arrows can be seen."""
    for path in tree.sources(*SOURCES, "tests"):
        for number, mark, header in includes(tree.read(path)):
            if mark == '"' and not tree.exists(header):
                yield f'{path}:{number}: "{header}" is not a path from the root'


def check_libraries(tree):
    for path in tree.sources(*SOURCES):
        for number, mark, header in includes(tree.read(path)):
            if mark != "<":
                continue
            for library, folders in LIBRARIES.items():
                if header == library or (library.endswith("/") and header.startswith(library)):
                    if home(path) not in folders:
                        yield f"{path}:{number}: {home(path)} may not use <{header}>"


def check_dead_headers(tree):
    used = set()
    for path in tree.sources(*SOURCES, "tests"):
        used.update(header for _, _, header in includes(tree.read(path)))
    for path in tree.sources(*SOURCES):
        if path.endswith(".h") and path not in used:
            yield f"{path}: nobody includes it"


def enumerators(text, name):
    body = re.search(r"enum class " + name + r"\b[^{]*\{(.*?)\};", text, re.S)
    if not body:
        return []
    without_comments = re.sub(r"//[^\n]*", "", body.group(1))
    names = [n.split("=")[0].strip() for n in without_comments.split(",")]
    return [n for n in names if n and n != "count"]


def labels(text, name):
    body = re.search(name + r"\s*\{(.*?)\};", text, re.S)
    return re.findall(r'"([^"]*)"', body.group(1)) if body else []


def documented(text, heading):
    """The names of a table whose first heading cell is `heading`."""
    names = []
    is_inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            is_inside = False
        elif cells[0] == heading:
            is_inside = True
        elif is_inside:
            names += re.findall(r"^`([^`]+)`", cells[0])
    return names


ENUMS = (
    ("relay/observe/counters.h", "Counter", "counter_names", "counter", []),
    ("relay/observe/drop_reason.h", "DropReason", "drop_reason_names", "reason", ["none"]),
)
OPERATIONS = "docs/operations.md"


def check_counters(tree):
    for path, enum, array, heading, undocumented in ENUMS:
        names = enumerators(tree.read(path), enum)
        if not names:
            yield f"{path}: enum class {enum} was not found"
            continue
        if labels(tree.read(path), array) != names:
            yield f"{path}: {array} does not name the values of {enum} in their order"
        if not tree.exists(OPERATIONS):
            print(f"tidy: {OPERATIONS} does not exist yet: {enum} is not compared with it")
            continue
        told = documented(tree.read(OPERATIONS), heading)
        for name in names:
            if name not in told and name not in undocumented:
                yield f"{OPERATIONS}: {enum}::{name} is missing from the table of `{heading}`"
        for name in told:
            if name not in names:
                yield f"{OPERATIONS}: `{name}` stands in the table of `{heading}`, and nowhere else"


def check_events(tree):
    """Every event of the log stands in docs/operations.md, and nothing else does."""
    if not tree.exists(OPERATIONS):
        return
    told = documented(tree.read(OPERATIONS), "event")
    written = {}
    for path in tree.sources("relay"):
        text = tree.read(path)
        # The second form: where the level is a choice.
        for found in re.finditer(r'\b(?:log::(?:debug|info|warn|error)|write)\(\s*"(\w+)"', text):
            written.setdefault(found.group(1), path)
    for event, path in sorted(written.items()):
        if event not in told:
            yield f"{OPERATIONS}: event {event} ({path}) is missing from the table of `event`"
    for event in told:
        if event not in written:
            yield f"{OPERATIONS}: `{event}` stands in the table of `event`, and nowhere else"


def check_named_tests(tree):
    """Every test that the threat model names is there: `file` "case"; a file that is one test needs no case."""
    path = "docs/threat-model.md"
    if not tree.exists(path):
        return
    for file, case in re.findall(r'`(tests/[^`]+\.[a-z]+)`(?:\s+"([^"]+)")?', tree.read(path)):
        if not tree.exists(file):
            yield f"{path}: {file} does not exist"
        # Behind the name may stand a decorator: * doctest::skip(...).
        elif case and not re.search(r'TEST_CASE\("' + re.escape(case) + r'"\s*[)*]',
                                    without_breaks(tree.read(file))):
            yield f'{path}: {file} has no test "{case}"'
        elif not case and file.endswith("_test.cpp"):
            yield f"{path}: which test of {file}?"


def without_breaks(text):
    """A long string that stands in two pieces is one."""
    return re.sub(r'TEST_CASE\(\s+"', 'TEST_CASE("', re.sub(r'"\s*\n\s*"', "", text))


def check_reminders(tree):
    """A reminder has a number that says where it is kept."""
    words = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
    pattern = re.compile(rf"\b({words})\b(?!\s*\(#\d+\))")
    for folder in SOURCES + ("tests", "docs", "config"):
        for path in tree.files(folder):
            is_script = "." not in os.path.basename(path)
            if not is_script and not path.endswith(TEXT_ENDINGS):
                continue
            if path.startswith("tests/tidy/") or path.endswith("package-lock.json"):
                continue
            for number, line in enumerate(tree.read(path).splitlines(), 1):
                if pattern.search(line):
                    yield f"{path}:{number}: a reminder without a number, as in (#12)"


def check_sizes(tree):
    for path in tree.sources("relay"):
        lines = tree.read(path).count("\n")
        if lines > LINES_MAX:
            yield f"{path}: {lines} lines, more than {LINES_MAX}: it has more than one job"


def check_tests(tree):
    """No test that is never built, no fuzz target without a corpus, no corpus without its target."""
    listed = re.search(r"foreach\(library ([^)]*)\)", tree.read("tests/CMakeLists.txt"))
    libraries = listed.group(1).split() if listed else []
    for kind, ending in (("unit", "_test.cpp"), ("property", "_test.cpp"), ("fuzz", "_fuzz.cpp")):
        for path in tree.sources(f"tests/{kind}"):
            if path.endswith(".h"):
                continue
            parts = path.split("/")
            if len(parts) != 4 or parts[2] not in libraries or not path.endswith(ending):
                yield f"{path}: tests/CMakeLists.txt does not build it"
    for library in libraries:
        folder = os.path.join(tree.root, "tests/fuzz", library)
        if not os.path.isdir(folder):
            continue
        targets = {n[:-len("_fuzz.cpp")] for n in os.listdir(folder) if n.endswith("_fuzz.cpp")}
        corpus = os.path.join(folder, "corpus")
        corpora = set(os.listdir(corpus)) if os.path.isdir(corpus) else set()
        for name in sorted(targets - corpora):
            yield f"tests/fuzz/{library}/{name}_fuzz.cpp: it has no corpus"
        for name in sorted(corpora - targets):
            yield f"tests/fuzz/{library}/corpus/{name}: it has no target"


CHECKS = (check_arrows, check_quoted_includes, check_libraries, check_dead_headers, check_counters,
          check_events, check_named_tests, check_reminders, check_sizes, check_tests)


def violations(root):
    tree = Tree(root)
    return [line for check in CHECKS for line in check(tree)]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = violations(sys.argv[1])
    for line in found:
        print(line)
    print(f"tidy: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
