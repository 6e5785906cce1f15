"""A short form of the tampering that `make reliability` does a million times."""

from tests.reliability.tampered import tamper


def test_no_tampered_ticket_or_pass_opens() -> None:
    for kind, reasons in tamper(20_000, seed=1).items():
        assert reasons.total() > 1000, f"{kind}: too few were tried"
        assert set(reasons) <= {"signature", "malformed", "oversized"}
