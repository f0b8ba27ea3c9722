"""Where a cluster is, from Hadoop's configuration."""
