"""One option, `query`, set in three ways: in the class, in the constructor, in a configuration file.

The table is in the memory of this process, so that no database server is needed.
"""

import sqlite3
import sys

import bspump
import bspump.common
import bspump.trigger

PEOPLE = [(1, "Ada", "Lovelace"), (2, "Alan", "Turing"), (3, "Grace", "Hopper")]


class SQLSource(bspump.TriggerSource):
    # 1. In the class: what holds unless somebody says otherwise
    ConfigDefaults = {
        "query": "SELECT id, name, surname FROM people",
    }

    async def cycle(self):
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE people (id, name, surname)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", PEOPLE)
        for row in database.execute(self.Config["query"]).fetchall():
            await self.process(row)
        database.close()


class ClassPipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            SQLSource(app, self).on(bspump.trigger.RunOnceTrigger(app)),
            bspump.common.PPrintSink(app, self),
        )


class ConstructorPipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            # 2. In the constructor: this one wins over the two others
            SQLSource(app, self, config={"query": "SELECT name FROM people WHERE id = 2"}).on(
                bspump.trigger.RunOnceTrigger(app)
            ),
            bspump.common.PPrintSink(app, self),
        )


class FilePipeline(bspump.Pipeline):
    # 3. In the configuration file, in the section of the pipeline or in that of the source
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            SQLSource(app, self).on(bspump.trigger.RunOnceTrigger(app)),
            bspump.common.PPrintSink(app, self),
        )


if __name__ == "__main__":
    app = bspump.BSPumpApplication()
    svc = app.get_service("bspump.PumpService")
    svc.add_pipelines(
        ClassPipeline(app, "ClassPipeline"),
        ConstructorPipeline(app, "ConstructorPipeline"),
        FilePipeline(app, "FilePipeline"),
    )
    sys.exit(app.run())
