"""What a daemon loads late it has loaded soon after its start: an upgrade replaces the files under it."""

from __future__ import annotations

import subprocess
import sys

from tests.sources import modules, under, within
from tests.test_architecture import CLIENT_ONLY

LOAD = """
import sys
import anyio
import keptd.__main__
from keptd.rpc.cli import load_the_rest
keptd.__main__._has_uvloop()
keptd.hardening.protect()
anyio.run(load_the_rest)
print(*sys.modules)
"""

NEVER = (*CLIENT_ONLY, "keptd.rpc.reference")
"""What no daemon runs."""


def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_a_daemon_has_loaded_all_that_it_could_load_later() -> None:
    found = loaded()
    late = {
        f"{module.place(one.line)} imports {one.name}"
        for module in modules().values()
        # `kept` itself loads what programs ask it for.
        if module.name in found and module.name != "kept" and not any(within(module.name, name) for name in NEVER)
        for one in module.imports
        if one.lazy and not one.typing and one.name not in NEVER
        if one.name not in found
    }
    assert not late, "load these in keptd.rpc.cli:\n  " + "\n  ".join(sorted(late))


def test_a_daemon_has_loaded_all_of_its_own_modules() -> None:
    missing = {module.name for module in under("keptd")} - loaded() - set(NEVER)
    assert missing == {"keptd.__main__"} - loaded()
