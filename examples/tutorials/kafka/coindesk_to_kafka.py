"""The price of a bitcoin into a topic of Kafka."""

import bspump
import bspump.http
import bspump.kafka
import bspump.trigger

# Stands in for https://api.coindesk.com/v1/bpi/currentprice.json, which was switched off in 2025
URL = "http://127.0.0.1:8090/v1/bpi/currentprice.json"


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self, config={"url": URL}).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.kafka.KafkaSink(app, self, "KafkaConnection", config={"topic": "coindesk-data"}),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_connection(bspump.kafka.KafkaConnection(app, "KafkaConnection"))

    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)

    app.run()
