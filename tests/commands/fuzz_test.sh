#!/usr/bin/env bash
# What tools/fuzz answers without building anything.
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

fuzz="$EARSHOT_ROOT/tools/fuzz"
listed="$("$fuzz" --list)"
expected="$(find "$EARSHOT_ROOT/tests/fuzz" -name '*_fuzz.cpp' | wc -l)"
[ "$(wc -l <<<"$listed")" -eq "$expected" ] || die "--list has not $expected lines: $listed"
for target in wire_rtp gateway_http core_calls; do
  grep -qx "$target" <<<"$listed" || die "--list does not name $target"
done

for arguments in "nonsense" "nonsense 5" "--coverage nonsense" "wire_"; do
  status=0
  # shellcheck disable=SC2086
  output="$("$fuzz" $arguments 2>&1)" || status=$?
  [ "$status" -eq 2 ] || die "tools/fuzz $arguments: status $status instead of 2"
  grep -q "no such target" <<<"$output" || die "tools/fuzz $arguments: $output"
done

for option in SECONDS --coverage --list; do
  grep -q -- "$option" <<<"$("$fuzz" --help)" || die "--help does not tell of $option"
done
