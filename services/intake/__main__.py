"""The door alone, in a process of its own."""

import sys

from services.intake.wiring import build
from services.kernel.runtime import run

if __name__ == "__main__":
    sys.exit(run([build], arguments=sys.argv[1:]))
