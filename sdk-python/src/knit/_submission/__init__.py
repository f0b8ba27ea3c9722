"""From a specification to an application that YARN has accepted."""
