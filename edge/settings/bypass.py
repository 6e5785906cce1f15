"""Senders that never wait in line (`bypass_for`); `bypass` names paths."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.settings.lanes import FieldName
from edge.settings.values import Network, Section, VariableName

__all__ = ["BypassSettings", "CrawlerName"]

CrawlerName = Literal["google", "bing", "apple", "yandex", "baidu"]


class BypassSettings(Section):
    networks: Annotated[tuple[Network, ...], Field(max_length=10_000, strict=False)] = ()
    header: FieldName | None = None
    header_value_env: VariableName | None = None
    crawlers: Annotated[tuple[CrawlerName, ...], Field(strict=False)] = ()
    resolver: Annotated[str, Field(pattern=r"^([0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$")] | None = None

    @model_validator(mode="after")
    def _header_has_a_value(self) -> Self:
        if (self.header is None) != (self.header_value_env is None):
            raise ValueError("header and header_value_env belong together: name the field, and where its value stands")
        return self
