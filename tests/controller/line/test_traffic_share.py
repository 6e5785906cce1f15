"""The part of a room's polls that reaches a node: believed only on evidence."""

import pytest

from controller.line.traffic_share import TrafficShare


def come_back(traffic: TrafficShare, is_kept: bool, i: int) -> None:
    """The i-th lease has come due, a second after the one before, and its visitor has polled here or not."""
    if is_kept:
        traffic.back += 1
    else:
        traffic.missed([float(i)], clock=float(i))


def test_an_even_load_is_left_alone_and_a_skewed_one_is_seen() -> None:
    """The share of the traffic moves only on evidence."""
    even, skewed = TrafficShare(4), TrafficShare(4)
    even.be_sure(counts_from=0.0)
    skewed.be_sure(counts_from=0.0)
    for i in range(2000):
        come_back(even, i % 4 == 0, i)
        come_back(skewed, i % 20 < 11, i)
    assert even.share == 0.25
    assert skewed.share == pytest.approx(0.55, abs=0.03)
    assert even.surplus(part=0.25) == even.surplus(part=0.1) == 0.0  # no evidence that others have less
    assert skewed.surplus(part=0.25) == pytest.approx(0.3, abs=0.03)
    assert skewed.surplus(part=0.7) == 0.0


def test_a_node_that_starves_knows_it_before_it_knows_how_late_visitors_poll() -> None:
    """It would never learn the latency otherwise, and lateness makes no node seem crowded.

    Any other share is not believed so early, and what was counted before holds only until there is enough new evidence.
    """
    starving, slow, hasty, crowded = TrafficShare(4), TrafficShare(4), TrafficShare(4), TrafficShare(4)
    for i in range(2000):
        come_back(starving, i % 20 == 0, i)
        come_back(slow, i % 8 == 0, i)  # half of the visitors are later than the node waits for
        come_back(hasty, i % 20 < 9, i)  # a quarter of the others, and visitors that poll faster than asked
        come_back(crowded, i % 20 < 11, i)
    assert starving.share == pytest.approx(0.05, abs=0.02)
    assert slow.share == hasty.share == 0.25
    assert crowded.share == pytest.approx(0.55, abs=0.03)
    starving.be_sure(counts_from=2000.0)
    crowded.be_sure(counts_from=2000.0)
    assert starving.share == pytest.approx(0.05, abs=0.02)
    assert crowded.share == pytest.approx(0.55, abs=0.03)
    for i in range(2000, 3000):
        come_back(crowded, i % 4 == 0, i)
    assert crowded.share == 0.25


def test_leases_that_do_not_allow_for_lateness_do_not_count_once_it_is_known() -> None:
    """Half of the visitors that are a second late were missed, which does not tell where they went."""
    traffic = TrafficShare(4)
    traffic.be_sure(counts_from=1000.0)
    for i in range(2000):
        come_back(traffic, i % 8 == 0 if i < 1000 else i % 4 == 0, i)
        assert traffic.share == 0.25


def test_kept_visitors_count_no_sooner_than_lost_ones() -> None:
    """When a line begins to come back, kept visitors are known at once and lost ones only later."""
    traffic = TrafficShare(4)
    traffic.be_sure(counts_from=0.0)
    for step in range(20):
        for _ in range(40):
            traffic.back += 1
        traffic.missed([step + i * 1e-3 for i in range(120)], clock=step * 0.1)
        assert traffic.share == 0.25
