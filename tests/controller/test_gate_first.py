"""The gate's contract in its first form: what the edge may build on."""

from controller import Admit, Gate, GateSettings, Wait


def test_an_empty_room_lets_everybody_through_up_to_the_burst() -> None:
    """While nobody waits a visitor is admitted at once; beyond the bucket they wait."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    verdicts = [gate.decide(first_seen=0.0 + i / 1000, now=0.02, draw=0.5) for i in range(12)]
    assert [type(v) for v in verdicts] == [Admit] * 10 + [Wait] * 2


def test_capacity_zero_holds_the_room() -> None:
    """A held room admits nobody, gives no ETA and asks to poll calmly."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    gate.set_share(0.0, now=0.0)
    verdict = gate.decide(first_seen=0.0, now=0.0, draw=0.5)
    assert isinstance(verdict, Wait)
    assert verdict.eta_p50_s is None
    assert verdict.poll_after_s >= 1.0


def test_no_free_place_admits_nobody() -> None:
    """With no free place for an active visitor nobody passes, whatever the bucket holds."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    assert isinstance(gate.decide(first_seen=0.0, now=0.0, draw=0.5, slots=0), Wait)
    assert isinstance(gate.decide(first_seen=0.0, now=2.0, draw=0.5, slots=3), Admit)


def test_a_restart_never_brings_a_fresh_burst() -> None:
    """A gate resumed from a checkpoint has the tokens of then plus what the time away is worth."""
    settings = GateSettings(admissions_per_second=10.0)
    gate = Gate(settings, now=0.0)
    while isinstance(gate.decide(first_seen=0.0, now=0.0, draw=0.5), Admit):
        pass
    again = Gate(settings, now=0.2, resume=gate.checkpoint(now=0.0))
    assert again.snapshot(now=0.2).bucket_level <= 2.0
