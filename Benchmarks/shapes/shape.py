"""What all shapes have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..house import Scale
from ..servers import Server


@dataclass(frozen=True)
class Figure:
    """One figure of a shape. headline: the one by which servers are compared."""

    key: str
    title: str
    better: str = "lower"
    digits: int = 1
    headline: bool = False
    goal: float | None = None


@dataclass(frozen=True)
class Run:
    """The result of one run."""

    figures: dict[str, float | None]
    command: str
    raw: dict


@dataclass(frozen=True)
class Row:
    """One row of a shape's table. The goals apply to the row named tocsin."""

    name: str
    title: str
    run: Callable[[], Run]


@dataclass
class Shape:
    """A load and the measurements under it."""

    name: str
    title: str
    scale: Scale = field(default_factory=Scale)
    note: str = ""
    figures: tuple[Figure, ...] = ()
    estimate: float = 12.0  # approximate seconds per run
    against: str = "floor"  # the row that the others are divided by

    def rows(self, servers: list[type[Server]]) -> list[Row]:
        raise NotImplementedError

    @property
    def headline(self) -> Figure:
        return next(figure for figure in self.figures if figure.headline)
