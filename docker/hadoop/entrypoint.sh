#!/usr/bin/env bash
# Runs one role of the cluster in the foreground, or answers whether it is well:
#
#     entrypoint.sh kdc | namenode | datanode | resourcemanager | nodemanager | client
#     entrypoint.sh healthy ROLE
set -euo pipefail

is_secure=$([ "$HADOOP_CONF_DIR" = /etc/hadoop/conf ] || echo yes)
keytabs=/etc/security/keytabs

class_path="$HADOOP_CONF_DIR:$HADOOP_HOME"
# Before Hadoop's own: see SecureIOUtils there.
[ -z "$is_secure" ] || class_path+=":$HADOOP_HOME/node-classes"
for part in common hdfs yarn; do
  class_path+=":$HADOOP_HOME/share/hadoop/$part/*:$HADOOP_HOME/share/hadoop/$part/lib/*"
done

# Hadoop 3 took other ports.
case $(echo "$HADOOP_HOME"/share/hadoop/common/hadoop-common-*.jar) in
  */hadoop-common-2.*) name_node=50070 data_node=50075 ;;
  *) name_node=9870 data_node=9864 ;;
esac

# The command that runs one of Hadoop's programs: MEGABYTES CLASS [ARGUMENT...]
hadoop() {
  local heap=$1
  shift
  command=(java "-Xmx${heap}m" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xss512k
    -Djava.net.preferIPv4Stack=true -XX:+IgnoreUnrecognizedVMOptions --add-opens=java.base/java.lang=ALL-UNNAMED
    "-Dhadoop.log.dir=$HOME" -cp "$class_path" "$@")
}

# Whether what a web server of this node answers matches: PORT PATH EXPRESSION
answers() {
  exec 3<>"/dev/tcp/$(hostname)/$1" || return 1
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\n\r\n' "$2" "$(hostname)" >&3
  tr -d ' \r\n' <&3 | grep -qE "$3"
}

# Whether a web server of this node asks for a ticket: PORT
refuses() {
  exec 3<>"/dev/tcp/$(hostname)/$1" || return 1
  printf 'GET /jmx HTTP/1.0\r\nHost: %s\r\n\r\n' "$(hostname)" >&3
  grep -q '^HTTP/1.[01] 401' <&3
}

# Every principal with a keytab of its own, which only who needs it can read; carol has a password instead.
make_realms() {
  kdb5_util create -s -P "$(head -c 24 /dev/urandom | base64)"
  kdb5_util -r CORP.TEST create -s -P "$(head -c 24 /dev/urandom | base64)"
  local host realm user trust
  principal() { # PRINCIPAL KEYTAB OWNER
    kadmin.local -q "addprinc -randkey $1" && kadmin.local -q "ktadd -k $keytabs/$2 $1" && chown "$3" "$keytabs/$2"
  }
  principal nn/knit-namenode.knit.test namenode.keytab hdfs
  principal HTTP/knit-namenode.knit.test namenode.keytab hdfs
  principal dn/knit-datanode.knit.test datanode.keytab hdfs
  principal HTTP/knit-datanode.knit.test datanode.keytab hdfs
  principal rm/knit-resourcemanager.knit.test resourcemanager.keytab yarn
  principal HTTP/knit-resourcemanager.knit.test resourcemanager.keytab yarn
  for host in node-1 node-2 node-3; do
    principal "nm/knit-$host.knit.test" "$host.keytab" yarn
    principal "HTTP/knit-$host.knit.test" "$host.keytab" yarn
  done
  # Users of the cluster, for the client, whose programs are root's.
  principal hdfs-admin hdfs-admin.keytab root
  principal alice alice.keytab root
  principal bob bob.keytab root
  kadmin.local -q 'addprinc -pw wonderland carol'
  # One way: who has a ticket of CORP.TEST gets one for KNIT.TEST by a key that both realms hold.
  trust=$(head -c 24 /dev/urandom | base64)
  for realm in KNIT.TEST CORP.TEST; do
    kadmin.local -r $realm -q "addprinc -pw $trust krbtgt/KNIT.TEST@CORP.TEST"
  done
  for user in alice b.builder etl/batch; do
    kadmin.local -r CORP.TEST -q "addprinc -randkey $user@CORP.TEST"
    kadmin.local -r CORP.TEST -q "ktadd -k $keytabs/corp-${user%/*}.keytab $user@CORP.TEST"
  done
  touch "$keytabs/.done"
} >&2

format_once() {
  [ ! -d /var/lib/hadoop/hdfs/name/current ] || return 0
  hadoop 128 org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive
  "${command[@]}"
}

healthy() {
  # Who brings no ticket is told so, which is as much as can be learned here.
  [ -z "$is_secure" ] || case $1 in
    namenode) refuses $name_node && return ;;
    datanode) refuses $data_node && return ;;
    resourcemanager) refuses 8088 && return ;;
    nodemanager) refuses 8042 && return ;;
  esac
  case $1 in
    kdc) [ -e $keytabs/.done ] && exec 3<>/dev/tcp/localhost/88 ;;
    namenode) answers $name_node '/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo' '"Safemode":""' ;;
    datanode) answers $data_node '/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo' '"ClusterId":"[^"]' ;;
    resourcemanager) answers 8088 /ws/v1/cluster/info '"state":"STARTED"' ;;
    nodemanager) answers 8042 /ws/v1/node/info '"nodeHealthy":true' ;;
    *) echo "$1 is not well, or there is no such role" >&2 && return 1 ;;
  esac
}

case ${1:-} in
  kdc)
    make_realms
    command=(krb5kdc -n -r KNIT.TEST -r CORP.TEST)
    ;;
  namenode)
    format_once
    hadoop 128 org.apache.hadoop.hdfs.server.namenode.NameNode
    ;;
  datanode) hadoop 128 org.apache.hadoop.hdfs.server.datanode.DataNode ;;
  resourcemanager) hadoop 256 org.apache.hadoop.yarn.server.resourcemanager.ResourceManager ;;
  nodemanager) hadoop 192 org.apache.hadoop.yarn.server.nodemanager.NodeManager ;;
  client) command=(sleep infinity) ;; # programs are run beside it, by docker exec
  healthy)
    healthy "$2"
    exit
    ;;
  *)
    echo "which role? kdc, namenode, datanode, resourcemanager, nodemanager, client" >&2
    exit 64
    ;;
esac
exec "${command[@]}"
