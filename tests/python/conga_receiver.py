"""A listener for Conga Sign's notifications, as their receivers are written.

Listens on a free port and says which. Expects the callback key in the environment, as CALLBACK_KEY.
"""

import hmac
import os

from flask import Flask, abort, request
from werkzeug.serving import make_server

app = Flask(__name__)
callback_key = os.environ["CALLBACK_KEY"]


@app.post("/listener")
def listener():
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Basic {callback_key}".encode()):
        abort(401)
    event = request.get_json()
    print(event["name"], event["packageId"], event["createdDate"], flush=True)
    return "", 200


server = make_server("127.0.0.1", 0, app)
print(f"listening on http://127.0.0.1:{server.server_port}/listener", flush=True)
server.serve_forever()
