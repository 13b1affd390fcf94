"""Closing a case: asks what came of it where a rule waits for that, and sends it in as a fact.

The fact goes in before the alert is closed: while intake is away nothing is closed and whoever
presses again sends the same fact, so it is neither lost nor doubled (docs/adr/0026).
"""

from collections.abc import Mapping
from typing import Final

from services.console.closing import Awaited, awaited, change, final, proposed, wrong
from services.console.gateway import Json
from services.console.pages.sending import send_once
from services.console.web.visit import Visit
from services.console.words import say
from services.kernel.errors import Fault, Refused

FIELD: Final = "result-"
"""Before the name of a field of the outcome, in the form."""
_SAID: Final = {"said": True, "none": False}


async def asked_of(visit: Visit, alert: Json) -> Awaited | None:
    """Return the outcome that an alert's rule waits for, if it does.

    Raises:
        Away: nobody has heard the rules yet, so nobody knows.
    """
    rule = (await visit.gateway.rules()).get(alert["rule"])
    if not (rule or {}).get("outcome"):
        return None
    return awaited(rule, (await visit.gateway.types())["types"])


def result_of(visit: Visit, alert: Json, asked: Awaited, outcome: str) -> Mapping[str, str]:
    """Return what came of it: as the form says, or as the first person proposed.

    Raises:
        Refused: the form does not say whether there is an outcome, or says a wrong one (422).
    """
    before = proposed(alert, asked)
    if before is not None and not outcome:
        return before
    said = _SAID.get(visit.text("result", 10))
    found = {each.field: visit.text(FIELD + each.field, 100) for each in asked.choices}
    lacking = ["result"] if said is None else wrong(asked, found) if said else []
    if lacking:
        names = say(visit.language, "list.and").join(
            say(visit.language, f"closing.{name}") for name in lacking
        )
        told = say(visit.language, "closing.lacking", what=names)
        raise Refused(
            Fault(", ".join(lacking), "one of the list", told, "choose one", "field"), 422
        )
    return found if said else {}


async def send_outcome(
    visit: Visit, alert: Json, asked: Awaited, result: Mapping[str, str], version: int | None
) -> bool:
    """Send the outcome in when this closing is final; return whether it is there then.

    One that came in before is there already.

    Raises:
        Away: intake does not answer; nothing is closed then.
        Refused: intake refuses it, or another outcome came in for this very closing (409).
    """
    outcome = visit.text("outcome", 100)
    if not result or not final(alert, visit.user.staff, outcome, version):
        return False
    fact = change(alert, asked, result, visit.console.clock.now())
    await send_once(visit, fact)
    return True
