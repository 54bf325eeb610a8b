#!/usr/bin/env bash
# An interrupted command ends its children and removes its temporary files, whoever still listens.
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

make_temporary folder -d

# A command with a child and a grandchild, as a build has them.
cat >"$folder/command" <<END
source "$EARSHOT_ROOT/tools/lib/common.sh"
make_temporary file
work() { bash -c 'echo \$\$ >"$folder/child"; sleep 300; true'; }
earshot_line_is_open=yes
start_job work
echo "\$file" >"$folder/file"
wait_job "\$!"
END

is_running() { kill -0 "$1" 2>/dev/null; }

# interrupt SIGNAL STANDARD_ERROR
interrupt() {
  local command child tries=0 status=0
  rm -f "$folder/child" "$folder/file"
  # In a group of its own, as a terminal starts it; in the background bash would ignore SIGINT.
  start_job bash "$folder/command" 2>"$2"
  command=$!
  while [ ! -s "$folder/child" ] || [ ! -s "$folder/file" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || die "the command did not start"
    sleep 0.05
  done
  child="$(<"$folder/child")"
  kill "-$1" "$command"
  wait_job "$command" || status=$?
  [ "$status" -eq 130 ] || die "$1: status $status instead of 130"
  if is_running "$child"; then die "$1 with standard error $2: the child was left"; fi
  [ ! -e "$(<"$folder/file")" ] || die "$1: the temporary file was left"
}

for signal in INT TERM HUP; do
  interrupt "$signal" /dev/null
  interrupt "$signal" /dev/full
done
