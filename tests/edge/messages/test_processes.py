"""Messages within a machine hold no surprises: what a log may show of them, and how an answer fits its question."""

from edge.messages.processes import Configure, RedemptionAnswer, RedemptionQuestion


def test_the_text_of_a_configure_shows_no_key() -> None:
    message = Configure(
        {"secret": "s"}, ("the-key",), {"checkout": 0}, 0.0, "m", (), {}, {}, {}, {"checkout": {"drop": "5eed"}}
    )
    assert "the-key" not in repr(message)
    assert "5eed" not in repr(message)
    assert "checkout" in repr(message)


def test_an_answer_carries_what_identifies_its_question() -> None:
    question = RedemptionQuestion(7, "checkout", "ticket", "", "record", False)
    assert question.answered("already_redeemed", "other") == RedemptionAnswer(
        7, "checkout", "ticket", "already_redeemed", "other"
    )
