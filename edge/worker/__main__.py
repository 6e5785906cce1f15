"""`python -m edge.worker`, started by the supervisor only: the worker serves the descriptors that it is given."""

import argparse
import socket

from prometheus_client import values

from edge.messages.channel import worker_end
from edge.proxy.acceptor import raise_descriptor_limit
from edge.support.event_loop import run_loop
from edge.support.shared_counters import SharedCounters
from edge.worker.worker import run_worker


def main() -> None:
    parser = argparse.ArgumentParser(prog="stanchion worker")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--counters", type=int, required=True)
    parser.add_argument("--listen", type=int, nargs="+", required=True)
    parser.add_argument("--plugin-listen", type=int, nargs="*", default=[])
    options = parser.parse_args()
    # Metric files are named by worker index, not by process: a restarted worker goes on counting where the killed one
    # stopped, and a crash loop leaves no trail of files.
    values.ValueClass = values.MultiProcessValue(lambda: options.index)  # type: ignore[no-untyped-call]

    async def serve() -> None:
        channel = await worker_end(socket.socket(fileno=options.channel))
        listening = [socket.socket(fileno=descriptor) for descriptor in options.listen]
        asked = [socket.socket(fileno=descriptor) for descriptor in options.plugin_listen]
        counters = SharedCounters(options.counters, options.workers)
        await run_worker(options.index, listening, counters, channel, asked)

    raise_descriptor_limit()
    run_loop(serve())


if __name__ == "__main__":
    main()
