"""What a user's strictly typed code looks like: read by the type checkers, and run by the tests."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from spark_effects import (
    AsyncClient,
    Client,
    Effect,
    EffectsError,
    Emulator,
    Event,
    ExchangeRequest,
    ExchangeResponse,
    Job,
    Pace,
    Policy,
    Result,
    Template,
    WaitTimeout,
    templates,
)


def hear_request(request: ExchangeRequest) -> None:
    where: tuple[str, str, str | None] = (request.method, request.url, request.task_id)
    print(*where, request.headers.get("x-request-id"))


def hear_response(response: ExchangeResponse) -> None:
    status: int | None = response.status
    print(response.request.number, status, response.request_id, response.body, response.error)


def hear_event(event: Event) -> None:
    print(event.kind, event.task_id)


def blocking(client: Client, photo: Path) -> Effect:
    task = client.submit(Template.GLASS_BALL, photo, width=512, height=512)
    for event in task.events():
        print(event.kind, event.progress, event)
    try:
        effect = task.wait(wait_timeout=timedelta(minutes=1))
    except WaitTimeout as error:
        print(error.task_id, error.retry_after, error.headers.get("date"), error.body)
        raise
    cost: Decimal | None = effect.usage.cost
    sizes: list[int | None] = [picture.size for picture in effect.pictures]
    print(cost, sizes, effect.url, effect.bytes()[:4])
    name: str | None = effect.request_id
    print(name, effect.status, sorted(effect.headers))
    return effect


def many(client: Client, photos: list[Path]) -> list[str]:
    jobs = [Job("glass_ball", photo, key=photo.name, tag="spring") for photo in photos]
    saved: list[str] = []
    headers = {"X-Team": "studio"}
    for result in client.map(jobs, in_flight=4, budget="5.00", polls_per_second=1000, headers=headers):
        outcome: Result = result
        if outcome.error is None:
            saved.append(outcome.effect.save(photos[outcome.index].with_suffix(".ball.png")))
        else:
            problem: EffectsError = outcome.error
            print(problem)
    return saved


async def awaited(client: AsyncClient, photo: bytes) -> list[Effect]:
    first = await client.run("my_world", photo, policy=Policy(poll=Pace.fixed(0.01), repeat="never"))
    task = await client.submit("my_world", photo)
    async for event in task.events():
        print(event)
    ended = [result async for result in client.as_completed([("glass_ball", photo)])]
    return [first, await task.wait(), *(result.unwrap() for result in ended)]


def main(photo: Path) -> int:
    with Emulator(pictures="stub", latency=0.01) as emulator:
        client = emulator.client(
            poll=0.01, on_request=hear_request, on_response=hear_response, on_event=hear_event
        )
        print([problem.message for problem in client.check("glas_ball", photo)])
        blocking(client, photo)
        many(client, [photo])
        effects = asyncio.run(awaited(emulator.async_client(poll=0.01), photo.read_bytes()))
        return len(effects) + len(templates("glass"))
