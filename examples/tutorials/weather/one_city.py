"""The weather of one city, as the API tells it."""

import bspump
import bspump.common
import bspump.http
import bspump.trigger

# The real one: https://api.openweathermap.org/data/2.5/weather
URL = "http://127.0.0.1:8090/data/2.5/weather"


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(
                app, self, config={"url": URL + "?q=London&units=metric&appid=your-api-key"}
            ).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)
    app.run()
