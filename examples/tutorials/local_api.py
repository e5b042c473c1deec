"""The web APIs that the tutorials read, as one small server on this machine: the same paths, the same shape of answers.

`python local_api.py` serves until Ctrl-C. The numbers never change, so a tutorial prints the same every time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from typing import Any

from aiohttp import web

DEFAULT_PORT = 8090

CURRENCIES = [
    ("USD", "&#36;", "United States Dollar", 37816.3283),
    ("GBP", "&pound;", "British Pound Sterling", 28165.1854),
    ("EUR", "&euro;", "Euro", 33796.7930),
]

# City: longitude, latitude, country, time zone, id, sky, temperature, pressure, humidity
CITIES = {
    "London": (-0.1257, 51.5085, "GB", 0, 2643743, "scattered clouds", 8.91, 1030, 71),
    "New York": (-74.006, 40.7143, "US", -18000, 5128581, "few clouds", -1.13, 1030, 51),
    "Berlin": (13.4105, 52.5244, "DE", 3600, 2950159, "broken clouds", 6.01, 1003, 91),
}

# Station, seconds, what comes out and what goes in: (quantity, name, lowest price, None if nobody sells it)
CRAFTS = [
    ("Booze generator level 1", 11000, (1, "Moonshine", 286999), [(2, "Sugar", 52000), (1, "Canister", 132998)]),
    ("Intelligence Center level 2", 192000, (1, "RFIDR", 215000), [(1, "Virtex", 40000)]),
    ("Workbench level 3", 60000, (120, "BP", None), [(2, "Eagle", 39000), (2, "Kite", 15000)]),
]

# Id, name, rarity, price in V-Bucks
STORE = [
    (6909, "Marsh Walk", "Sturdy", 500),
    (15210, "Arcane Vi", "Epic", 0),
    (15212, "Piltover Warden Hammer", "Epic", 800),
    (12776, "Hi-Octane", "rare", 800),
    (13318, "Bear Hug", "uncommon", 200),
    (6922, "Mello Rider", "Handmade", 500),
]

COLOURS = {"1": "red", "2": "green", "3": "blue"}


async def bitcoin_price(request: web.Request) -> web.Response:
    """Coindesk's price index."""
    return web.json_response(
        {
            "time": {
                "updated": "Jan 31, 2022 15:53:00 UTC",
                "updatedISO": "2022-01-31T15:53:00+00:00",
                "updateduk": "Jan 31, 2022 at 15:53 GMT",
            },
            "disclaimer": "These numbers are made up. They have the shape of the CoinDesk Bitcoin Price Index.",
            "chartName": "Bitcoin",
            "bpi": {
                code: {
                    "code": code,
                    "symbol": symbol,
                    "rate": f"{rate:,.4f}",
                    "description": description,
                    "rate_float": rate,
                }
                for code, symbol, description, rate in CURRENCIES
            },
        },
        content_type="application/javascript",  # as the real one says
    )


async def weather(request: web.Request) -> web.Response:
    """OpenWeather's current weather of one city."""
    if not request.query.get("appid"):
        return web.json_response({"cod": 401, "message": "Invalid API key."}, status=401)
    city = request.query.get("q", "")
    if city not in CITIES:
        return web.json_response({"cod": "404", "message": "city not found"}, status=404)
    longitude, latitude, country, timezone, number, sky, celsius, pressure, humidity = CITIES[city]
    return web.json_response(
        {
            "coord": {"lon": longitude, "lat": latitude},
            "weather": [{"id": 802, "main": "Clouds", "description": sky, "icon": "03n"}],
            "base": "stations",
            "main": {"temp": celsius, "feels_like": celsius - 2, "pressure": pressure, "humidity": humidity},
            "visibility": 10000,
            "wind": {"speed": 3.6, "deg": 290},
            "dt": int(time.time()),
            "sys": {"country": country},
            "timezone": timezone,
            "id": number,
            "name": city,
            "cod": 200,
        }
    )


async def crafts(request: web.Request) -> web.Response:
    """What players of Escape from Tarkov can craft, as GraphQL; only the query of the tutorial is understood."""
    query = (await request.json()).get("query", "")
    if "crafts" not in query:
        return web.json_response({"errors": [{"message": "Only crafts are served here."}]}, status=400)
    return web.json_response({"data": {"crafts": [_craft(*craft) for craft in CRAFTS]}})


def _craft(station: str, seconds: int, reward: tuple[Any, ...], required: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "source": station,
        "duration": seconds,
        "rewardItems": [_item(*reward)],
        "requiredItems": [_item(*item) for item in required],
    }


def _item(quantity: int, name: str, price: int | None) -> dict[str, Any]:
    return {"quantity": quantity, "item": {"shortName": name, "lastLowPrice": price}}


async def store(request: web.Request) -> web.Response:
    """What is in Fortnite's store, as Fortnite Tracker tells those who have a key."""
    if not request.headers.get("TRN-Api-Key"):
        return web.json_response({"message": "No API key found in request"}, status=401)
    items = [
        {
            "imageUrl": f"https://trackercdn.com/legacycdn/fortnite/{number}_large.png",
            "manifestId": number,
            "name": name,
            "rarity": rarity,
            "storeCategory": "BRWeeklyStorefront",
            "vBucks": price,
        }
        for number, name, rarity, price in STORE
    ]
    return web.Response(text=json.dumps(items, indent=2).replace("\n", "\r\n"), content_type="application/json")


async def colour(request: web.Request) -> web.Response:
    """The name of a colour."""
    number = request.match_info["number"]
    if number not in COLOURS:
        return web.json_response({"message": "no such colour"}, status=404)
    return web.json_response({"color_id": number, "color": COLOURS[number]})


def create_application() -> web.Application:
    """Return the application with all the APIs."""
    application = web.Application()
    application.add_routes(
        [
            web.get("/v1/bpi/currentprice.json", bitcoin_price),
            web.get("/data/2.5/weather", weather),
            web.post("/graphql", crafts),
            web.get("/v1/store", store),
            web.get("/resolve_color/{number}", colour),
        ]
    )
    return application


async def serve(host: str, port: int) -> None:
    """Serve until the process is told to end."""
    runner = web.AppRunner(create_application())
    await runner.setup()
    ends = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"Serving http://{host}:{runner.addresses[0][1]}", flush=True)
        await ends.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="Serve the web APIs that the tutorials read.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0: any free one")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.host, arguments.port))
    except OSError as error:
        parser.exit(1, f"error: {error.strerror}\n")


if __name__ == "__main__":
    main()
