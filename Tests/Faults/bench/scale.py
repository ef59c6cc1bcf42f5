"""The size of everything: small enough for CI, or what docs/reliability.md promises."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The load of a test, and how long its parts take."""

    name: str
    clients: int
    groups: int
    rate: int  # messages per second, over all groups
    calm: float  # seconds of undisturbed load before a fault, and again after it
    gateways: int = 3
    # One in so many clients is in three groups, so that cursors over several groups are tested too.
    three_groups_every: int = 10

    def pick(self, quick, full):
        """The value for this scale, where tests differ."""
        return quick if self.name == "quick" else full


QUICK = Scale("quick", clients=200, groups=40, rate=100, calm=2.5)
FULL = Scale("full", clients=2000, groups=200, rate=500, calm=8.0)

# A run in which publishers could not do their part proves nothing: it is void.
LEAST_ACCEPTED = 0.8
