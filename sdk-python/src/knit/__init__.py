"""Launch and control non-JVM programs on Apache Hadoop YARN."""
