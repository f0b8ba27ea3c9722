#!/bin/bash
# Sourced before a service's command: unpacks a Python environment where YARN has not, makes it fit to where it lies, and
# activates it.
#
# A node has one copy for all its containers. The first of them unpacks it and makes it fit, under a lock that ends with
# its holder; the others wait. Where that may not be done, a container makes a copy of its own.
# A container is given this without its comments and indentation; see PythonEnvironment.kt.

knit_refuse() {
  printf 'knit: %s\n' "$1" >&2
  exit 1
}

# Prints where this container keeps a copy of its own.
knit_own() {
  printf '%s\n' "$(pwd -P)/.knit-environment"
}

# Prints where tar archive $1 is unpacked: beside it, where YARN removes both at once, or else in this container.
# Called in a subshell, for the lock's sake.
knit_unpacked() {
  local place=${1%/*}/.knit-environment how=-xzf
  if [ ! -w "${1%/*}" ] || { [ ! -d "$place" ] && ! knit_lock "$1"; }; then
    exec 9<&-
    place=$(knit_own)
  fi
  # It has its name only once it is whole.
  if [ ! -d "$place" ]; then
    [ "$1" = "${1%.tar}" ] || how=-xf
    rm -rf "$place.part" && mkdir "$place.part" && tar -o -C "$place.part" "$how" "$1" >&2 </dev/null &&
      mv "$place.part" "$place" || {
      rm -rf "$place.part"
      knit_refuse "The Python environment $1 could not be unpacked to $place. The reason is above."
    }
  fi
  printf '%s\n' "$place"
}

# Prints the real path of the environment in $1: at its top, or else the only directory in it that is one.
knit_find() {
  local candidate found=()
  for candidate in "$1" "$1"/*/; do
    [ -e "$candidate/bin/python" ] || [ -e "$candidate/bin/python3" ] || continue
    found+=("$candidate")
    [ "$candidate" != "$1" ] || break
  done
  [ "${#found[@]}" -eq 1 ] && cd "${found[0]}" && pwd -P
}

# Whether environment $1 has had all it needs, where it lies now.
knit_fits() {
  [ -x "$1/bin/python" ] || return
  [ -e "$1/bin/knit-unpack" ] || [ -e "$1/bin/conda-unpack" ] || return 0
  [ "$(cat "$1/.knit-unpacked" 2>/dev/null)" = "$1" ]
}

# Makes environment $1 fit with the tool it brings; doing so again does no harm.
knit_fit() {
  cd "$1" || return
  [ -e bin/python ] || ln -sf python3 bin/python || return
  [ -x bin/python ] || chmod u+x bin/python || return
  if [ -e bin/knit-unpack ]; then
    sh bin/knit-unpack "$1"
  elif [ -e bin/conda-unpack ]; then
    bin/python bin/conda-unpack
  fi >&2 </dev/null || return
  printf '%s\n' "$1" >.knit-unpacked
}

# Waits for the lock on environment $1, which ends with this shell and what it runs. Fails where there are no locks.
knit_lock() {
  SECONDS=0
  exec 9<"$1" && flock -w 600 9 2>/dev/null && return
  [ "$SECONDS" -lt 600 ] || knit_refuse "Another container has been making $1 fit for 10 minutes. Start this one again later."
  return 1
}

# Prints where environment $1 fits once it does: there, or in a copy. Called in a subshell, for the lock's sake.
knit_fitted() {
  local own place=
  own=$(knit_own)
  if [ "${1#"$own"}" != "$1" ]; then
    chmod -R u+w "$1" && place=$1
  elif [ -w "$1" ] && [ -w "$1/bin" ] && knit_lock "$1"; then
    if knit_fits "$1"; then
      printf '%s\n' "$1"
      return
    fi
    # YARN takes the right to write from what it has unpacked.
    chmod -R u+w "$1" 2>/dev/null && place=$1
  fi
  if [ -z "$place" ]; then
    exec 9<&-
    place=$own
    cp -a "$1" "$place" && chmod -R u+w "$place" || knit_refuse "$1 could not be copied to $place."
  fi
  knit_fit "$place" || knit_refuse "The Python environment could not be made to fit to $place. The reason is above."
  printf '%s\n' "$place"
}

# Sets the variables of the environment in $1, a local resource.
knit_activate() {
  local prefix script
  prefix=$(readlink -f "./$1")
  case $prefix in *.tar | *.tar.gz | *.tgz)
    if [ -f "$prefix" ]; then
      prefix=$(knit_unpacked "$prefix") || exit 1
      ln -sfn "$prefix" "./$1"
    fi
    ;;
  esac
  prefix=$(knit_find "./$1") ||
    knit_refuse "$1 is no Python environment: bin/python is neither at its top nor in exactly one of its directories."
  knit_fits "$prefix" || prefix=$(knit_fitted "$prefix") || exit 1
  export CONDA_PREFIX="$prefix" PYTHON_BIN="$prefix/bin/python" PATH="$prefix/bin:$PATH"
  # What conda's packages set. These are made for shells of people: what fails in one stops no other and no command.
  for script in "$prefix"/etc/conda/activate.d/*.sh; do
    [ -e "$script" ] || continue
    . "$script" >&2 </dev/null || :
    set +eu
  done
}
