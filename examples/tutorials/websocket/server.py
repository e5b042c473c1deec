"""A pump that waits for clients: what they send over a web socket is printed."""

import bspump
import bspump.common
import bspump.http
import bspump.web


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.WebSocketSource(app, self),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    # "0.0.0.0:8080" would let other machines in, too.
    app = bspump.BSPumpApplication(web_listen="127.0.0.1:8080")
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)

    # The source is an attribute of its pipeline. Its handler serves the clients, at an address of your choice.
    app.WebContainer.WebApp.router.add_get("/bspump/ws", pl.WebSocketSource.handler)

    app.run()
