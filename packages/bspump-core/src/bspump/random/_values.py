"""Random values, as the options of a component say."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._component import Component
    from .._options import Options

DEFAULTS: dict[str, Any] = {
    "lower_bound": 0,
    "upper_bound": 1000,
    "prefix": "",
    "seed": "",
}


class RandomValues:
    """Makes whole numbers between two bounds, or picks from a choice.

    Args:
        owner: the component, for messages.
        options: its options: those of `DEFAULTS`.
        choice: what to pick from, instead of making numbers; a mapping gives each its weight.
    """

    def __init__(self, owner: Component, options: Options, choice: Sequence[Any] | Mapping[Any, float] | None) -> None:
        self.lower = options.integer("lower_bound")
        self.upper = options.integer("upper_bound")
        if self.lower > self.upper:
            options.refuse("lower_bound", f"is above the upper_bound {self.upper}")
            self.upper = self.lower
        self.prefix = options.text("prefix")
        self.dice = dice(options)
        self._choice: list[Any] | None = None
        self._weights: list[float] | None = None
        if choice is not None:
            self._set_choice(owner, choice)

    def _set_choice(self, owner: Component, choice: Sequence[Any] | Mapping[Any, float]) -> None:
        self._choice = list(choice)
        if not self._choice:
            raise ConfigurationError(f"{owner!r} got an empty choice, but expects at least one value")
        if isinstance(choice, Mapping):
            self._weights = list(choice.values())
            if min(self._weights) < 0 or not any(self._weights):
                raise ConfigurationError(f"{owner!r} got weights of which none is above 0, or one is below it")

    def make(self, count: int) -> list[Any]:
        """Return so many values."""
        if self._choice is not None:
            return self.dice.choices(self._choice, self._weights, k=count)
        randint, lower, upper = self.dice.randint, self.lower, self.upper
        if self.prefix:
            return [f"{self.prefix}{randint(lower, upper)}" for _ in range(count)]
        return [randint(lower, upper) for _ in range(count)]


def dice(options: Options) -> random.Random:
    """Return the source of randomness; with the option ``seed`` it does the same in each run."""
    seed = options.text("seed")
    return random.Random(seed) if seed else random.Random()
