# The spoken lines of the demonstration, sourced by tools/run: espeak-ng renders them once.
# shellcheck shell=bash

# render_phrases PROGRAM FOLDER: a WAV file for each line that `earshot demo` knows, and no others.
render_phrases() {
  local program="$1" folder="$2" list file voice pitch text known=" "
  list="$("$program" demo --list-phrases)"
  mkdir -p -- "$folder" 2>/dev/null || die "cannot make the folder $folder"
  while IFS=$'\t' read -r file voice pitch text; do
    known+="$file "
    [ -s "$folder/$file" ] || render "$folder/$file" "$voice" "$pitch" "$text"
  done <<<"$list"
  for file in "$folder"/*; do
    [[ "$known" == *" ${file##*/} "* ]] || rm -f -- "$file"
  done
}

# render FILE VOICE PITCH TEXT: whole or not at all. Not at full volume: four at a time shall not clip.
render() {
  local error
  if ! error="$(printf '%s\n' "$4" | espeak-ng -v "$2" -p "$3" -s 165 -a 60 --stdin -w "$1.new" 2>&1)" || [ ! -s "$1.new" ]; then
    rm -f -- "$1.new"
    die "espeak-ng cannot write $1${error:+: ${error##*$'\n'}}"
  fi
  mv -f -- "$1.new" "$1"
}
