"""A mock Kafka cluster of librdkafka in a process of its own: prints its address, and ends when its input ends.

It holds its messages in memory and proves nothing about durability.
"""

import sys

from confluent_kafka import Producer

if __name__ == "__main__":
    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 0})
    first = min(cluster.list_topics(timeout=60).brokers.values(), key=lambda broker: broker.id)
    print(f"{first.host}:{first.port}", flush=True)
    sys.stdin.read()
