#!/bin/sh
# Makes this environment fit to where it lies: sh bin/knit-unpack [DIRECTORY]
# It needs no Python, and may be run again, also after the environment was moved.
set -eu

prefix=$(cd "${1:-"${0%/*}/.."}" && pwd -P)
base=$prefix/knit-base
[ -d "$base" ] || exit 0 # the interpreter is not apart from the environment: it finds all itself

# In place only at the end, so that none is ever half of one.
put() {
  cat >"$1.knit-new"
  mv -f "$1.knit-new" "$1"
}

{
  echo "home = $base/bin"
  sed -e '/^home *=/d' -e '/^executable *=/d' "$prefix/pyvenv.cfg"
  echo "executable = $base/bin/python"
} | put "$prefix/pyvenv.cfg"

quoted=$(printf %s "$prefix" | sed "s/'/'\\\\''/g")
{
  printf "VIRTUAL_ENV='%s'\n" "$quoted"
  cat "$base/activate.sh"
} | put "$prefix/bin/activate"
