"""The results of a soak, the bounds that they must keep, and their table."""

from collections import Counter
from dataclasses import dataclass, field

from edge.cli.demo.crowd import Crowd, Visit
from tests.edge.observed import overtaken_share

__all__ = ["CAPACITY", "JUDGED_MINUTES", "Soaked"]

#: Admissions a second of the room with a line.
CAPACITY = 40.0
#: Shorter runs do not judge the memory.
JUDGED_MINUTES = 20.0
#: The resident set may be larger by this share in the second half than in the first,
MOST_GROWTH = 0.02
#: and the living blocks without rooms after the run than before: one block in a thousand requests, or less.
MOST_LEFT = 0.005
#: Share of the pairs of visitors.
MOST_OVERTAKEN = 0.05


@dataclass
class Soaked:
    """The results of a soak.

    `rss_kib`: resident set by worker, every SAMPLE_S seconds. `bare`: living blocks without rooms by worker, before and
    after.
    """

    minutes: float
    crowds: list[Crowd] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    most_a_second: int = 0
    rss_kib: dict[int, list[int]] = field(default_factory=dict)
    bare: list[list[int]] = field(default_factory=list)
    restarts: int = 0

    @property
    def visits(self) -> list[Visit]:
        return [visit for crowd in self.crowds for visit in crowd.visits]

    @property
    def overtaken(self) -> float:
        """Share of overtaken pairs in the worst wave; between two waves there is hardly a pair."""
        return max(overtaken_share(crowd.visits) for crowd in self.crowds)

    @property
    def requests(self) -> int:
        return self.answers.total() + sum(visit.states.total() for visit in self.visits)

    @property
    def errors(self) -> list[str]:
        """All unexpected results of requests."""
        said = [f"{count} x {what}" for what, count in self.answers.items() if what != "200"]
        states = sum((visit.states for visit in self.visits), Counter[str]())
        said += [f"{count} x {what}" for what, count in states.items() if what not in ("200 waiting", "200 admitted")]
        said += [what for visit in self.visits for what in visit.dropped]
        return said + [f"visitor {visit.number} never got in" for visit in self.visits if visit.admitted is None]

    @property
    def lives(self) -> list[tuple[int, int, int]]:
        """Each worker with its living blocks without rooms, before and after."""
        before, after = self.bare
        return [(at, *each) for at, each in enumerate(zip(before, after, strict=True))]

    def faults(self) -> list[str]:
        """The broken bounds."""
        said = self.errors
        if self.overtaken > MOST_OVERTAKEN:
            said.append(f"{self.overtaken:.1%} of pairs overtaken")
        if self.most_a_second > 2 * CAPACITY + 1:
            said.append(f"{self.most_a_second} admissions within a second")
        if self.restarts:
            said.append(f"{self.restarts} workers died")
        if self.minutes >= JUDGED_MINUTES:
            grown = [("its resident set", at, growth(seen), MOST_GROWTH) for at, seen in self.rss_kib.items()]
            grown += [
                ("the living blocks without rooms", at, lives / was - 1.0, MOST_LEFT) for at, was, lives in self.lives
            ]
            said += [f"worker {at}: {what} grew by {by:.1%}" for what, at, by, most in grown if by > most]
        return said

    def table(self, commit: str) -> str:
        rows = [
            "| minutes | visitors in line | requests | errors | pairs overtaken | most let in within a second |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| {self.minutes:g} | {len(self.visits):,} | {self.requests:,} | {len(self.errors)}"
            f" | {self.overtaken:.2%} | {self.most_a_second} |",
            "",
            "| worker | resident at first | at half time | at the end | most in the second half against the first |"
            " blocks that live without rooms, before | after |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for worker, seen in self.rss_kib.items():
            first, half, last = (f"{kib / 1024:.1f} MiB" for kib in (seen[0], seen[len(seen) // 2], seen[-1]))
            lives = [f"{bare[worker]:,}" for bare in self.bare] or ["not counted"] * 2
            rows.append(f"| {worker} | {first} | {half} | {last} | {growth(seen):+.1%} | {' | '.join(lives)} |")
        return "\n".join([*rows, "", f"Measured on {commit}."])


def growth(seen: list[int]) -> float:
    """Return by what share the largest value of the second half exceeds that of the first."""
    half = max(1, len(seen) // 2)
    return max(seen[half:] or seen[-1:]) / max(seen[:half]) - 1.0
