# Source this, from a POSIX shell, to have this environment's programs first on the PATH.
deactivate() {
  [ -z "${_OLD_VIRTUAL_PATH:-}" ] || PATH=$_OLD_VIRTUAL_PATH
  [ -z "${_OLD_VIRTUAL_PYTHONHOME:-}" ] || export PYTHONHOME="$_OLD_VIRTUAL_PYTHONHOME"
  export PATH
  unset _OLD_VIRTUAL_PATH _OLD_VIRTUAL_PYTHONHOME VIRTUAL_ENV
  unset -f deactivate
}
_OLD_VIRTUAL_PATH=$PATH
_OLD_VIRTUAL_PYTHONHOME=${PYTHONHOME:-}
unset PYTHONHOME
PATH=$VIRTUAL_ENV/bin:$PATH
export PATH VIRTUAL_ENV
hash -r 2>/dev/null || :
