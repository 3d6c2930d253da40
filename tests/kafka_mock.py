"""A mock Kafka cluster of librdkafka in a process of its own: prints its addresses, and ends when its input ends.

It has the topic `plant` with as many partitions as its argument. It holds its messages in memory, the last 5 MB of each
partition, and proves nothing about durability. A line of its input is a command, which it answers
with its error code: `down BROKER` and `up BROKER` stop and start a broker that keeps its messages, and `topic-error
TOPIC CODE` is the error of a topic in the metadata.
"""

import ctypes
import sys

from confluent_kafka import cimpl

BROKERS = 3
PRODUCER = 0

if __name__ == "__main__":
    librdkafka = ctypes.CDLL(cimpl.__file__)  # which is linked to it
    pointers = "rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_mock_cluster_bootstraps"
    for name in pointers:
        getattr(librdkafka, name).restype = ctypes.c_void_p
    client = ctypes.c_void_p(librdkafka.rd_kafka_new(PRODUCER, None, None, 0))
    cluster = ctypes.c_void_p(librdkafka.rd_kafka_mock_cluster_new(client, BROKERS))
    librdkafka.rd_kafka_mock_topic_create(cluster, b"plant", int(sys.argv[1]), 1)
    addresses = librdkafka.rd_kafka_mock_cluster_bootstraps(cluster)
    print(ctypes.string_at(addresses).decode(), flush=True)
    for line in sys.stdin:
        match line.split():
            case ["down", broker]:
                print(librdkafka.rd_kafka_mock_broker_set_down(cluster, int(broker)), flush=True)
            case ["up", broker]:
                print(librdkafka.rd_kafka_mock_broker_set_up(cluster, int(broker)), flush=True)
            case ["topic-error", topic, code]:
                librdkafka.rd_kafka_mock_topic_set_error(cluster, topic.encode(), int(code))
                print(0, flush=True)
