"""Planted stories: small plain functions, each with what its author means to come of it."""

from __future__ import annotations

from typing import Final

from services.allinone.town.stories.children import GRANDMOTHER, HARM, TRUANT, VIOLENCE
from services.allinone.town.stories.elders import BUTTON, FALL, QUIET, SUGAR, WATER
from services.allinone.town.stories.patients import MEDICINE
from services.allinone.town.stories.story import Ending, Means, Scene, Story

ALL: Final[tuple[Story, ...]] = (
    GRANDMOTHER, WATER, MEDICINE, TRUANT, FALL, VIOLENCE, HARM, SUGAR, QUIET, BUTTON,
)  # fmt: skip

__all__ = ["ALL", "Ending", "Means", "Scene", "Story"]
