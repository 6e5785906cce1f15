"""The tables of both SQL stores."""

from importlib.resources import files


def schema() -> str:
    return files("checkout.engines").joinpath("schema.sql").read_text(encoding="utf-8")
