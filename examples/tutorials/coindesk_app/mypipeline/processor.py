"""The processor: the price in a currency that the API does not have."""

import bspump


class EnrichProcessor(bspump.Processor):
    def __init__(self, app, pipeline, id=None, config=None):
        super().__init__(app, pipeline, id=None, config=None)

    def convertUSDtoJPY(self, usd):
        return usd * 113.70  # the rate of January 2022

    def process(self, context, event):
        jpy_price = str(self.convertUSDtoJPY(event["bpi"]["USD"]["rate_float"]))

        event["bpi"]["JPY"] = {
            "code": "JPY",
            "symbol": "&yen;",
            "rate": "".join((jpy_price[:3], ",", jpy_price[3:])),
            "description": "JPY",
            "rate_float": jpy_price,
        }

        return event
