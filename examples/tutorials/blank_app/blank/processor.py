"""The processor."""

import bspump


class ShakespeareanEnricher(bspump.Processor):
    def process(self, context, event):
        if isinstance(event, bytes):
            event = event.decode("utf-8").replace("\r", "").replace("\n", "")
        return f"To {event}, or not to {event}?"
