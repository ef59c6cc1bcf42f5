"""make bench: measures Tocsin and its peers and writes docs/performance.md."""

import argparse
import signal
import sys
from pathlib import Path

from . import FOLDER, REPOSITORY, machine, report
from .house import Scale
from .servers import SERVERS
from .session import Session, clock
from .shapes import all_shapes, chosen

RAW = FOLDER / "results.jsonl"


def options() -> argparse.Namespace:
    everything = sum(shape.estimate * len(shape.rows(list(SERVERS.values()))) for shape in all_shapes(Scale()))
    parser = argparse.ArgumentParser(
        prog="make bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"""\
Measures Tocsin, its peers and the floor: fan-out, private messages, connections, ceilings, latency.
With make: make bench SHAPES=fan-out,connections SERVERS=tocsin,floor ROUNDS=1 (or QUICK=1).

Everything in three rounds takes about {clock(3 * everything)} and should have the machine for itself: two cores or
more, 10,400 open files, 4 GB of memory. As root, servers and load run at nice -10. Ctrl-C ends all that it started.""",
        epilog="shapes:\n"
        + "\n".join(f"  {shape.name:26}{shape.title}" for shape in all_shapes(Scale()))
        + "\n\nservers:\n"
        + "\n".join(f"  {server.name:26}{server.title}" for server in SERVERS.values()),
    )
    names = {"metavar": "NAME,…", "type": lambda text: [name for name in text.split(",") if name], "default": []}
    file = {"metavar": "FILE", "type": Path}
    parser.add_argument("--shapes", help="only these; a name stands for all that begin with it", **names)
    parser.add_argument("--servers", help="only these", **names)
    parser.add_argument("--rounds", type=int, metavar="N", help="3; with --quick 1")
    parser.add_argument("--quick", action="store_true", help="tiny loads, tocsin and floor: tries the bench in a minute")
    parser.add_argument("--raw", help="each run's result as a JSON line (%(default)s)", default=RAW, **file)
    parser.add_argument("--report", help="docs/performance.md for everything, else beside --raw", **file)
    parser.add_argument("--note", metavar="TEXT", default="", help="a remark for the report's head")
    again = "measure nothing: report what --raw wrote; several are put together"
    parser.add_argument("--from", help=again, dest="sources", action="append", default=[], **file)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.servers if name not in SERVERS]
    if unknown:
        parser.error(f"no server is called {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    try:
        arguments.chosen = chosen(arguments.shapes, Scale(arguments.quick))
    except ValueError as error:
        parser.error(str(error))
    return arguments


def measure(arguments) -> Session:
    machine.raise_file_limit(1000 if arguments.quick else machine.FILES_NEEDED)
    names = arguments.servers or (["tocsin", "floor"] if arguments.quick else list(SERVERS))
    missing = {name: why for name in names if (why := SERVERS[name].missing())}
    for name, why in missing.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    servers = [SERVERS[name] for name in names if name not in missing]
    about = {
        "machine": machine.description(),
        "versions": {server.title: server.version() for server in servers},
        "missing": {SERVERS[name].title: why for name, why in missing.items()},
        "quick": arguments.quick,
    }
    plan = [(shape, shape.rows(servers)) for shape in arguments.chosen]
    session = Session(plan, arguments.rounds or (1 if arguments.quick else 3), arguments.raw, about)
    try:
        session.run()
    except KeyboardInterrupt:
        print("\nstopped; what was measured until here is reported", file=sys.stderr)
    return session


def main() -> int:
    arguments = options()
    # A kill ends the bench as Ctrl-C does, with everything that it has started. So does an interrupt where a shell has made
    # its background processes ignore interrupts.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.default_int_handler)
    try:
        if arguments.sources:
            about, results, complete = *report.read(arguments.sources), False
        else:
            session = measure(arguments)
            about, results, complete = session.about, session.results, session.complete
    except machine.TooFewFiles as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    everything = complete and not (arguments.quick or arguments.shapes or arguments.servers)
    usual = REPOSITORY / "docs" / "performance.md" if everything else arguments.raw.with_suffix(".md")
    path = arguments.report or usual
    path.write_text(report.report(about, results, arguments.note))
    print(path, *(arguments.sources or [arguments.raw]), sep="\n")
    return 1 if any("error" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
