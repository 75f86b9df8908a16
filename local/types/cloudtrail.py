"""CloudTrail: trails."""

from __future__ import annotations

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:cloudtrail/trail:Trail")
class CloudTrailTrail(ResourceType):
    """CloudTrail trail."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, client = request.physical_name(), request.client("cloudtrail")
        response = client.create_trail(
            Name=name,
            TagsList=request.tag_list(),
            **arguments(
                request.inputs,
                S3BucketName="s3BucketName",
                KmsKeyId="kmsKeyId",
                IsMultiRegionTrail="isMultiRegionTrail",
                IncludeGlobalServiceEvents="includeGlobalServiceEvents",
                EnableLogFileValidation="enableLogFileValidation",
            ),
        )
        request.exists_as(response["TrailARN"])
        if request.inputs.get("enableLogging", True):
            client.start_logging(Name=name)
        return CreatedResource(response["TrailARN"], {"arn": response["TrailARN"], "name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("cloudtrail").delete_trail(Name=resource.id)
