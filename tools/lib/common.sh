# Shared by the commands in tools/: sourced by bash, prints nothing unless something fails.
set -euo pipefail

EARSHOT_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# What a build and its tests need, beside what Debian 12 installs by itself.
EARSHOT_PACKAGES="g++ cmake ninja-build pkg-config ccache libuv1-dev libsodium-dev libopus-dev libopusfile-dev libopusenc-dev
  libogg-dev libconcurrentqueue-dev libssl-dev libhttp-parser-dev libwslay-dev nlohmann-json3-dev libtomlplusplus-dev
  libcli11-dev libspdlog-dev libfmt-dev doctest-dev openssl python3"

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# install_packages NAME...: Debian packages that are missing; sudo only if not root.
install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  say "installing: ${missing[*]}"
  local log
  log="$(mktemp)"
  if ! { "${sudo[@]}" apt-get update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    die "could not install: ${missing[*]}"
  fi
  rm -f "$log"
}

# build PRESET [TARGET...]: configures and builds; the output is shown only if it fails.
build() {
  local preset="$1" log
  shift
  log="$(mktemp)"
  say "building ($preset)"
  if ! { cd "$EARSHOT_ROOT" && cmake --preset "$preset" && cmake --build ".build/$preset" ${1:+--target "$@"}; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    die "the build failed ($preset)"
  fi
  rm -f "$log"
}

# install_node_packages FOLDER: exactly what its package-lock.json names, none of whose scripts run; nothing if it is there.
install_node_packages() {
  local folder="$1" packages_lock log
  command -v npm >/dev/null || install_packages npm
  # Several tests may start at once in a fresh clone.
  exec {packages_lock}<"$folder/package-lock.json"
  flock "$packages_lock"
  if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"; then
    say "installing the packages of ${folder#"$EARSHOT_ROOT/"}"
    log="$(mktemp)"
    if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund >"$log" 2>&1 </dev/null; then
      cat "$log" >&2
      die "could not install the packages of $folder"
    fi
    rm -f "$log"
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
  fi
  exec {packages_lock}<&-
}
