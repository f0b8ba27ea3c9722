"""Python environments, packed to run on machines that have no Python, or another one."""

from knit._environments.making.creating import create_env
from knit._environments.packing.packing import PackingProgress, pack_environment
from knit._environments.packing.sources import check_source, to_stage

__all__ = ["PackingProgress", "check_source", "create_env", "pack_environment", "to_stage"]
