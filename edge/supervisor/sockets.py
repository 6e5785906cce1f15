"""Listening sockets, opened and owned by the supervisor: the one way to open a listener.

    tcp://, tls://   one socket for each worker; with SO_REUSEPORT the kernel spreads connections over them
    unix://          one socket file that all workers accept on; removed when the edge ends
    systemd://NAME   one socket that systemd opened and passed on (sd_listen_fds(3)); all workers accept on it

Because the supervisor keeps them open, the connections that wait in a killed worker's backlog are served by its
successor, and no visitor is refused.
"""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

from edge.settings.listener import ListenerSettings
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["address_of", "open_sockets", "remove_socket_files", "socket_files", "systemd_sockets"]

#: Connections that may wait to be accepted. nginx: 511; the kernel caps it at net.core.somaxconn (4096 since 5.4).
BACKLOG = 4096
#: Bytes of a response that the kernel keeps before they are sent; connections inherit it. Without it a client that does
#: not read would occupy some megabytes of kernel memory. The window of sent bytes is not limited by it.
MAX_UNSENT = 131_072
#: The first descriptor that systemd passes on (SD_LISTEN_FDS_START).
FIRST_PASSED = 3


def open_sockets(
    listeners: Iterable[ListenerSettings | str],
    workers: int,
    path: str = "listen[{}]",
    passed: Mapping[str, socket.socket] | None = None,
) -> list[list[socket.socket]]:
    """Return a list of sockets for each worker, in the order of the listeners.

    A text is short for a listener with that URL. Port 0 takes a free port, the same for all workers. path: where a
    listener stands in the settings, {} for its number. passed: `systemd_sockets`. Raises ConfigurationError, which
    names every listener that cannot be opened.
    """
    per_worker: list[list[socket.socket]] = [[] for _ in range(workers)]
    faults: list[SettingFault] = []
    for at, given in enumerate(listeners):
        listener = ListenerSettings(url=given) if isinstance(given, str) else given
        try:
            for sockets, opened in zip(per_worker, _open(listener, workers, passed or {}), strict=True):
                sockets.append(opened)
        except (OSError, LookupError) as fault:
            why = (fault.strerror if isinstance(fault, OSError) else None) or fault.args[0]
            faults.append(SettingFault(path.format(at), f"cannot listen on {listener.url}: {why}"))
    if faults:
        for opened in (opened for sockets in per_worker for opened in sockets):
            opened.close()
        raise ConfigurationError("listening", faults)
    return per_worker


def address_of(listening: socket.socket, *, is_secure: bool = False) -> str:
    """Return the address for people: `http://HOST:PORT`, `https://HOST:PORT` or `unix://PATH`."""
    if listening.family == socket.AF_UNIX:
        return f"unix://{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    scheme = "https" if is_secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def systemd_sockets(environment: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """Return the sockets that systemd has passed to this process, by their FileDescriptorName.

    The variables that tell of them are taken out of the environment, because they are not meant for child processes.
    """
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if not count.isdecimal() or pid != str(os.getpid()):
        return {}
    found: dict[str, socket.socket] = {}
    for at in range(int(count)):
        name = names[at] if at < len(names) and names[at] else "unknown"
        with suppress(OSError):  # another kind of descriptor, such as a FIFO
            passed = socket.socket(fileno=FIRST_PASSED + at)
            passed.set_inheritable(False)
            passed.setblocking(False)
            found.setdefault(name, passed)
    return found


def socket_files(listeners: Iterable[ListenerSettings]) -> dict[str, int]:
    """Return the files of the unix:// listeners, which are open, with their inodes."""
    paths = [listener.target for listener in listeners if listener.scheme == "unix"]
    return {path: os.lstat(path).st_ino for path in paths}


def remove_socket_files(files: Mapping[str, int]) -> None:
    """Remove these files (`socket_files`), unless another program has put its own in their place."""
    for path, inode in files.items():
        with suppress(OSError):
            if os.lstat(path).st_ino == inode:
                os.unlink(path)


def _open(listener: ListenerSettings, count: int, passed: Mapping[str, socket.socket]) -> list[socket.socket]:
    if listener.scheme == "systemd":
        return _shared(_passed_as(listener.target, passed), count)
    if listener.scheme == "unix":
        return _shared(_open_unix(listener), count)
    return _open_tcp(listener, count)


def _shared(first: socket.socket, count: int) -> list[socket.socket]:
    return [first, *(first.dup() for _ in range(count - 1))]


def _passed_as(name: str, passed: Mapping[str, socket.socket]) -> socket.socket:
    if name not in passed:
        names = ", ".join(sorted(passed)) or "none"
        raise LookupError(
            f"systemd passed no socket of this name (passed: {names});"
            " name it by FileDescriptorName= in the socket unit"
        )
    found = passed[name]
    if found.type != socket.SOCK_STREAM or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise LookupError("the socket that systemd passed does not listen; use ListenStream= and Accept=no")
    return found.dup()


def _open_unix(listener: ListenerSettings) -> socket.socket:
    path = listener.target
    if os.path.lexists(path):
        # A file is left behind if the edge was killed. Anything else there belongs to another program.
        if not _is_socket_file(path):
            raise OSError(errno.EEXIST, f"{path} exists and is not a socket")
        if _is_served(path):
            raise OSError(errno.EADDRINUSE, "another program serves it")
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody can connect before the owner and the mode are set, because nothing listens until then.
        listening.bind(path)
        if listener.owner is not None:
            os.chown(path, *_owner(listener.owner))
        Path(path).chmod(int(listener.mode, 8))
        listening.setblocking(False)
        listening.listen(BACKLOG)
    except (OSError, LookupError):
        listening.close()
        raise
    return listening


def _owner(text: str) -> tuple[int, int]:
    """Return the numbers of `USER`, `USER:GROUP` or `:GROUP`; -1 leaves one as it is. Raises LookupError."""
    user, _, group = text.partition(":")
    try:
        uid = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid if user else -1
        return uid, int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        raise LookupError(f"there is no user or group {text!r} on this machine") from None


def _is_socket_file(path: str) -> bool:
    return stat.S_ISSOCK(os.lstat(path).st_mode)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)


def _open_tcp(listener: ListenerSettings, count: int) -> list[socket.socket]:
    family, kind, protocol, _, where = socket.getaddrinfo(
        listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened: list[socket.socket] = []
    try:
        # A socket that does not share its port finds out whether another program already serves it. With SO_REUSEPORT
        # alone, a second edge that was started by mistake would silently take half of the visitors.
        if where[1] != 0:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
        for _ in range(count):
            listening = socket.socket(family, kind, protocol)
            opened.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
            listening.setblocking(False)
            listening.bind(where)
            listening.listen(BACKLOG)
            where = listening.getsockname()
    except OSError:
        for listening in opened:
            listening.close()
        raise
    return opened
