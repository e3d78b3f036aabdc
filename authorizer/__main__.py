"""``python -m authorizer``."""

import sys

from authorizer.cli import main

sys.exit(main())
