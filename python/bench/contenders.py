"""The same work by different clients, each measured in a process of its own.

``python contenders.py cpu NAME BASE_URL RUNS`` prints the CPU time of this process for one run, which
is a create and three looks, in microseconds. ``faces`` does the same with ``IN_FLIGHT_OF_FACES`` runs at
once, and takes a face of this package too, by a name of ``FACES``. ``python contenders.py memory NAME
BASE_URL TASKS`` prints the resident bytes that each of so many tasks takes while all of them are under
way, what a client needs once included; ``memory-more`` those of each beyond a first one.

The loops are what a careful user of each library writes: send, check the status, read the answer as
values, wait, look again. They do less than the clients of this package do: no identifiers, no retries,
no time limit for the whole, no rules checked. They submit over connections that they keep, on which a
submission may be lost; ``aiohttp-single`` is the loop on aiohttp that makes one for each submission, as
this package does.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import threading
import time
import urllib.parse

KEY = "sk-0123456789abcdef0123456789abcdef"
PHOTO = "https://photos.example.com/cat.jpg"
TEMPLATE = "glass_ball"
BODY = {
    "model": "spark_img_effects",
    "input": [{"params": {"image_input1": PHOTO, "template_id": TEMPLATE}}],
}
HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}
PATH = "/model/v1/generation"
POLL = 0.0001
IN_FLIGHT = 50
IN_FLIGHT_OF_FACES = 16
# Long enough for all of them to be created within one wait.
SLOW_POLL = 20.0

# What a batch may do at once: no more held back than single runs, whose looks no rate limits. Where one
# does, each look wakes the client by itself, which would be measured instead.
WIDE = {"submissions": 100, "polls_per_second": 1e6}


# -- asynchronous: so many runs at once on one event loop


async def spread(runs, one, in_flight=IN_FLIGHT):
    """Makes so many runs of `one`, so many at a time."""
    numbers = iter(range(runs))

    async def worker():
        for _ in numbers:
            await one()

    await asyncio.gather(*(worker() for _ in range(in_flight)))


async def effects_async(base, poll):
    from spark_effects import AsyncClient

    client = AsyncClient(base_url=base, api_key=KEY, poll=poll)

    async def one():
        effect = await client.run(TEMPLATE, PHOTO, fetch=False)
        return effect.url

    return one


async def aiohttp_client(base, poll):
    import aiohttp

    session = aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=30))
    return aiohttp_loop(session, session, base, poll)


async def aiohttp_single(base, poll):
    import aiohttp

    limit = aiohttp.ClientTimeout(total=30)
    single = aiohttp.TCPConnector(force_close=True)
    submits = aiohttp.ClientSession(headers=HEADERS, timeout=limit, connector=single)
    looks = aiohttp.ClientSession(headers=HEADERS, timeout=limit)
    return aiohttp_loop(submits, looks, base, poll)


def aiohttp_loop(submits, looks, base, poll):
    async def one():
        async with submits.post(base + PATH, json=BODY) as answer:
            answer.raise_for_status()
            task = await answer.json()
        url = f"{base}{PATH}/task/{task['id']}"
        while True:
            async with looks.get(url) as answer:
                answer.raise_for_status()
                task = await answer.json()
            if task["status"] == "completed":
                return task["output"][0]["content"][0]["url"]
            await asyncio.sleep(poll)

    return one


async def httpx_client(base, poll):
    import httpx
    import pydantic

    class Content(pydantic.BaseModel):
        type: str
        url: str

    class Group(pydantic.BaseModel):
        content: list[Content]

    class Task(pydantic.BaseModel):
        id: str
        status: str
        output: list[Group] = []

    session = httpx.AsyncClient(headers=HEADERS, timeout=30)

    async def one():
        answer = await session.post(base + PATH, json=BODY)
        answer.raise_for_status()
        task = Task.model_validate_json(answer.content)
        url = f"{base}{PATH}/task/{task.id}"
        while True:
            answer = await session.get(url)
            answer.raise_for_status()
            task = Task.model_validate_json(answer.content)
            if task.status == "completed":
                return task.output[0].content[0].url
            await asyncio.sleep(poll)

    return one


# -- blocking: one run after the other on one thread


def effects_blocking(base, poll):
    from spark_effects import Client

    client = Client(base_url=base, api_key=KEY, poll=poll)
    return lambda: client.run(TEMPLATE, PHOTO, fetch=False).url


def requests_client(base, poll):
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)
    # What the environment says of proxies is read once, not at every request.
    session.trust_env = False

    def one():
        answer = session.post(base + PATH, json=BODY, timeout=30)
        answer.raise_for_status()
        task = answer.json()
        url = f"{base}{PATH}/task/{task['id']}"
        while True:
            answer = session.get(url, timeout=30)
            answer.raise_for_status()
            task = answer.json()
            if task["status"] == "completed":
                return task["output"][0]["content"][0]["url"]
            time.sleep(poll)

    return one


def seaart_sdk(base, poll):
    from seaart_sdk import Client, ClientConfig
    from seaart_sdk.modal_types import PollConfig

    client = Client(ClientConfig(api_key=KEY, base_url=base, timeout=30))

    def often(config: PollConfig):
        config.interval = poll

    def one():
        task = client.modal.create(BODY)
        task = client.modal.wait(task.id, often)
        return task.output[0].content[0].url

    return one


ASYNCHRONOUS = {
    "effects-async": effects_async,
    "aiohttp": aiohttp_client,
    "aiohttp-single": aiohttp_single,
    "httpx": httpx_client,
}
BLOCKING = {"effects": effects_blocking, "requests": requests_client, "seaart-sdk": seaart_sdk}


# -- the faces of this package: the same runs through each, at the same number in flight


def async_face(style):
    """A function that makes so many runs through one face of the async client."""

    async def make(base):
        from spark_effects import AsyncClient

        client = AsyncClient(base_url=base, api_key=KEY, poll=POLL)

        async def by_run():
            return (await client.run(TEMPLATE, PHOTO, fetch=False)).url

        async def by_wait():
            task = await client.submit(TEMPLATE, PHOTO)
            return (await task.wait(fetch=False)).url

        async def by_events():
            events = (await client.submit(TEMPLATE, PHOTO)).events()
            async for _ in events:
                pass
            return (await events.finish(fetch=False)).url

        def jobs(runs):
            return ((TEMPLATE, PHOTO) for _ in range(runs))

        options = {"in_flight": IN_FLIGHT_OF_FACES, "fetch": False, **WIDE}

        async def every(runs):
            if style == "as_completed":
                async for _ in client.as_completed(jobs(runs), **options):
                    pass
            elif style == "map":
                async for _ in client.map(jobs(runs), **options):
                    pass
            else:
                one = {"run": by_run, "submit+wait": by_wait, "events": by_events}[style]
                await spread(runs, one, IN_FLIGHT_OF_FACES)

        return every

    return make


def blocking_face(style):
    """A function that makes so many runs through one face of the blocking client: on threads, where
    a call is one run."""

    def make(base):
        from spark_effects import Client

        client = Client(base_url=base, api_key=KEY, poll=POLL)

        def by_run():
            return client.run(TEMPLATE, PHOTO, fetch=False).url

        def by_wait():
            return client.submit(TEMPLATE, PHOTO).wait(fetch=False).url

        def by_events():
            events = client.submit(TEMPLATE, PHOTO).events()
            for _ in events:
                pass
            return events.finish(fetch=False).url

        def jobs(runs):
            return ((TEMPLATE, PHOTO) for _ in range(runs))

        options = {"in_flight": IN_FLIGHT_OF_FACES, "fetch": False, **WIDE}

        def every(runs):
            if style in ("as_completed", "map"):
                many = getattr(client, style)
                assert sum(1 for _ in many(jobs(runs), **options)) == runs
                return
            one = {"run": by_run, "submit+wait": by_wait, "events": by_events}[style]
            numbers = iter(range(runs))

            def worker():
                for _ in numbers:
                    one()

            threads = [threading.Thread(target=worker) for _ in range(IN_FLIGHT_OF_FACES)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return every

    return make


STYLES = ["run", "submit+wait", "events", "as_completed", "map"]
ASYNC_FACES = {f"async {style}": async_face(style) for style in STYLES}
BLOCKING_FACES = {f"blocking {style}": blocking_face(style) for style in STYLES}
FACES = [*ASYNC_FACES, *BLOCKING_FACES]


# -- measuring


def cpu_seconds():
    """User and system time of this process, all its threads included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu(name, base, runs, in_flight=IN_FLIGHT):
    """Microseconds of CPU time for one run, once everything is warm. So many at a time, where a client or a
    face does not say itself how many."""

    async def asynchronous(make):
        one = await make(base, POLL)
        await spread(max(runs // 10, in_flight), one, in_flight)
        before = cpu_seconds()
        await spread(runs, one, in_flight)
        return cpu_seconds() - before

    def blocking(make):
        one = make(base, POLL)
        for _ in range(max(runs // 10, 5)):
            one()
        before = cpu_seconds()
        for _ in range(runs):
            one()
        return cpu_seconds() - before

    async def asynchronous_face(make):
        every = await make(base)
        await every(max(runs // 10, IN_FLIGHT_OF_FACES))
        before = cpu_seconds()
        await every(runs)
        return cpu_seconds() - before

    def face(make):
        every = make(base)
        every(max(runs // 10, IN_FLIGHT_OF_FACES))
        before = cpu_seconds()
        every(runs)
        return cpu_seconds() - before

    if name in ASYNCHRONOUS:
        spent = asyncio.run(asynchronous(ASYNCHRONOUS[name]))
    elif name in ASYNC_FACES:
        spent = asyncio.run(asynchronous_face(ASYNC_FACES[name]))
    elif name in BLOCKING_FACES:
        spent = face(BLOCKING_FACES[name])
    else:
        spent = blocking(BLOCKING[name])
    return spent / runs * 1e6


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def created(base):
    """How many tasks the server has made, asked with next to no memory."""
    host, port = urllib.parse.urlsplit(base).netloc.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /created HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return int(answer.rpartition(b"\r\n\r\n")[2])


async def everything_created(base, tasks):
    while created(base) < tasks:
        await asyncio.sleep(0.1)
    # The last answers are read and the waits begun.
    await asyncio.sleep(1)


async def memory_of_tasks(make, base, tasks, first):
    """One asyncio task each, all of them waiting between two looks, beside so many first ones."""
    one = await make(base, SLOW_POLL)
    running = [asyncio.create_task(one()) for _ in range(first)]
    await everything_created(base, first)
    before = resident_bytes()
    running += [asyncio.create_task(one()) for _ in range(tasks)]
    await everything_created(base, first + tasks)
    grown = resident_bytes() - before
    assert not any(task.done() for task in running)
    return grown


async def memory_of_a_batch(base, tasks, first):
    """All of them through one `as_completed`, beside so many first ones through another."""
    from spark_effects import AsyncClient

    client = AsyncClient(base_url=base, api_key=KEY, poll=SLOW_POLL)

    async def ends(count):
        jobs = ((TEMPLATE, PHOTO) for _ in range(count))
        async for _ in client.as_completed(jobs, in_flight=count, fetch=False, **WIDE):
            pass

    running = [asyncio.create_task(ends(first))] if first else []
    await everything_created(base, first)
    before = resident_bytes()
    running.append(asyncio.create_task(ends(tasks)))
    await everything_created(base, first + tasks)
    grown = resident_bytes() - before
    assert not any(batch.done() for batch in running)
    return grown


def memory(name, base, tasks, first):
    """Resident bytes for each of so many tasks that are under way at once, beside so many first ones."""
    if name == "effects-as-completed":
        work = memory_of_a_batch(base, tasks, first)
    else:
        work = memory_of_tasks(ASYNCHRONOUS[name], base, tasks, first)

    async def measured():
        print(json.dumps(await work / tasks), flush=True)
        # Ten thousand ends need not be printed.
        os._exit(0)

    asyncio.run(measured())


if __name__ == "__main__":
    what, name, base, count = sys.argv[1:]
    if what == "cpu":
        print(json.dumps(cpu(name, base, int(count))))
    elif what == "faces":
        print(json.dumps(cpu(name, base, int(count), IN_FLIGHT_OF_FACES)))
    else:
        memory(name, base, int(count), first=1 if what == "memory-more" else 0)
