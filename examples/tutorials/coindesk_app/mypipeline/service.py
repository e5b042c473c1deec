"""The service: it registers connections, lookups and pipelines."""

import asab

from .pipeline import SamplePipeline


class BlankService(asab.Service):
    def __init__(self, app, service_name="blank.BlankService"):
        super().__init__(app, service_name)

    async def initialize(self, app):
        svc = app.get_service("bspump.PumpService")

        # This is the place for connections, matrices and lookups, too.
        self.SamplePipeline = SamplePipeline(app, "SamplePipeline")
        svc.add_pipeline(self.SamplePipeline)

        await svc.initialize(app)
