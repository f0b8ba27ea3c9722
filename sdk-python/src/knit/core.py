"""Where knit 0.1.1 kept its class: `knit.core.Knit` is `knit.Knit`."""

from knit._knit.knit import Knit

__all__ = ["Knit"]
