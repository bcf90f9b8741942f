"""Publishes every example of docs/asyncapi.yaml as the document says, with a public AMQP library.

    publish_examples.py DOCUMENT AMQP_URL PREFIX

Prints the payload of each, one a line, once RabbitMQ has confirmed it. Fails if an example does not fit its own schema.
"""

import json
import sys

import jsonschema_rs
import pika
import yaml


def resolve(document, node):
    """What a reference within the document names; everything else is itself."""
    while isinstance(node, dict) and "$ref" in node:
        target = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def whole(document, schema):
    """A schema with all that it refers to in it."""
    schema = resolve(document, schema)
    if isinstance(schema, dict):
        return {name: whole(document, part) for name, part in schema.items()}
    if isinstance(schema, list):
        return [whole(document, part) for part in schema]
    return schema


def main(path, url, prefix):
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    channel = document["channels"]["events"]
    exchange = channel["bindings"]["amqp"]["exchange"]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    amqp = connection.channel()
    amqp.confirm_delivery()
    name = exchange["name"].replace("ringback", prefix, 1)
    amqp.exchange_declare(name, exchange["type"], durable=exchange["durable"])
    for message in channel["messages"].values():
        message = resolve(document, message)
        schema = whole(document, message["payload"])
        for example in message["examples"]:
            payload = example["payload"]
            jsonschema_rs.validate(schema, payload)
            amqp.basic_publish(
                name,
                f"{payload['account']}.{payload.get('name') or payload['type']}",
                json.dumps(payload).encode(),
                pika.BasicProperties(content_type=message["contentType"], delivery_mode=2),
                mandatory=True,
            )
            print(json.dumps(payload), flush=True)
    connection.close()


main(*sys.argv[1:])
