"""Which fields of a client end at the edge, in every spelling that a server may take for the same field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.settings.loading import parse_settings
from edge.support.client_fields import ends_here, is_passable, plain_name
from edge.support.errors import ConfigurationError

OURS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-stanchion-room")
OTHERS = (
    *("x-original-url", "x-rewrite-url", "x-http-method-override", "x-forwarded-prefix", "x-forwarded-server"),
    *("x-ms-original-url", "x-waws-unencoded-url", "x-replaced-path", "x-astro-path", "x-forwarded-script-name"),
)


@given(st.sampled_from(OURS + OTHERS), st.data())
def test_no_spelling_of_such_a_field_goes_on(name: str, data: st.DataObject) -> None:
    special = "!#$%&'*+.^_`|~-"
    spelled = "".join(data.draw(st.sampled_from(special)) if each == "-" else each for each in name)
    assert ends_here(spelled.encode())


@pytest.mark.parametrize("name", [b"x-original", b"x-forward", b"x-request-id", b"cookie", b"x-stanchion", b"x-http"])
def test_other_fields_go_on(name: bytes) -> None:
    assert not ends_here(name)


@pytest.mark.parametrize("name", OURS)
def test_the_settings_cannot_pass_on_what_only_the_edge_may_say(name: str) -> None:
    assert not is_passable(name.encode())
    assert "can only come from the edge itself" in report(name.title())


@pytest.mark.parametrize(
    ("name", "says"),
    [("X-Request-Id", "needs no entry"), ("X-Original URL", "must be the name of a header field"), ("", "must be")],
)
def test_an_entry_without_effect_is_a_fault(name: str, says: str) -> None:
    assert says in report(name)


@pytest.mark.parametrize("name", OTHERS)
def test_the_settings_can_pass_on_the_others(name: str) -> None:
    assert is_passable(name.encode())
    assert not is_passable(plain_name(name.encode()).replace(b"-", b"_"))


def report(name: str) -> str:
    """Return the fault of an entry of `upstream.pass_client_fields`."""
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(
            f"""
            secret_keys_env: KEYS
            upstream: {{url: "http://shop:9000", pass_client_fields: ["{name}"]}}
            rooms: [{{name: a, match: {{paths: ["/a"]}}, capacity: {{admissions_per_second: 1}}}}]
            """
        )
    [fault] = raised.value.faults
    assert fault.path == "upstream.pass_client_fields[0]"
    return fault.message
