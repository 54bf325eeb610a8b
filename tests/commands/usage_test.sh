#!/usr/bin/env bash
# How tools/run takes its options, up to where it would install and build.
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

# refuses TEXT OPTION...: status 2, nothing on standard output, TEXT on standard error.
refuses() {
  local text="$1" status=0 output errors
  shift
  make_temporary errors
  output="$("$EARSHOT_ROOT/tools/run" "$@" 2>"$errors")" || status=$?
  [ "$status" -eq 2 ] || die "tools/run $*: status $status instead of 2"
  [ -z "$output" ] || die "tools/run $*: standard output is not empty: $output"
  grep -qF -- "$text" "$errors" || die "tools/run $*: no \"$text\" in: $(cat "$errors")"
}

refuses "unknown option: --sevre" --sevre
refuses "unknown option: something" --serve something
refuses "--port needs a value" --serve --port
for port in "" -1 65536 x 8443x 99999999999999999999; do
  refuses "--udp-port takes a port, 0 to 65535, not: $port" --serve --udp-port "$port"
  refuses "--api-port takes a port, 0 to 65535, not: $port" "--api-port=$port"
done
refuses "--set takes KEY=VALUE, not: media.workers" --set media.workers
refuses "--set takes KEY=VALUE, not: =2" --set =2
refuses "--state needs a folder" --state=
refuses "no --cluster yet" --cluster --serve

help="$("$EARSHOT_ROOT/tools/run" --help)"
for option in --serve --port --udp-port --api-port --state --config --set; do
  grep -q -- "^  $option " <<<"$help" || die "--help does not tell of $option"
done
