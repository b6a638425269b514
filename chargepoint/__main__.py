"""`python -m chargepoint`."""

import sys

from chargepoint.cli.main import main

sys.exit(main())
