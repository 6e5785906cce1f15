"""HAProxy 2.6 or newer, the split way: HAProxy verifies the pass and sends its bearer straight to the shop.

    a pass of the room, authentic, in the first half of its life, at a plain path of the room    -> the shop
    everything else: visitors in line, polls, passes to renew, other paths                       -> the edge, in path

By configuration alone: `hmac` and `secure_memcmp`, no Lua. The pass and its signature: `waiting_room/ticket.py`.

    p1 . room . id~binding . first_seen ms . admitted ms . expires s . base64url(HMAC-SHA256(derived key, all before))

A path with any unusual character goes to the edge, because HAProxy does not know the other readings of a path.
"""

from typing import Final

from edge.cli.plugin.haproxy import HEAD, base_values
from edge.cli.plugin.site import Files, Site, SplitRoom, fill, refusal

__all__ = ["render"]

_START: Final = """
    <HOSTILE_RULE>
    http-request set-var(txn.now) date
    acl plain_path path -m reg ^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?$
"""

_ROOM: Final = """
    # Room <NAME>. A pass that was authentic is kept with its connection, because a page has many files.
    acl in_<ACL> path_beg <PREFIXES>
    acl pass_of_<ACL> var(txn.pass_<ACL>) -m beg p1.<NAME>.
    acl known_<ACL> var(txn.pass_<ACL>),secure_memcmp(sess.pass_<ACL>)
    http-request set-var(txn.pass_<ACL>) req.cook(<COOKIE>) if in_<ACL> plain_path
    http-request set-var(txn.new_<ACL>) bool(true) if pass_of_<ACL> !known_<ACL>
    acl new_<ACL> var(txn.new_<ACL>) -m found
    http-request set-var(txn.signed) var(txn.pass_<ACL>),field(1,.,6) if new_<ACL>
    http-request set-var(txn.signature) var(txn.pass_<ACL>),field(7,.) if new_<ACL>
<VERIFIED>
    acl true_<ACL> var(txn.true_<ACL>) -m found
    http-request set-var(sess.pass_<ACL>) var(txn.pass_<ACL>) if true_<ACL>
    http-request set-var(sess.ticket_<ACL>) var(txn.pass_<ACL>),field(3,.),field(1,~) if true_<ACL>
    http-request set-var(txn.admitted_ms) var(txn.pass_<ACL>),field(5,.) if true_<ACL>
    http-request set-var(sess.admitted_at_<ACL>) var(txn.admitted_ms),div(1000) if true_<ACL>
    http-request set-var(sess.renew_at_<ACL>) var(txn.pass_<ACL>),field(6,.),sub(<HALF>) if true_<ACL>
    acl not_to_renew_<ACL> var(sess.renew_at_<ACL>),sub(txn.now) -m int gt 0
    http-request set-var(txn.inside_<ACL>) bool(true) if known_<ACL> not_to_renew_<ACL>
    acl inside_<ACL> var(txn.inside_<ACL>) -m found
    http-request set-header X-Stanchion-Room <NAME> if inside_<ACL>
    http-request set-header X-Stanchion-Ticket %[var(sess.ticket_<ACL>)] if inside_<ACL>
    http-request set-header X-Stanchion-Admitted-At %[var(sess.admitted_at_<ACL>)] if inside_<ACL>
"""

_VERIFIED: Final = (
    "    http-request set-var(txn.expected) "
    "var(txn.signed),hmac(sha256,proc.stanchion_key<AT>),ub64enc if new_<ACL>\n"
    "    http-request set-var(txn.true_<ACL>) bool(true) "
    "if new_<ACL> { var(txn.expected),secure_memcmp(txn.signature) }"
)

_END: Final = """
<SHOP_RULES>
    default_backend stanchion

backend shop
    # What the shop says to Stanchion is not for visitors.
    http-response del-header Stanchion- -m beg
    http-response set-header Stanchion-State admitted
    balance leastconn
    <SHOP>

backend stanchion
    server stanchion <ASKS>
"""

_KEYS: Final = """
# The keys that verify passes, derived from the secret keys of the edge. They can make passes: keep this file as secret
# as those. It changes when the secret keys change. Start: haproxy -W -f stanchion-keys.cfg -f haproxy.cfg

global
<KEYS>
"""


def render(site: Site) -> Files:
    """Return haproxy.cfg, and stanchion-keys.cfg with the derived keys."""
    if site.fails_open:
        raise refusal("--fail-open", "visitors without a pass go through the edge")
    values = base_values(site) | {
        "KEYS": "\n".join(f"    set-var proc.stanchion_key{at} str({key})" for at, key in enumerate(site.pass_keys, 1)),
    }
    values["SHOP_RULES"] = "\n".join(f"    use_backend shop if inside_{_acl(room)}" for room in site.rooms)
    rooms = "".join(_room(room, site) for room in site.rooms)
    return {
        "haproxy.cfg": fill(HEAD + _START + rooms + _END, values),
        "stanchion-keys.cfg": fill(_KEYS, values),
    }


def _room(room: SplitRoom, site: Site) -> str:
    values: dict[str, object] = {
        "NAME": room.name,
        "ACL": _acl(room),
        "PREFIXES": " ".join(room.prefixes),
        "COOKIE": room.cookie,
        "HALF": round(room.session_s / 2),
    }
    verified = [fill(_VERIFIED, {**values, "AT": at}) for at in range(1, len(site.pass_keys) + 1)]
    return "\n" + fill(_ROOM, {**values, "VERIFIED": "\n".join(verified)})


def _acl(room: SplitRoom) -> str:
    return room.name.replace("-", "_")
