"""The service: it registers connections, lookups and pipelines, and is what others call."""

import asab

from .pipeline import TCPPipeline


class BlankService(asab.Service):
    def __init__(self, app, service_name="blank.BlankService"):
        super().__init__(app, service_name)

    async def initialize(self, app):
        svc = app.get_service("bspump.PumpService")

        # This is the place for connections, matrices and lookups, too.
        self.TCPPipeline = TCPPipeline(app, "TCPPipeline")
        svc.add_pipeline(self.TCPPipeline)

        await svc.initialize(app)

    async def get_data(self, message="be"):
        await self.TCPPipeline.process(message)
        return "Check stdout"
