# SPDX-License-Identifier: MIT
"""What other people's packages (rosbags, ros2-pyterfaces, cyclonedds) say about messages of ROS 2, for
tests/e2e/test_ros2.py, which runs this in a virtual environment that has them.

    hashes               {TYPE: [type hash by each package that knows the type]}
    decode               lines {"type":..,"hex":..} -> {"fields":..,"hex": the message written anew}
    encode               lines {"type":..,"fields":..} -> hex
    record FOLDER        lines {"topic":..,"type":..,"hex":..} -> a recording of each kind, read again:
                         {KIND: {TOPIC: number of messages}}
    subscribe DOMAIN SECONDS TOPIC    detections, one {"frame_id":..,"faces":[..]} a line
"""
from __future__ import annotations

import base64
import dataclasses
import json
import sys
import time
from pathlib import Path

# vision_msgs 4, which rosbags does not have.
VISION = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\n"
    "BoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
}
TYPES = (
    "vision_msgs/msg/Detection2DArray",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "std_msgs/msg/String",
    "diagnostic_msgs/msg/DiagnosticArray",
)


def typestore():
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for name, text in VISION.items():
        types.update(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    store.register(types)
    return store


def plain(value):
    """A message as JSON has it; bytes in base64."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.name.startswith("__")
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "dtype"):
        return (
            base64.b64encode(value.tobytes()).decode() if value.dtype == "uint8" else value.tolist()
        )
    return value


def made(store, name, fields):
    """The message of a type from what plain() gives."""
    import numpy as np

    kind = store.types[name]
    values = {}
    for field in dataclasses.fields(kind):
        if field.name.startswith("__"):
            continue
        value = fields[field.name]
        if isinstance(value, dict):
            of = {"header": "std_msgs/msg/Header", "stamp": "builtin_interfaces/msg/Time"}
            value = made(store, of[field.name], value)
        elif field.name == "data" and name.startswith("sensor_msgs"):
            value = np.frombuffer(base64.b64decode(value), np.uint8)
        values[field.name] = value
    return kind(**values)


def hashes():
    from ros2_pyterfaces import core
    from ros2_pyterfaces.core import all_msgs

    store = typestore()
    known = {}
    for value in vars(all_msgs).values():
        if isinstance(value, dict) and "__typename" in value:
            known[value["__typename"]] = core.hash_rihs01(value)
    print(
        json.dumps(
            {
                name: [store.hash_rihs01(name)] + ([known[name]] if name in known else [])
                for name in TYPES
            }
        )
    )


def decode():
    store = typestore()
    for line in sys.stdin:
        item = json.loads(line)
        message = store.deserialize_cdr(bytes.fromhex(item["hex"]), item["type"])
        again = bytes(store.serialize_cdr(message, item["type"])).hex()
        print(json.dumps({"fields": plain(message), "hex": again}))


def encode():
    store = typestore()
    for line in sys.stdin:
        item = json.loads(line)
        message = made(store, item["type"], item["fields"])
        print(bytes(store.serialize_cdr(message, item["type"])).hex())


def record(folder):
    from rosbags.highlevel import AnyReader
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = typestore()
    items = [json.loads(line) for line in sys.stdin]
    answer = {}
    for plugin in (StoragePlugin.MCAP, StoragePlugin.SQLITE3):
        path = Path(folder) / plugin.name.lower()
        with Writer(path, version=9, storage_plugin=plugin) as writer:
            connections = {}
            for number, item in enumerate(items):
                if item["topic"] not in connections:
                    connections[item["topic"]] = writer.add_connection(
                        item["topic"], item["type"], typestore=store
                    )
                writer.write(connections[item["topic"]], number, bytes.fromhex(item["hex"]))
        counts: dict[str, int] = {}
        with AnyReader([path]) as reader:
            for connection, number, raw in reader.messages():
                assert bytes(raw).hex() == items[number]["hex"]
                reader.deserialize(raw, connection.msgtype)
                counts[connection.topic] = counts.get(connection.topic, 0) + 1
        answer[plugin.name.lower()] = counts
    print(json.dumps(answer))


def subscribe(domain, seconds, topic):
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    from ros2_types import Detections

    participant = DomainParticipant(int(domain))
    reader = DataReader(participant, Topic(participant, topic, Detections))
    print(json.dumps({"ready": True}), flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for message in reader.take(N=20):
            if not hasattr(message, "detections"):
                continue
            faces = [
                {
                    "id": face.id,
                    "center": [face.bbox.center.position.x, face.bbox.center.position.y],
                    "size": [face.bbox.size_x, face.bbox.size_y],
                    "labels": [result.hypothesis.class_id for result in face.results],
                    "w": face.results[0].pose.pose.numbers[6],
                }
                for face in message.detections
            ]
            stamp = [message.header.stamp.sec, message.header.stamp.nanosec]
            print(
                json.dumps({"frame_id": message.header.frame_id, "stamp": stamp, "faces": faces}),
                flush=True,
            )
        time.sleep(0.01)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
