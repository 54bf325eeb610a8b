#!/usr/bin/env python3
"""Are the flags that harden the binaries really in them?

usage: hardening_test.py BUILD_FOLDER SANITIZERS BINARY...

Looks at the binaries (headers, symbols, the compiler's record in each unit) and at the objects they are
made of. Fortified functions are left out of sanitizer builds, so that part is looked at in a probe which
is compiled and linked with the very commands of the release preset, and in the binaries if SANITIZERS is
empty. Then each flag is taken away from the probe, and exactly its complaint is expected. No dependency
but binutils and the compiler.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("relay/", "crypto/", "codec/", "tools/")

# What each flag is for: a buffer on the stack, one of unknown size, an indirect call, a copy whose bound
# only level 3 of _FORTIFY_SOURCE knows.
PROBE = r"""
#include <cstdlib>
#include <cstring>
extern "C" void (*volatile probe_pointer)(char*);
void (*volatile probe_pointer)(char*);
extern "C" void probe_buffer(const char* text, std::size_t size) {
  char buffer[64];
  std::memcpy(buffer, text, size);
  probe_pointer(buffer);
}
extern "C" void probe_large(std::size_t size) {
  char* buffer = static_cast<char*>(__builtin_alloca(size));
  probe_pointer(buffer);
}
extern "C" char* probe_dynamic(const char* text, std::size_t bound, std::size_t size) {
  char* buffer = static_cast<char*>(std::malloc(bound));
  return static_cast<char*>(std::memcpy(buffer, text, size));
}
int main(int argc, char** argv) {
  if (argc > 3) probe_buffer(argv[1], static_cast<std::size_t>(argc));
  if (argc > 4) probe_large(static_cast<std::size_t>(argc));
  return argc > 5 && probe_dynamic(argv[1], 8, static_cast<std::size_t>(argc)) != nullptr ? 1 : 0;
}
"""

COMPILE_FLAGS = ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection")


def run(*command, cwd=None):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd,
                          errors="replace", env={**os.environ, "LC_ALL": "C"}).stdout


# --- What a file says about itself ------------------------------------------------------------------

def check_headers(path):
    """The linker's part."""
    if "Type:" not in (header := run("readelf", "-hW", path)) or "DYN" not in header:
        yield "not a position-independent executable"
    dynamic = run("readelf", "-dW", path)
    if "PIE" not in dynamic:
        yield "not marked as PIE"
    if not re.search(r"\bBIND_NOW\b|FLAGS_1.*\bNOW\b", dynamic):
        yield "symbols are bound late: no BIND_NOW"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "it names a folder to load libraries from"
    if "(TEXTREL)" in dynamic:
        yield "it has text relocations"
    segments = run("readelf", "-lW", path)
    if "GNU_RELRO" not in segments:
        yield "no GNU_RELRO"
    stack = re.search(r"GNU_STACK.*?\b([RWE]{1,3})\b\s+0x", segments)
    if not stack or "E" in stack.group(1):
        yield "the stack may be executable"
    for flags in re.findall(r"LOAD\s.*?\s([RWE ]{3})\s+0x", segments):
        if "W" in flags and "E" in flags:
            yield "a segment is both writable and executable"


def units(path):
    """(name, the compiler's record of its flags) of each of our units in the binary."""
    text = run("readelf", "--debug-dump=info", "--dwarf-depth=1", path)
    for unit in text.split("DW_TAG_compile_unit")[1:]:
        name = re.search(r"DW_AT_name\s*:.*?([^\s:()]+\.cpp)\s*$", unit, re.M)
        producer = re.search(r"DW_AT_producer\s*:.*?(GNU C\+\+.*|clang.*)$", unit, re.M)
        if name:
            yield name.group(1), producer.group(1) if producer else ""


def check_units(path, is_ours):
    """The compiler's part: GCC records its flags in every unit."""
    found = 0
    for name, producer in units(path):
        if not is_ours(name):
            continue
        found += 1
        for flag in COMPILE_FLAGS:
            if flag not in producer or flag.replace("-f", "-fno-", 1) in producer:
                yield f"{name} is compiled without {flag}"
    if found == 0:
        yield "no unit says how it was compiled"


def disassembly(path, function):
    text = run("objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", path)
    return text[text.find(f"<{function}>:"):]


def check_code(path):
    """And what the flags made of main."""
    if "endbr64" not in "\n".join(disassembly(path, "main").splitlines()[:3]):
        yield "main has no landing pad for indirect branches"
    if "__stack_chk_fail" not in run("readelf", "--dyn-syms", "-W", path):
        yield "nothing checks the stack"


def check_fortified(path):
    if not re.search(r"\b__(mem|str|v?s?n?printf|fd|read|recv)\w*_chk\b",
                     run("readelf", "--dyn-syms", "-W", path)):
        yield "no fortified function is used"


def check_objects(paths):
    """The linker drops this note from the binary if a single input lacks it, as the start files of Debian
    12 do: it is the objects that show the compiler's part."""
    # Several files, so that each is named in the output.
    text = run("readelf", "-nW", *paths, sys.executable)
    notes = dict(part.split("\n", 1) for part in text.split("\nFile: ")[1:])
    for path in paths:
        if not re.search(r"x86 feature:.*\bIBT\b.*\bSHSTK\b", notes.get(path, "")):
            yield f"{os.path.basename(path)} is not marked for IBT and SHSTK"


# --- The release preset -----------------------------------------------------------------------------

def commands_of(folder, file):
    for entry in json.load(open(os.path.join(folder, "compile_commands.json"), encoding="utf-8")):
        if entry["file"].endswith("/" + file):
            return shlex.split(entry["command"])
    raise SystemExit(f"{file} is not compiled in {folder}")


def check_fortify_level(folder):
    for entry in json.load(open(os.path.join(folder, "compile_commands.json"), encoding="utf-8")):
        file = os.path.relpath(entry["file"], ROOT)
        if not file.startswith(FOLDERS):
            continue
        last = [word for word in shlex.split(entry["command"]) if "FORTIFY_SOURCE" in word][-1:]
        if last != ["-D_FORTIFY_SOURCE=3"]:
            yield f"{file}: the release preset compiles it with {last}"


def link_command(folder, target):
    line = run("ninja", "-t", "commands", target, cwd=folder).splitlines()[-1]
    words = shlex.split(line.split("&&")[1] if "&&" in line else line)
    return [word for word in words if not re.search(r"\.(o|a|so[.\d]*)$", word) or word == "-o"]


def without_output(words):
    words = [w for w in words if not w.endswith(".cpp") and w != "-c"]
    while "-o" in words:
        at = words.index("-o")
        # The output's name is gone already if it looked like an object.
        del words[at:at + (2 if at + 1 < len(words) and not words[at + 1].startswith("-") else 1)]
    return [word for word in words if "ccache" not in word]


class Probe:
    """A program made with the commands of earshot-relay."""

    def __init__(self, release, folder):
        self.folder = folder
        self.source = os.path.join(folder, "probe.cpp")
        with open(self.source, "w", encoding="utf-8") as file:
            file.write(PROBE)
        self.compile = without_output(commands_of(release, "relay/main.cpp"))
        self.link = without_output(link_command(release, "earshot-relay"))

    def complaints(self, change=lambda words: words, release=None):
        """Of the probe made with the changed commands."""
        made = os.path.join(self.folder, "probe")
        run(*change(self.compile), "-c", self.source, "-o", made + ".o", cwd=release)
        run(*change(self.link), made + ".o", "-o", made, cwd=release)
        found = [*check_headers(made), *check_units(made, lambda name: name.endswith("probe.cpp")),
                 *check_code(made), *check_fortified(made), *check_objects([made + ".o"])]
        if "__memcpy_chk" not in disassembly(made, "probe_dynamic"):
            found.append("a bound known at run time only is not checked")
        if not re.search(r"or[lq]\s+\$0x0,", disassembly(made, "probe_large")):
            found.append("a large frame is not probed")
        return found


def replaced(old, new):
    def change(words):
        changed = []
        for word in words:
            if old in word:
                word = word.replace(old, new)
            if word:
                changed.append(word)
        return changed
    return change


# Flag taken away -> what must be complained about.
MUTATIONS = (
    (replaced("-fstack-protector-strong", "-fno-stack-protector"), "nothing checks the stack"),
    (replaced("-fstack-clash-protection", "-fno-stack-clash-protection"), "a large frame is not probed"),
    (replaced("-fcf-protection", "-fcf-protection=none"), "main has no landing pad for indirect branches"),
    (replaced("-D_FORTIFY_SOURCE=3", ""), "no fortified function is used"),
    (replaced("-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=2"),
     "a bound known at run time only is not checked"),
    (replaced("-z,now", "-z,lazy"), "symbols are bound late: no BIND_NOW"),
    (replaced("-z,relro", "-z,norelro"), "no GNU_RELRO"),
    (replaced("-z,noexecstack", "-z,execstack"), "the stack may be executable"),
    (lambda words: ["-no-pie" if w == "-pie" else "-fno-pie" if w == "-fPIE" else w for w in words],
     "not marked as PIE"),
    (lambda words: words + ["-Wl,-rpath,/tmp"] if "-c" not in words and "-pie" in words else words,
     "it names a folder to load libraries from"),
)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    build, sanitizers, binaries = sys.argv[1], sys.argv[2], sys.argv[3:]
    failed = []

    def is_ours(name):
        return name.replace("../", "").startswith(FOLDERS) or name.startswith(ROOT + "/")

    for path in binaries:
        found = [*check_headers(path), *check_units(path, is_ours), *check_code(path)]
        if not sanitizers:
            found += check_fortified(path)
        failed += [f"{os.path.basename(path)}: {text}" for text in found]
    objects = [os.path.join(parent, name) for folder in ("CMakeFiles",)
               for parent, _, names in os.walk(os.path.join(build, folder)) for name in names
               if name.endswith(".cpp.o") and "CompilerId" not in parent]
    if len(objects) < 50:
        failed.append(f"only {len(objects)} objects in {build}")
    failed += check_objects(objects)

    with tempfile.TemporaryDirectory() as folder:
        release = os.path.join(folder, "release")
        run("cmake", "--preset", "release", "-B", release, "-DEARSHOT_TESTS=OFF", cwd=ROOT)
        failed += check_fortify_level(release)
        probe = Probe(release, folder)
        failed += [f"probe: {text}" for text in probe.complaints(release=release)]
        for change, expected in MUTATIONS:
            found = probe.complaints(change, release)
            if expected not in found:
                failed.append(f"nobody noticed: {expected} (but {found})")
    for text in failed:
        print(text)
    print(f"hardening: {len(binaries)} binaries, {len(objects)} objects, {len(MUTATIONS)} flags taken away, "
          f"{len(failed)} complaints")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
