"""Recorded sales: what the reader accepts, and the faults it reports."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.simulate.trace import MAX_FAULTS, parse_trace, read_trace
from edge.support.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "arrivals", "patiences"),
    [
        ("0\n1.5\n", (0, 1.5), (math.inf, math.inf)),
        ("seconds\n0\n2\n", (0, 2), (math.inf, math.inf)),
        ("seconds,patience\n0,30\n1,\n", (0, 1), (30, math.inf)),
        ("Patience, Seconds\n30,0\n,1\n", (0, 1), (30, math.inf)),
        ("0,5\n1\n", (0, 1), (5, math.inf)),
        ("\n0\n\n , \n3\n", (0, 3), (math.inf, math.inf)),
        ("1760090400.5,\n1760090401.5,\n", (0, 1), (math.inf, math.inf)),
        ("3\n1\n2\n", (2, 0, 1), (math.inf,) * 3),
        ('"0","1e1"\r\n', (0,), (10,)),
        ("7,0", (0,), (0,)),
    ],
)
def test_valid_traces_are_read(text: str, arrivals: tuple[float, ...], patiences: tuple[float, ...]):
    """With or without a header, columns and lines in any order, empty patience, any zero of the clock."""
    trace = parse_trace(text.splitlines(keepends=True))
    assert trace.arrival_s == arrivals
    assert trace.patience_s == patiences


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no arrivals"),
        ("seconds,patience\n", "holds no arrivals"),
        ("0\nx\n", "line 2: seconds: must be a number of seconds, got 'x'"),
        ("0\n-1\n", "line 2: seconds: must be finite and >= 0"),
        ("0\ninf\n", "line 2: seconds: must be finite and >= 0"),
        ("0,nan\n", "line 1: patience: must be finite and >= 0"),
        ("0,1,2\n", "line 1: has 3 columns"),
        ("seconds,age\n", "line 1: unknown column 'age'"),
        ("patience\n", "line 1: has no column 'seconds'"),
        ("seconds,seconds\n", "line 1: names a column twice"),
        ("1760090400500\n", "are these milliseconds?"),
        ("0\n900000\n", "spans 900,000 s"),
        ('0\n"1\n', "is not CSV"),
        (",5\n", "line 1: seconds: must be a number of seconds, got ''"),
    ],
)
def test_a_fault_names_its_line(text: str, message: str):
    """Nothing is guessed or skipped: a trace with a fault is refused."""
    with pytest.raises(ConfigurationError) as caught:
        parse_trace(text.splitlines(keepends=True), "sale.csv")
    assert message in str(caught.value)
    assert str(caught.value).startswith("sale.csv: ")


def test_all_faults_are_reported_up_to_a_limit():
    """After the limit the rest of the file is not read."""
    with pytest.raises(ConfigurationError) as caught:
        parse_trace(["0\n", "a\n", "1\n", "b\n"])
    assert [fault.path for fault in caught.value.faults] == ["line 2", "line 4"]
    with pytest.raises(ConfigurationError) as caught:
        parse_trace(["x\n"] * 1000)
    assert len(caught.value.faults) == MAX_FAULTS + 1


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path):
    """A missing file, and one that is not text. A byte order mark, as spreadsheets write it, is skipped."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfseconds\n1\n")
    for name in ("missing", "binary"):
        with pytest.raises(ConfigurationError):
            read_trace(tmp_path / name)
    assert len(read_trace(tmp_path / "marked")) == 1


@given(st.lists(st.tuples(st.floats(0, 1e5), st.none() | st.floats(0, 1e6)), min_size=1, max_size=50))
def test_a_written_trace_reads_back_unchanged(visitors: list[tuple[float, float | None]]):
    """Arrivals count from the first one."""
    lines = [f"{at!r},{'' if patience is None else repr(patience)}\n" for at, patience in visitors]
    trace = parse_trace(lines)
    first = min(at for at, _ in visitors)
    assert trace.arrival_s == tuple(at - first for at, _ in visitors)
    assert trace.patience_s == tuple(math.inf if patience is None else patience for _, patience in visitors)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_any_text_is_a_trace_or_a_fault(lines: list[str]):
    """The values that are read are within bounds."""
    try:
        trace = parse_trace(lines)
    except ConfigurationError:
        return
    assert min(trace.arrival_s) == 0.0
    assert all(patience >= 0.0 for patience in trace.patience_s)
