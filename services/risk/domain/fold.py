"""The pure fold: (state, change | instant, now) → (state', drafts). See docs/semantics.md.

The fold owns the state value handed to it and changes it in place; who needs the old one keeps its
encoding. No I/O, no clock, no randomness: the same input always gives the same output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kernel.contracts import assessments as a
from services.risk.domain import drafts
from services.risk.domain.change import Change
from services.risk.domain.compiled import Compiled
from services.risk.domain.drafts import Output
from services.risk.domain.state import TRUE, Fact, Household, Subject
from services.risk.domain.step import Step, standing


class Fold:
    """The fold of one compiled pack. Stateless; shared by every partition."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def fold(self, state: Household, change: Change, now: int) -> list[Output]:
        """Run the household's work due before `now`, then take in one change at `now`.

        Args:
            state: The household of the change; changed in place.
            change: What came; its `received` may be behind `now` (late), never used as `now`.
            now: Processing time in microseconds, not before the household's last.
        """
        fresh = state.id not in state.subjects
        if fresh:
            state.subjects[state.id] = Subject()
        out = self.wake(state, now - 1) if state.due < now else []
        if state.open:
            drafts.hurry(self.compiled, state)
        state.now = now
        step = Step(self.compiled, state, now, cause=change.id, clock=change.clock)
        if fresh:
            step.arrive(state.id)
        if change.moved_out is not None:
            self._move_out(step, change, out)
        elif change.moved_in is not None:
            self._move_in(step, change, out)
        elif change.unreadable is not None:
            out.append((change.subject, change.id, now, change.unreadable))
        else:
            self._take(step, change)
            if change.passes and change.id not in state.gone:
                out += drafts.passed(change, now)
        self._conclude(step, out)
        return out

    def wake(self, state: Household, until: int) -> list[Output]:
        """Run all work due at or before `until`, in order of due, each at `now = due`."""
        out: list[Output] = []
        while state.due <= until:
            if state.open:
                drafts.hurry(self.compiled, state)
            now = state.due
            state.now = max(state.now, now)
            step = Step(self.compiled, state, now, cause=None, clock=now)
            for name, subject in sorted(state.subjects.items()):
                if subject.due <= now:
                    step.touched[name] = False
                    step.due(name, subject)
            self._conclude(step, out)
        return out

    def settle(
        self, state: Household, made: drafts.Draft, says: a.ModelSays | None
    ) -> a.Assessment | None:
        """Return the assessment of a draft once the model has spoken; see `drafts.settle`."""
        return drafts.settle(self.compiled, state, made, says)

    def rebuild(
        self, old: Household, history: Sequence[Change], now: int
    ) -> tuple[Household, list[Output]]:
        """Return the state that the facts give under this pack, and drafts of what it changes.

        Args:
            old: The state under another pack; only what it last published is used.
            history: The household's facts in order of receipt.
            now: Processing time to which the rebuilt state is brought.
        """
        state = Household(old.id)
        for change in history:
            self.fold(state, change, max(change.received, state.now))
            state.open.clear()  # what was drafted on the way is told to nobody
        self.wake(state, now)
        state.open.clear()
        state.now = max(now, state.now)
        step = Step(self.compiled, state, state.now, cause=None, clock=state.now)
        for name, subject in state.subjects.items():
            subject.scored = None  # the model was asked nothing yet
            before = old.subjects.get(name)
            if before is not None:
                subject.level, subject.model_level = before.level, before.model_level
                subject.touch()
            known = standing(before.instances) if before is not None else set()
            unsaid = subject.model_level > 0 and not drafts.scored(self.compiled, state, name)
            step.touched[name] = unsaid or standing(subject.instances) != known
        out: list[Output] = []
        self._conclude(step, out)
        return state, out

    def _conclude(self, step: Step, out: list[Output]) -> None:
        """Decide what is scheduled, draft what it changed, find the next due."""
        step.decide()
        step.state.reschedule()
        subjects = step.state.subjects
        for name, news in step.touched.items():
            if (news or self.compiled.features) and name in subjects and not subjects[name].tied:
                ended = tuple(step.ended.get(name, ()))
                made = drafts.draft(
                    self.compiled, step.state, name,
                    now=step.now, cause=step.cause, news=news, ended=ended,
                )  # fmt: skip
                if made is not None:
                    out.append(made)

    # -- taking a change in --------------------------------------------------------------------

    def _take(self, step: Step, change: Change) -> None:
        target = change.retracts or change.supersedes
        replaced = self._remove(step, target, change) if target is not None else None
        if change.retracts is None:
            self._add(step, change)
            if replaced is not None and step.clock < replaced:
                self._earlier_instances(step, change.id, step.clock)

    def _add(self, step: Step, change: Change) -> None:
        state, kind = step.state, change.type
        subject = state.subjects.get(change.subject)
        if subject is None:
            subject = Subject(tied=change.tie is not None, came=step.now)
            state.subjects[change.subject] = subject
            step.arrive(change.subject)
        if change.id in state.gone:
            if change.supersedes is not None:
                state.gone[change.supersedes] = (state.gone[change.supersedes][0], change.id)
            self._earlier_clock(step, change)
            return
        if self.compiled.kept(kind):
            if change.supersedes is not None:
                step.clock = min(change.clock, state.gone[change.supersedes][0])
                state.gone[change.supersedes] = (step.clock, change.id)
            fact = Fact(change.occurred, change.received, change.id, step.clock, change.values)
            if not subject.add(kind, fact):
                return
            step.touch(change.subject, kind, fact)
        if kind in self.compiled.feature_types:
            step.touched.setdefault(change.subject, False)

    def _remove(self, step: Step, target: str, change: Change) -> int | None:
        """Take a retracted or corrected fact out and return its clock; None when it was not there.

        It is remembered as gone, in case it comes later.
        """
        state = step.state
        for name, subject in state.subjects.items():
            for kind, facts in subject.facts.items():
                for position, fact in enumerate(facts):
                    if fact.id == target:
                        del facts[position]
                        subject.touch_facts(kind)
                        state.gone[target] = (min(fact.clock, change.clock), "")
                        step.withdrawing = True
                        step.touch(name, kind, fact)
                        return fact.clock
        state.gone.setdefault(target, (change.clock, ""))
        return None

    def _earlier_clock(self, step: Step, change: Change) -> None:
        """Take the earlier clock: the original of a correction came after the correction."""
        state, clock = step.state, change.clock
        before, replacement = state.gone[change.id]
        while clock < before and replacement in state.gone:  # corrected again
            state.gone[change.id] = (clock, replacement)
            change = change._replace(id=replacement)
            before, replacement = state.gone[replacement]
        if clock >= before or not replacement:
            return
        state.gone[change.id] = (clock, replacement)
        for subject in state.subjects.values():
            for kind, facts in subject.facts.items():
                for fact in facts:
                    if fact.id == replacement:
                        fact.clock = clock
                        subject.touch_facts(kind)
                        self._earlier_instances(step, fact.id, clock)

    def _earlier_instances(self, step: Step, fact: str, clock: int) -> None:
        """Move the clocks that this fact, or what it replaced, started to its new start.

        Not before what armed the rule was received and due: it was no promise until then.
        """
        names = _replaced_by(step.state.gone, fact)
        for owner, subject in step.state.subjects.items():
            for instance in subject.instances.values():
                start = max(clock, instance.armed)
                made = instance.truth == TRUE and not names.isdisjoint(instance.by)
                if made and start < instance.clock:
                    instance.clock = start
                    subject.touch()
                    step.touched[owner] = True

    # -- moves ---------------------------------------------------------------------------------

    def _move_out(self, step: Step, change: Change, out: list[Output]) -> None:
        step.state.subjects.pop(change.subject, None)
        if change.subject == step.state.id:
            step.state.subjects[step.state.id] = Subject()
        step.look_around()
        out.append(drafts.moved(change, step.now))

    def _move_in(self, step: Step, change: Change, out: list[Output]) -> None:
        state, name = step.state, change.subject
        out.append(drafts.moved(change, step.now))
        known = state.subjects.get(name)
        memory = self._rebuilt(state, name, change.history, step.now)
        step.touched[name] = True
        step.carried = change.history
        if known is None or known.tied or not known.facts:
            memory.came = step.now
            memory.touch()
            state.subjects[name] = memory
            step.arrive(name)
        else:
            for past in change.history:
                step.clock = past.clock
                self._take(step, past)
            step.clock, step.withdrawing = change.clock, False
            step.lifting.clear()  # what they lifted, they lifted in their own memory
            known.remember(memory)
        step.standing_of(name)

    def _rebuilt(
        self, around: Household, name: str, history: Sequence[Change], now: int
    ) -> Subject:
        """Return the subject as if its facts had always come here, in order of receipt."""
        alone = Household(around.id, around.pack)
        alone.gone = around.gone
        own = around.subjects.get(around.id)
        alone.subjects[around.id] = home = Subject()
        if own is not None and name != around.id:
            home.facts = own.facts
        at = 0
        for past in history:
            at = min(max(at, past.received), now)
            self.wake(alone, at - 1)
            alone.now = at
            step = Step(self.compiled, alone, at, cause=past.id, clock=past.clock)
            self._take(step, past)
            step.todo = {key: rule for key, rule in step.todo.items() if key[0] == name}
            step.decide()
            alone.reschedule()
        self.wake(alone, now - 1)
        return alone.subjects.get(name) or Subject()


def _replaced_by(gone: Mapping[str, tuple[int, str]], fact: str) -> set[str]:
    """Return a fact's id with those of all that it replaced, directly or through others."""
    names, more = {fact}, {fact}
    while more:
        more = {old for old, (_, new) in gone.items() if new in more} - names
        names |= more
    return names
