// The jars of HttpFS, beside those of Hadoop's daemons, whose dependencies it shares:
//
//     gradle :integration:httpfs:jars -Phttpfs.jars=DIRECTORY
//
// pom.xml beside this file names the same modules, for machines that have Maven.
plugins {
  `jvm-ecosystem`
}

val version = providers.gradleProperty("hadoop.version").orElse("3.4.2").get()

val httpfs by configurations.creating {
  isCanBeConsumed = false
  isTransitive = false
  attributes {
    attribute(Usage.USAGE_ATTRIBUTE, objects.named<Usage>(Usage.JAVA_RUNTIME))
    attribute(Category.CATEGORY_ATTRIBUTE, objects.named<Category>(Category.LIBRARY))
  }
}

dependencies {
  httpfs("org.apache.hadoop:hadoop-hdfs-httpfs:$version")
  // Hadoop's daemons do without it.
  httpfs("com.googlecode.json-simple:json-simple:1.1.1")
}

tasks.register<Sync>("jars") {
  from(httpfs)
  into(providers.gradleProperty("httpfs.jars").orElse(layout.buildDirectory.dir("jars").map { it.asFile.path }))
}
