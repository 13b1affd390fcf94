"""How many examples a property test takes: few as a rule, many with HYPOTHESIS_PROFILE=thorough."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

THOROUGH: Final = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
FACTOR: Final = 100 if THOROUGH else 1


def examples(few: int) -> settings:
    """Return settings for `few` examples, or a hundred times as many when thorough.

    Random rules are large for what hypothesis expects; that is no fault of theirs.
    """
    return settings(
        max_examples=few * FACTOR,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
