"""Run the command line: `python -m checkout`."""

import sys

from checkout.cli import main

sys.exit(main())
