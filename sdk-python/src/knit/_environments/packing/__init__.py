"""Any environment, to an archive that runs on another machine."""
