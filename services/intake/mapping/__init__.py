"""Maps: how the rows of somebody else's log become changes. The map, not the code, knows the log.

`load` reads a map file strictly; `Mapper` turns rows into items. Pure: files are read by
services/intake/files.py. The format is described in docs/map-format.md.
"""

from services.intake.mapping.loader import load
from services.intake.mapping.mapper import Mapped, Mapper
from services.intake.mapping.plan import Row
from services.intake.mapping.spec import Log, Map

__all__ = ["Log", "Map", "Mapped", "Mapper", "Row", "load"]
