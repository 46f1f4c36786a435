"""Plays the jobs of conformance scenarios over the Python clients: one line of JSON in, one out."""

import asyncio
import base64
import json
import sys
import traceback

from spark_effects import AsyncClient, Backoff, Client, EffectsError, Policy, Template


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        ended = {"effect": None, "status": None, "pictures": [], "failure": None, "printed": []}
        ended["raw"] = ended["metadata"] = None
        try:
            play(asked, ended)
        except EffectsError as error:
            ended["failure"] = failure(error)
            ended["printed"] += [str(error), repr(error), repr(vars(error))]
        except Exception:
            ended["crash"] = traceback.format_exc()
        say({"ended": ended})


def say(what):
    print(json.dumps(what), flush=True)


def play(asked, ended):
    if asked["mode"] == "blocking":
        for step in steps(asked, ended, Client):
            step()
    else:
        asyncio.run(awaited(asked, ended))


def policy(setup):
    first, factor, most, jitter = setup["retry"]
    return Policy(
        poll="auto" if setup["poll"] is None else setup["poll"],
        retry=Backoff(first=first, factor=factor, most=most, jitter=jitter),
        **{
            name: setup[name]
            for name in (
                "repeat",
                "request_timeout",
                "wait_timeout",
                "last_look",
                "deadline",
                "not_found_grace",
                "retry_after_most",
            )
        },
    )


def client_of(setup, kind):
    names = ("base_url", "api_key", "connect_timeout", "request_timeout", "uploads", "allow_http")
    return kind(**{name: setup[name] for name in names})


def wish(job):
    template, photo = job["template"], job["photo"]
    if job["unlisted"]:
        template = Template.unlisted(template)
    image = job["image"] if photo is None else base64.b64decode(photo)
    return (template, image), {"width": job["width"], "height": job["height"]}


def steps(asked, ended, kind):
    """The blocking client does each of these in turn."""
    setup, job = asked["setup"], asked["job"]
    own = policy(setup)
    client = client_of(setup, kind)
    ended["printed"].append(repr(client))
    say("begun")
    fetch = asked["style"] == "run"

    def follow(task):
        if asked["style"] == "events":
            events = task.events(policy=own)
            for event in events:
                told(ended, event)
            return events.finish(fetch=fetch)
        return task.wait(policy=own, fetch=fetch)

    def once():
        if job["ask"] == "look":
            return looked(ended, client.task(job["task"]).status(policy=own))
        if job["ask"] == "wait":
            effect = follow(client.task(job["task"]))
        elif asked["style"] == "run":
            arguments, options = wish(job)
            effect = client.run(*arguments, **options, policy=own)
        else:
            arguments, options = wish(job)
            task = client.submit(*arguments, **options, policy=own)
            ended["printed"].append(repr(task))
            effect = follow(task)
        finished(ended, effect)
        for picture in effect.pictures:
            keep(ended, picture.bytes() if fetch else client.fetch(picture))
        return None

    return [once] * job["times"]


async def awaited(asked, ended):
    """The async client does the same, awaited."""
    setup, job = asked["setup"], asked["job"]
    own = policy(setup)
    client = client_of(setup, AsyncClient)
    ended["printed"].append(repr(client))
    say("begun")
    fetch = asked["style"] == "run"

    async def follow(task):
        if asked["style"] == "events":
            events = task.events(policy=own)
            async for event in events:
                told(ended, event)
            return await events.finish(fetch=fetch)
        return await task.wait(policy=own, fetch=fetch)

    for _ in range(job["times"]):
        if job["ask"] == "look":
            looked(ended, await client.task(job["task"]).status(policy=own))
            continue
        if job["ask"] == "wait":
            effect = await follow(client.task(job["task"]))
        elif asked["style"] == "run":
            arguments, options = wish(job)
            effect = await client.run(*arguments, **options, policy=own)
        else:
            arguments, options = wish(job)
            task = await client.submit(*arguments, **options, policy=own)
            ended["printed"].append(repr(task))
            effect = await follow(task)
        finished(ended, effect)
        for picture in effect.pictures:
            keep(ended, picture.bytes() if fetch else await client.fetch(picture))


def told(ended, event):
    ended["printed"] += [repr(event), str(event)]
    say({"event": str(event)})


def looked(ended, status):
    ended["printed"] += [repr(status), json.dumps(status.raw)]
    ended["status"] = status.status


def finished(ended, effect):
    ended["printed"] += [repr(effect), json.dumps(effect.raw)]
    warning = effect.warning
    cost, discount = effect.usage.cost, effect.usage.discount
    ended["effect"] = {
        "task_id": effect.task_id,
        "pictures": [
            {"task_id": one.task_id, "url": one.url, "size": one.size, "job_id": one.job_id}
            for one in effect.pictures
        ],
        "usage": {
            "cost": None if cost is None else str(cost),
            "discount": None if discount is None else str(discount),
            "unreadable_cost": effect.usage.unreadable_cost,
        },
        "warning": warning and {"code": warning.code, "message": warning.message},
    }
    # Letter for letter, which a dict would not be; that both are JSON is part of what is tested.
    assert isinstance(effect.raw, dict)
    assert (effect.metadata is None) == (effect._metadata is None)
    ended["raw"], ended["metadata"] = effect._raw, effect._metadata


def keep(ended, picture):
    ended["pictures"].append(base64.b64encode(picture).decode())


def failure(error):
    names = ("kind", "task_id", "code", "status", "retry_after", "request_id", "resume_line")
    return {**{name: getattr(error, name) for name in names}, "message": str(error)}


if __name__ == "__main__":
    main()
