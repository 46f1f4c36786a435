"""Runs the gateway's official clients, unchanged, against an emulator.

Called by official_clients.rs with the emulator's base URL, its key and the URL of a photo. It needs
seaart-sdk 0.1.4 and seacloudai-sdk 0.1.3, which the test installs.
"""

import asyncio
import sys
import urllib.request

import seaart_sdk
from seaart_sdk.modal_types import with_poll_interval, with_poll_timeout

import seacloud_sdk
from seacloud_sdk.core.default_base_urls import DEFAULT_BASE_URLS

MODEL = "spark_img_effects"


def picture(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def is_picture(url: str, photo: str) -> None:
    assert picture(url) == picture(photo), url


def seaart(base_url: str, key: str, photo: str) -> None:
    client = seaart_sdk.Client(seaart_sdk.ClientConfig(api_key=key, base_url=base_url))
    patience = (with_poll_interval(0.01), with_poll_timeout(20))

    def body(template: str) -> dict[str, object]:
        params = {"image_input1": photo, "template_id": template, "width": 512}
        return {"model": MODEL, "input": [{"params": params}]}

    task = client.modal.create(body("glass_ball")).wait(*patience)
    assert task.status == "completed", task
    assert task.usage is not None and task.usage.cost_float64() == 0.03, task.usage
    (url,) = task.urls()
    is_picture(url, photo)

    try:
        client.modal.create(body("glas_ball")).wait(*patience)
    except seaart_sdk.SeaArtError as error:
        assert error.kind == seaart_sdk.ERR_TASK_FAILED, error
        assert "Invalid template_id" in error.message, error
    else:
        raise AssertionError("a bad template completed")


async def seacloud(base_url: str, key: str, photo: str) -> None:
    for name in DEFAULT_BASE_URLS:
        DEFAULT_BASE_URLS[name] = base_url
    client = seacloud_sdk.SeaCloud(api_key=key, timeout=20_000)
    params = {"image_input1": photo, "template_id": "glass_ball", "width": 512}
    result = await client.run_sync(MODEL, params)
    assert result["status"] == "completed", result
    (url,) = result["output"]["urls"]
    is_picture(url, photo)

    try:
        result = await client.run_sync(MODEL, {**params, "template_id": "glas_ball"})
    except seacloud_sdk.ValidationError as error:
        # The contract lists the templates, so it may refuse this one before anything is sent.
        assert "template_id" in str(error), error
    else:
        assert result["status"] == "failed", result
        assert result["error"]["code"] == "3009003", result


def main() -> None:
    base_url, key, photo = sys.argv[1:]
    seaart(base_url, key, photo)
    print("seaart-sdk runs")
    asyncio.run(seacloud(base_url, key, photo))
    print("seacloudai-sdk runs")


main()
