"""Open websockets end when the rights of their user change."""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Send

CLOSED: Message = {"type": "websocket.close", "code": 1008}  # policy violation


def revocable(
    receive: Receive, send: Send, is_current: Callable[[], Awaitable[bool]]
) -> tuple[Receive, Send]:
    """Return a websocket that closes with its first message after `is_current` turns false."""
    closed = False

    async def close_unless_current() -> bool:
        nonlocal closed
        if not closed and not await is_current():
            closed = True
            await send(CLOSED)
        return closed

    async def listen() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and await close_unless_current():
            return {"type": "websocket.disconnect", "code": CLOSED["code"]}
        return message

    async def send_frame(message: Message) -> None:
        if not await close_unless_current():
            await send(message)

    return listen, send_frame
