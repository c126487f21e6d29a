"""A limit per client: a token bucket for each address, kept as the time at which it is full again."""

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.problems import problem

BURST_SECONDS = 2.0  # what so many seconds allow may come at once
MOST_KNOWN = 4096  # addresses; beyond it the one that was silent longest is forgotten


class Allowance:
    """Requests by address, so many a second. For one event loop; a request costs microseconds."""

    def __init__(self, per_second: int) -> None:
        self._interval = 1 / per_second
        self._most_ahead = BURST_SECONDS - self._interval / 2  # half a request: rounding decides nothing
        self._full_at: dict[str, float] = {}  # whoever came last is last

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, address: str, now: float) -> float:
        """0 for a request that may be answered, and is counted; else the seconds to wait."""
        full_at = max(self._full_at.pop(address, now), now)
        wait = max(0.0, full_at - now - self._most_ahead)
        self._full_at[address] = full_at if wait else full_at + self._interval
        self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        """Drop whose bucket is full again, as a stranger's is: each request pays for what others have left."""
        while len(self._full_at) > 1:
            address = next(iter(self._full_at))
            if self._full_at[address] > now and len(self._full_at) <= MOST_KNOWN:
                return
            del self._full_at[address]


class Limited:
    """The application, with 429 for addresses that ask too often; health and metrics are always answered."""

    def __init__(self, app: ASGIApp, per_second: int) -> None:
        self._app, self._per_second = app, per_second
        self._allowance = Allowance(per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = 0.0
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            wait = self._allowance.take((scope.get("client") or ("",))[0], time.monotonic())
        if not wait:
            await self._app(scope, receive, send)
            return
        detail = f"More than {self._per_second} requests a second (service.requests_per_second): wait."
        response = problem(429, "too_many_requests", detail)
        response.headers["Retry-After"] = str(math.ceil(wait))
        await response(scope, receive, send)
