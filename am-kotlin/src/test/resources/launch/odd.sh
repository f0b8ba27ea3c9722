export HADOOP_USER_NAME='o'"'"'hara'
application_classpath=("$HADOOP_CONF_DIR" "${HADOOP_HOME}/share/*:/x" "${A}/b c/\`d\`/\"e\"\\\$(f)\$" "/grün/$ü/it's")
class_archive=true
heap_mib=3072
jar_name=knit-am.jar
main_class=knit.am.MainKt
no_hadoop_exit_code=14
