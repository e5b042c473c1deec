"""A pipeline that lives with events that are no JSON: they are soft errors, which it drops and counts."""

import json

import bspump
import bspump.common


class SampleInternalPipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.common.InternalSource(app, self),
            bspump.common.JSONParserProcessor(app, self),
            bspump.common.PPrintSink(app, self),
        )

    def handle_error(self, exception, context, event):
        # True: a soft error
        return isinstance(exception, json.decoder.JSONDecodeError)


class SampleApplication(bspump.BSPumpApplication):
    async def main(self):
        await super().main()
        source = self.PumpService.locate("SampleInternalPipeline.*InternalSource")
        for event in ('{"number": 1}', "no JSON", '{"number": 3}'):
            await source.put_async({}, event)


if __name__ == "__main__":
    app = SampleApplication()
    app.PumpService.add_pipeline(SampleInternalPipeline(app, "SampleInternalPipeline"))
    app.run()
