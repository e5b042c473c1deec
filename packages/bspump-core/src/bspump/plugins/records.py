"""What a plugin says about its components: data only, so that nothing is imported to list them."""

from __future__ import annotations

import dataclasses
import enum
from typing import Literal

Stability = Literal["stable", "experimental", "deprecated"]


class Kind(enum.StrEnum):
    """What a component is."""

    SOURCE = "source"
    PROCESSOR = "processor"
    GENERATOR = "generator"
    SINK = "sink"
    CONNECTION = "connection"
    LOOKUP = "lookup"
    LOOKUP_PROVIDER = "lookup-provider"
    TRIGGER = "trigger"
    AGGREGATION_STRATEGY = "aggregation-strategy"


@dataclasses.dataclass(frozen=True, slots=True)
class Component:
    """One component that a plugin offers.

    Attributes:
        kind: what it is.
        name: what it is called in declared pipelines: the name of its class. For a lookup provider, the scheme of the
            URLs that it loads from; "" stands for paths.
        target: where its class is, as ``"package.module:Class"``. It is imported when the component is used.
        summary: what it does, in one sentence: the first line of the class's docstring.
        since: the version of its distribution that had it first.
        stability: whether its options may still change, or it is going to be removed.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    since: str = "0.1"
    stability: Stability = "stable"

    def __post_init__(self) -> None:
        module, colon, name = self.target.partition(":")
        if not (module and colon and name.isidentifier()):
            raise ValueError(f"{self.kind} {self.name!r}: target {self.target!r} is not 'package.module:Class'")
