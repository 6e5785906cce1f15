"""The edge's own responses, as values: the waiting page, the status document, files, refusals.

Every response to a waiting visitor has the same fields: not stored, not indexed, and the visitor's state. No response
has the status 429, because waiting is not the visitor's fault.
"""

import json
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from edge.decision.cookies import Cookies
from edge.decision.negotiation import accepts_gzip, wants_page
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Headers
from waiting_room.assets import ASSET_HEADERS, CLIENT, CLIENT_HEADERS, OTHER_VERSION_HEADERS, Assets
from waiting_room.error_page import ErrorPage
from waiting_room.frame import PAGE_HEADERS
from waiting_room.interlude_page import InterludePage
from waiting_room.language_choice import Languages
from waiting_room.language_page import LanguagePage, language_query, safe_path
from waiting_room.page import WaitingPage
from waiting_room.placeholders import Coding
from waiting_room.status import State, Status, retry_after
from waiting_room.texts import Texts
from waiting_room.transfer_page import TransferPages

__all__ = ["Responses"]

VARY = "Accept, Cookie"
#: For how many values of `Retry-After` the fields are kept.
MOST_WAITS: Final = 512
PAGE_VARY = "Accept, Accept-Encoding, Accept-Language, Cookie"


class Responses:
    """Builds responses. assets: the static files that the pages load. languages: of all pages."""

    def __init__(self, assets: Assets, languages: Languages | None = None) -> None:
        self._assets = assets
        self._languages = languages or Languages()
        self._language_page = LanguagePage(assets, self._languages)
        self._pages: dict[str, OtherPages] = {}
        self.declined: Final = _declined()
        """To a speculative request without a pass: nothing that a cache or a browser keeps."""
        self._document_fields: dict[State, dict[int | None, Headers]] = {}
        """By state and `Retry-After`. The same objects are used again, so that they are rendered once."""
        self._page_fields: dict[str, dict[Coding, dict[int | None, Headers]]] = {}
        """Of pages of visitors in line, by the page's policy, coding and `Retry-After`."""

    def language(self, accept_language: str, cookie: str = "") -> str:
        """Return the language of a visitor. cookie: the `Cookie` field, '' if it must not matter because the response
        is kept with the rest of the head."""
        return self._languages.choose(accept_language, cookie)

    def _pages_for(self, head: RequestHead) -> "OtherPages":
        return self._pages_in(self._languages.choose(head.accept_language, head.cookie))

    def _pages_in(self, language: str) -> "OtherPages":
        pages = self._pages.get(language)
        if pages is None:
            texts, has_choice = self._languages.texts(language), self._languages.is_choice
            pages = self._pages[language] = OtherPages(self._assets, texts, has_choice=has_choice)
        return pages

    def again(self, head: RequestHead) -> Answer:
        """Return the response to a form of another site: a page that loads itself by GET, and no cookie."""
        return self._pages_for(head).again

    def choose_language(self, query: str, head: RequestHead, cookies: Cookies) -> Answer:
        """Return the page with all languages, or after a choice the way back with the cookie (`language_page.py`)."""
        asked = language_query(query)
        chosen = self._languages.named(asked.get("to", ""))
        if chosen is not None:
            headers = (("Location", safe_path(asked.get("back", "/"))), *_CHOSEN)
            return Answer(303, headers, b"", "static", cookies.preference(self._languages.cookie, chosen, head))
        language = self._languages.named(asked.get("in", "")) or self.language(head.accept_language)
        origin, slash, path = head.referer.partition("://")[2].partition("/")
        is_ours = origin in (head.host, head.forwarded_host)
        back = safe_path(asked.get("back", slash + path if is_ours else "/"))
        return Answer(200, _LANGUAGE_HEADERS, self._language_page.render(language, back), "static")

    def page(
        self,
        page: WaitingPage,
        status: Status,
        code: int,
        now: float,
        cookie: Headers,
        coding: Coding,
        *,
        cookies_missing: bool,
    ) -> Answer:
        """Return the waiting page. cookies_missing: the browser came back without the cookie that was set."""
        body = page.render(status, cookies_missing=cookies_missing, now=now, coding=coding)
        return Answer(
            code, _page_headers(status.state, status.retry_after_s, coding, page.policy), body, status.state, cookie
        )

    def line_page(
        self, policy: str, state: State, poll_after_s: float, body: bytes, code: int, cookie: Headers, coding: Coding
    ) -> Answer:
        """Return a waiting page with a finished body. policy: `WaitingPage.policy`."""
        codings = self._page_fields.get(policy)
        if codings is None:
            codings = self._page_fields[policy] = {}
        fields = codings.get(coding)
        if fields is None:
            fields = codings[coding] = {}
        wait_s = retry_after(poll_after_s)
        headers = fields.get(wait_s)
        if headers is None:
            if len(fields) >= MOST_WAITS:
                fields.clear()
            headers = fields[wait_s] = _page_headers(state, wait_s, coding, policy)
        return Answer(code, headers, body, state, cookie)

    def form_page(self, page: WaitingPage, status: Status, like: Answer, now: float, url: str) -> Answer:
        """Return a waiting page that opens `url` after the admission, because a form is kept there. '' if the form
        could not be kept: the page says so."""
        body = page.render(status, now=now, form_url=url)
        return Answer(
            like.status,
            _page_headers(status.state, status.retry_after_s, "", page.policy),
            body,
            status.state,
            like.cookies,
        )

    def form_lost(self, head: RequestHead, target: str, cookie: Headers) -> Answer:
        """Return the page that says that a form was not kept. target: the address to go on with."""
        return Answer(
            410, tuple(PAGE_HEADERS.items()), self._pages_for(head).form_lost.render(target), "form_lost", cookie
        )

    def transfer(self, head: RequestHead, url: str, back: str) -> Answer:
        """Return the page with the link that moves a place to another device."""
        return Answer(200, _PLACE_HEADERS, self._pages_for(head).places.link(url, back), "action")

    def sure(self, head: RequestHead, room: str, back: str) -> Answer:
        """Return the page that asks a visitor whether they want to leave the line. It never reloads itself."""
        return Answer(200, _PLACE_HEADERS, self._pages_for(head).places.sure(room, back), "action")

    def take(self, head: RequestHead) -> Answer:
        """Return the page that such a link opens."""
        return Answer(200, _PLACE_HEADERS, self._pages_for(head).places.take(head.target), "action")

    def used(self, head: RequestHead) -> Answer:
        """Return the page of such a link that works no longer."""
        return Answer(410, _PLACE_HEADERS, self._pages_for(head).places.used(), "action")

    def document(self, status: Status, code: int, cookie: Headers) -> Answer:
        """Return the status document."""
        return self.of_document(status.state, status.retry_after_s, status.to_json(), code, cookie)

    def of_document(self, state: State, retry_after_s: int | None, body: bytes, code: int, cookie: Headers) -> Answer:
        """Return a status document with a finished body."""
        fields = self._document_fields.get(state)
        if fields is None:
            fields = self._document_fields[state] = {}
        headers = fields.get(retry_after_s)
        if headers is None:
            if len(fields) >= MOST_WAITS:
                fields.clear()
            headers = fields[retry_after_s] = _document_headers(state, retry_after_s)
        return Answer(code, headers, body, state, cookie)

    def static(self, name: str, head: RequestHead) -> Answer:
        """Return a file of the edge's own pages. Its name carries its hash.

        During a rolling upgrade a page of one version may ask a node of another one. It gets the file of the same name
        that this node has, and no cache keeps it under the other version's hash.
        """
        asset, is_exact = self._assets.find(name)
        if asset is None:
            return self.problem(404, wants_page=False)
        fixed = CLIENT_HEADERS if name == CLIENT else ASSET_HEADERS if is_exact else OTHER_VERSION_HEADERS
        headers = (*fixed.items(), ("ETag", asset.etag))
        if asset.etag in head.if_none_match:
            return Answer(304, headers, b"", "static")
        headers = (("Content-Type", asset.content_type), *headers)
        if asset.gzipped and accepts_gzip(head.accept_encoding):
            return Answer(200, (*headers, ("Content-Encoding", "gzip")), asset.gzipped, "static")
        return Answer(200, headers, asset.body, "static")

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None, *, is_sent: bool) -> Answer:
        """Return the response to a request that the upstream failed. A page tries again by itself if it answers a
        navigation. is_sent: the request may have reached the upstream."""
        if not wants_page(head.accept, head.fetch_mode):
            return self.problem(code, wants_page=False, detail=_FAILED[is_sent], retry_after_s=retry_after_s)
        retry: Headers = () if retry_after_s is None else (("Retry-After", str(retry_after_s)),)
        if head.method in _SAFE:
            body = self._pages_for(head).errors.render_trying(code, retry_after_s)
        else:
            body = self._pages_for(head).errors.render_form(code, is_sent=is_sent)
        return Answer(code, tuple(PAGE_HEADERS.items()) + retry, body, "failed")

    def problem(
        self,
        code: int,
        *,
        wants_page: bool,
        detail: str | None = None,
        retry_after_s: int | None = None,
        language: str = "",
        allow: str = "GET, HEAD",
    ) -> Answer:
        """Return an error of the client (4xx) or of the upstream (5xx): a page, or a problem document (RFC 9457).

        language: of the page; '' for the default, where no head could be read. allow: the methods, with a 405."""
        outcome = "refused" if code < 500 else "failed"
        retry: Headers = () if retry_after_s is None else (("Retry-After", str(retry_after_s)),)
        if code == 405:
            retry += (("Allow", allow),)  # the methods of the edge's own paths
        if wants_page:
            errors = self._pages_in(language or self._languages.default).errors
            body = errors.render(code, retry_after_s=retry_after_s, detail=detail)
            return Answer(code, tuple(PAGE_HEADERS.items()) + retry, body, outcome)
        document: dict[str, object] = {"title": HTTPStatus(code).phrase, "status": code}
        if detail:
            document["detail"] = detail
        headers = (("Content-Type", "application/problem+json"), *_FOR_MACHINES)
        return Answer(code, headers + retry, json.dumps(document).encode(), outcome)


class OtherPages:
    """All pages of one language that belong to no room."""

    def __init__(self, assets: Assets, texts: Texts, *, has_choice: bool) -> None:
        again = InterludePage(assets, "again", loads_itself=True, texts=texts).render("")
        self.errors = ErrorPage(assets, texts, has_choice=has_choice)
        self.again = Answer(200, tuple(PAGE_HEADERS.items()), again, "again")
        self.places = TransferPages(assets, texts)
        self.form_lost = InterludePage(assets, "form_lost", loads_itself=False, texts=texts)


#: What a program reads about a request that the upstream failed, by whether the request may have reached it.
_FAILED: Final = {
    True: "the upstream did not answer; it may have received the request",
    False: "the upstream is not available; the request was not sent to it",
}
_SAFE: Final = ("GET", "HEAD", "OPTIONS")

#: Of every document that is not a page: not stored, not indexed, of no other type than stated.
_FOR_MACHINES: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
)


#: Of the pages by which a place moves to another device.
_PLACE_HEADERS: Final = (*PAGE_HEADERS.items(), ("Vary", PAGE_VARY))
#: Of the page with all languages, and of the way back after a choice.
_LANGUAGE_HEADERS: Final = (*PAGE_HEADERS.items(), ("Vary", "Accept-Language, Referer"))
_CHOSEN: Headers = (("Cache-Control", "no-store"), ("X-Robots-Tag", "noindex"), ("X-Content-Type-Options", "nosniff"))


def _declined() -> Answer:
    document = {"title": "Not prefetched", "status": 503, "detail": "there is a line here: ask when a visitor asks"}
    headers = (("Content-Type", "application/problem+json"), *_FOR_MACHINES)
    return Answer(503, headers, json.dumps(document).encode(), "speculative")


@lru_cache(maxsize=1024)
def _page_headers(state: State, retry_after_s: int | None, coding: Coding, policy: str) -> Headers:
    coded = (("Content-Encoding", coding),) if coding else ()
    own = {**PAGE_HEADERS, "Content-Security-Policy": policy}
    return _status_headers(state, retry_after_s, PAGE_VARY) + tuple(own.items()) + coded


def _document_headers(state: State, retry_after_s: int | None) -> Headers:
    return (*_status_headers(state, retry_after_s), ("Content-Type", "application/json"), *_FOR_MACHINES)


def _status_headers(state: State, retry_after_s: int | None, vary: str = VARY) -> Headers:
    retry = () if retry_after_s is None else (("Retry-After", str(retry_after_s)),)
    return (("Stanchion-State", state.value), ("Vary", vary), *retry)
