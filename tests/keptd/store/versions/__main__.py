from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from keptd.supervisor import DOMAINS

from . import make

with tempfile.TemporaryDirectory() as folder:
    sys.stdout.write(make(Path(folder), DOMAINS))
