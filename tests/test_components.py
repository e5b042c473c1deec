"""What our distributions say of their components is true, and none of the components is left out."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import bspump
from bspump._component import merged_defaults
from bspump.abc.connection import Connection
from bspump.abc.lookup import Lookup
from bspump.abc.lookupprovider import LookupProviderABC
from bspump.abc.processor import ProcessorBase
from bspump.abc.source import Source
from bspump.common.aggregator import AggregationStrategy
from bspump.common.bytes import EncodedProcessor
from bspump.common.time import TimeZoneNormalizer
from bspump.option import declared_options
from bspump.plugins import Component, Kind, get_registry
from bspump.trigger import Trigger

COMPONENTS = [component for component, _ in get_registry().components()]
BASES = (Source, ProcessorBase, Connection, Lookup, LookupProviderABC, Trigger, AggregationStrategy)
# Whose options are all declared, and classes of theirs that are there to be derived from.
DECLARING = {"bspump-core", "bspump-file", "bspump-http"}
CONFIGURABLE: list[type] = [
    bspump.Pipeline,
    bspump.Source,
    bspump.TriggerSource,
    bspump.Processor,
    bspump.Generator,
    bspump.Analyzer,
    bspump.Sink,
    bspump.BufferedSink,
    bspump.AsyncSink,
    bspump.Connection,
    bspump.Lookup,
    EncodedProcessor,
    TimeZoneNormalizer,
    # One may be there under several names.
    *{
        get_registry().load(component): None
        for component, plugin in get_registry().components()
        if plugin.distribution in DECLARING
    },
]
# They are there to be derived from, or belong to tests.
NOT_OFFERED = {"bspump.abc", "bspump.testing", "bspump.unittest"}


def public_modules() -> Iterator[str]:
    """Yield the names of the modules of ``bspump`` that have no underscore in front."""
    for info in pkgutil.walk_packages(bspump.__path__, "bspump."):
        parts = info.name.split(".")
        if not any(part.startswith("_") for part in parts) and ".".join(parts[:2]) not in NOT_OFFERED:
            yield info.name


def test_the_plugins_have_no_problem() -> None:
    assert get_registry().problems == []


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: f"{component.kind}-{component.name}")
def test_a_component_is_where_and_what_it_is_said_to_be(component: Component) -> None:
    found = get_registry().load(component)
    if component.kind is not Kind.LOOKUP_PROVIDER:
        assert component.name == found.__name__
    assert component.summary == (inspect.getdoc(found) or "").splitlines()[0]
    assert not inspect.isabstract(found)


@pytest.mark.parametrize("configurable", CONFIGURABLE, ids=lambda configurable: configurable.__name__)
def test_every_option_is_declared(configurable: type) -> None:
    assert merged_defaults(configurable).keys() == declared_options(configurable).keys()


@pytest.mark.parametrize("configurable", CONFIGURABLE, ids=lambda configurable: configurable.__name__)
def test_no_option_hides_an_attribute_of_the_class_or_another_option(configurable: type) -> None:
    attributes = [one.attribute for one in declared_options(configurable).values()]
    assert [name for name in attributes if hasattr(configurable, name)] == []
    assert len(attributes) == len(set(attributes))


@pytest.mark.parametrize("configurable", CONFIGURABLE, ids=lambda configurable: configurable.__name__)
def test_every_option_is_explained_in_whole_sentences(configurable: type) -> None:
    unclear = {key: one.help for key, one in declared_options(configurable).items() if one.help.strip()[-1:] != "."}
    assert unclear == {}


def test_no_component_is_left_out() -> None:
    offered = {get_registry().load(component) for component in COMPONENTS}
    missing: dict[str, str] = {}
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            found = getattr(module, name)
            if (
                inspect.isclass(found)
                and issubclass(found, BASES)
                and found.__module__.startswith("bspump.")
                and found.__module__.split(".")[1] not in ("abc",)
                and not name.startswith("_")
                and found not in offered
                and "Derive from it" not in (inspect.getdoc(found) or "").splitlines()[0]
            ):
                missing[f"{found.__module__}.{found.__name__}"] = module_name
    assert missing == {}
