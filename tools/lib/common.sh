# Shared by the commands in tools/: sourced by bash, prints nothing unless something fails.
# SIGINT, SIGTERM and SIGHUP end a command with status 130, its children first.
# shellcheck shell=bash
set -euo pipefail

EARSHOT_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# What a build and its tests need, beside what Debian 12 installs by itself.
# shellcheck disable=SC2034
EARSHOT_PACKAGES="g++ cmake ninja-build pkg-config ccache libuv1-dev libsodium-dev libopus-dev libopusfile-dev libopusenc-dev
  libogg-dev libconcurrentqueue-dev libssl-dev libhttp-parser-dev libwslay-dev nlohmann-json3-dev libtomlplusplus-dev
  libcli11-dev libcurl4-openssl-dev prometheus-cpp-dev portaudio19-dev libpcap-dev doctest-dev openssl python3 python3-jsonschema curl"

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- Children and temporary files ------------------------------------------------------------------

declare -A earshot_jobs=()   # process groups that an end of this command ends too
earshot_temporary=()
earshot_line_is_open=no      # the cursor stands behind a line that tells the progress

# start_job COMMAND...: in the background, in a process group of its own: what the terminal or a
# caller sends reaches this shell alone, which passes it on once. The process is $! afterwards.
start_job() {
  set -m
  "$@" </dev/null &
  earshot_jobs[$!]=1
  set +m
}

# wait_job PROCESS: its status. Unlike a command in the foreground it does not delay traps.
wait_job() {
  local status=0
  wait "$1" || status=$?
  unset "earshot_jobs[$1]"
  return "$status"
}

# stop_job PROCESS SIGNAL: waits for its end, for five seconds at most.
stop_job() {
  local tries=0
  kill "-$2" -- "-$1" 2>/dev/null || true
  while kill -0 -- "-$1" 2>/dev/null && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
  done
  kill -KILL -- "-$1" 2>/dev/null || true
  wait_job "$1" 2>/dev/null || true
}

# make_temporary VARIABLE [mktemp options]: removed when the command ends.
make_temporary() {
  local path
  path="$(mktemp "${@:2}")"
  earshot_temporary+=("$path")
  printf -v "$1" '%s' "$path"
}

remove_temporary() {
  [ ${#earshot_temporary[@]} -eq 0 ] || rm -rf -- "${earshot_temporary[@]}"
  earshot_temporary=()
}

# Ends the children even if nobody listens any more: a terminal that is gone fails every write.
clean_up() {
  local process
  set +e
  trap '' INT TERM HUP PIPE
  for process in "${!earshot_jobs[@]}"; do stop_job "$process" INT; done
  remove_temporary
  [ "$earshot_line_is_open" = no ] || printf '\n' >&2
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- Packages and builds ---------------------------------------------------------------------------

# install_packages NAME...: Debian packages that are missing; sudo only if not root.
install_packages() {
  local missing=() name installed sudo=() log
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: whether these are there is not checked: $*"
    return 0
  fi
  installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
  for name in "$@"; do
    [[ "$installed" == *" installed:$name "* ]] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing, and neither root nor sudo to install them: ${missing[*]}"
    # The password is asked for here: a background process could not.
    sudo -n true 2>/dev/null || sudo -v || die "could not install: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing: ${missing[*]}"
  make_temporary log
  start_job install_now "$log" "${sudo[@]}" -- "${missing[@]}"
  if ! wait_job "$!"; then
    cat "$log" >&2
    die "could not install: ${missing[*]}"
  fi
}

# install_now LOG [sudo] -- NAME...
install_now() {
  local log="$1" sudo=()
  shift
  while [ "$1" != -- ]; do
    sudo+=("$1")
    shift
  done
  shift
  { "${sudo[@]}" apt-get update &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1
}

# build PRESET [TARGET...]: configures and builds. Its output is shown only if it fails; on a
# terminal one line tells how far it is.
build() {
  local preset="$1" log status=0
  shift
  make_temporary log
  say "building ($preset)"
  [ ! -t 2 ] || earshot_line_is_open=yes
  start_job build_now "$log" "$preset" "$@"
  wait_job "$!" || status=$?
  earshot_line_is_open=no
  [ ! -t 2 ] || printf '\r\033[K' >&2
  [ "$status" -eq 0 ] && return 0
  tail -n 60 "$log" >&2
  die "the build failed ($preset)"
}

# build_now LOG PRESET [TARGET...]
build_now() {
  local log="$1" preset="$2" line
  shift 2
  cd "$EARSHOT_ROOT"
  mkdir -p ".build/$preset"
  # Two builds in one folder would write the same files. The lock ends with its last holder.
  exec 9<".build/$preset"
  flock 9
  {
    # Once configured, ninja looks after everything but the presets.
    { [ ".build/$preset/build.ninja" -nt CMakePresets.json ] || cmake --preset "$preset"; } &&
      cmake --build ".build/$preset" ${1:+--target "$@"}
  } 2>&1 | while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    if [ -t 2 ] && [[ "$line" =~ ^\[[0-9]+/[0-9]+\] ]]; then printf '\r\033[K%.78s' "$line" >&2; fi
  done
}

earshot_npm=(npm)

# install_node_packages FOLDER: exactly what its package-lock.json names, none of whose scripts run; nothing if it is there.
install_node_packages() {
  local folder="$1" lock log
  # Several tests may start at once in a fresh clone.
  exec {lock}<"$folder/package-lock.json"
  flock "$lock"
  if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"; then
    command -v "${earshot_npm[0]}" >/dev/null || install_packages npm
    say "installing the packages of ${folder#"$EARSHOT_ROOT/"}"
    make_temporary log
    start_job install_node_now "$folder" "$log"
    if ! wait_job "$!"; then
      cat "$log" >&2
      die "could not install the packages of $folder"
    fi
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
  fi
  exec {lock}<&-
}

install_node_now() { "${earshot_npm[@]}" ci --prefix "$1" --ignore-scripts --no-audit --no-fund >"$2" 2>&1; }
