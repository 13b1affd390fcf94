"""The book alone, in a process of its own."""

import sys

from services.kernel.runtime import run
from services.registry.wiring import build

if __name__ == "__main__":
    sys.exit(run([build], arguments=sys.argv[1:]))
