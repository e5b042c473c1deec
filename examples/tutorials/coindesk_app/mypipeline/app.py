"""The application: which modules it consists of."""

import bspump


class BlankAppApplication(bspump.BSPumpApplication):
    def __init__(self):
        super().__init__()

        from .module import BlankModule

        self.add_module(BlankModule)
