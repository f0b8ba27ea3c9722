import com.google.protobuf.gradle.id
import com.google.protobuf.gradle.proto
import org.jetbrains.kotlin.gradle.dsl.JvmTarget
import org.jetbrains.kotlin.gradle.plugin.KotlinPlatformType
import java.time.Duration

plugins {
  alias(libs.plugins.kotlin.jvm)
  alias(libs.plugins.protobuf)
  alias(libs.plugins.shadow)
}

group = "knit"
version = "1.0.0"
base.archivesName = "knit-am"

/** Checks sources against .editorconfig; the same release that the Maven build runs. */
val ktlint: Configuration by configurations.creating {
  isCanBeConsumed = false
  attributes {
    attribute(Bundling.BUNDLING_ATTRIBUTE, objects.named(Bundling.EXTERNAL))
    // What it needs to run on the JVM: without these Gradle 8 takes what compiling against it needs, or its sources.
    attribute(Category.CATEGORY_ATTRIBUTE, objects.named(Category.LIBRARY))
    attribute(Usage.USAGE_ATTRIBUTE, objects.named(Usage.JAVA_RUNTIME))
    attribute(KotlinPlatformType.attribute, KotlinPlatformType.jvm)
  }
}

dependencies {
  // What others bring along has our versions, too, as by Maven's dependencyManagement.
  implementation(platform(libs.kotlin.bom))
  implementation(platform(libs.coroutines.bom))
  implementation(platform(libs.grpc.bom))
  implementation(platform(libs.protobuf.bom))
  constraints {
    implementation(libs.guava)
  }

  implementation(libs.coroutines.core)
  implementation(libs.collections.immutable)
  implementation(libs.grpc.api)
  implementation(libs.grpc.stub)
  implementation(libs.grpc.protobuf)
  implementation(libs.grpc.services)
  implementation(libs.grpc.kotlin.stub)
  implementation(libs.protobuf.java)
  implementation(libs.picocli)
  implementation(libs.grpc.netty) {
    // A proxy leads to no node.
    exclude(group = "io.netty", module = "netty-handler-proxy")
  }

  // The cluster's own jars serve these at run time.
  compileOnly(libs.hadoop.client.api)
  compileOnly(libs.slf4j.api)

  testImplementation(platform(libs.junit.bom))
  testImplementation(libs.junit.jupiter)
  testImplementation(libs.kotest.property)
  testImplementation(libs.coroutines.test)
  testImplementation(libs.grpc.inprocess)
  testImplementation(libs.hadoop.client.api)
  // What YARN's protocol is made of is packed in it.
  testImplementation(libs.hadoop.client.runtime)
  testImplementation(libs.slf4j.api)
  testRuntimeOnly(libs.junit.launcher)

  ktlint(libs.ktlint.cli)
}

kotlin {
  compilerOptions {
    jvmTarget = JvmTarget.JVM_1_8
  }
}

tasks.compileKotlin {
  compilerOptions.freeCompilerArgs.add("-Xjdk-release=1.8")
}

tasks.withType<JavaCompile>().configureEach {
  options.release = 8
}

sourceSets {
  main {
    proto {
      srcDir(rootProject.layout.projectDirectory.dir("proto"))
    }
  }
}

/** The licences of all that is packed, into META-INF/licenses. */
val licenses by tasks.registering(Exec::class) {
  description = "Gathers the licences of all that is packed."
  val directory = layout.buildDirectory.dir("licenses")
  val packed: FileCollection = configurations.runtimeClasspath.get()
  val own = rootProject.layout.projectDirectory.file("LICENSE")
  val texts = layout.projectDirectory.dir("licenses")
  inputs.files(packed, own, texts)
  outputs.dir(directory)
  executable = File(System.getProperty("java.home"), "bin/java").path
  argumentProviders.add(
    CommandLineArgumentProvider {
      listOf(
        texts.file("GatherLicenses.java"),
        directory.get(),
        own,
        packed.asPath,
        texts,
      ).map { "$it" }
    },
  )
}

tasks.processResources {
  from(licenses)
  // One script starts the Application Master, whichever client submits it.
  from(rootProject.layout.projectDirectory.dir("sdk-python/src/knit")) {
    include("_launch_am.sh")
    into("knit/client")
  }
}

protobuf {
  protoc {
    artifact =
      libs.protobuf.protoc
        .get()
        .toString()
  }
  plugins {
    id("grpc") {
      artifact =
        libs.grpc.gen.java
          .get()
          .toString()
    }
    id("grpckt") {
      artifact = "${libs.grpc.gen.kotlin.get()}:jdk8@jar"
    }
  }
  generateProtoTasks {
    all().configureEach {
      plugins {
        id("grpc") {
          option("@generated=omit")
        }
        id("grpckt")
      }
    }
  }
}

tasks.withType<Test>().configureEach {
  useJUnitPlatform()
  // They take three minutes; what hangs is a failure.
  timeout = Duration.ofMinutes(20)
}

tasks.test {
  filter {
    excludeTestsMatching("*IT")
  }
}

tasks.withType<AbstractArchiveTask>().configureEach {
  isPreserveFileTimestamps = false
  isReproducibleFileOrder = true
}

tasks.shadowJar {
  manifest {
    attributes("Main-Class" to "io.continuum.knit.Client", "Implementation-Version" to project.version)
  }
  // Shadow 9 drops duplicates before its transformers see them.
  filesMatching("META-INF/services/**") {
    duplicatesStrategy = DuplicatesStrategy.INCLUDE
  }
  mergeServiceFiles()
  // Kept whole: services escape the analysis.
  minimize {
    exclude(dependency("io.grpc:.*:.*"))
  }
  exclude(
    // They have equal names; META-INF/licenses has them all.
    "LICENSE*",
    "NOTICE*",
    "META-INF/LICENSE*",
    "META-INF/NOTICE*",
    "META-INF/license/**",
    "META-INF/*.SF",
    "META-INF/*.DSA",
    "META-INF/*.RSA",
    "META-INF/maven/**",
    "META-INF/versions/**",
    "META-INF/proguard/**",
    "META-INF/com.android.tools/**",
    "META-INF/native/**",
    "META-INF/native-image/**",
    "META-INF/services/reactor.*",
    "META-INF/*.kotlin_module",
    "META-INF/kotlin-project-structure-metadata.json",
    "module-info.class",
    "commonMain/**",
    "**/*.kotlin_builtins",
    "**/*.proto",
    "DebugProbesKt.bin",
  )
  listOf(
    "io.grpc",
    "io.perfmark",
    "io.netty",
    "com.google",
    "android.annotation",
    "javax.annotation",
    "org.codehaus.mojo",
    "org.intellij",
    "org.jetbrains",
    "org.jspecify",
    // Clusters have BouncyCastle, which netty would load whenever it serves TLS: not to be found.
    "org.bouncycastle",
    "picocli",
    "kotlin",
    "kotlinx",
    "_COROUTINE",
  ).forEach { relocate(it, "knit.shaded.$it") }
}

tasks.assemble {
  dependsOn(tasks.shadowJar)
}

/** Tests of the finished jar: classes named …IT. */
val jarTest by tasks.registering(Test::class) {
  description = "Tests the finished jar."
  group = LifecycleBasePlugin.VERIFICATION_GROUP
  testClassesDirs =
    sourceSets.test
      .get()
      .output.classesDirs
  classpath = sourceSets.test.get().runtimeClasspath
  filter {
    includeTestsMatching("*IT")
  }
  val jar = tasks.shadowJar.flatMap { it.archiveFile }
  inputs.file(jar).withPropertyName("jar")
  jvmArgumentProviders.add(CommandLineArgumentProvider { listOf("-Dknit.shaded.jar=${jar.get().asFile}") })
}

val ktlintCheck by tasks.registering(JavaExec::class) {
  description = "Checks the format of everything in Kotlin."
  group = LifecycleBasePlugin.VERIFICATION_GROUP
  classpath = ktlint
  mainClass = "com.pinterest.ktlint.Main"
  args("src/**/*.kt", "*.gradle.kts", "../*.gradle.kts")
}

tasks.check {
  dependsOn(jarTest, ktlintCheck)
}
