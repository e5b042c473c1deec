"""The module: which services it consists of, and how the web reaches them."""

import asab

from .handler import BlankWebHandler
from .service import BlankService


class BlankModule(asab.Module):
    def __init__(self, app):
        super().__init__(app)
        self.BlankService = BlankService(app)
        if app.WebContainer is not None:  # [web] listen, or -w
            self.BlankWebHandler = BlankWebHandler(app, self.BlankService)
