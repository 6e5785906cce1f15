"""The oversell alarm counts what a sale sold beyond its total, whatever the store's own numbers say."""

from hypothesis import given
from hypothesis import strategies as st

from checkout.oversell import OversellAlarm
from checkout.values import Event


def event(seq: int, kind: str, *, free: int = 0, held: int = 0, sold: int = 0, sale: str = "a") -> Event:
    return Event(seq, sale, f"h{seq}", "u", kind, "cashier", "", 0, 0, 0, 0, free, held, sold, 0, "", "", "")


@given(st.integers(0, 5), st.integers(0, 9))
def test_units_beyond_the_total_are_counted(total: int, sold: int) -> None:
    """The store's numbers claim that all is well. Only the events count."""
    alarm, raised = OversellAlarm(), list[str]()
    alarm.take([event(1, "opened", free=total)])
    for seq in range(sold):
        raised += alarm.take([event(seq + 2, "sold", sold=min(total, 1))])
    assert alarm.oversold() == {"a": max(0, sold - total)}
    assert raised == ["a"] * (sold > total)


def test_numbers_beyond_the_total_raise_the_alarm_too() -> None:
    """Held units count, because their buyers are paying. The alarm stays when the numbers are right again."""
    alarm = OversellAlarm()
    alarm.take([event(1, "opened", free=3), event(2, "opened", free=9, sale="b")])
    assert alarm.take([event(3, "held", held=3, sold=2)]) == ["a"]
    assert alarm.take([event(4, "expired", held=1, sold=2)]) == []
    assert alarm.oversold() == {"a": 2, "b": 0}
