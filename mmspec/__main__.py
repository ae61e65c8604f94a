"""`python -m mmspec` is `mmspec`."""

from __future__ import annotations

import sys

from mmspec.cli.main import main

sys.exit(main())
