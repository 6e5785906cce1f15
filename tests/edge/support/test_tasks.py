"""A task owner keeps its tasks alive, reports their failures, and leaves none running."""

import asyncio

import pytest

from edge.support.tasks import TaskOwner, faults_are_logged, keep_cancellation, run_together


async def test_close_cancels_every_task_and_waits_for_its_end():
    tasks, ended = TaskOwner(), []

    async def serve() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    tasks.start(serve(), "one")
    tasks.start(serve(), "two")
    await asyncio.sleep(0)
    assert len(tasks) == 2
    await tasks.close()
    assert (ended, len(tasks)) == (["cleaned up"] * 2, 0)


async def test_wait_lets_tasks_end_by_themselves_and_includes_those_they_start():
    tasks, ended = TaskOwner(), []

    async def work(left: int) -> None:
        await asyncio.sleep(0)
        ended.append(left)
        if left:
            tasks.start(work(left - 1), f"task {left - 1}")

    tasks.start(work(2), "task 2")
    await tasks.wait()
    assert (ended, len(tasks)) == ([2, 1, 0], 0)


async def test_a_failure_reaches_the_event_loops_exception_handler_at_once():
    tasks, reported = TaskOwner(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def fail() -> None:
        raise RuntimeError("a defect")

    tasks.start(fail(), "the failing task")
    await tasks.wait()
    [context] = reported
    assert "the failing task" in context["message"]
    with pytest.raises(RuntimeError, match="a defect"):
        raise context["exception"]
    assert len(tasks) == 0


async def breaks_when_cancelled() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError("closed while cancelled") from None


async def test_a_failure_that_a_cancellation_causes_does_not_hide_the_cancellation():
    """A loop that reconnects after a failure ends when it is cancelled."""
    task = asyncio.create_task(run_together(breaks_when_cancelled(), asyncio.sleep(60.0)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_failure_ends_all_that_run_together():
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("lost")

    with pytest.raises(ConnectionError, match="lost"):
        await run_together(breaks_when_cancelled(), fails())


async def test_all_that_run_together_may_end_by_themselves():
    ended: list[int] = []

    async def ends(number: int) -> None:
        await asyncio.sleep(0)
        ended.append(number)

    await run_together(ends(1), ends(2))
    assert ended == [1, 2]


def test_a_fault_of_work_beside_the_line_is_logged_and_a_cancellation_is_not_held_up(caplog):
    with faults_are_logged("the record"):
        raise ValueError("disk")
    [line] = caplog.records
    assert (line.levelname, line.getMessage()) == ("ERROR", "the record failed")
    with pytest.raises(asyncio.CancelledError), faults_are_logged("the record"):
        raise asyncio.CancelledError


async def test_a_fault_while_closing_does_not_hide_the_cancellation():
    async def carry():
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionResetError("while closing")

    async def loop():
        while True:
            try:
                await carry()
            except OSError as fault:
                keep_cancellation(fault)

    task = asyncio.ensure_future(loop())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "the cancellation was lost"
    assert task.cancelled()


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again():
    swallowed = []

    async def deaf():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(True)
                if len(swallowed) == 2:
                    raise

    task = asyncio.ensure_future(run_together(deaf()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    assert done, "it waits for ever"
    assert task.cancelled()
