"""What is worth crafting in Escape from Tarkov: a GraphQL query, a table with the profit of each craft, a CSV file."""

from pathlib import Path

import aiohttp
import pandas as pd

import bspump
import bspump.common
import bspump.http
import bspump.trigger

# Stands in for https://tarkov-tools.com/graphql, which was switched off in 2022; now it is https://api.tarkov.dev/graphql
URL = "http://127.0.0.1:8090/graphql"

query = """
query {
  crafts {
    source
    duration
    rewardItems {
      quantity
      item {
        shortName
        lastLowPrice
      }
    }
    requiredItems {
      quantity
      item {
        shortName
        lastLowPrice
      }
    }
  }
}
"""


class IOHTTPSource(bspump.TriggerSource):
    def __init__(self, app, pipeline, choice=None, id=None, config=None):
        super().__init__(app, pipeline, id=id, config=config)

    async def cycle(self):
        async with aiohttp.ClientSession() as session, session.post(URL, json={"query": query}) as response:
            if response.status == 200:
                event = await response.json()
            else:
                raise Exception(f"Query failed to run by returning code of {response.status}. {query}")
            await self.process(event)


class FilterByStation(bspump.Processor):
    def __init__(self, app, pipeline, id=None, config=None):
        super().__init__(app, pipeline, id=None, config=None)

    def process(self, context, event):
        my_columns = [
            "station",
            "name",
            "output_price_item",
            "duration",
            "input_price_item",
            "profit",
            "profit_per_hour",
        ]
        rows = []
        for item in event["data"]["crafts"]:
            duration = round((item["duration"]) / 60 / 60, ndigits=3)
            reward = item["rewardItems"][0]
            name_output = reward["item"]["shortName"]
            quantity = reward["quantity"]
            output_item_price = reward["item"]["lastLowPrice"]
            if output_item_price is None:  # nobody sells it
                output_item_price = 0
            output_price_item = quantity * int(output_item_price)
            station_name = item["source"]
            profit = 0
            profit_p_hour = 0
            input_price_item = 0
            for required_item in item["requiredItems"]:
                quantity_i = required_item["quantity"]
                input_item = required_item["item"]["lastLowPrice"]
                if input_item is None:
                    input_item = 0
                price_of_input_item = input_item * quantity_i
                input_price_item = input_price_item + price_of_input_item
                profit = output_price_item - input_price_item
                profit_p_hour = round(profit / duration, ndigits=3)

            # `DataFrame.append` left pandas with version 2; a list is faster anyway.
            rows.append(
                [station_name, name_output, output_price_item, duration, input_price_item, profit, profit_p_hour]
            )
        return pd.DataFrame(rows, columns=my_columns)


class DataFrameToCSV(bspump.Processor):
    def __init__(self, app, pipeline, id=None, config=None):
        super().__init__(app, pipeline, id=None, config=None)
        Path("./Data").mkdir(exist_ok=True)

    def process(self, context, event):
        event.to_csv("./Data/TarkovData.csv", index=False)
        return event


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            IOHTTPSource(app, self).on(bspump.trigger.PeriodicTrigger(app, 5)),
            FilterByStation(app, self),
            DataFrameToCSV(app, self),
            bspump.common.PPrintProcessor(app, self),
            bspump.common.NullSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)
    app.run()
