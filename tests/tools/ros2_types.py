# SPDX-License-Identifier: MIT
"""vision_msgs/Detection2DArray for the Python package cyclonedds, which looks types up in their module."""

from dataclasses import dataclass

from cyclonedds.idl import IdlStruct, types

float64, uint32, int32 = types.float64, types.uint32, types.int32


@dataclass
class Time(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Point2D(IdlStruct, typename="vision_msgs.msg.dds_.Point2D_"):
    x: float64
    y: float64


@dataclass
class Pose2D(IdlStruct, typename="vision_msgs.msg.dds_.Pose2D_"):
    position: Point2D
    theta: float64


@dataclass
class Box(IdlStruct, typename="vision_msgs.msg.dds_.BoundingBox2D_"):
    center: Pose2D
    size_x: float64
    size_y: float64


@dataclass
class Hypothesis(IdlStruct, typename="vision_msgs.msg.dds_.ObjectHypothesis_"):
    class_id: str
    score: float64


@dataclass
class Pose(IdlStruct, typename="geometry_msgs.msg.dds_.Pose_"):
    numbers: types.array[float64, 7]  # position and orientation, on the wire the same


@dataclass
class PoseWithCovariance(IdlStruct, typename="geometry_msgs.msg.dds_.PoseWithCovariance_"):
    pose: Pose
    covariance: types.array[float64, 36]


@dataclass
class Result(IdlStruct, typename="vision_msgs.msg.dds_.ObjectHypothesisWithPose_"):
    hypothesis: Hypothesis
    pose: PoseWithCovariance


@dataclass
class Detection(IdlStruct, typename="vision_msgs.msg.dds_.Detection2D_"):
    header: Header
    results: types.sequence[Result]
    bbox: Box
    id: str


@dataclass
class Detections(IdlStruct, typename="vision_msgs.msg.dds_.Detection2DArray_"):
    header: Header
    detections: types.sequence[Detection]
