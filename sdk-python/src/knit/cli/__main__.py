"""`python -m knit.cli` is the command `knit`, also where scripts are not on the PATH."""

import sys

from knit.cli import main

if __name__ == "__main__":
    sys.exit(main())
