"""The settings of what a room's page may load from other hosts."""

from typing import Annotated

from pydantic import Field

from edge.settings.values import Origin, Section
from waiting_room.frame import Sources

__all__ = ["SourceSettings"]

Origins = Annotated[tuple[Origin, ...], Field(max_length=20, strict=False)]


class SourceSettings(Section):
    images: Origins = ()
    styles: Origins = ()
    fonts: Origins = ()
    scripts: Origins = ()
    connections: Origins = ()

    def of_page(self) -> Sources:
        return Sources(self.images, self.styles, self.fonts, self.scripts, self.connections)
