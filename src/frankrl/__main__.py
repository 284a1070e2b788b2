"""`python -m frankrl` is the command `frank`."""

import sys

from frankrl.cli.main import main

sys.exit(main())
