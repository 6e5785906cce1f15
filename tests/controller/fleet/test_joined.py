"""The view of a joined node: counts go on behind the shared front."""

import pytest

from controller.fleet.far_line import FarLine
from controller.fleet.joined import JoinedView
from controller.fleet.shared_bucket import SharedBucket
from controller.line.line import Line


def test_positions_go_on_behind_a_shared_front_that_holds_few() -> None:
    """Many near the front have left, and the visitors behind them have not polled since they came near.

    No position, and no number of called visitors, may end where the shared front ends.
    """
    line, far = Line(1024, 0.0, 17.0, nodes=2), FarLine()
    arrivals = [float(k) for k in range(100)]
    for first_seen in arrivals[::2]:
        line.expect(first_seen, 90.0, is_first=False)
    view = JoinedView(line, SharedBucket(), far)
    view.cover(sample=0.5, zone=60.0)
    for first_seen in arrivals[:50]:
        view.front.expect(first_seen, 90.0, is_first=False)
    far.merge((50.0, tuple(arrivals[start::4])) for start in (0, 2))
    line.tick(1.0, 1.0)
    view.tick(1.0, 0.0, float("inf"))
    assert view.ahead(100.0) == pytest.approx(100.0, abs=4.0)
    seventieth = view.nth(70.0)
    assert seventieth is not None
    assert seventieth == pytest.approx(70.0, abs=4.0)
