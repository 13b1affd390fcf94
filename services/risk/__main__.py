"""Run risk alone: `python -m services.risk`, settings from HEARTHWATCH_*."""

import sys

from services.kernel.runtime import run
from services.risk.wiring import build

sys.exit(run([build], arguments=sys.argv[1:]))
