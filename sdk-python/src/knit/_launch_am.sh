# Finds Java and Hadoop on a node and becomes the Application Master. Runs in bash 4.2 and later.
# Set before it: application_classpath, heap_mib, jar_name, main_class, no_hadoop_exit_code.

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
flags+=("-Xmx${heap_mib}m")
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
exec "$java" "${flags[@]}" "$main_class"
