"""The tutorials that read web APIs."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from examples.tutorials.tests.harness import MakeTutorial, Program, connect, free_port

pytest.importorskip("bspump.http", reason="bspump-http is not installed")

SOON = {"PeriodicTrigger(app, 5)": "PeriodicTrigger(app, 0.1)"}
SOON_OF_TWO = {"PeriodicTrigger(app, 2)": "PeriodicTrigger(app, 0.1)"}


def answers(pump: Program) -> list[Any]:
    """Return the JSON texts that a PPrintSink has printed as bytes or as a text."""
    texts = re.findall(r"^\(b?['\"].*?['\"]\)$", pump.printed, re.MULTILINE | re.DOTALL)
    return [json.loads(ast.literal_eval(text)) for text in texts]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_first_pump_prints_what_the_api_answers(tutorial: MakeTutorial) -> None:
    pump = tutorial("coindesk", SOON).start("first_pump.py")
    pump.wait_for(lambda: answers(pump))
    assert pump.stop() == 0
    assert answers(pump)[0]["bpi"]["EUR"]["rate"] == "33,796.7930"
    assert pump.complaints == []


def test_the_custom_processor_of_coindesk_adds_a_currency(tutorial: MakeTutorial) -> None:
    pump = tutorial("coindesk", SOON).start("coindesk.py")
    pump.wait_for("'updateduk'")
    assert pump.stop() == 0
    assert re.search(
        r"'JPY': \{'code': 'JPY',\s*'description': 'JPY',\s*'rate': '429,9716\.\d+',\s*'rate_float': '4299716\.\d+'",
        pump.printed,
    )
    assert "'chartName': 'Bitcoin'" in pump.printed
    assert pump.complaints == []


def test_the_weather_of_one_city_is_printed(tutorial: MakeTutorial) -> None:
    pump = tutorial("weather", SOON).start("one_city.py")
    pump.wait_for(lambda: answers(pump))
    assert pump.stop() == 0
    assert (answers(pump)[0]["name"], answers(pump)[0]["main"]["temp"]) == ("London", 8.91)
    assert pump.complaints == []


@pytest.mark.parametrize("script", ["weather_pump.py", "one_session.py"])
def test_the_weather_of_several_cities_is_printed(tutorial: MakeTutorial, script: str) -> None:
    pump = tutorial("weather", SOON).start(script, "-c", "weather-pump.conf")
    pump.wait_for(lambda: len(answers(pump)) >= 3)
    assert pump.stop() == 0
    assert [answer["name"] for answer in answers(pump)[:3]] == ["London", "New York", "Berlin"]
    assert pump.complaints == []


def test_the_address_and_the_key_come_from_the_configuration(tutorial: MakeTutorial) -> None:
    pump = tutorial("configuration", SOON_OF_TWO).start("mypumptest.py", "-c", "mypumpconfiguration.conf")
    pump.wait_for("'name': 'London'")
    assert pump.stop() == 0
    assert pump.complaints == []


def test_tarkov_says_what_is_worth_crafting(tutorial: MakeTutorial) -> None:
    game = tutorial("tarkov", SOON)
    pump = game.start("tarkov.py")
    pump.wait_for("profit_per_hour")
    assert pump.stop() == 0
    crafts = {row["name"]: row for row in read_csv(game.folder / "Data" / "TarkovData.csv")}
    assert crafts["Moonshine"] == {
        "station": "Booze generator level 1",
        "name": "Moonshine",
        "output_price_item": "286999",
        "duration": "3.056",
        "input_price_item": "236998",
        "profit": "50001",
        "profit_per_hour": "16361.584",
    }
    assert crafts["BP"]["profit"] == "-108000"  # nobody sells BP, so it brings nothing
    assert len(crafts) == 3
    assert pump.complaints == []


def test_fortnite_writes_the_store_with_a_coefficient(tutorial: MakeTutorial) -> None:
    game = tutorial("fortnite", SOON_OF_TWO)
    pump = game.start("fortnite.py", "-c", "config.conf")
    pump.wait_for("Coef")
    assert pump.stop() == 0
    items = read_csv(game.folder / "data.csv")
    assert {item["name"]: float(item["Coef"]) for item in items} == {
        "Marsh Walk": 1.0,
        "Arcane Vi": 400.0,
        "Piltover Warden Hammer": 0.5,
        "Hi-Octane": 0.375,
        "Bear Hug": 1.0,
        "Mello Rider": 0.2,
    }
    assert list(items[0]) == ["imageUrl", "manifestId", "name", "rarity", "storeCategory", "vBucks", "Coef"]
    assert pump.complaints == []


def test_the_application_in_parts_prints_the_price(tutorial: MakeTutorial) -> None:
    pump = tutorial("coindesk_app", SOON).start("bspump-blank-app.py")
    pump.wait_for(lambda: answers(pump))
    assert pump.stop() == 0
    assert answers(pump)[0]["bpi"]["JPY"]["code"] == "JPY"
    assert "1 pipeline(s) ready." in pump.output
    assert pump.complaints == []


def test_one_pump_sends_the_price_to_another_over_a_web_socket(tutorial: MakeTutorial) -> None:
    port = free_port()
    pumps = tutorial("websocket", {**SOON, "127.0.0.1:8080": f"127.0.0.1:{port}"})
    server = pumps.start("server.py")
    connect(port).close()  # the client would wait some seconds before it tries again
    client = pumps.start("client.py")
    server.wait_for(lambda: answers(server))
    assert client.stop() == 0
    assert server.stop() == 0
    assert answers(server)[0]["chartName"] == "Bitcoin"
    assert server.complaints == []
