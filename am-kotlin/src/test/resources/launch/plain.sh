application_classpath=("/opt/hadoop/*")
class_archive=true
heap_mib=352
jar_name=knit-am.jar
main_class=knit.am.MainKt
no_hadoop_exit_code=14
