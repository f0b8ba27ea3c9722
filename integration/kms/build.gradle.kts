// The jars of the KMS, beside those of Hadoop's daemons, whose dependencies it shares:
//
//     gradle :integration:kms:jars -Pkms.jars=DIRECTORY
//
// pom.xml beside this file names the same modules, for machines that have Maven.
plugins {
  `jvm-ecosystem`
}

val version = providers.gradleProperty("hadoop.version").orElse("3.4.2").get()

val kms by configurations.creating {
  isCanBeConsumed = false
  isTransitive = false
  attributes {
    attribute(Usage.USAGE_ATTRIBUTE, objects.named<Usage>(Usage.JAVA_RUNTIME))
    attribute(Category.CATEGORY_ATTRIBUTE, objects.named<Category>(Category.LIBRARY))
  }
}

dependencies {
  kms("org.apache.hadoop:hadoop-kms:$version")
  // Hadoop's daemons do without it.
  kms("org.slf4j:jul-to-slf4j:1.7.36")
}

tasks.register<Sync>("jars") {
  from(kms)
  into(providers.gradleProperty("kms.jars").orElse(layout.buildDirectory.dir("jars").map { it.asFile.path }))
}
