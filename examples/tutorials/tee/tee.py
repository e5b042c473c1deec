"""Two pipelines: the first prints the lines that come by TCP and gives a copy of each to the second."""

import bspump
import bspump.common
import bspump.socket


class SamplePipeline(bspump.Pipeline):
    """Try it with `socat STDIO TCP:127.0.0.1:7000`."""

    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.socket.TCPStreamSource(app, self, config={"port": 7000}),
            bspump.common.TeeProcessor(app, self).bind("SampleTeePipeline.*TeeSource"),
            bspump.common.PPrintSink(app, self),
        )


class SampleTeePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.common.TeeSource(app, self),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_pipelines(SamplePipeline(app, "SamplePipeline"), SampleTeePipeline(app, "SampleTeePipeline"))
    app.run()
