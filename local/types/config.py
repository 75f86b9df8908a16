"""AWS Config: recorder and delivery channel."""

from __future__ import annotations

from local.types.arguments import arguments
from local.types.definition import PutResource, resource
from local.types.request import CreatedResource, ResourceRequest


@resource("aws:cfg/recorder:Recorder", replaced_by=("name",))
class ConfigRecorder(PutResource):
    """Configuration recorder."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        group = request.inputs.get("recordingGroup") or {}
        recorder = {"name": name, "roleARN": request.inputs["roleArn"]}
        if group:
            recorder["recordingGroup"] = arguments(
                group, allSupported="allSupported", includeGlobalResourceTypes="includeGlobalResourceTypes"
            )
        request.client("config").put_configuration_recorder(ConfigurationRecorder=recorder)
        return CreatedResource(name, {"name": name})


@resource("aws:cfg/deliveryChannel:DeliveryChannel", replaced_by=("name",))
class ConfigDeliveryChannel(PutResource):
    """Delivery channel of the configuration recorder."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, snapshots = request.physical_name(), request.inputs.get("snapshotDeliveryProperties") or {}
        channel = {"name": name, **arguments(request.inputs, s3BucketName="s3BucketName", s3KeyPrefix="s3KeyPrefix")}
        if snapshots:
            channel["configSnapshotDeliveryProperties"] = arguments(snapshots, deliveryFrequency="deliveryFrequency")
        request.client("config").put_delivery_channel(DeliveryChannel=channel)
        return CreatedResource(name, {"name": name})


@resource("aws:cfg/recorderStatus:RecorderStatus", replaced_by=("name",))
class ConfigRecorderStatus(PutResource):
    """Switch that starts the configuration recorder."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        if request.inputs["isEnabled"]:
            request.client("config").start_configuration_recorder(ConfigurationRecorderName=name)
        return CreatedResource(name)
