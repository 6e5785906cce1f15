"""The page of an error, as bytes, filled in while serving."""

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.template import Template, hidden_unless, html
from waiting_room.texts import Texts

__all__ = ["ErrorPage"]


class ErrorPage:
    """The page for a request that failed: what happened, whose fault it is, when another try makes sense."""

    def __init__(self, assets: Assets, texts: Texts | None = None) -> None:
        self._texts = texts or Texts.load()
        words = {"label_try_again": html(self._texts.get("labels", "try_again"))}
        self._template = Template.load("error.html").fill(words | page_frame(assets, self._texts))

    def render(
        self,
        status_code: int,
        title: str | None = None,
        explanation: str | None = None,
        retry_after_s: float | None = None,
    ) -> bytes:
        """The page of that code; title and explanation come from the language's file unless given."""
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
