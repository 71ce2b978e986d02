"""What each broker is told: server.properties of a node that is broker and controller at once (KRaft)."""

HOST = "127.0.0.1"
# The ports of one node, in the order in which they are reserved.
PLAINTEXT, CONTROLLER, SASL, MTLS, PROXIED = range(5)
PORTS_PER_NODE = 5
USER = "millstream"


def properties(cluster, node):
    settings = {
        "process.roles": "broker,controller",
        "node.id": node,
        "log.dirs": cluster.node_folder(node) / "data",
        **listeners(cluster, node),
        **replication(len(cluster.nodes)),
        # A topic is made by whoever needs it, with the settings that it needs; a typo must not make one.
        "auto.create.topics.enable": "false",
        # Tests start and lose many groups: no waiting for members who may still come, few partitions to load.
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.num.partitions": 8,
        # Short enough that a killed client or broker is noticed while a test waits for it.
        "group.min.session.timeout.ms": 1000,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }
    if cluster.secure:
        settings |= security(cluster)
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def listeners(cluster, node):
    names = {"PLAINTEXT": PLAINTEXT}
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    if cluster.secure:
        names |= {"SASL": SASL, "MTLS": MTLS}
        protocols |= {"SASL": "SASL_SSL", "MTLS": "SSL"}
    own = {name: f"{HOST}:{cluster.port(node, place)}" for name, place in names.items()}
    told = dict(own)
    if cluster.advertise:
        # Clients that come through a proxy are sent back to it; the other brokers keep to the listener without one.
        protocols["PROXIED"] = "PLAINTEXT"
        own["PROXIED"] = f"{HOST}:{cluster.port(node, PROXIED)}"
        told["PROXIED"] = cluster.advertise[node - 1]
    voters = ",".join(f"{voter}@{HOST}:{cluster.port(voter, CONTROLLER)}" for voter in cluster.nodes)
    return {
        "listeners": f"{joined(own)},CONTROLLER://{HOST}:{cluster.port(node, CONTROLLER)}",
        "advertised.listeners": joined(told),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": voters,
    }


def joined(addresses):
    return ",".join(f"{name}://{address}" for name, address in addresses.items())


def replication(nodes):
    in_sync = 2 if nodes == 3 else 1
    return {
        "default.replication.factor": nodes,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": nodes,
        "transaction.state.log.replication.factor": nodes,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": nodes,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def security(cluster):
    """A listener with SASL over TLS (SCRAM-SHA-512 and PLAIN, one user), and one where both sides show a certificate."""
    folder = cluster.folder / "certificates"
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "broker-keystore.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "ca.pem",
        "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{scram} required;",
        "listener.name.sasl.plain.sasl.jaas.config": f'{plain} required user_{USER}="{cluster.password}";',
        "listener.name.mtls.ssl.client.auth": "required",
    }
