"""LiteLLM's Router with four keys for one model, beside the bare SDK of the same environment."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet for prices at its start
os.environ["LITELLM_LOG"] = "ERROR"

import litellm  # type: ignore[import-not-found, unused-ignore] # lives in an environment of its own
import uvloop

from bench.servers.calling import MODEL, SYSTEM, Call, bare_call, question, serve

KEYS = 4


def router_call(base_url: str) -> Call:
    """Return the Router's call, streamed, with the strategy it has unless told otherwise."""
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    router = litellm.Router(
        model_list=[
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}",
                    "api_base": base_url,
                    "api_key": f"simulated-{number}",
                    "rpm": 1_000_000,
                },
            }
            for number in range(KEYS)
        ],
        num_retries=0,
    )

    async def call(number: int) -> str:
        messages: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question(number)},
        ]
        stream = await router.acompletion(
            model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return call


if __name__ == "__main__":
    uvloop.run(
        serve(
            {"bare": bare_call(sys.argv[1]), "own": router_call(sys.argv[1])}, ("litellm", "openai", "httpx", "uvloop")
        )
    )
