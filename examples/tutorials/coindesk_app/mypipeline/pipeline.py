"""The pipeline: the price of a bitcoin, parsed, enriched, serialised and printed."""

import bspump
import bspump.common
import bspump.http
import bspump.trigger

from .processor import EnrichProcessor

# Stands in for https://api.coindesk.com/v1/bpi/currentprice.json, which was switched off in 2025
URL = "http://127.0.0.1:8090/v1/bpi/currentprice.json"


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self, config={"url": URL}).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.common.StdJsonToDictParser(app, self),
            EnrichProcessor(app, self),
            bspump.common.StdDictToJsonParser(app, self),
            bspump.common.PPrintSink(app, self),
        )
