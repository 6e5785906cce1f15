"""docs/fairness.md shows the figures of docs/fairness.json, and a check names every figure that differs."""

import math
import shutil
from pathlib import Path

from tests.bench.fairness_page import write_page
from tests.bench.fairness_table import PAGE, differences, read_figures


def test_the_tables_show_the_committed_figures(tmp_path: Path) -> None:
    """If this fails, run `make fairness ARGS=--page`."""
    page = tmp_path / PAGE.name
    shutil.copy(PAGE, page)
    write_page(page, read_figures())
    assert page.read_text() == PAGE.read_text()


def test_a_check_names_the_figures_that_differ_and_ignores_the_running_time() -> None:
    expected = {"use": 0.5, "lost": math.nan, "p99_s": 1.0, "seconds": 3.0}
    found = {"use": 0.5, "lost": math.nan, "p99_s": 1.000001, "seconds": 4.0, "extra": 1.0}
    assert differences(expected, found) == ["extra: None -> 1.0", "p99_s: 1.0 -> 1.000001"]
    assert differences(expected, expected) == []
