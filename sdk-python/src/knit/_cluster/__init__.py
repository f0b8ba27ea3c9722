"""The doors of the cluster, without a JVM: configuration, ResourceManager, file system."""
