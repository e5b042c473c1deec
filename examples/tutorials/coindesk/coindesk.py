"""The price of a bitcoin, with a currency that the API does not have: parse, enrich, print."""

import bspump
import bspump.common
import bspump.http
import bspump.trigger

# Stands in for https://api.coindesk.com/v1/bpi/currentprice.json, which was switched off in 2025
URL = "http://127.0.0.1:8090/v1/bpi/currentprice.json"


class EnrichProcessor(bspump.Processor):
    def __init__(self, app, pipeline, id=None, config=None):
        super().__init__(app, pipeline, id=None, config=None)

    def convertUSDtoJPY(self, usd):
        return usd * 113.70  # the rate of January 2022

    def process(self, context, event):
        jpy_price = str(self.convertUSDtoJPY(event["bpi"]["USD"]["rate_float"]))

        event["bpi"]["JPY"] = {
            "code": "JPY",
            "symbol": "&yen;",
            "rate": "".join((jpy_price[:3], ",", jpy_price[3:])),
            "description": "JPY",
            "rate_float": jpy_price,
        }

        return event


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self, config={"url": URL}).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.common.StdJsonToDictParser(app, self),
            EnrichProcessor(app, self),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)
    app.run()
