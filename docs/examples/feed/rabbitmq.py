"""Consumes a queue of the feed in RabbitMQ: AMQP_URL=amqp://... python3 rabbitmq.py QUEUE

An entry that was not acknowledged comes again, so that each comes at least once; those of a room come in the order of their seqs, as long as the queue has
one consumer. Remember per room the highest seq that you have dealt with, in the same transaction as what you made of it: what is not above it is a repeat.
"""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.basic_qos(prefetch_count=16)
for method, properties, frame in channel.consume("parley.feed." + sys.argv[1]):
    event = properties.headers
    print(event["room"], event["seq"], event["event"], flush=True)  # your work; frame is the event as JSON
    channel.basic_ack(method.delivery_tag)
