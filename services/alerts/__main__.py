"""The process of the alerts service."""

import sys

from services.alerts.wiring import build
from services.kernel.runtime import run

sys.exit(run([build], arguments=sys.argv[1:]))
