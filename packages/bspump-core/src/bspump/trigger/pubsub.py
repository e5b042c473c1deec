"""A trigger that fires when a message is published."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asab
import asab.pubsub

from .trigger import Trigger


class PubSubTrigger(Trigger):
    """Fires on each of the given messages.

    Args:
        app: the application.
        message_types: one message type, such as ``Application.run!``, or several.
        pubsub: where the messages are published; the application's PubSub if not given.
        id: the name of the trigger.
    """

    def __init__(
        self,
        app: asab.Application,
        message_types: str | Iterable[str],
        pubsub: asab.pubsub.PubSub | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(app, id=id)
        self._pubsub = pubsub if pubsub is not None else app.PubSub
        types = [message_types] if isinstance(message_types, str) else list(message_types)
        for message_type in types:
            self._pubsub.subscribe(message_type, self._on_message)

    def _on_message(self, message_type: str, *args: Any, **kwargs: Any) -> None:
        self.fire()
