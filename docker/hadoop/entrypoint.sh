#!/usr/bin/env bash
# Runs one role of the cluster in the foreground, or answers whether it is well:
#
#     entrypoint.sh namenode | datanode | resourcemanager | nodemanager | client
#     entrypoint.sh healthy ROLE
set -euo pipefail

class_path="$HADOOP_CONF_DIR:$HADOOP_HOME"
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

format_once() {
  [ ! -d /var/lib/hadoop/hdfs/name/current ] || return 0
  hadoop 128 org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive
  "${command[@]}"
}

healthy() {
  case $1 in
    namenode) answers $name_node '/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo' '"Safemode":""' ;;
    datanode) answers $data_node '/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo' '"ClusterId":"[^"]' ;;
    resourcemanager) answers 8088 /ws/v1/cluster/info '"state":"STARTED"' ;;
    nodemanager) answers 8042 /ws/v1/node/info '"nodeHealthy":true' ;;
    *) echo "there is no role $1" >&2 && return 1 ;;
  esac
}

case ${1:-} in
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
    echo "which role? namenode, datanode, resourcemanager, nodemanager, client" >&2
    exit 64
    ;;
esac
exec "${command[@]}"
