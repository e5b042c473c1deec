"""A pump that asks a web API and sends each answer to another pump, over a web socket."""

import bspump
import bspump.common
import bspump.http
import bspump.trigger

# Stands in for https://api.coindesk.com/v1/bpi/currentprice.json, which was switched off in 2025
URL = "http://127.0.0.1:8090/v1/bpi/currentprice.json"


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self, config={"url": URL}).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.http.HTTPClientWebSocketSink(app, self, config={"url": "http://127.0.0.1:8080/bspump/ws"}),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)
    app.run()
