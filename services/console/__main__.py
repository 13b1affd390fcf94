"""The console alone, in a process of its own."""

import sys

from services.console.wiring import build
from services.kernel.runtime import run

if __name__ == "__main__":
    sys.exit(run([build], arguments=sys.argv[1:]))
