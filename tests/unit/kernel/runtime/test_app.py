from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import MetaData

from services.kernel.clock import SystemMonotonic, VirtualClock
from services.kernel.errors import Retryable, WrongUse
from services.kernel.http import make_app
from services.kernel.metrics import Metrics
from services.kernel.runtime import App, Build, Context, Service, Tick, open_app, running
from services.kernel.runtime.server import Server
from services.kernel.settings import load
from tests.support.patience import eventually
from tests.support.services import FakeRelay, FakeWorker

TOKEN = "0123456789abcdef"


class World:
    """Two services that note what happens to them, and the app that hosts them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.metrics = Metrics()
        self.ticked = threading.Event()
        self.workers = {name: FakeWorker(name) for name in ("risk", "alerts")}
        self.relays = {name: FakeRelay(f"{name}.relay") for name in ("risk", "alerts")}
        self.reasons: dict[str, str | None] = {"risk": None, "alerts": None}
        self.services = [self.service("risk"), self.service("alerts")]

    def service(self, name: str) -> Service:
        api = make_app(
            service=name,
            title=name,
            ready=[lambda: self.reasons[name]],
            metrics=self.metrics,
            token=TOKEN,
        )

        @api.get("/v1/name")
        def tell() -> str:
            return name

        return Service(
            name=name,
            api=api,
            workers=[self.workers[name]],
            relays=[self.relays[name]],
            ticks=[Tick(f"{name}.tick", 0.01, self.ticked.set)],
            ready=[lambda: self.reasons[name]],
            close=[
                lambda: self.log.append(f"{name} first"),
                lambda: self.log.append(f"{name} last"),
            ],
        )

    def app(self, server: Server | None = None, *, mounted: bool = True) -> App:
        return App(
            self.services,
            monotonic=SystemMonotonic(),
            metrics=self.metrics,
            server=server,
            mounted=mounted,
            close=[lambda: self.log.append("bus"), lambda: self.log.append("db")],
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def served(world: World) -> Iterator[App]:
    app = world.app(Server("127.0.0.1", 0))
    app.start()
    yield app
    app.stop()


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)


class TestLife:
    def test_services_stop_in_reverse_and_what_they_stand_on_last(self, world: World) -> None:
        app = world.app()
        app.start()
        app.stop()
        assert world.log == [
            "alerts last", "alerts first", "risk last", "risk first", "db", "bus",
        ]  # fmt: skip
        assert all(worker.stopped.is_set() for worker in world.workers.values())
        assert all(relay.closed for relay in world.relays.values())

    def test_starting_and_stopping_twice_is_doing_it_once(self, world: World) -> None:
        app = world.app()
        app.start()
        app.start()
        app.stop()
        app.stop()
        app.start()
        assert world.log.count("bus") == 1
        assert threading.active_count() == 1

    def test_stopping_what_never_started_closes_it(self, world: World) -> None:
        world.app().stop()
        assert world.log[-1] == "bus"
        assert world.relays["risk"].closed == 1

    def test_a_failing_close_does_not_keep_the_rest_open(self, world: World) -> None:
        def fail() -> None:
            raise OSError("disk")

        world.services[1].close.append(fail)
        app = world.app()
        app.start()
        with pytest.raises(OSError, match="disk"):
            app.stop()
        assert world.log[-1] == "bus"
        assert threading.active_count() == 1

    def test_a_start_that_fails_stops_what_had_started(self, world: World) -> None:
        server = Server("127.0.0.1", 0)

        def fail(app: object) -> None:
            raise Retryable("no listener")

        server.start = fail  # type: ignore[method-assign]
        app = world.app(server)
        with pytest.raises(Retryable, match="no listener"):
            app.start()
        assert world.log[-1] == "bus"
        assert threading.active_count() == 1

    def test_every_loop_turns(self, world: World) -> None:
        app = world.app()
        app.start()
        assert world.ticked.wait(20)
        eventually(
            lambda: None,
            lambda: all(relay.runs for relay in world.relays.values()),
            "each relay ran",
        )
        app.stop()


class TestServing:
    def test_each_api_stands_under_its_name(self, served: App) -> None:
        for name in ("risk", "alerts"):
            assert get(f"{served.url(name)}/v1/name").json() == name
            assert get(f"{served.url(name)}/readyz").json()["ready"] is True
        assert get(f"{served.address}/none").status_code == 404

    def test_the_root_tells_of_all(self, world: World, served: App) -> None:
        assert get(f"{served.address}/readyz").json() == {"ready": True, "reasons": []}
        world.workers["alerts"].reason = "worker alerts: bus away"
        world.reasons["risk"] = "no pack"
        assert served.reasons() == ["no pack", "worker alerts: bus away"]
        assert get(f"{served.address}/readyz").status_code == 503
        assert get(f"{served.url('risk')}/readyz").json()["reasons"] == ["no pack"]
        assert get(f"{served.url('alerts')}/readyz").json()["reasons"] == [
            "worker alerts: bus away"
        ]
        assert get(f"{served.address}/healthz").status_code == 200

    def test_a_relay_without_its_bus_is_a_reason_until_it_is_back(
        self, world: World, served: App
    ) -> None:
        relay = world.relays["risk"]
        relay.away = True
        eventually(relay.event.set, lambda: served.reasons() != [], "not ready")
        assert served.reasons() == ["loop risk.relay: bus out of reach"]
        relay.away = False
        eventually(relay.event.set, lambda: served.reasons() == [], "ready again")

    def test_metrics_tell_of_readiness_and_loops(self, world: World, served: App) -> None:
        world.reasons["risk"] = "no pack"
        text = get(f"{served.address}/metrics").text
        assert 'hearthwatch_ready{service="risk"} 0.0' in text
        assert 'hearthwatch_ready{service="alerts"} 1.0' in text
        assert 'hearthwatch_loop_progress_age_seconds{loop="alerts.ticks"}' in text

    def test_a_single_service_can_stand_at_the_root(self, world: World) -> None:
        world.services = world.services[:1]
        app = world.app(Server("127.0.0.1", 0), mounted=False)
        app.start()
        assert app.url("risk") == app.address
        assert get(f"{app.address}/v1/name").json() == "risk"
        assert get(f"{app.address}/readyz").json()["ready"] is True
        app.stop()

    def test_after_a_stop_nobody_answers(self, world: World) -> None:
        app = world.app(Server("127.0.0.1", 0))
        app.start()
        address = app.address
        app.stop()
        with pytest.raises(httpx2.ConnectError):
            get(f"{address}/healthz")

    def test_a_taken_port_is_told_before_anything_starts(self) -> None:
        first = Server("127.0.0.1", 0)
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(WrongUse, match=f"address 127.0.0.1:{port}.*HEARTHWATCH_HTTP_PORT"):
            Server("127.0.0.1", port)
        first.stop()
        first.stop()


class TestStep:
    def test_everything_is_turned_in_order_until_nothing_moves(self, world: World) -> None:
        """Risk's relay feeds alerts' worker, whose relay feeds risk's worker once more."""
        left = {"risk": [3, 0, 1], "alerts": [2, 0]}

        def publish(name: str, other: str) -> int:
            count = left[name].pop(0) if left[name] else 0
            world.workers[other].records += count
            return count

        world.relays["risk"].take = lambda: publish("risk", "alerts")
        world.relays["alerts"].take = lambda: publish("alerts", "risk")
        world.workers["risk"].records = 5
        app = world.app()
        assert app.step() == 5 + 3 + 3 + 2 + 2 + 1 + 1
        assert app.step() == 0
        assert world.workers["risk"].settled == [2, 2, 1, 2]
        app.stop()

    def test_a_worker_that_does_not_get_on_is_told_and_not_passed_over(self, world: World) -> None:
        world.workers["alerts"].reason = "worker alerts: stopped after 21 bugs"
        app = world.app()
        with pytest.raises(Retryable, match="21 bugs"):
            app.step()
        app.stop()

    def test_a_started_app_is_not_stepped(self, world: World) -> None:
        app = world.app()
        app.start()
        with pytest.raises(RuntimeError, match="its threads turn the loops"):
            app.step()
        app.stop()


class TestOpening:
    def build(self, seen: list[Context]) -> Build:
        def build(ctx: Context) -> Service:
            seen.append(ctx)
            ctx.open_db("risk", MetaData()).durability()
            return Service(name="risk")

        return build

    def test_a_service_gets_what_the_settings_name(self, tmp_path: Path) -> None:
        seen: list[Context] = []
        clock = VirtualClock(5)
        app = open_app(load({}, data_dir=tmp_path, http_port=0), [self.build(seen)], clock=clock)
        context = seen[0]
        assert context.clock is clock
        assert context.urls["intake"] == f"{app.address}/intake"
        assert context.token == (tmp_path / "token").read_text("utf-8").strip()
        assert (tmp_path / "risk.db").exists()
        assert (tmp_path / "bus.db").exists()
        found = running(tmp_path)
        assert found is not None
        assert found.url == app.address
        app.stop()
        assert running(tmp_path) is None

    def test_a_second_app_on_the_folder_is_refused_and_the_first_goes_on(
        self, tmp_path: Path
    ) -> None:
        settings = load({}, data_dir=tmp_path, http_port=0)
        app = open_app(settings, [])
        app.start()
        with pytest.raises(WrongUse, match="no other process on it"):
            open_app(settings, [])
        assert get(f"{app.address}/healthz").status_code == 200
        app.stop()

    def test_a_build_that_fails_lets_folder_and_port_go(self, tmp_path: Path) -> None:
        settings = load({}, data_dir=tmp_path, http_port=0)

        closed: list[str] = []

        def work(ctx: Context) -> Service:
            return Service(name="intake", close=[lambda: closed.append("intake")])

        def fail(ctx: Context) -> Service:
            ctx.open_db("risk", MetaData())
            raise Retryable("not now")

        with pytest.raises(Retryable, match="not now"):
            open_app(settings, [work, fail])
        assert closed == ["intake"]
        open_app(settings, []).stop()

    def test_without_http_nothing_listens(self, tmp_path: Path) -> None:
        app = open_app(load({}, data_dir=tmp_path), [], serve=False)
        assert app.address == ""
        app.start()
        app.stop()
