"""What Fortnite's store sells, with a coefficient of rarity and price for each item, as a CSV file."""

import io

import pandas as pd

import bspump
import bspump.common
import bspump.http
import bspump.trigger


class JSONtoCSV(bspump.Processor):
    def process(self, context, event):
        df = pd.read_json(io.StringIO(event))
        print(df)
        # With a path `to_csv` returns None, so the event ends here: it has arrived in the file.
        return df.to_csv("data.csv", index=False)


class AddRarityPriceCoef(bspump.Processor):
    def process(self, context, event):
        # pandas 3 takes a text for the name of a file, so the text is passed as a file.
        df = pd.read_json(io.BytesIO(event))
        coefs = []
        for row in df.itertuples():
            price = 1 if row.vBucks == 0 else row.vBucks
            if row.rarity.lower() == "handmade":
                coefs.append((1 / price) * 100)
            elif row.rarity.lower() == "uncommon":
                coefs.append((2 / price) * 100)
            elif row.rarity.lower() == "rare":
                coefs.append((3 / price) * 100)
            elif row.rarity.lower() == "epic":
                coefs.append((4 / price) * 100)
            elif row.rarity.lower() == "legendary":
                coefs.append((5 / price) * 100)
            elif row.rarity.lower() == "mythic":
                coefs.append((6 / price) * 100)
            elif row.rarity.lower() == "exotic":
                coefs.append((7 / price) * 100)
            else:
                coefs.append(1)
        df["Coef"] = coefs
        return df.to_json()


class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(
                app, self, config={"url": self.Config["url"]}, headers={"TRN-Api-Key": self.Config["api_key"]}
            ).on(bspump.trigger.PeriodicTrigger(app, 2)),
            AddRarityPriceCoef(app, self),
            JSONtoCSV(app, self),
            bspump.common.NullSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")

    pl = SamplePipeline(app, "SamplePipeline")
    svc.add_pipeline(pl)

    app.run()
