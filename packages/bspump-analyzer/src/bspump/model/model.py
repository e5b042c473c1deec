"""A trained model, applied to events."""

from __future__ import annotations

import abc
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asab
import numpy as np

from bspump import option
from bspump._component import Component
from bspump.errors import ConfigurationError


class Model(Component, abc.ABC):
    """A model that was trained elsewhere. Derive from it, and override `transform` and `predict`.

    The arrays of the model are read from an ``.npz`` or ``.npy`` file of numpy, its parameters from a JSON file.
    Nothing is unpickled, since that would run whatever the file says. For another format override
    `load_model_from_file`, with the reader of that format.

    Args:
        app: the application.
        id: the name of the model; the class's name if not given.
        config: options, overriding the section ``[model:<id>]`` of the configuration file.

    Attributes:
        Model: what `load_model_from_file` has read; arrays by their names, the one of an ``.npy`` file as ``array``.
        Parameters: the parameters.
        PathModel, PathParameters: the options.
    """

    PathModel = option.text(key="path_model", help="The file with the arrays; none if empty.")
    PathParameters = option.text(key="path_parameters", help="The file with the parameters; none if empty.")

    def __init__(self, app: asab.Application, id: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        identifier = id if id is not None else self.__class__.__name__
        super().__init__(app, f"model:{identifier}", identifier, config)
        self.Model: Any = {}
        self.Parameters: dict[str, Any] = {}
        with self.options() as options:
            try:
                self.update()
            except ConfigurationError as error:
                options.problems.extend(error.problems)

    def update(self) -> None:
        """Read the files again. If one of them cannot be read, what was read before stays.

        Raises:
            ConfigurationError: one of them is missing, or is no file of its kind.
        """
        model, parameters = self.Model, self.Parameters
        try:
            if self.PathModel:
                self.load_model_from_file()
            if self.PathParameters:
                self.load_parameters_from_file()
        except (OSError, ValueError, EOFError) as error:
            self.Model, self.Parameters = model, parameters
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(
                f"[{self.section}] path_model, path_parameters: the model cannot be loaded: {error}"
            ) from error

    def load_model_from_file(self) -> None:
        """Read `Model` from the file ``path_model``."""
        where = f"[{self.section}] path_model: '{self.PathModel}'"
        try:
            # Opened here, since numpy leaves a file open in which it finds no arrays.
            with Path(self.PathModel).open("rb") as file:
                loaded = np.load(file, allow_pickle=False)
                if isinstance(loaded, np.ndarray):
                    self.Model = {"array": loaded}
                else:
                    self.Model = {name: self._member(loaded, name, where) for name in loaded.files}
        except ConfigurationError:
            raise
        except (ValueError, EOFError, zipfile.BadZipFile):
            raise ConfigurationError(f"{where} is no .npy or .npz file of plain arrays") from None
        except OSError as error:
            raise ConfigurationError(f"{where} cannot be read: {error.strerror or error}") from None

    def _member(self, loaded: Any, name: str, where: str) -> Any:
        try:
            return loaded[name]
        except ValueError:
            raise ConfigurationError(f"{where}: '{name}' is no plain array") from None
        except (EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigurationError(f"{where}: '{name}' is damaged: {error}") from None

    def load_parameters_from_file(self) -> None:
        """Read `Parameters` from the file ``path_parameters``, a JSON object."""
        where = f"[{self.section}] path_parameters: '{self.PathParameters}'"
        try:
            loaded = json.loads(Path(self.PathParameters).read_bytes())
        except OSError as error:
            raise ConfigurationError(f"{where} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise ConfigurationError(f"{where} is no JSON: {error}") from None
        if not isinstance(loaded, dict):
            raise ConfigurationError(f"{where} has {type(loaded).__name__}, not an object with parameters")
        self.Parameters = loaded

    @abc.abstractmethod
    def transform(self, *args: Any) -> Any:
        """Return what the model takes, made from events or from a matrix."""

    @abc.abstractmethod
    def predict(self, *args: Any) -> Any:
        """Return what the model says."""
