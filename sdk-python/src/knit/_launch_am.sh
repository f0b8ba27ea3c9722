# Finds Java and Hadoop on a node and becomes the Application Master. Runs in bash 4.2 and later.
# Set before it: application_classpath, class_archive, heap_mib, jar_name, main_class,
# no_hadoop_exit_code.

# knit_try NAME ENTRY…: makes these class path entries the ones to use, and succeeds if a YARN
# client is among them.
knit_try() {
  tried="$tried${tried:+; }$1"
  shift
  local entry jar found=
  class_path=
  for entry in "$@"; do
    [ -n "$entry" ] || continue
    class_path="$class_path${class_path:+:}$entry"
    case "$entry" in
      */'*') entry="${entry%\*}" ;;
      *hadoop-yarn-client*.jar | *hadoop-client-api*.jar) [ -e "$entry" ] && found=1 ;;
      *) continue ;;
    esac
    for jar in "$entry"hadoop-yarn-client*.jar "$entry"hadoop-client-api*.jar; do
      [ -e "$jar" ] && found=1
    done
  done
  [ -n "$found" ]
}

# knit_try_path NAME PATH: the same for entries with colons between them.
knit_try_path() {
  local entries
  IFS=: read -r -d '' -a entries < <(printf '%s\0' "$2")
  knit_try "$1" "${entries[@]}"
}

# knit_try_homes NAME DIRECTORY…: the same for installations, by the directories they may have.
knit_try_homes() {
  local name="$1" home part entries=()
  shift
  for home in "$@"; do
    [ -n "$home" ] || continue
    for part in share/hadoop/common share/hadoop/common/lib share/hadoop/hdfs share/hadoop/hdfs/lib \
      share/hadoop/yarn share/hadoop/yarn/lib share/hadoop/client '' lib client; do
      part="${home%/}${part:+/$part}"
      [ -d "$part" ] && entries+=("$part/*")
    done
  done
  knit_try "$name" "${entries[@]}"
}

# The class path of the NodeManager, which is an ancestor of ours.
knit_try_node_manager() {
  local pid=$PPID level key value word words found
  for level in 1 2 3 4 5 6 7 8; do
    [ "${pid:-0}" -gt 1 ] && [ -r "/proc/$pid/cmdline" ] || break
    words=()
    while IFS= read -r -d '' word; do words+=("$word"); done < "/proc/$pid/cmdline"
    found=
    key=
    for word in "${words[@]}"; do
      case "$key" in -cp | -classpath | --class-path) found="$word" && break ;; esac
      case "$word" in --class-path=*) found="${word#*=}" && break ;; esac
      key="$word"
    done
    case "$found:${words[0]}" in
      :java | :*/java)
        while IFS= read -r -d '' word; do
          case "$word" in CLASSPATH=*) found="${word#*=}" ;; esac
        done 2> /dev/null < "/proc/$pid/environ"
        ;;
    esac
    if [ -n "$found" ] && knit_try_path "the class path of process $pid above" "$found"; then
      return 0
    fi
    value=
    while read -r key value; do
      [ "$key" = PPid: ] && break
    done < "/proc/$pid/status"
    pid="$value"
  done
  return 1
}

knit_find_hadoop() {
  tried=
  knit_try "yarn.application.classpath" "${application_classpath[@]}" && return
  knit_try_homes "HADOOP_HOME and HADOOP_{YARN,COMMON,HDFS}_HOME" \
    "$HADOOP_HOME" "$HADOOP_YARN_HOME" "$HADOOP_COMMON_HOME" "$HADOOP_HDFS_HOME" && return
  local hadoop
  hadoop=$(type -P hadoop)
  if [ -n "$hadoop" ]; then
    knit_try_path "$hadoop classpath" "$("$hadoop" classpath 2> /dev/null)" && return
  fi
  knit_try_homes \
    "/usr/lib/hadoop*, /usr/hdp/current/*, /opt/cloudera/parcels/CDH/lib/*, /opt/hadoop" \
    /usr/lib/hadoop* /usr/hdp/current/hadoop*-client /opt/cloudera/parcels/CDH/lib/hadoop* \
    /opt/hadoop && return
  knit_try_node_manager
}

# The archive of classes, with which a start costs half: it lies beside the node's own copy of the jar,
# where YARN removes both at once and nobody else may write, for it is code. Only the class path it was
# made with, and jars alone, will do: so directories move to the end. That no file of theirs is in a jar
# too, so that this changes nothing, is seen when it is made (ClassArchive.kt). See docs/performance.md.

# Sets jars, beginning with $1, and directories: the class path without wildcards. Fails where it is not
# the same for each container of the node.
knit_split_class_path() {
  local LC_ALL=C entry entries jar
  jars=("$1")
  directories=()
  IFS=: read -r -d '' -a entries < <(printf '%s\0' "${configuration#:}:$class_path")
  for entry in "${entries[@]}"; do
    case "$entry" in
      '') continue ;;
      "$PWD" | "$PWD"/* | [!/]*) return 1 ;;
      */'*')
        for jar in "${entry%\*}"*.jar "${entry%\*}"*.JAR; do
          [ ! -f "$jar" ] || jars+=("$jar")
        done
        ;;
      *)
        if [ -d "$entry" ]; then
          directories+=("$entry")
        elif [ -f "$entry" ]; then
          jars+=("$entry")
        fi
        ;;
    esac
  done
  return 0
}

# Prints all that an archive depends on; contents of directories by name, for only names can hide others.
knit_archive_depends_on() {
  local home="${release%/release}"
  printf '%s\n' 1 "$home" "$version" "${flags[@]}" \
    "$JAVA_TOOL_OPTIONS" "$JDK_JAVA_OPTIONS" "$_JAVA_OPTIONS"
  stat -L -c '%n %s %Y' "$home"/lib/{modules,server/libjvm.so,server/classes.jsa} "${jars[@]}" || return
  [ "${#directories[@]}" -eq 0 ] || printf '%s\n' "${directories[@]}" "${names[@]}"
}

# Sets archive: where one for this Java and this class path is, or belongs. Fails where there can be none.
knit_name_archive() {
  local jar mode names=() sum
  # Earlier ones cannot make it within the limit of virtual memory, which is low where the heap is; and
  # the JDK's own, upon which it is built, is not for the largest.
  [ "$class_archive" = true ] && [ "${version%%[!0-9]*}" -ge 17 ] 2> /dev/null || return
  [ "$heap_mib" -ge 352 ] && [ "$heap_mib" -lt 30000 ] || return
  jar=$(readlink -f "$jar_name") && place="${jar%/*}" && [ -O "$place" ] && [ -w "$place" ] || return
  mode=$(stat -c %a "$place") && [ $((8#$mode & 8#22)) -eq 0 ] || return
  knit_split_class_path "$jar" || return
  if [ "${#directories[@]}" -gt 0 ]; then
    mapfile -t -n 2001 names < <(find -L "${directories[@]}" -type f 2> /dev/null | LC_ALL=C sort)
    [ "${#names[@]}" -le 2000 ] || return
  fi
  sum=$(set -o pipefail; knit_archive_depends_on 2> /dev/null | sha256sum) || return
  archive="$place/.knit-classes-${sum%% *}"
  printf -v archive_class_path '%s:' "${jars[@]}"
  archive_class_path="${archive_class_path%:}"
  [ "${#archive_class_path}" -lt 100000 ] # Linux takes 131072 bytes for a variable
}

# Whether the archive is as it was when it was made: any change shows in the times that only the kernel
# sets, and what is read is only what the JVM takes.
knit_archive_fits() {
  local seal=
  [ -f "$archive.seal" ] && read -r seal 2> /dev/null < "$archive.seal" && [ "$seal" = "$(knit_archive_seal)" ]
}

knit_archive_seal() {
  stat -c '%F %u %a %i %s %.9Y %.9Z' "$archive" 2> /dev/null
}

# knit_run COMMAND…: runs it, hands on the signals that YARN and people send, and returns as it does.
knit_run() {
  local status
  "$@" &
  child=$!
  trap 'stopped=1; kill -TERM "$child"' TERM
  trap 'kill -QUIT "$child"' QUIT
  while :; do
    wait "$child"
    status=$?
    [ "$status" -gt 128 ] && kill -0 "$child" 2> /dev/null || return "$status"
  done
}

# Makes the archive of the classes in list $1: in the room of the Application Master, which has left,
# with whatever the machine has to spare, one at a time, three times at most.
knit_make_archive() {
  local room=0 part="$archive.part" tries="$archive.tries" other others
  exec 9> "$place/.knit-classes.lock" && flock -n 9 || return
  knit_archive_fits && return
  { read -r _ && read -r _ _ _ room _; } < <(df -Pk "$place")
  [ "${room:-0}" -ge 1048576 ] || return
  echo tried >> "$tries" && [ "$(wc -l < "$tries")" -le 3 ] || return
  rm -rf "$archive" "$archive.seal" "$place"/.knit-classes-*.part
  export CLASSPATH="$archive_class_path"
  # A dump that needs more room fails by itself, before YARN ends it.
  ulimit -v $(((heap_mib + 160) * 2048))
  knit_run nice -n 19 timeout --foreground -k 2 60 "$java" "${flags[@]}" -Xmx64m -XX:TieredStopAtLevel=1 \
    -XX:ArchiveClassesAtExit="$part" '-Xlog:cds*=off' knit.am.ClassArchiveKt "$1" "${directories[@]}" &&
    [ -z "$stopped" ] && [ -s "$part" ] && export CLASSPATH="$archive_class_path$later" &&
    knit_run nice -n 19 timeout --foreground -k 2 20 "$java" "${flags[@]}" "-Xmx${heap_mib}m" \
      -XX:SharedArchiveFile="$part" -Xshare:on -XX:+UnlockDiagnosticVMOptions -XX:+VerifySharedSpaces -version &&
    [ -z "$stopped" ] && chmod 400 "$part" && mv -f "$part" "$archive" &&
    knit_archive_seal > "$archive.seal.part" && mv -f "$archive.seal.part" "$archive.seal"
  rm -f "$part" "$archive.seal.part"
  # Of another Java or Hadoop; one more than ours may be in use.
  cd "$place" && others=$(ls -t .knit-classes-*.seal 2> /dev/null) || return
  for other in $(tail -n +3 <<< "$others"); do
    rm -rf "$other" "${other%.seal}" "${other%.seal}.tries"
  done
}

java=
for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "${JRE_HOME:+$JRE_HOME/bin/java}" "$(type -P java)"; do
  [ -x "$candidate" ] && java="$candidate" && break
done
if [ -z "$java" ]; then
  echo "knit: there is no Java on this node: neither JAVA_HOME (${JAVA_HOME:-not set}) nor the" \
    "PATH (${PATH:-not set}) has one. Set JAVA_HOME for the NodeManager." >&2
  exit "$no_hadoop_exit_code"
fi
if ! knit_find_hadoop; then
  echo "knit: there are no jars of a YARN client on this node. Tried: $tried. Set" \
    "yarn.application.classpath, in the client's configuration, to where nodes keep them." >&2
  exit "$no_hadoop_exit_code"
fi

configuration=
for directory in "$HADOOP_CONF_DIR" "$YARN_CONF_DIR" "${HADOOP_HOME:+$HADOOP_HOME/etc/hadoop}" \
  /etc/hadoop/conf; do
  case "$configuration:" in *":$directory:"*) continue ;; esac
  [ -n "$directory" ] && [ -d "$directory" ] && configuration="$configuration:$directory"
done

flags=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -XX:+ExitOnOutOfMemoryError)
# Nodes limit virtual memory too, by default to 2.1 times the container's. A JVM reserves what it will
# never use: 1 GiB for classes, 1 MiB for each thread; and malloc 64 MiB for each arena, of which there
# may be eight for each core.
flags+=(-XX:CompressedClassSpaceSize=32m -XX:ReservedCodeCacheSize=24m -Xss512k)
# What lies beside the heap is by default as large again, and a container's memory counts both.
flags+=(-XX:MaxDirectMemorySize=64m)
export MALLOC_ARENA_MAX=1
release="$(readlink -f "$java")"
release="${release%/bin/java}/release"
version=
if [ -r "$release" ]; then
  while IFS='="' read -r key _ value _; do
    [ "$key" = JAVA_VERSION ] && version="$value"
  done < "$release"
else
  version=$("$java" -version 2>&1 | sed -n 's/.*version "\([^"]*\)".*/\1/p')
fi
case "${version%%[!0-9]*}" in
  '' | 1 | [2-8]) ;; # these know no modules
  *) flags+=(--add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED) ;;
esac

export CLASSPATH="$PWD/$jar_name$configuration:$class_path"
archive=
more=("-Xmx${heap_mib}m")
if knit_name_archive; then
  later=
  [ "${#directories[@]}" -eq 0 ] || printf -v later ':%s' "${directories[@]}"
  attempt="${CONTAINER_ID%_*}"
  if [ "${attempt##*_}" != 01 ]; then
    rm -f "$archive.seal" # it may be why the first attempt ended
  elif knit_archive_fits; then
    CLASSPATH="$archive_class_path$later"
    more+=("-XX:SharedArchiveFile=$archive" '-Xlog:cds*=off')
  elif [ ! -e "$archive.tries" ] || [ "$(wc -l < "$archive.tries")" -lt 3 ]; then
    # Only this one stays a shell, to make what the next ones use; the application has ended by then.
    stopped=
    knit_run "$java" "${flags[@]}" "${more[@]}" "-XX:DumpLoadedClassList=$PWD/knit-classes" "$main_class"
    status=$?
    if [ "$status" -eq 0 ] && [ -z "$stopped" ] && [ -s knit-classes ]; then
      knit_make_archive "$PWD/knit-classes" > /dev/null 2>&1
    fi
    exit "$status"
  fi
fi
exec "$java" "${flags[@]}" "${more[@]}" "$main_class"
