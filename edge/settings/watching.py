"""The settings of the record for the report, of notifications by webhooks, and of traces."""

from importlib.util import find_spec
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edge.settings.values import Section, VariableName

__all__ = ["EVENTS", "NotificationSettings", "RecordSettings", "TracingSettings", "WebhookSettings"]

OFF = "off"
#: What `stanchion[tracing]` installs. The first is a parent of the second, so that looking for it cannot fail.
_TRACING_PACKAGES = ("opentelemetry", "opentelemetry.sdk")

EventName = Literal[
    "line.formed",
    "line.cleared",
    "room.hold",
    "room.open",
    "room.drain",
    "room.closed",
    "sale.opened",
    "sale.ended",
    "stock.sold_out",
    "stock.available",
    "upstream.down",
    "upstream.up",
    "redis.down",
    "redis.up",
    "node.lost",
    "node.back",
    "capacity.unused",
    "capacity.used",
]
EVENTS: tuple[str, ...] = get_args(EventName)


def _webhook_url(text: str) -> str:
    error = ValueError(f"must look like https://HOST/PATH, got {text.partition('?')[0]!r}")
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise error from None
    if not is_address or not text.isascii() or any(character <= " " for character in text):
        raise error
    if parts.username or parts.password or parts.fragment:
        raise ValueError("must hold no user, password or fragment: the receiver knows the edge by the signature")
    return text


WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]


class RecordSettings(Section):
    folder: Annotated[str, Field(min_length=1)] = "auto"
    max_bytes: Annotated[int, Field(ge=1_048_576, le=1 << 40)] = 67_108_864

    @property
    def is_on(self) -> bool:
        """Whether a record is kept, if its folder can be written."""
        return self.folder != OFF


class TracingSettings(Section):
    otlp_url: WebhookUrl | None = None
    ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.01
    service_name: Annotated[str, Field(min_length=1, max_length=255)] = "stanchion"

    @model_validator(mode="after")
    def _has_packages(self) -> Self:
        if self.otlp_url is not None and not all(map(find_spec, _TRACING_PACKAGES)):
            raise ValueError("otlp_url needs more packages: pip install 'stanchion[tracing]'")
        return self


class WebhookSettings(Section):
    url: WebhookUrl
    secret_env: VariableName
    events: Annotated[tuple[EventName, ...], Field(strict=False)] = ()
    rooms: Annotated[tuple[str, ...], Field(strict=False)] = ()


class NotificationSettings(Section):
    webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=16, strict=False)] = ()
    cooldown_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 60.0
    line_formed_visitors: Annotated[int, Field(ge=1, le=10_000_000)] = 10
    timeout_seconds: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 5.0
    retry_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 900.0
    queue: Annotated[int, Field(ge=1, le=10_000)] = 256

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        urls = [webhook.url for webhook in self.webhooks]
        if len(set(urls)) < len(urls):
            raise ValueError("webhooks: each url stands once; list all its events there")
        return self
