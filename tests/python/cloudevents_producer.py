"""A producer written with the CloudEvents SDK: sends the same three events in each way that it has.

    cloudevents_producer.py http URL KEY
    cloudevents_producer.py amqp URL EXCHANGE

Prints one JSON object a line: how the events were sent, and what was answered.
"""

import json
import sys
from datetime import datetime, timezone

import pika
import requests
from cloudevents.core.bindings import amqp as amqp_binding
from cloudevents.core.bindings import http as http_binding
from cloudevents.core.bindings import rabbitmq as rabbitmq_binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

UUID = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21"


def event(id, account="acme"):
    attributes = {
        "id": id,
        "source": "/caf\u00e9/100%",
        "type": "COMMENT_CREATED",
        "specversion": "1.0",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        "datacontenttype": "application/json",
        "account": account,
    }
    return CloudEvent(attributes, {"COMMENT_ID": 178, "COMMENT": "Needs more cowbell"})


def told(how, response):
    print(json.dumps({"how": how, "status": response.status_code, "answer": response.json()}), flush=True)


def over_http(url, key):
    authorization = {"Authorization": f"Bearer {key}"}

    def post(message):
        headers = {**message.headers, **authorization}
        return requests.post(f"{url}/v1/events", data=message.body, headers=headers, timeout=30)

    told("structured", post(http_binding.to_structured_event(event(UUID))))
    told("binary", post(http_binding.to_binary_event(event("order \u20ac 7"))))
    told("structured again", post(http_binding.to_structured_event(event("order \u20ac 7"))))
    batch = [JSONFormat().write(event(id)) for id in ("8", "9")]
    body = b"[" + b",".join(text if isinstance(text, bytes) else text.encode() for text in batch) + b"]"
    headers = {"Content-Type": "application/cloudevents-batch+json", **authorization}
    told("batch", requests.post(f"{url}/v1/events", data=body, headers=headers, timeout=30))


def over_amqp(url, exchange):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()

    def publish(content_type, headers, body):
        properties = pika.BasicProperties(content_type=content_type, headers=headers, delivery_mode=2)
        channel.basic_publish(exchange, "acme.COMMENT_CREATED", body, properties, mandatory=True)

    structured = rabbitmq_binding.to_structured_event(event(UUID))
    publish(structured.content_type, structured.headers, structured.body)
    binary = rabbitmq_binding.to_binary_event(event("order \u20ac 7"))
    publish(binary.content_type, binary.headers, binary.body)
    # As AMQP 1.0 names the headers: the same event again.
    binary = amqp_binding.to_binary_event(event("order \u20ac 7"))
    publish(binary.properties["content-type"], binary.application_properties, binary.application_data)
    connection.close()


{"http": over_http, "amqp": over_amqp}[sys.argv[1]](*sys.argv[2:])
