"""The console: `python -m benchmarks.console [--json] [--parts log,paint,update,commands]`.

    log        the log browser over `--events` events, by its pages of 50 and by each filter,
               `--asked` times, at chances from all over it; milliseconds until the whole page is
               here, and of the processor, of the server and PostgreSQL, which a busy machine
               disturbs less. Of more than a million events, all beyond the first repeat it, with
               later times and other ids
    paint      first contentful paint of each page in Chromium that has nothing in its cache, on
               `--shown` events with all read models folded
    update     from the commit of an event to the page that shows it in Chromium, at 100 updates a
               second of the account that it shows; and how much of a core the browser takes
    commands   commands per second with `--browsers` that look on (three are Chromium, the others
               ask for the same), and without, in turns. All run on the same cores here, the
               browsers too, which elsewhere are on desks: `commands_ratio` is as it is,
               `commands_ratio_of_servers` takes the browsers' share of the cores out

`serve web`, and what else it takes, are processes of their own, as in production.
"""

import argparse
import asyncio
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psutil
import psycopg
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.commands import (
    drive,
    listing,
    orders_in_rounds,
    setting_up,
)
from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import directory, quiet, report
from ledger.client.client import LedgerClient
from ledger.eventstore import store
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.web.person import ALL_SCOPES, Role
from ledger.web.tokens import TokensFile
from ledger.web.users import UsersFile, web_user

PARTS = ("log", "paint", "update", "commands")
MILLION = 1_000_000
REPEATED_AT_ONCE = 50_000
DEEDS_PER_MILLION = 500
"""Events with an actor, which operators' deeds are: few among what is traded."""
ACTORS = ("olga", "ada")
PAINTED = 5
UPDATES_PER_SECOND = 100
UPDATE_SECONDS = 12.0
REAL_BROWSERS = 3
READY_SECONDS = 240.0
CAUGHT_UP_SECONDS = 900.0
RELOAD_SECONDS = 30.0
"""A person goes to another page so often, between half of it and half as much again."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PAGES = (
    "/",
    "/positions",
    "/orders?view=all",
    "/chart",
    "/performance",
    "/risk",
    "/log",
    "/overview",
)
WATCHED = ("/", "/positions", "/orders", "/orders?view=all", "/log", "/projections")


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--parts", default=",".join(PARTS))
    arguments.add_argument("--events", type=int, default=MILLION)
    arguments.add_argument("--asked", type=int, default=40)
    arguments.add_argument("--shown", type=int, default=100_000)
    arguments.add_argument("--browsers", type=int, default=50)
    arguments.add_argument("--orders", type=int, default=3_000)
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()
    wanted = options.parts.split(",")
    figures: dict[str, Any] = {}
    if "log" in wanted:
        with scene() as here:
            fill(here.database_url, options.events)
            with here.serving("web") as web:
                figures |= log_browser(here, web, options.asked)
    if set(wanted) & {"paint", "update"}:
        with scene() as here, chromium() as browser:
            mix = EventMix(accounts=1)
            with psycopg.connect(here.database_url, autocommit=True) as connection:
                append_mix(connection, mix, options.shown)
            with here.serving("projections"), here.serving("web") as web:
                here.caught_up()
                figures["shown_events"] = options.shown
                if "paint" in wanted:
                    figures |= painted(here, browser, web)
                if "update" in wanted:
                    figures |= updated(here, browser, mix)
    if "commands" in wanted:
        with scene() as here, chromium() as browser:
            figures |= looked_on(here, browser, options)
    report("console", figures)


# --- a ledger of its own ----------------------------------------------------------------


@dataclass
class Scene:
    """Servers, and who may ask the console."""

    path: Path
    database_url: str
    nats_url: str
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "text/html"}

    @contextmanager
    def serving(self, program: str) -> Iterator[psutil.Process]:
        """A program of `ledgerctl serve`, ready."""
        environment = {
            "LEDGER_DATABASE_URL": self.database_url,
            "LEDGER_NATS_URL": self.nats_url,
            "LEDGER_DATA_DIR": str(self.path / "data"),
            "LEDGER_WEB_PORT": str(self.port),
            "LEDGER_WEB_REQUESTS_PER_SECOND": "10000",
            "LEDGER_LOG_LEVEL": "WARNING",
            "PATH": "/usr/bin:/bin",
        }
        with (self.path / f"{program}.log").open("wb") as log:
            process = psutil.Popen(
                [Path(sys.executable).with_name("ledgerctl"), "serve", program],
                env=environment,
                stdout=log,
                stderr=log,
            )
            try:
                if program == "web":
                    self._answers(process)
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(READY_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _answers(self, process: psutil.Popen) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.05)
        raise SystemExit((self.path / "web.log").read_text())

    def caught_up(self) -> None:
        """Until all read models show the whole log."""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while time.monotonic() < deadline:
                row = connection.execute("SELECT lag_events FROM log_standing(NULL)").fetchone()
                if row is not None and row[0] == 0:
                    return
                time.sleep(0.1)
        raise SystemExit("the read models did not catch up")


@contextmanager
def scene() -> Iterator[Scene]:
    with directory() as path, EmbeddedPostgres(path) as postgres, EmbeddedNats(path) as bus:
        migrate_all(postgres.url)
        users = path / "data" / "web"
        users.mkdir(parents=True, mode=0o700)
        UsersFile(users).put(web_user("ada", Role.ADMIN))
        _, token = TokensFile(users).create("ada", ALL_SCOPES, timedelta(days=1))
        yield Scene(path, postgres.url, bus.url, _free_port(), token)


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit("there is no Chromium here: `make browser` installs Debian's")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Browser, here: Scene) -> Page:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        extra_http_headers={"Authorization": f"Bearer {here.token}"},
    )
    context.set_default_timeout(30_000)
    return context.new_page()


# --- the log browser --------------------------------------------------------------------

_LARGEST = """
    CREATE TABLE benchmark_versions AS
    SELECT stream_id, max(event_version) AS versions FROM public.event_store
    WHERE stream_type <> 'order' GROUP BY stream_id"""
_LATER = """
    CREATE FUNCTION benchmark_later(id uuid, milliseconds bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT (lpad(to_hex(('x' || substr(h, 1, 12))::bit(48)::bigint + milliseconds), 12, '0')
            || substr(h, 13))::uuid FROM replace(id::text, '-', '') AS h
    $$"""
_REPEAT = """
    INSERT INTO public.event_store (position, id, stream_id, stream_type, event_type,
        event_version, event_data, metadata, correlation_id, causation_id, user_id, occurred_at,
        recorded_at)
    SELECT e.position + %(head)s - %(after)s, benchmark_later(e.id, %(later)s),
        CASE WHEN e.stream_type = 'order' THEN benchmark_later(e.stream_id, %(later)s)
            ELSE e.stream_id END,
        e.stream_type, e.event_type,
        e.event_version + coalesce(v.versions, 0) * %(times)s, e.event_data, e.metadata,
        benchmark_later(e.correlation_id, %(later)s), benchmark_later(e.causation_id, %(later)s),
        e.user_id, e.occurred_at + %(later)s * interval '1 millisecond', %(recorded_at)s
    FROM public.event_store AS e LEFT JOIN benchmark_versions AS v USING (stream_id)
    WHERE e.position > %(after)s AND e.position <= %(up_to)s ORDER BY e.position"""
_DEED = "SELECT record_operation(%s, %s, 'projection.paused', %s, 'ledger_events')"


def fill(url: str, events: int) -> None:
    """A log of so many events, with operators' deeds among them."""
    mix = EventMix(accounts=20)
    first = min(events, MILLION)
    chunk = first // 20
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for number in range(20):
            append_mix(connection, mix, chunk)
            for deed in range(DEEDS_PER_MILLION // 20):
                _record_deed(connection, ACTORS[(number + deed) % len(ACTORS)])
        head = _head(connection)
        if head < events:
            connection.execute(_LARGEST)
            connection.execute(_LATER.encode())
            row = connection.execute(
                "SELECT extract(epoch FROM max(occurred_at) - min(occurred_at)) * 1000 "
                "FROM public.event_store WHERE stream_type = 'order'"
            ).fetchone()
            assert row is not None
            _repeat(connection, head, int(row[0]) + 1_000, events)
        connection.execute("VACUUM ANALYZE public.event_store")


def _repeat(connection: psycopg.Connection[Any], first: int, later: int, events: int) -> None:
    times = 0
    while _head(connection) < events:
        times += 1
        for after in range(0, first, REPEATED_AT_ONCE):
            up_to = min(after + REPEATED_AT_ONCE, first)
            with connection.transaction(), connection.cursor() as cursor:
                appended = store.begin_append(cursor, up_to - after)
                given = {"head": appended.head, "recorded_at": appended.recorded_at}
                given |= {"after": after, "up_to": up_to, "times": times, "later": later * times}
                cursor.execute(_REPEAT.encode(), given)


def _record_deed(connection: psycopg.Connection[Any], actor: str) -> None:
    import json

    deed = {"projection_name": "orders", "actor": actor, "reason": "a benchmark"}
    connection.execute(_DEED, [uuid4(), UUID(int=7), json.dumps(deed)])


def _head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT head FROM log_standing(NULL)").fetchone()
    assert row is not None
    return int(row[0])


def log_browser(here: Scene, web: psutil.Process, asked: int) -> dict[str, Any]:
    """p50 and p95 in milliseconds, of all that is asked and of each question."""
    head, span, chances = _chances(here, asked)
    taken: dict[str, list[float]] = {}
    worked: dict[str, float] = {}
    failed: dict[str, int] = {}
    with httpx2.Client(base_url=here.url, headers=here.headers, timeout=60) as client:
        for name, question in _questions(span).items():
            client.get("/log", params=question(chances[0]))
            processes = [web, *_backends(here)]
            before = _worked(processes)
            for event in chances:
                started = time.perf_counter()
                answer = client.get("/log", params=question(event))
                taken.setdefault(name, []).append((time.perf_counter() - started) * 1_000)
                if answer.status_code != 200:
                    failed[name] = failed.get(name, 0) + 1
            worked[name] = (_worked(processes) - before) / len(taken[name]) * 1_000
    every = [one for times in taken.values() for one in times]
    middle = {name: round(statistics.median(times), 1) for name, times in taken.items()}
    return {
        "log_events": head,
        "log_p50_ms": statistics.median(every),
        "log_p95_ms": _p95(every),
        "log_p95_ms_of_each": {name: round(_p95(times), 1) for name, times in taken.items()},
        "log_p50_ms_of_each": middle,
        "log_processor_ms_of_each": {name: round(one, 1) for name, one in worked.items()},
        "log_not_answered": failed,
    }


def _chances(here: Scene, asked: int) -> tuple[int, timedelta, list[Any]]:
    """The head of the log, how long was recorded, and events from all over it."""
    random = Random(3)
    columns = "position, stream_id, correlation_id, recorded_at, event_data->>'account_id'"
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        head = _head(connection)
        row = connection.execute(
            "SELECT max(recorded_at) - min(recorded_at) FROM event_store"
        ).fetchone()
        assert row is not None
        chances = []
        for _ in range(asked):
            found = connection.execute(
                f"SELECT {columns} FROM event_store WHERE position >= %s "
                "AND stream_type = 'order' ORDER BY position LIMIT 1".encode(),
                [random.randint(1, head - 1_000)],
            ).fetchone()
            assert found is not None
            chances.append(found)
    return head, row[0], chances


def _questions(span: timedelta) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Parameters of the page, made of an event: position, stream, correlation, time, account."""
    return {
        "newest": lambda _: {},
        "oldest": lambda _: {"order": "oldest", "after": 0},
        "before": lambda e: {"before": e[0]},
        "after": lambda e: {"after": e[0], "order": "oldest"},
        "known_at": lambda e: {"known_at": e[0]},
        "stream": lambda e: {"stream": e[1]},
        "stream_type": lambda e: {"stream_type": "order", "before": e[0]},
        "uncommon_stream_type": lambda _: {"stream_type": "allocation"},
        "type": lambda e: {"type": "order.filled", "before": e[0]},
        "uncommon_type": lambda _: {"type": "projection.paused"},
        "types": lambda e: {"type": "order.filled,order.cancelled", "before": e[0]},
        "account": lambda e: {"account_id": e[4], "before": e[0]},
        "correlation": lambda e: {"correlation_id": e[2]},
        "recorded": lambda e: {"begin": e[3].isoformat(), "end": (e[3] + span / 100).isoformat()},
        "actor": lambda _: {"actor": ACTORS[0]},
        "actor_that_is_none": lambda _: {"actor": "nobody"},
        "actor_before": lambda e: {"actor": ACTORS[1], "before": e[0]},
        "type_in_stream": lambda e: {"stream": e[1], "type": "order.filled"},
        "type_in_account": lambda e: {"account_id": e[4], "type": "account.trade_settled"},
    }


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


# --- in a browser -----------------------------------------------------------------------

_PAINT = """() => new Promise((done) => {
    const told = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
    if (told() !== undefined) { done(told()); return; }
    new PerformanceObserver(() => { if (told() !== undefined) done(told()); })
        .observe({ type: "paint", buffered: true });
})"""
_WATCH_ROWS = """() => {
    window.seen = {};
    const look = () => {
        const now = performance.timeOrigin + performance.now();
        for (const row of document.querySelectorAll("tbody tr[data-href]")) {
            window.seen[row.dataset.href.split("/").pop().split("?")[0]] ??= now;
        }
    };
    look();
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


def painted(here: Scene, browser: Browser, web: psutil.Process) -> dict[str, Any]:
    """First contentful paint in milliseconds, of a new browser each time; and a page's work."""
    taken: dict[str, list[float]] = {}
    for _ in range(PAINTED):
        for path in PAGES:
            page = opened(browser, here)
            page.goto(here.url + path)
            taken.setdefault(path, []).append(float(page.evaluate(_PAINT)))
            page.context.close()
    every = [one for times in taken.values() for one in times]
    return {
        "paint_p50_ms": statistics.median(every),
        "paint_p95_ms": _p95(every),
        "paint_max_ms": max(every),
        "paint_p50_ms_of_each": {
            path: round(statistics.median(times)) for path, times in taken.items()
        },
        "processor_ms_of_each": {path: round(worked_for(here, web, path)) for path in PAGES},
    }


def worked_for(here: Scene, web: psutil.Process, path: str, times: int = 10) -> float:
    """Milliseconds of the processor for a page: of the server's and of PostgreSQL's for it. What a
    busy machine disturbs least."""
    with httpx2.Client(base_url=here.url, headers=here.headers, timeout=60) as client:
        client.get(path)
        processes = [web, *_backends(here)]
        before = _worked(processes)
        for _ in range(times):
            client.get(path)
        return (_worked(processes) - before) / times * 1_000


def _backends(here: Scene) -> list[psutil.Process]:
    """The processes of PostgreSQL that work for the console."""
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'ledger web%'"
        ).fetchall()
    return [psutil.Process(pid) for (pid,) in found]


def updated(here: Scene, browser: Browser, mix: EventMix) -> dict[str, Any]:
    """Milliseconds from the commit of an event to its row, on a page that is made from the log and
    on one that is made from a read model."""
    figures: dict[str, Any] = {}
    for name, path, of in (
        ("log", "/log", "id"),
        ("orders", "/orders?view=all", "stream_id"),
    ):
        page = opened(browser, here)
        page.goto(here.url + path)
        if name == "log":
            page.get_by_role("button", name="Live").click()
        page.evaluate(_WATCH_ROWS)
        events = mix.take(int(UPDATES_PER_SECOND * UPDATE_SECONDS))
        programs = _programs_of(browser)
        before, started = _worked(programs), time.perf_counter()
        noted = _written(here, events)
        worked = (_worked(programs) - before) / (time.perf_counter() - started)
        page.wait_for_timeout(1_500)
        seen: dict[str, float] = page.evaluate("window.seen")
        page.context.close()
        delays = []
        missed = 0
        for event, committed in noted:
            if name == "orders" and event.event_type not in ("order.submitted", "order.denied"):
                continue
            shown_at = seen.get(str(getattr(event, of)))
            if shown_at is None:
                missed += 1
            else:
                delays.append(shown_at - committed * 1_000)
        figures |= {
            f"update_{name}_p50_ms": statistics.median(delays),
            f"update_{name}_p95_ms": _p95(delays),
            f"update_{name}_max_ms": max(delays),
            f"update_{name}_seen": len(delays),
            f"update_{name}_not_seen": missed,
            f"update_{name}_browser_cores": worked,
        }
    return figures


def _written(here: Scene, events: Sequence[store.NewEvent]) -> list[tuple[store.NewEvent, float]]:
    """Appends them, each in a commit of its own and at an even rate; when each commit was back."""
    spawn = multiprocessing.get_context("spawn")
    commits: Any = spawn.SimpleQueue()
    writer = spawn.Process(target=_write, args=(here.database_url, list(events), commits))
    writer.start()
    times = commits.get()
    writer.join()
    return list(zip(events, times, strict=True))


def _write(url: str, events: list[store.NewEvent], commits: Any) -> None:
    times = []
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.monotonic()
        for number, event in enumerate(events):
            time.sleep(max(started + number / UPDATES_PER_SECOND - time.monotonic(), 0))
            with connection.transaction(), connection.cursor() as cursor:
                store.copy_events(cursor, [event], store.begin_append(cursor, 1))
            times.append(time.time())
    commits.put(times)


def _programs_of(browser: Browser) -> list[psutil.Process]:
    """All processes of Chromium that are ours."""
    assert browser.is_connected()
    children = psutil.Process().children(recursive=True)
    return [one for one in children if "chrom" in _name(one)]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _worked(processes: Sequence[psutil.Process]) -> float:
    """Seconds of the processor so far."""
    total = 0.0
    for one in processes:
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


# --- commands with those who look on ----------------------------------------------------


def looked_on(here: Scene, browser: Browser, options: argparse.Namespace) -> dict[str, Any]:
    """Commands per second with browsers and without, in turns."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    shares: list[float] = []
    told: list[dict[str, int]] = []
    cores = psutil.cpu_count() or 1
    with ExitStack() as stack:
        for program in ("commands", "projections", "web"):
            stack.enter_context(here.serving(program))
        run = stack.enter_context(_loop())
        client = run(LedgerClient.connect(here.nats_url, source="benchmark"))
        stack.callback(lambda: run(client.close()))
        run(drive(client, list(listing())))
        accounts = [uuid4() for _ in range(50)]
        run(drive(client, list(setting_up(accounts))))
        numbers = iter(range(0, 10**9, options.orders))

        def turn() -> float:
            here.caught_up()
            messages = list(orders_in_rounds(next(numbers), options.orders, accounts))
            return float(run(drive(client, messages)))

        turn()  # what is loaded for the first time counts for nobody
        for _ in range(options.turns):
            rates[False].append(turn())
            with _onlookers(here, browser, options.browsers) as onlookers:
                before, started = _worked(onlookers.processes), time.perf_counter()
                rates[True].append(turn())
                seconds = time.perf_counter() - started
                shares.append((_worked(onlookers.processes) - before) / seconds / cores)
            told.append(onlookers.counted)
    with_them, without = statistics.median(rates[True]), statistics.median(rates[False])
    share = statistics.median(shares)
    return {
        "browsers": options.browsers,
        "commands_per_s_with": with_them,
        "commands_per_s_without": without,
        "commands_ratio": with_them / without,
        "commands_ratio_of_servers": with_them / (1 - share) / without,
        "browsers_share_of_cores": share,
        "pages_seen_per_turn": statistics.median(one["pages"] for one in told),
        "times_told_per_turn": statistics.median(one["told"] for one in told),
    }


@contextmanager
def _loop() -> Iterator[Callable[[Any], Any]]:
    """What runs a coroutine to its end, in a thread: Playwright has a loop in this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Onlookers:
    """The processes of those who look on, and how much they were shown."""

    processes: list[psutil.Process]
    counted: dict[str, int]


@contextmanager
def _onlookers(here: Scene, browser: Browser, count: int) -> Iterator[Onlookers]:
    real = min(REAL_BROWSERS, count)
    pages = []
    for number in range(real):
        page = opened(browser, here)
        page.goto(here.url + WATCHED[number % len(WATCHED)])
        pages.append(page)
    spawn = multiprocessing.get_context("spawn")
    stop, ready = spawn.Event(), spawn.Event()
    counts: Any = spawn.SimpleQueue()
    process = spawn.Process(
        target=_look_on, args=(here.url, here.headers, count - real, ready, stop, counts)
    )
    process.start()
    if not ready.wait(READY_SECONDS):
        raise SystemExit("those who look on did not get there")
    found = Onlookers([psutil.Process(process.pid), *_programs_of(browser)], {})
    try:
        yield found
    finally:
        stop.set()
        found.counted |= counts.get()
        process.join()
        for page in pages:
            page.context.close()


def _look_on(
    url: str, headers: dict[str, str], count: int, ready: Any, stop: Any, counts: Any
) -> None:
    async def every() -> dict[str, int]:
        counted = {"told": 0, "pages": 0}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=60, limits=limits
        ) as client:
            arrived = [asyncio.Event() for _ in range(count)]
            looking = [
                asyncio.create_task(_one(client, number, there, counted))
                for number, there in enumerate(arrived)
            ]
            await asyncio.gather(*(there.wait() for there in arrived))
            ready.set()
            counted |= {"told": 0, "pages": 0}
            await asyncio.to_thread(stop.wait)
            for one in looking:
                one.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
        return counted

    counts.put(asyncio.run(every()))


async def _one(
    client: httpx2.AsyncClient, number: int, there: asyncio.Event, counted: dict[str, int]
) -> None:
    """A browser that looks on: it is told that the log has moved, asks for what the page shows of
    it then, and goes to another page by and by."""
    random, path = Random(number), WATCHED[number % len(WATCHED)]
    while True:
        await client.get(path)
        counted["pages"] += 1
        leaves = time.monotonic() + RELOAD_SECONDS * random.uniform(0.5, 1.5)
        async with client.stream("GET", "/moved", params={"after": 0}) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    counted["told"] += 1
                    await client.get("/live", params={"page": path, "at": line[3:].strip()})
                    counted["pages"] += 1
                    there.set()  # coming here is not looking on
                if time.monotonic() > leaves:
                    break
        path = random.choice(WATCHED)


if __name__ == "__main__":
    main()
