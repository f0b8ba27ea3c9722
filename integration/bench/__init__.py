"""knit beside skein 0.8.2 on one cluster, and the floor that YARN sets: ``nox -s bench``."""
