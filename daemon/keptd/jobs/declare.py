"""How a room declares a job: on the function that does the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import ModuleType

from ..domain import Job, JobCtx

Work = Callable[[JobCtx], Awaitable[str]]

_TAG = "_keptd_job"


def job(name: str, *, setting: str, timeout: float) -> Callable[[Work], Work]:
    """Declare `async function(ctx) -> str` as the job `name` (`room.verb`).

    The first line of its docstring is its description. `setting` is the key of the section `jobs` of the configuration
    that says when it is due; `timeout` is in seconds. The sentence that it returns goes into the history.
    """

    def tag(work: Work) -> Work:
        description = (work.__doc__ or "").strip().partition("\n")[0]
        if not description:
            raise TypeError(f"the job {name} has no docstring")
        setattr(work, _TAG, Job(name, description, setting, timeout, work))
        return work

    return tag


def collect_jobs(module: ModuleType) -> tuple[Job, ...]:
    """The jobs that a module declares, in the order in which they are written."""
    return tuple(getattr(item, _TAG) for item in vars(module).values() if hasattr(item, _TAG))
