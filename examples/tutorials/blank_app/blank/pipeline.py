"""The pipeline: lines that come by TCP or from the web handler, enriched and printed."""

import sys

import bspump
import bspump.common
import bspump.socket

from .processor import ShakespeareanEnricher


class TCPPipeline(bspump.Pipeline):
    """Try it with `socat STDIO TCP:127.0.0.1:8888`, or open http://127.0.0.1:8080/blank?message=die."""

    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            # "0.0.0.0" would let other machines in, too.
            bspump.socket.TCPSource(app, self, config={"host": "127.0.0.1", "port": 8888}),
            ShakespeareanEnricher(app, self),
            bspump.common.PPrintSink(app, self, stream=sys.stdout),
        )
