"""The directory `.knit` of a user on HDFS: what is sent there, written down and cleared up."""
