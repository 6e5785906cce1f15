"""The error page as bytes. Its placeholders are filled when it is served."""

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.template import Template, hidden_unless, html
from waiting_room.texts import Texts

__all__ = ["ErrorPage"]


class ErrorPage:
    """The page of a failed request: what happened, whose fault it is, when to try again."""

    def __init__(self, assets: Assets, texts: Texts | None = None) -> None:
        self._texts = texts or Texts.load()
        labels = {"label_try_again": html(self._texts.get("labels", "try_again"))}
        self._template = Template.load("error.html").fill(labels | page_frame(assets, self._texts))

    def render(
        self,
        status_code: int,
        title: str | None = None,
        explanation: str | None = None,
        retry_after_s: float | None = None,
    ) -> bytes:
        """Return the page of a status code. Title and explanation come from the language file unless given."""
        texts = self._texts
        return self._template.join(
            {
                "title": html(title or texts.error(status_code, "title")),
                "explanation": html(explanation or texts.error(status_code, "explanation")),
                "no_retry": hidden_unless(retry_after_s is not None or status_code >= 500),
                "retry": html(texts.retry(retry_after_s)),
                "code": html(texts.get("errors", "code", code=str(status_code))),
            }
        )
