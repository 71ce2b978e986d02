"""Ask the brokers who leads what, and change topics under the feet of whoever uses them.

    admin.py --brokers B leader TOPIC PARTITION             the node that leads it
    admin.py --brokers B coordinator group|transaction ID   the node that coordinates it
    admin.py --brokers B partitions TOPIC N                 make them N
    admin.py --brokers B delete TOPIC
    admin.py --brokers B create TOPIC PARTITIONS COPIES
    admin.py --brokers B set TOPIC NAME=VALUE
"""

import argparse

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

TIMEOUT = 30
# Where coordinators keep their state: the leader of an id's partition is its coordinator.
STATE = {"group": "__consumer_offsets", "transaction": "__transaction_state"}


def java_hash(text):
    """String.hashCode of Java, made positive as Kafka does it."""
    number = 0
    for letter in text:
        number = (31 * number + ord(letter)) & 0xFFFFFFFF
    return number & 0x7FFFFFFF


def wait_for(futures):
    for future in futures.values():
        future.result(TIMEOUT)


class Commands:
    def __init__(self, brokers):
        self.admin = AdminClient({"bootstrap.servers": brokers})

    def partitions_of(self, topic):
        return self.admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions

    def leader(self, topic, partition):
        print(self.partitions_of(topic)[int(partition)].leader)

    def coordinator(self, kind, id):
        partitions = self.partitions_of(STATE[kind])
        print(partitions[java_hash(id) % len(partitions)].leader)

    def partitions(self, topic, count):
        wait_for(self.admin.create_partitions([NewPartitions(topic, int(count))]))

    def delete(self, topic):
        wait_for(self.admin.delete_topics([topic], operation_timeout=TIMEOUT))

    def create(self, topic, partitions, copies):
        wait_for(self.admin.create_topics([NewTopic(topic, int(partitions), int(copies))]))

    def set(self, topic, setting):
        name, value = setting.split("=", 1)
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        wait_for(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("command", choices=("leader", "coordinator", "partitions", "delete", "create", "set"))
    parser.add_argument("arguments", nargs="*")
    asked = parser.parse_args()
    getattr(Commands(asked.brokers), asked.command)(*asked.arguments)


if __name__ == "__main__":
    main()
