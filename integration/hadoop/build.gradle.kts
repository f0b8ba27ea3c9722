// The jars of Hadoop's daemons, for the embedded and the dockerized cluster:
//
//     gradle :integration:hadoop:jars -Phadoop.version=3.4.2 -Phadoop.jars=DIRECTORY
//
// pom.xml beside this file names the same modules, for machines that have Maven.
plugins {
  `jvm-ecosystem`
}

val hadoopVersion = providers.gradleProperty("hadoop.version").getOrElse("3.4.2")

val daemons by configurations.creating {
  isCanBeConsumed = false
  attributes {
    attribute(Usage.USAGE_ATTRIBUTE, objects.named<Usage>(Usage.JAVA_RUNTIME))
    attribute(Category.CATEGORY_ATTRIBUTE, objects.named<Category>(Category.LIBRARY))
    attribute(
      TargetJvmEnvironment.TARGET_JVM_ENVIRONMENT_ATTRIBUTE,
      objects.named<TargetJvmEnvironment>(TargetJvmEnvironment.STANDARD_JVM),
    )
  }
}

dependencies {
  listOf(
    "hadoop-common",
    "hadoop-hdfs",
    "hadoop-hdfs-client",
    "hadoop-yarn-client",
    "hadoop-yarn-server-nodemanager",
    "hadoop-yarn-server-resourcemanager",
    // The ResourceManager loads one class of it as it starts.
    "hadoop-yarn-server-timelineservice",
  ).forEach { daemons("org.apache.hadoop:$it:$hadoopVersion") }
}

tasks.register<Sync>("jars") {
  from(daemons)
  into(providers.gradleProperty("hadoop.jars").orElse(layout.buildDirectory.dir("jars").map { it.asFile.path }))
}
