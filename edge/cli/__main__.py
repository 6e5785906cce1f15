"""`python -m edge.cli` is `stanchion`."""

import sys

from edge.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
