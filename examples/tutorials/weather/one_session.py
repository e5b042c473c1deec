"""The weather of several cities, with one HTTP session for all cycles: `main` opens it and hands it to `cycle`."""

import aiohttp

import bspump
import bspump.common
import bspump.trigger


class LoadSource(bspump.TriggerSource):
    def __init__(self, app, pipeline, id=None, config=None):
        super().__init__(app, pipeline, id=id, config=config)
        self.cities = ["London", "New York", "Berlin"]

    async def main(self):
        async with aiohttp.ClientSession() as session:
            await super().main(session)

    async def cycle(self, session):
        for city in self.cities:
            url = self.Config["url"].format(city=city, api_key=self.Config["api_key"])
            async with session.get(url) as response:
                await self.process(await response.read())


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            LoadSource(app, self).on(bspump.trigger.PeriodicTrigger(app, 5)),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_pipeline(SamplePipeline(app, "SamplePipeline"))
    app.run()
