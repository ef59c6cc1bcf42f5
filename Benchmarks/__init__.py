"""What Tocsin costs, compared with its peers and with the minimum for any gateway. The reasons are in docs/decisions.md.

    make bench                                                  everything
    make bench SHAPES=fan-out,connections SERVERS=tocsin,floor ROUNDS=1
    .venv/bin/python -m Benchmarks --help
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".build" / "bench"  # compiled tools, the peers' Python environments, raw results

sys.path.insert(0, str(REPOSITORY / "Tests"))  # for harness, which the tests share
