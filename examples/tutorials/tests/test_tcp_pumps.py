"""The tutorials that listen to TCP."""

from __future__ import annotations

import json
import urllib.request

import pytest

from examples.tutorials.tests.harness import MakeTutorial, connect, free_port

pytest.importorskip("bspump.ipc", reason="bspump-ipc is not installed")


def test_the_echo_server_sends_each_line_back(tutorial: MakeTutorial) -> None:
    port = free_port()
    pump = tutorial("tcp_echo", {"8083": str(port)}).start("echo.py")
    with connect(port) as client, client.makefile("rwb") as stream:
        stream.write(b"Hello\n\xc4\x8desky\n")
        stream.flush()
        assert stream.readline() == b"Hello\n"
        assert stream.readline() == b"\xc4\x8desky\n"
    assert pump.stop() == 0
    assert pump.complaints == []


def test_the_blank_application_processes_what_comes_by_tcp_and_from_the_web(tutorial: MakeTutorial) -> None:
    tcp, web = free_port(), free_port()
    application = tutorial("blank_app", {"8888": str(tcp), "127.0.0.1:8080": f"127.0.0.1:{web}"})
    pump = application.start("bspump-blank-app.py", "-c", "blank.conf")
    with connect(tcp) as client:
        client.sendall(b"sleep\n")
    pump.wait_for("'To sleep, or not to sleep?'\n")
    connect(web).close()
    with urllib.request.urlopen(f"http://127.0.0.1:{web}/blank?message=die", timeout=30) as response:
        assert json.load(response) == {"result": "Check stdout"}
    pump.wait_for("'To die, or not to die?'\n")
    assert pump.stop() == 0
    assert pump.complaints == []


def test_the_blank_application_runs_without_a_web_server(tutorial: MakeTutorial) -> None:
    pump = tutorial("blank_app", {"8888": str(free_port())}).start("bspump-blank-app.py")
    pump.wait_for("1 pipeline(s) ready.")
    assert pump.stop() == 0
    assert pump.complaints == []


def test_a_tee_gives_each_line_to_both_pipelines(tutorial: MakeTutorial) -> None:
    port = free_port()
    pump = tutorial("tee", {"7000": str(port)}).start("tee.py")
    with connect(port) as client:
        client.sendall(b"one\ntwo\n")
    pump.wait_for(lambda: pump.printed.count("two") == 2)
    assert pump.stop() == 0
    assert pump.printed.count("one") == 2
    assert pump.complaints == []
