"""The weather of one city into an index of Elasticsearch."""

import bspump
import bspump.common
import bspump.elasticsearch
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
            bspump.common.StdJsonToDictParser(app, self),
            bspump.elasticsearch.ElasticSearchSink(app, self, "ESConnection"),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")

    # The sink finds its connection by this id, so it is registered first.
    es_connection = bspump.elasticsearch.ElasticSearchConnection(app, "ESConnection")
    svc.add_connection(es_connection)

    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)

    app.run()
