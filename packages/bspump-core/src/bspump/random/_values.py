"""Random values, as the options of a component say."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from .. import option
from .._component import Component
from ..errors import ConfigurationError


class SeedOption(Component):
    """The option of a component that does something at random."""

    seed = option.text(
        help="Anything; with the same one, each run does the same with the same input. Empty: each run differs."
    )

    def _new_dice(self) -> random.Random:
        return random.Random(self.seed) if self.seed else random.Random()


class RandomValueOptions(SeedOption):
    """The options of a component that makes random values."""

    lower_bound = option.integer(0, help="The least number; it is included.")
    upper_bound = option.integer(1000, help="The greatest number; it is included.")
    prefix = option.text(help="Makes text of a number and stands in front of it.")


class RandomValues:
    """Makes whole numbers between two bounds, or picks from a choice.

    Args:
        owner: the component, whose options are followed.
        choice: what to pick from, instead of making numbers; a mapping gives each its weight.
    """

    def __init__(self, owner: RandomValueOptions, choice: Sequence[Any] | Mapping[Any, float] | None) -> None:
        self.lower, self.upper = owner.lower_bound, owner.upper_bound
        if self.lower > self.upper:
            with owner.options() as options:
                options.refuse("lower_bound", f"is above the upper_bound {self.upper}")
            self.upper = self.lower
        self.prefix = owner.prefix
        self.dice = owner._new_dice()
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
