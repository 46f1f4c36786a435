"""The gateway on aiohttp, as most services are written: the second server of the benchmark.

``python ordinary_server.py LOOKS`` prints its base URL and serves until it is killed. It completes every
task at its n-th look, as ``server.rs`` does.
"""

import asyncio
import sys

from aiohttp import web

LOOKS = int(sys.argv[1])
TASK = "/model/v1/generation/task/"
looked = {}


def picture(task):
    content = {"type": "image", "url": f"https://pictures.example.com/{task}.png"}
    return {"output": [{"content": [content]}], "usage": {"cost": "0.03"}}


async def create(request):
    await request.json()
    task = f"{len(looked) + 1:020x}"
    looked[task] = 0
    return web.json_response({"id": task, "status": "in_progress"})


async def look(request):
    task = request.match_info["task"]
    if task not in looked:
        return web.json_response({"message": "no such task"}, status=404)
    looked[task] += 1
    if looked[task] < LOOKS:
        return web.json_response({"id": task, "status": "in_progress"})
    return web.json_response({"id": task, "status": "completed", **picture(task)})


async def started(app):
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("http://{}:{}".format(*runner.addresses[0]), flush=True)


def main():
    app = web.Application()
    app.add_routes([web.post("/model/v1/generation", create), web.get(TASK + "{task}", look)])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(started(app))
    loop.run_forever()


if __name__ == "__main__":
    main()
