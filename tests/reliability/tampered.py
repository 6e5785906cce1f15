"""Tampered tickets and passes through the function that opens them for the edge. Seeded, so repeatable.

A forger has what a visitor can have: tickets, passes and join tokens of two rooms under the newest and the last key,
and a keyring of their own. Every kind of tampering begins with a genuine cookie and ends with other bytes:

    letters      one to three letters changed, dropped or added anywhere
    times        another moment in a field of time, the signature kept
    exchanged    the fields of one cookie with the signature of another
    relabelled   one kind as another, another room, another id
    cut          any part of the front or of the end is missing
    own key      a valid signature by a key that is not ours, or by ours for another purpose
    spelled      the signature in another spelling of base64: padding, other alphabet, junk between letters
"""

import base64
import random
import string
from collections import Counter
from collections.abc import Callable

from itsdangerous import Signer

from waiting_room.cookie_field import cookie_values
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Ticket, new_ticket

__all__ = ["tamper"]

NEWEST, BEFORE = b"n" * 32, b"b" * 32
ROOMS = ("sale", "tickets")
KINDS = ("t1", "p1", "j1")
LETTERS = string.ascii_letters + string.digits + "-_.=~%+/ "
#: Cookies to tamper with. One in SHOWN is tried unchanged, so that the check can fail.
GENUINE, SHOWN = 400, 1000


def tamper(count: int, seed: int) -> dict[str, Counter[str]]:
    """Count the reasons of rejection for every kind of tampering.

    Raises AssertionError if a tampered cookie opens or a genuine one does not.
    """
    chance = random.Random(seed)
    keys = Keyring([NEWEST, BEFORE])
    genuine = [_cookie(chance, Keyring([chance.choice((NEWEST, BEFORE))])) for _ in range(GENUINE)]
    known = set(genuine)
    kinds: dict[str, Callable[[str], str]] = {
        "letters": lambda value: _letters(value, chance),
        "times": lambda value: _times(value, chance),
        "exchanged": lambda value: _body(value) + "." + chance.choice(genuine).rpartition(".")[2],
        "relabelled": lambda value: _relabelled(value, chance),
        "cut": lambda value: _cut(value, chance),
        "own key": lambda value: _own_key(value, chance),
        "spelled": lambda value: _spelled(value, chance),
    }
    said: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    tried = 0
    while tried < count:
        kind = chance.choice(list(kinds))
        value = chance.choice(genuine)
        forged = kinds[kind](value)
        if forged in known:
            continue
        tried += 1
        for room in ROOMS:
            opened = keys.read(forged, room)
            assert isinstance(opened, Rejected), f"{kind}: {forged!r} opened as {opened}"
        found = cookie_values(f"a=1; stanchion_sale={forged}; b=2", "stanchion_sale")
        assert not any(
            isinstance(keys.read(each, "sale"), Ticket | Pass | JoinToken) for each in found if each not in known
        )
        said[kind][opened.reason.value] += 1
        if tried % SHOWN == 0:
            assert isinstance(keys.read(value, value.split(".")[1]), Ticket | Pass | JoinToken), f"{value!r} is genuine"
    return said


def _cookie(chance: random.Random, keys: Keyring) -> str:
    ticket = new_ticket(chance.choice(ROOMS), chance.uniform(1.7e9, 1.8e9), chance.randbytes(16))
    match chance.randrange(5):
        case 0:
            return keys.seal(JoinToken(ticket.id, ticket.room, ticket.first_seen))
        case 1 | 2:
            return keys.seal(ticket)
    admitted_at = ticket.first_seen + chance.uniform(0, 4000)
    binding_digest = chance.choice(("", keys.binding_digest(ticket.id, "chrome android", "192.0.2.0/24")))
    return keys.seal(
        Pass(ticket.id, ticket.room, ticket.first_seen, admitted_at, admitted_at // 1 + 600, binding_digest)
    )


def _body(value: str) -> str:
    return value.rpartition(".")[0]


def _letters(value: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at, letter = chance.randrange(len(value)), chance.choice(LETTERS)
        value = value[:at] + chance.choice((letter, "", letter + value[at])) + value[at + 1 :]
    return value


def _times(value: str, chance: random.Random) -> str:
    fields = value.split(".")
    at = chance.randrange(3, len(fields) - 1)
    moment = int(fields[at]) + chance.choice((-1, 1)) * chance.randrange(1, 10 ** chance.randrange(1, 12))
    fields[at] = str(moment)
    return ".".join(fields)


def _relabelled(value: str, chance: random.Random) -> str:
    fields = value.split(".")
    match chance.randrange(4):
        case 0:
            fields[0] = chance.choice([kind for kind in KINDS if kind != fields[0]])
        case 1:
            fields[1] = ROOMS[fields[1] == ROOMS[0]]
        case 2:
            fields[2] = "".join(chance.choices(string.ascii_letters, k=22))
        case _:
            del fields[chance.randrange(len(fields))]
    return ".".join(fields)


def _cut(value: str, chance: random.Random) -> str:
    return value[: chance.randrange(len(value))] if chance.random() < 0.5 else value[chance.randrange(1, len(value)) :]


def _own_key(value: str, chance: random.Random) -> str:
    salts = {"t1": b"stanchion.ticket.v1", "p1": b"stanchion.pass.v1", "j1": b"stanchion.join_token.v1"}
    is_ours = chance.random() < 0.5
    key = NEWEST if is_ours else chance.randbytes(32)
    salt = salts[chance.choice([kind for kind in KINDS if not is_ours or kind != value[:2]])]  # ours: another purpose's
    return Signer(key, salt=salt, key_derivation="hmac", digest_method="sha256").sign(_body(value).encode()).decode()


def _spelled(value: str, chance: random.Random) -> str:
    body, _, signature = value.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=")
    match chance.randrange(4):
        case 0:
            signature += "=" * chance.randrange(1, 5)
        case 1:
            signature = base64.b64encode(raw).decode().rstrip("=" * chance.randrange(2))
        case 2:
            at = chance.randrange(len(signature))
            signature = signature[:at] + chance.choice("!*% ~,") * chance.randrange(1, 9) + signature[at:]
        case _:
            last = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
            signature = signature[:-1] + last[last.index(signature[-1]) ^ chance.randrange(1, 4)]
    return f"{body}.{signature}"
