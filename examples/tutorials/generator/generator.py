"""Two ways to make other events of one event: from what a web API answers, and from its items."""

import sys

import aiohttp

import bspump
import bspump.common
import bspump.trigger

# Any API that answers with a JSON object; the manual has https://example.com/resolve_color/{}
URL = "http://127.0.0.1:8090/resolve_color/{}"

CARS = [
    {"car": "Octavia", "color_id": "2"},
    {"car": "Trabant", "color_id": "7"},
]


class ColorGenerator(bspump.Generator):
    async def generate(self, context, event, depth):
        # Meanwhile the pipeline takes further events.
        url = URL.format(event.get("color_id", "unknown"))
        async with aiohttp.ClientSession() as session, session.get(url) as resp:
            if resp.status != 200:
                return
            new_event = await resp.json()

        self.Pipeline.inject(context, {"car": event["car"], **new_event}, depth)


class MyGenerator(bspump.Generator):
    async def generate(self, context, event, depth):
        for item in event.items():
            self.Pipeline.inject(context, item, depth)


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.common.IteratorSource(app, self, CARS).on(bspump.trigger.RunOnceTrigger(app)),
            ColorGenerator(app, self),
            MyGenerator(app, self),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_pipeline(SamplePipeline(app, "SamplePipeline"))
    sys.exit(app.run())
