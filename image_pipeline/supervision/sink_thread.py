"""The sink of a run, as a thread of the process that also ventilates."""

import queue
import threading
from typing import Self

from image_pipeline.delivery.announced import Announced
from image_pipeline.delivery.handed_in import Store
from image_pipeline.outcome import TargetError
from image_pipeline.sink import collect
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.endpoints import Unusable
from image_pipeline.transport.sockets import Context

BIND_S = 10.0
SINK_END_S = 5.0


class SinkThread:
    """A sink for one batch; `trouble` ends the batch, `dropped` does not."""

    def __init__(
        self,
        context: Context,
        endpoints: tuple[str, str],
        store: Store,
        keys: Keys | None = None,
    ) -> None:
        self.trouble = self.dropped = ""
        self._over = threading.Event()
        self._bound: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._announced = Announced(store, keys, on_drop=self._drop)
        self._thread = threading.Thread(
            target=self._run, args=(context, endpoints, keys), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self.endpoint = self._bound.get(timeout=BIND_S)
        if self.trouble:
            raise Unusable(self.trouble)
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if not kind:
            self._thread.join(SINK_END_S)  # until it hears that this was all
        self._over.set()
        self._thread.join(SINK_END_S)

    def _drop(self, reason: str) -> None:
        self.dropped = self.dropped or f"the sink drops messages: {reason}"

    def _run(
        self,
        context: Context,
        endpoints: tuple[str, str],
        keys: Keys | None,
    ) -> None:
        try:
            collect(
                context,
                endpoints,
                self._announced,
                self._over,
                once=True,
                keys=keys,
                on_bound=self._bound.put,
            )
        except (TargetError, Unusable) as error:
            self.trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a thread tells nobody
            self.trouble = f"the sink failed: {error!r}"
        finally:
            self._bound.put("")
