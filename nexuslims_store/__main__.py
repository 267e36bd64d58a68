"""`python -m nexuslims_store`: the command line."""

import sys

from nexuslims_store.cli import main

sys.exit(main())
