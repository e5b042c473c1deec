"""A TCP server that sends each line back to the client that it came from."""

import bspump
import bspump.ipc


class EchoSink(bspump.Sink):
    def process(self, context, event):
        context["stream"].send(event.encode("utf-8"))
        context["stream"].send(b"\n")


class EchoPipeline(bspump.Pipeline):
    """Try it with `socat STDIO TCP:127.0.0.1:8083`."""

    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            # "0.0.0.0 8083" would let other machines in, too.
            bspump.ipc.StreamServerSource(app, self, config={"address": "127.0.0.1 8083"}),
            EchoSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_pipeline(EchoPipeline(app, "EchoPipeline"))
    app.run()
