// The jars of the Kerberos KDC of secure embedded clusters, which run apart from Hadoop's own:
//
//     gradle :integration:kdc:jars -Pkerby.jars=DIRECTORY
//
// pom.xml beside this file names the same modules, for machines that have Maven.
plugins {
  `jvm-ecosystem`
}

val kdc by configurations.creating {
  isCanBeConsumed = false
  attributes {
    attribute(Usage.USAGE_ATTRIBUTE, objects.named<Usage>(Usage.JAVA_RUNTIME))
    attribute(Category.CATEGORY_ATTRIBUTE, objects.named<Category>(Category.LIBRARY))
  }
}

dependencies {
  // What Hadoop's MiniKdc is a wrapper of.
  kdc("org.apache.kerby:kerb-simplekdc:2.0.3")
}

tasks.register<Sync>("jars") {
  from(kdc)
  into(providers.gradleProperty("kerby.jars").orElse(layout.buildDirectory.dir("jars").map { it.asFile.path }))
}
