"""The error page as bytes. Its placeholders are filled when it is served.

A page that answers a navigation which the shop failed tries again by itself: its script loads the address after growing
pauses (`static/retry.js`), and tags do it without scripts. A page that answers a form never does; it says whether the
form reached the shop.
"""

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.template import Template, hidden_unless, html
from waiting_room.texts import Texts

__all__ = ["ErrorPage"]

#: The first pause before the next try, unless the caller knows better; without scripts, every pause.
FIRST_S = 5
#: The time until the page is loaded again if scripts are on but ours did not load. The script cancels it.
RESCUE_S = 60
#: Status codes after which the same request may succeed. After others the button would repeat the error.
RETRYABLE = frozenset((408, 425, 429, 500, 502, 503, 504))


class ErrorPage:
    """The page of a failed request: what happened, which side is at fault, when to try again."""

    def __init__(self, assets: Assets, texts: Texts | None = None, *, has_choice: bool = False) -> None:
        self._texts = texts or Texts.load()
        labels = {"label_try_again": html(self._texts.get("labels", "try_again"))}
        frame = page_frame(assets, self._texts, has_choice=has_choice)
        self._has_choice = has_choice
        del frame["no_language"]  # only where the page can be loaded again
        self._template = Template.load("error.html").fill(labels | frame)
        self._script = b'<script src="%b" defer></script>\n' % html(assets.url("retry.js"))
        self._probe = html(assets.url("icon.svg"))

    def render(
        self,
        status_code: int,
        title: str | None = None,
        explanation: str | None = None,
        retry_after_s: float | None = None,
        detail: str | None = None,
    ) -> bytes:
        """Return the page of a status code. Title and explanation come from the language file unless given.

        detail: what exactly was wrong, in technical words for the support desk; it stands beside the code.
        """
        texts = self._texts
        can_retry = retry_after_s is not None or status_code in RETRYABLE
        return self._join(
            status_code,
            title or texts.error(status_code, "title"),
            explanation or texts.error(status_code, "explanation"),
            texts.retry(retry_after_s),
            is_retry_shown=can_retry,
            has_link=can_retry,
            detail=detail,
        )

    def render_trying(self, status_code: int, retry_after_s: int | None = None) -> bytes:
        """Return the page of a navigation that the shop failed. It loads the address again by itself."""
        texts, after_s = self._texts, retry_after_s or FIRST_S
        refresh = (
            b'<noscript><meta http-equiv="refresh" content="%d"></noscript>\n'
            b'<meta http-equiv="refresh" content="%d">\n' % (after_s, max(RESCUE_S, after_s))
        )
        data = b' data-after="%d" data-probe="%b" data-countdown="%b" data-trying="%b"' % (
            after_s,
            self._probe,
            html(texts.data["retries"]["countdown"]),
            html(texts.get("retries", "trying")),
        )
        return self._join(
            status_code,
            texts.error(status_code, "title"),
            texts.error(status_code, "explanation"),
            texts.get("retries", "again"),
            refresh=refresh,
            script=self._script,
            data=data,
            has_language=self._has_choice,
        )

    def render_form(self, status_code: int, *, is_sent: bool) -> bytes:
        """Return the page of a form that the shop did not answer. Nothing is sent again.

        is_sent: it may have reached the shop.
        """
        kind = "form_sent" if is_sent else "form_not_sent"
        explanation = self._texts.error_of(kind, "explanation")
        return self._join(
            status_code, self._texts.error_of(kind, "title"), explanation, "", is_retry_shown=False, has_link=False
        )

    def _join(
        self,
        status_code: int,
        title: str,
        explanation: str,
        retry: str,
        *,
        is_retry_shown: bool = True,
        has_link: bool = True,
        refresh: bytes = b"",
        script: bytes = b"",
        data: bytes = b"",
        detail: str | None = None,
        has_language: bool = False,
    ) -> bytes:
        code = self._texts.get("retries", "code", code=str(status_code))
        return self._template.join(
            {
                "title": html(title),
                "explanation": html(explanation),
                "no_retry": hidden_unless(is_retry_shown),
                "retry": html(retry),
                "no_again": hidden_unless(has_link),
                "code": html(f"{code}: {detail}" if detail else code),
                "refresh": refresh,
                "script": script,
                "data": data,
                "no_language": hidden_unless(has_language),
            }
        )
