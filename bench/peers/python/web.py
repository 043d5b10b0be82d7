"""
The old design in today's Python: Falcon on gevent sums in memory and, every 100 ms, pushes the sums to a list
in Redis. What is in memory is lost in a crash, and a push that times out may be pushed twice.
Arguments: its port, and that of Redis.
"""

import json
import sys

from gevent import monkey

monkey.patch_all()

import falcon
import gevent
import gevent.socket
import redis
from gevent.pywsgi import WSGIServer

FLUSH_INTERVAL_S = 0.1


class Increment:
    def __init__(self):
        self.sums = {}

    def on_post(self, request, response):
        form = request.get_media()
        key = form.get("key")
        try:
            value = int(form.get("value", ""))
        except ValueError:
            key = None
        if not key:
            raise falcon.HTTPBadRequest(title="key and value, please")
        self.sums[key] = self.sums.get(key, 0) + value
        response.content_type = "application/json"
        response.text = '{"accepted":1,"ack":"memory"}'

    def flush_for_ever(self, queue):
        while True:
            gevent.sleep(FLUSH_INTERVAL_S)
            sums, self.sums = self.sums, {}
            if sums:
                queue.rpush("sums", json.dumps(sums))


port, redis_port = (int(argument) for argument in sys.argv[1:])
increment = Increment()
gevent.spawn(increment.flush_for_ever, redis.Redis(port=redis_port))
app = falcon.App()
app.add_route("/increment", increment)
# Without this an answer waits 40 ms for the client's next acknowledgement.
listener = gevent.socket.socket()
listener.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
listener.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(1024)
WSGIServer(listener, app, log=None).serve_forever()
