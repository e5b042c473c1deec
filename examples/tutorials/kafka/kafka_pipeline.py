"""From one topic to others: a processor says for each event which one; a second pipeline prints what arrives there."""

import bspump
import bspump.common
import bspump.kafka


class KafkaTopicSelector(bspump.Processor):
    def process(self, context, event):
        if event["bpi"]["USD"]["rate_float"] > 10000:
            context["kafka_topic"] = "heavy"
        else:
            context["kafka_topic"] = "light"
        return event


class KafkaPipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.kafka.KafkaSource(
                app, self, "KafkaConnection", config={"topic": "coindesk-data", "group_id": "tutorial"}
            ),
            bspump.common.StdJsonToDictParser(app, self),
            KafkaTopicSelector(app, self),
            # The topic of the configuration is for events whose context names none.
            bspump.kafka.KafkaSink(app, self, "KafkaConnection", config={"topic": "light"}),
        )


class PrintPipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.kafka.KafkaSource(
                app, self, "KafkaConnection", config={"topic": "heavy", "group_id": "tutorial-print"}
            ),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_connection(bspump.kafka.KafkaConnection(app, "KafkaConnection"))
    svc.add_pipelines(KafkaPipeline(app, "KafkaPipeline"), PrintPipeline(app, "PrintPipeline"))
    app.run()
