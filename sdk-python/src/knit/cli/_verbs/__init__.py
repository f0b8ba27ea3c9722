"""What `knit` does, a file per group of verbs."""
